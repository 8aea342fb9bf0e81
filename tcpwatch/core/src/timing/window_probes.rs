//! A closed window: how long the kernel probes it.

use std::time::Duration;

use super::{RTO_MIN, Sysctls, Window, rto::retries, wheel::TickRate};

/// What is known of a socket that probes its peer's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeOptions {
    /// Its retransmission timeout (`tcpi_rto`).
    pub rto: Duration,
    /// How often the wait was doubled (`tcpi_backoff`).
    pub backoff: u8,
    /// Probes since the last answer (`icsk_probes_out`).
    pub unanswered: u8,
    /// The application has closed it (`SOCK_DEAD`).
    pub orphan: bool,
    /// Until the next probe is due.
    pub left: Duration,
}

/// When the kernel gives up, counted from now, if the window stays closed; `None` if it does not as long as the
/// peer answers.
///
/// A probe that is answered does not count (`tcp_ack`, `net/ipv4/tcp_input.c`), so that a socket that an
/// application holds probes for ever, every `tcp_rto_max` at least. An orphan is given up when its wait has
/// grown to `tcp_rto_max`, answered or not; without answers, after `tcp_orphan_retries` probes, or
/// `tcp_retries2` (`tcp_probe_timer`, `net/ipv4/tcp_timer.c`). The wait doubles up to `tcp_retries2` times
/// (`tcp_send_probe0`, `net/ipv4/tcp_output.c`).
///
/// A peer that has answered is taken to go on answering, although the latest probe be without an answer: what
/// is not wanted is answered every 500 ms only (`tcp_invalid_ratelimit`). A peer that has not answered, or not the
/// last two, is taken to go on being silent.
///
/// Limits: `TCP_USER_TIMEOUT` ends it earlier, orphans that are too many or take too much memory end at once,
/// and a probe that cannot leave the machine is tried again after 500 ms.
#[must_use]
pub fn window_probes(sysctls: &Sysctls, options: ProbeOptions, rate: TickRate) -> Option<Window> {
    let ProbeOptions { rto, mut backoff, mut unanswered, orphan, left } = options;
    let answered = unanswered == 0 || unanswered == 1 && backoff > 1;
    if answered {
        unanswered = 0;
    }
    let rto_max = sysctls.rto_max_ticks(rate);
    let rto = rate.ticks(rto).max(1);
    let mut now = Window::timer(left, rate);
    loop {
        let alive = shifted(rto, backoff.into()) < rto_max;
        let most = retries(sysctls, orphan, alive);
        if unanswered >= most || orphan && !alive && backoff >= most {
            return Some(now);
        }
        if answered && !orphan {
            return None;
        }
        // Neither grows without end: an orphan's wait reaches the greatest, and that of another is counted.
        let stuck = answered && backoff >= sysctls.retries2;
        if stuck {
            return None;
        }
        backoff = backoff.saturating_add(u8::from(backoff < sysctls.retries2));
        unanswered = unanswered.saturating_add(u8::from(!answered));
        now = now.then(Window::of_timer(wait(rto, backoff, rto_max, rate), rate));
    }
}

/// Ticks to the next probe (`tcp_probe0_when`, `include/net/tcp.h`).
fn wait(rto: u64, backoff: u8, rto_max: u64, rate: TickRate) -> u64 {
    let base = rate.ticks(RTO_MIN);
    let most = (rto_max / base.max(1)).checked_ilog2().unwrap_or(0) + 1;
    shifted(rto.max(base), u32::from(backoff).min(most)).min(rto_max)
}

fn shifted(ticks: u64, by: u32) -> u64 {
    ticks.saturating_mul(1_u64.checked_shl(by).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: TickRate = TickRate(250);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Right after the window was closed, on a local link.
    const CLOSED: ProbeOptions = ProbeOptions {
        rto: Duration::from_millis(204),
        backoff: 0,
        unanswered: 0,
        orphan: true,
        left: Duration::from_millis(204),
    };

    #[test]
    fn an_orphan_whose_peer_answers_is_given_up_when_its_wait_is_the_greatest() {
        let end = window_probes(&Sysctls::default(), CLOSED, RATE).unwrap();
        // 204 ms, doubled nine times, and one wait of 120 s.
        assert_eq!(end.promise, ms(204 * 1023 + 120_000));
        assert!(end.latest > end.promise && end.latest < end.promise * 9 / 8 + ms(100));
    }

    #[test]
    fn an_orphan_whose_peer_is_silent_is_given_up_after_its_retries() {
        let silent = ProbeOptions { backoff: 2, unanswered: 2, left: ms(816), ..CLOSED };
        let end = window_probes(&Sysctls::default(), silent, RATE).unwrap();
        // 816 ms for the third probe; the eighth goes at the end of 204 << 7, and the wait after it ends it.
        assert_eq!(end.promise, ms(204 * (4 + 8 + 16 + 32 + 64 + 128 + 256)));
    }

    #[test]
    fn a_peer_that_has_answered_before_is_taken_to_answer_again() {
        let latest = ProbeOptions { backoff: 2, unanswered: 1, left: ms(816), ..CLOSED };
        let all = ProbeOptions { unanswered: 0, ..latest };
        let sysctls = Sysctls::default();
        let end = |options| window_probes(&sysctls, options, RATE).unwrap();
        assert_eq!(end(latest), end(all));
        assert!(end(ProbeOptions { unanswered: 2, ..latest }).promise < end(all).promise);
    }

    #[test]
    fn who_still_holds_the_socket_probes_for_ever_if_the_peer_answers() {
        let held = ProbeOptions { orphan: false, backoff: 15, ..CLOSED };
        assert_eq!(window_probes(&Sysctls::default(), held, RATE), None);
        let silent = ProbeOptions { orphan: false, backoff: 1, unanswered: 1, ..CLOSED };
        let end = window_probes(&Sysctls::default(), silent, RATE).unwrap();
        assert!(end.promise > Duration::from_mins(14), "15 probes: {end:?}");
    }

    #[test]
    fn sysctls_decide_how_many_probes_there_are() {
        let few = Sysctls { orphan_retries: 2, ..Sysctls::default() };
        let silent = ProbeOptions { backoff: 1, unanswered: 1, ..CLOSED };
        let end = window_probes(&few, silent, RATE).unwrap();
        assert_eq!(end.promise, ms(204 + 816), "one more probe, and the wait after it");
        let short = Sysctls { rto_max: ms(1000), ..Sysctls::default() };
        let end = window_probes(&short, CLOSED, RATE).unwrap();
        assert_eq!(end.promise, ms(204 + 408 + 816 + 1000));
    }

    #[test]
    fn no_number_of_retries_makes_it_endless() {
        for retries2 in [0, 3, 15, 255] {
            let sysctls = Sysctls { retries2, orphan_retries: 255, ..Sysctls::default() };
            for unanswered in [0, 1, 255] {
                for orphan in [false, true] {
                    let options = ProbeOptions { unanswered, orphan, ..CLOSED };
                    let _end = window_probes(&sysctls, options, RATE);
                }
            }
        }
    }
}
