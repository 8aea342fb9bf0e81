//! Counters of `/proc/net/netstat`, of the group `TcpExt`.

/// Of the thread's network namespace; `/proc/net` is that of the process's first thread.
pub const NETSTAT: &str = "/proc/thread-self/net/netstat";
/// The lines of [`NETSTAT`] that the counters are in.
pub const GROUP: &str = "TcpExt:";

/// The counter of this name in the text of [`NETSTAT`]; `None` if it is not there. Each group has a line of names and
/// then a line of values (`netstat_seq_show`, `net/ipv4/proc.c`).
#[must_use]
pub fn counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(GROUP));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(found, _)| *found == name)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_the_number_below_its_name() {
        let text =
            "TcpExt: ListenDrops ListenOverflows\nTcpExt: 3 4\nIpExt: ListenDrops\nIpExt: 9\n";
        assert_eq!(counter(text, "ListenOverflows"), Some(4));
        assert_eq!(counter(text, "TWRecycled"), None);
    }
}
