//! `FIN_WAIT_1`, `CLOSING`, `LAST_ACK`, and data in `ESTABLISHED` and `CLOSE_WAIT`: when what
//! was not acknowledged is sent again, and when the connection is given up.

use std::time::Duration;

use super::{
    AttemptKind, RTO_MIN, Schedule, Sysctls, Window, model::model_timeout, walk::Walk,
    wheel::TickRate,
};

/// Retries of an orphan when the sysctl says 0 (`tcp_orphan_retries`, `net/ipv4/tcp_timer.c`).
const ORPHAN_RETRIES: u8 = 8;

/// What is known of a socket that waits for an acknowledgment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtoOptions {
    /// Its retransmission timeout at the first transmission (`tcpi_rto` of `TCP_INFO`).
    pub first_rto: Duration,
    /// The application has closed it (`SOCK_DEAD`).
    pub orphan: bool,
    /// A tail loss probe goes first, after this long (`tcp_schedule_loss_probe`,
    /// `net/ipv4/tcp_output.c`): with SACK, and [`Sysctls::early_retrans`] 3 or 4.
    pub probe_first: Option<Duration>,
    /// `TCP_USER_TIMEOUT`; zero and `None` mean there is none.
    pub user_timeout: Option<Duration>,
}

/// The schedule of a FIN or of data that is not acknowledged, from the first transmission.
///
/// The end comes with time: counted from the first retransmission by the RTO, as much as the
/// retries would take that start at 200 ms and double, whatever the socket's own RTO is
/// (`tcp_write_timeout`, `net/ipv4/tcp_timer.c`). The retries are `tcp_retries2`, for an orphan
/// `tcp_orphan_retries`. A user timeout takes that time's place; it never shortens the first wait.
///
/// At least every [`Sysctls::rto_max`] there is an attempt: a user timeout of days makes a long
/// list. Limits: not here are the kernel's end of orphans that are too many or take too much
/// memory (`tcp_out_of_resources`), windows of zero, and thin streams that do not back off.
#[must_use]
pub fn unacknowledged(sysctls: &Sysctls, options: RtoOptions, rate: TickRate) -> Schedule {
    let user_timeout = options.user_timeout.filter(|timeout| !timeout.is_zero());
    let rto_max = sysctls.rto_max_ticks(rate);
    let mut rto = rate.ticks(options.first_rto).clamp(1, rto_max);

    let mut walk = Walk::new(rate);
    if let Some(probe) = options.probe_first {
        walk.wait(rate.ticks(probe).clamp(1, rto));
        walk.attempt(AttemptKind::Probe);
    }
    walk.wait(rto);
    walk.attempt(AttemptKind::Timer);
    walk.start_here();
    loop {
        rto = rto.saturating_mul(2).min(rto_max);
        walk.wait_within(rto, user_timeout);
        let patience = user_timeout.unwrap_or_else(|| {
            let retries = retries(sysctls, options.orphan, rto < rto_max);
            model_timeout(retries, rate.ticks(RTO_MIN), rto_max, rate)
        });
        if walk.timed_out(patience) {
            return walk.give_up();
        }
        walk.attempt(AttemptKind::Timer);
    }
}

/// `alive` is what the kernel calls a socket whose RTO has not reached the greatest one.
pub(super) fn retries(sysctls: &Sysctls, orphan: bool, alive: bool) -> u8 {
    match sysctls.orphan_retries {
        _ if !orphan => sysctls.retries2,
        0 if alive => ORPHAN_RETRIES,
        retries => retries,
    }
}

/// The wait from a retransmission that was just sent to the next timer. `rto` is what the kernel
/// held when it sent (`icsk_rto`, not doubled yet); `backs_off` is false for a tail loss probe, for
/// a SYN within the linear timeouts, and for a thin stream.
#[must_use]
pub fn after_rto(rto: Duration, rto_max: Duration, backs_off: bool, rate: TickRate) -> Window {
    let rto = rate.ticks(rto);
    let next = if backs_off { rto.saturating_mul(2) } else { rto };
    Window::of_timer(next.min(rate.ticks(rto_max)), rate)
}

#[cfg(test)]
mod tests {
    use super::super::{Next, Then};
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// As on a pair of local interfaces: SACK, and an RTO just above 200 ms.
    fn local(first_rto_ms: u64, orphan: bool) -> RtoOptions {
        let first_rto = ms(first_rto_ms);
        RtoOptions { first_rto, orphan, probe_first: Some(first_rto), user_timeout: None }
    }

