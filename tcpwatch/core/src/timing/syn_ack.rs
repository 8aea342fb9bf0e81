//! `SYN_RECV`: when a listener's SYN+ACK is sent again, and when the half-open connection is
//! dropped.

use std::time::Duration;

use super::{AttemptKind, RTO_MAX, Schedule, Sysctls, TIMEOUT_INIT, walk::Walk, wheel::TickRate};

/// The schedule of a SYN+ACK whose ACK does not come, from the first SYN+ACK
/// (`reqsk_timer_handler`, `net/ipv4/inet_connection_sock.c`). `retries` is the *listener's*
/// `TCP_SYNCNT`; 0 and `None` leave it to the sysctl.
///
/// Limits. A repeated SYN of the client moves the timer; many half-open connections lower the
/// retries; `TCP_DEFER_ACCEPT` keeps some of the SYN+ACKs back. The greatest wait is 120 s here
/// even where `tcp_rto_max_ms` is lower, which is so up to 6.18: since 7.0 the kernel obeys it.
#[must_use]
pub fn syn_ack(sysctls: &Sysctls, retries: Option<u8>, rate: TickRate) -> Schedule {
    let retries = retries.filter(|retries| *retries > 0).unwrap_or(sysctls.synack_retries);
    let longest = rate.ticks(RTO_MAX);
    let mut wait = rate.ticks(TIMEOUT_INIT);

    let mut walk = Walk::new(rate);
    walk.wait(wait);
    for _ in 0..retries {
        walk.attempt(AttemptKind::Timer);
        wait = wait.saturating_mul(2).min(longest);
        walk.wait(wait);
    }
    walk.give_up()
}

/// How old a half-open connection is at least whose timer has so long to run. Each wait is twice the one before, so
/// that the wait which is left shows how many were before it; how many SYN+ACKs were sent does not, because those for
/// a SYN that came again are counted too and move the timer.
#[must_use]
pub fn half_open_at_least(left: Duration) -> Duration {
    let (mut wait, mut before) = (TIMEOUT_INIT, Duration::ZERO);
    while wait < left && wait < RTO_MAX {
        before += wait;
        wait = (wait * 2).min(RTO_MAX);
    }
    before + wait.saturating_sub(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_repeats_with_doubling_waits() {
        type Case = (u8, &'static [u64], u64);
        let cases: [Case; 4] =
            [(5, &[1, 3, 7, 15, 31], 63), (3, &[1, 3, 7], 15), (2, &[1, 3], 7), (1, &[1], 3)];
        for (retries, attempts, end) in cases {
            let schedule = syn_ack(&Sysctls::default(), Some(retries), TickRate(250));
            let seconds = schedule.attempts.iter().map(|attempt| attempt.window.promise.as_secs());
            assert_eq!(seconds.collect::<Vec<_>>(), attempts);
            assert_eq!(schedule.gives_up.promise, Duration::from_secs(end));
        }
    }

    #[test]
    fn no_wait_is_longer_than_two_minutes() {
        let schedule = syn_ack(&Sysctls::default(), Some(8), TickRate(250));
        assert_eq!(schedule.gives_up.promise, Duration::from_secs(127 + 120 + 120));
    }

    #[test]
    fn a_listener_without_retries_waits_once() {
        let sysctls = Sysctls { synack_retries: 0, ..Sysctls::default() };
        let schedule = syn_ack(&sysctls, None, TickRate(250));
        assert_eq!(schedule.attempts, []);
        assert_eq!(schedule.gives_up.promise, Duration::from_secs(1));
    }

    #[test]
    fn what_a_kernel_was_seen_to_do_is_inside() {
        let Schedule { gives_up, .. } = syn_ack(&Sysctls::default(), None, TickRate(250));
        assert!(gives_up.promise <= Duration::from_millis(65_270));
        // 0.224 s more than the plain sum: a timer of 2 s may land in the next level.
        assert_eq!(gives_up.latest, Duration::from_millis(65_880 + 224));
    }
}
