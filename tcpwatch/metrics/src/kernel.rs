//! The kernel side's counts as metrics: sums over its maps, so that the cost of a scrape does not depend on the rate of
//! events. Every series that is certain to occur exists from the start, with 0.

use std::time::SystemTime;

use tcpwatch_common::counts::{
    CONNECT_BOUNDS_NS, CONNECTED, CONNECTED_NS, CONNECTS, MINIS_KEPT, MINIS_TAKEN, STATE_BOUNDS_NS,
    STATES, STAYS, STAYS_NS, SYN_BOUND, SYNS, SYNS_SUM, UNTIMED, WORDS, transition,
};
use tcpwatch_core::event::{Netns, TcpState};
use tcpwatch_kernel::probe::counts::Counted;

use super::catalog::{COUNTS, KNOWN_CHANGES, OF_CONNECTIONS, word};
use crate::family::ScrapeFamily;

/// What the numbers cover, for the end of every help text.
pub(super) fn covers(netns: Option<Netns>) -> String {
    let of = netns.map_or("all network namespaces".to_owned(), |netns| {
        format!("network namespace {}", netns.0)
    });
    format!("Counted in the kernel at its tracepoints since the start, {of}.")
}

/// The metrics without the label of a cgroup, and the use of the table of mini-sockets with its `room`.
pub(super) fn families(counted: &Counted, room: u32, covers: &str) -> Vec<ScrapeFamily> {
    let words = &counted.words;
    let mut families = KernelMetrics { words, scope: covers }.families();
    families.extend(table(words, room));
    families
}

/// The use of the table of mini-sockets.
fn table(words: &[u64; WORDS], room: u32) -> [ScrapeFamily; 2] {
    let [kept, taken] =
        [MINIS_KEPT, MINIS_TAKEN].map(|word| words.get(word).copied().unwrap_or_default());
    let labels = [("map", "minis")];
    let entries = "Mini-sockets whose start time is in the kernel side's table.";
    let limit = "Mini-sockets for which the kernel side's table has room.";
    [
        ScrapeFamily::gauge("tcpwatch_map_entries", entries)
            .with(&labels, number(kept.saturating_sub(taken))),
        ScrapeFamily::gauge("tcpwatch_map_max_entries", limit).with(&labels, room.into()),
    ]
}

/// Converts words into families.
struct KernelMetrics<'a> {
    words: &'a [u64; WORDS],
    scope: &'a str,
}

