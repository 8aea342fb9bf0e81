//! How many timewait mini-sockets the network namespace has, which its limit is for.

use std::fs;

use anyhow::{Context as _, Result};

use crate::family::ScrapeFamily;

/// Of the thread's network namespace; `tw` is its own since 5.18 (`sockstat_seq_show`, `net/ipv4/proc.c`).
const SOCKSTAT: &str = "/proc/thread-self/net/sockstat";

pub(super) fn family() -> Result<ScrapeFamily> {
    let text = fs::read_to_string(SOCKSTAT).with_context(|| format!("cannot read {SOCKSTAT}"))?;
    let used =
        used(&text).with_context(|| format!("{SOCKSTAT} has no number of timewait sockets"))?;
    let help = "Timewait mini-sockets, to be compared with tcpwatch_time_wait_limit (tw of /proc/net/sockstat). Network \
                namespace of this process.";
    Ok(ScrapeFamily::gauge("tcpwatch_time_wait_used", help).with(&[], used.into()))
}

fn used(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace().skip_while(|word| *word != "tw");
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_follows_its_name_in_the_line_of_tcp() {
        let text =
            "sockets: used 9\nTCP: inuse 2 orphan 1 tw 17 alloc 5 mem 3\nUDP: inuse 0 mem 1\n";
        assert_eq!(used(text), Some(17));
        assert_eq!(used("TCP: inuse 2\n"), None);
    }
}