    fn orphan(retries: u8, hz: u64, first_rto_ms: u64) -> Schedule {
        let sysctls = Sysctls { orphan_retries: retries, ..Sysctls::default() };
        unacknowledged(&sysctls, local(first_rto_ms, true), TickRate(hz))
    }

    #[test]
    fn an_orphans_retries_are_a_time() {
        for (retries, timers, promise_ms, latest_ms, seen_ms) in [
            (0, 8, 104_448, 109_416, &[107_170, 106_200, 106_900][..]),
            (8, 8, 104_448, 109_416, &[]),
            (1, 2, 1632, 1704, &[]),
            (2, 3, 3264, 3368, &[3320]),
            (3, 4, 6528, 6888, &[6680]),
            (5, 5, 13_056, 13_672, &[13_280]),
        ] {
            let Schedule { attempts, gives_up, .. } = orphan(retries, 250, 204);
            assert_eq!(attempts.len(), 1 + timers, "{retries}");
            assert!(attempts.iter().all(|attempt| attempt.certain), "{retries}");
            assert_eq!(gives_up, Window { promise: ms(promise_ms), latest: ms(latest_ms) });
            for seen in seen_ms {
                assert!((gives_up.promise..=gives_up.latest).contains(&ms(*seen)), "{seen}");
            }
        }
    }

    #[test]
    fn a_probe_goes_before_the_retransmissions() {
        let schedule = orphan(0, 250, 204);
        let promises_ms: Vec<_> =
            schedule.attempts.iter().map(|attempt| attempt.window.promise.as_millis()).collect();
        assert_eq!(promises_ms, [204, 408, 816, 1632, 3264, 6528, 13_056, 26_112, 52_224]);
        let kinds = schedule.attempts.iter().map(|attempt| attempt.kind);
        assert_eq!(kinds.filter(|kind| *kind == AttemptKind::Probe).count(), 1);
        assert_eq!(schedule.attempts[0].kind, AttemptKind::Probe);
    }

    #[test]
    fn who_still_holds_the_socket_waits_for_a_quarter_of_an_hour() {
        let schedule = unacknowledged(&Sysctls::default(), local(204, false), TickRate(250));
        assert_eq!(schedule.attempts.len(), 1 + 15);
        let Window { promise, latest } = schedule.gives_up;
        assert_eq!((promise, latest), (ms(928_896), ms(948_200)));
    }

    #[test]
    fn an_orphan_whose_rto_is_at_its_greatest_ends_at_once() {
        let sysctls = Sysctls { rto_max: ms(1000), ..Sysctls::default() };
        let schedule = unacknowledged(&sysctls, local(204, true), TickRate(250));
        let Window { promise, latest } = schedule.gives_up;
        assert_eq!(promise, ms(2632));
        assert!(latest >= ms(2710), "as seen");
    }

    #[test]
    fn late_timers_may_take_the_last_retransmission() {
        let schedule = orphan(5, 1000, 201);
        let certain: Vec<_> = schedule.attempts.iter().map(|attempt| attempt.certain).collect();
        assert_eq!(certain, [true, true, true, true, true, true, false]);
        assert_eq!(schedule.gives_up.promise, ms(402 + 12_600));
        assert!(schedule.gives_up.latest > ms(25_728));
        assert!(matches!(schedule.after(5), Some(Next { then: Then::Attempt, .. })));
        assert!(matches!(schedule.after(6), Some(Next { then: Then::Either, .. })));
        assert!(matches!(schedule.after(7), Some(Next { then: Then::GivesUp, .. })));
        assert_eq!(schedule.after(8), None);
    }

    #[test]
    fn a_user_timeout_counts_from_the_first_retransmission() {
        let options = RtoOptions { user_timeout: Some(ms(3000)), ..local(300, false) };
        let schedule = unacknowledged(&Sysctls::default(), options, TickRate(250));
        let promises_ms: Vec<_> =
            schedule.attempts.iter().map(|attempt| attempt.window.promise.as_millis()).collect();
        assert_eq!(promises_ms, [300, 600, 1200, 2400]);
        assert_eq!(schedule.gives_up.promise, ms(3600));
    }

    #[test]
    fn the_wait_after_a_retransmission_is_twice_the_rto_up_to_the_greatest() {
        let rate = TickRate(250);
        for (rto_ms, backs_off, expected_ms) in
            [(204, true, 408), (1000, false, 1000), (104_448, true, 120_000)]
        {
            let wait = after_rto(ms(rto_ms), ms(120_000), backs_off, rate);
            assert_eq!(wait.promise, ms(expected_ms));
        }
    }
}