impl KernelMetrics<'_> {
    fn families(&self) -> Vec<ScrapeFamily> {
        let mut families = vec![self.transitions(), self.durations(), self.untimed()];
        families.push(self.counter(
            "tcpwatch_connects_total",
            "Connect attempts: CLOSED to SYN_SENT.",
            self.number(CONNECTS),
        ));
        families.extend(
            COUNTS.iter().map(|count| count.family(self.scope, |index| self.number(index))),
        );
        families.extend([self.connect_durations(), self.syns(), self.closed_first()]);
        families
    }

    fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or_default()
    }

    fn number(&self, index: usize) -> f64 {
        number(self.word(index))
    }

    fn help(&self, help: &str) -> String {
        format!("{help} {}", self.scope)
    }

    fn counter(&self, name: &str, help: &str, value: f64) -> ScrapeFamily {
        ScrapeFamily::counter(name, &self.help(help)).with(&[], value)
    }

    fn transitions(&self) -> ScrapeFamily {
        let mut family = ScrapeFamily::counter(
            "tcpwatch_state_transitions_total",
            &self.help(
                "State changes, including those of mini-sockets: TIME_WAIT, FIN_WAIT_2 after \
                 the application has closed, and half-open connections.",
            ),
        );
        for from in TcpState::ALL {
            for to in TcpState::ALL {
                let count = self.word(transition(from.to_kernel(), to.to_kernel()));
                if count > 0 || KNOWN_CHANGES.contains(&(from, to)) {
                    family.add(&[("from", &word(from)), ("to", &word(to))], number(count));
                }
            }
        }
        family
    }

    fn durations(&self) -> ScrapeFamily {
        let mut family = ScrapeFamily::histogram(
            "tcpwatch_state_duration_seconds",
            &self.help(
                "Time in a state, recorded when it ends. Where the kernel restarts TIME_WAIT \
                 and no event reports it, the time counts from the restart. FIN_WAIT_2 that \
                 became TIME_WAIT without an event is counted when TIME_WAIT ends.",
            ),
        );
        for state in OF_CONNECTIONS {
            let index = usize::from(state.to_kernel());
            let counts = self.slice(STAYS + index * STATES, STATE_BOUNDS_NS.len() + 1);
            let sum = seconds(self.word(STAYS_NS + index));
            let bounds = STATE_BOUNDS_NS.map(seconds);
            family.add_histogram(&[("state", &word(state))], &bounds, counts, sum);
        }
        family
    }

    fn untimed(&self) -> ScrapeFamily {
        let mut family = ScrapeFamily::counter(
            "tcpwatch_state_durations_unknown_total",
            &self.help(
                "Times in a state that are not known, because it was entered before tcpwatch \
                 started or its beginning was missed; not in tcpwatch_state_duration_seconds.",
            ),
        );
        for state in OF_CONNECTIONS {
            let index = UNTIMED + usize::from(state.to_kernel());
            family.add(&[("state", &word(state))], self.number(index));
        }
        family
    }

    fn connect_durations(&self) -> ScrapeFamily {
        let mut family = ScrapeFamily::histogram(
            "tcpwatch_connect_duration_seconds",
            &self.help(
                "Time from the first SYN to ESTABLISHED of connects that succeeded; more than 1 s \
                 is at least one SYN or its answer lost.",
            ),
        );
        let counts = self.slice(CONNECTED, CONNECT_BOUNDS_NS.len() + 1);
        let sum = seconds(self.word(CONNECTED_NS));
        family.add_histogram(&[], &CONNECT_BOUNDS_NS.map(seconds), counts, sum);
        family
    }

    fn syns(&self) -> ScrapeFamily {
        let mut family = ScrapeFamily::histogram(
            "tcpwatch_connect_syn_attempts",
            &self.help("SYNs of a connect attempt until it ended, whatever its end."),
        );
        let bounds: Vec<f64> =
            (1..=SYN_BOUND).map(|syns| number(syns.try_into().unwrap_or(0))).collect();
        let counts = self.slice(SYNS, SYN_BOUND + 1);
        family.add_histogram(&[], &bounds, counts, self.number(SYNS_SUM));
        family
    }

    /// Counted at the first change that leaves ESTABLISHED or SYN_RECV.
    fn closed_first(&self) -> ScrapeFamily {
        let leaves = |to: TcpState| {
            [TcpState::SynRecv, TcpState::Established]
                .iter()
                .map(|from| self.word(transition(from.to_kernel(), to.to_kernel())))
                .sum::<u64>()
        };
        let aborted = transition(TcpState::Established.to_kernel(), TcpState::Closed.to_kernel());
        let name = "tcpwatch_connections_closed_total";
        let help = "Connections that began to close, by the end that closed first: local and remote \
        sent the first FIN; nobody means that a reset or a timeout ended it at once.";
        ScrapeFamily::counter(name, &self.help(help))
            .with(&[("initiator", "local")], number(leaves(TcpState::FinWait1)))
            .with(&[("initiator", "remote")], number(leaves(TcpState::CloseWait)))
            .with(&[("initiator", "nobody")], self.number(aborted))
    }

    fn slice(&self, from: usize, length: usize) -> &[u64] {
        self.words.get(from..from + length).unwrap_or_default()
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a sample is a float; counts are exact up to 2^53"
)]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

/// A moment as Unix time, in seconds.
pub(super) fn unix(moment: SystemTime) -> f64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn seconds(nanos: u64) -> f64 {
    number(nanos) / 1e9
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    fn page(words: &[u64; WORDS]) -> String {
        let families = KernelMetrics { words, scope: "Scope." }.families();
        let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
        TextEncoder::new().encode_to_string(&families).unwrap()
    }

    #[test]
    fn every_known_series_is_there_with_zero() {
        let page = page(&[0; WORDS]);
        for line in [
            "tcpwatch_state_transitions_total{from=\"fin_wait_2\",to=\"time_wait\"} 0",
            "tcpwatch_state_duration_seconds_count{state=\"time_wait\"} 0",
            "tcpwatch_connect_failures_total{reason=\"timed_out\"} 0",
            "tcpwatch_connects_total 0",
            "tcpwatch_retransmits_total{kind=\"syn_ack\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(page.lines().all(|line| line.starts_with('#') || line.ends_with(" 0")), "{page}");
    }

    #[test]
    fn words_become_the_series_they_stand_for() {
        let mut words = [0; WORDS];
        words[CONNECTS] = 3;
        words[transition(1, 11)] = 1;
        words[STAYS + 6 * STATES + 9] = 2;
        words[STAYS_NS + 6] = 121_500_000_000;
        words[SYNS + 1] = 1;
        words[SYNS_SUM] = 2;
        let page = page(&words);
        for line in [
            "tcpwatch_connects_total 3",
            "tcpwatch_state_transitions_total{from=\"established\",to=\"closing\"} 1",
            "tcpwatch_state_duration_seconds_bucket{state=\"time_wait\",le=\"59\"} 0",
            "tcpwatch_state_duration_seconds_bucket{state=\"time_wait\",le=\"66\"} 2",
            "tcpwatch_state_duration_seconds_sum{state=\"time_wait\"} 121.5",
            "tcpwatch_connect_syn_attempts_bucket{le=\"2\"} 1",
            "tcpwatch_connect_syn_attempts_sum 2",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn every_help_says_whose_sockets_are_counted() {
        let page = page(&[0; WORDS]);
        let helps = page.lines().filter(|line| line.starts_with("# HELP"));
        assert!(helps.into_iter().all(|help| help.ends_with(" Scope.")));
    }
}
