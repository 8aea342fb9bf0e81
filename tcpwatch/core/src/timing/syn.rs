//! `SYN_SENT`: when the SYN is sent again, and when `connect` fails with `ETIMEDOUT`.

use std::time::Duration;

use super::{
    AttemptKind, Schedule, Sysctls, TIMEOUT_INIT, model::model_timeout, walk::Walk, wheel::TickRate,
};

/// What an application set on its connecting socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOptions {
    /// `TCP_SYNCNT`; 0 and `None` leave it to the sysctl.
    pub retries: Option<u8>,
    /// `TCP_USER_TIMEOUT`; zero and `None` mean there is none.
    pub user_timeout: Option<Duration>,
}

/// The schedule of a SYN that is not answered, from the first SYN.
///
/// After [`Sysctls::syn_linear_timeouts`] retransmissions (since 6.5) the wait doubles with each.
/// The end comes with the retries and linear timeouts used up, or with as much time gone as the
/// retries alone would take when doubling from the first (`tcp_write_timeout`,
/// `net/ipv4/tcp_timer.c`). A user timeout takes that time's place; it never shortens the first
/// wait.
///
/// A minimal RTO plays no part, and neither does a measured round trip. A socket in `SYN_RECV`
/// after a simultaneous open has no linear timeouts.
#[must_use]
pub fn syn(sysctls: &Sysctls, options: SynOptions, rate: TickRate) -> Schedule {
    let retries = options.retries.filter(|retries| *retries > 0).unwrap_or(sysctls.syn_retries);
    let user_timeout = options.user_timeout.filter(|timeout| !timeout.is_zero());
    let linear = usize::from(sysctls.syn_linear_timeouts);
    let most = usize::from(retries) + linear;
    let rto_max = sysctls.rto_max_ticks(rate);
    let mut rto = rate.ticks(TIMEOUT_INIT);
    let patience = user_timeout.unwrap_or_else(|| model_timeout(retries, rto, rto_max, rate));

    let mut walk = Walk::new(rate);
    walk.wait(rto.min(rto_max));
    while walk.attempts() < most && !(walk.attempts() > 0 && walk.timed_out(patience)) {
        walk.attempt(AttemptKind::Timer);
        if walk.attempts() > linear {
            rto = rto.saturating_mul(2).min(rto_max);
        }
        walk.wait_within(rto, user_timeout);
    }
    walk.give_up()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn schedule(retries: u8, linear: u8, hz: u64) -> Schedule {
        let sysctls =
            Sysctls { syn_retries: retries, syn_linear_timeouts: linear, ..Sysctls::default() };
        syn(&sysctls, SynOptions::default(), TickRate(hz))
    }

    fn seconds(schedule: &Schedule) -> Vec<u64> {
        schedule.attempts.iter().map(|attempt| attempt.window.promise.as_secs()).collect()
    }

    #[test]
    fn retries_and_linear_timeouts_make_the_schedule() {
        type Case = (u8, u8, &'static [u64], u64, u64, u64);
        // At 250 Hz a timer of 2 s may be 0.256 s late instead of 0.032 s.
        let cases: [Case; 8] = [
            (6, 4, &[1, 2, 3, 4, 5, 7, 11, 19, 35, 67], 131, 136_280, 137_080),
            (6, 0, &[1, 3, 7, 15, 31, 63], 127, 132_152, 132_824),
            (3, 4, &[1, 2, 3, 4, 5, 7, 11], 19, 19_928, 19_960),
            (2, 4, &[1, 2, 3, 4, 5], 7, 7416, 7384),
            (1, 4, &[1, 2], 3, 3096, 3192),
            (3, 0, &[1, 3, 7], 15, 15_800, 15_704),
            (2, 0, &[1, 3], 7, 7544, 7192),
            (1, 0, &[1], 3, 3288, 3128),
        ];
        for (retries, linear, attempts, end, latest_250, latest_1000) in cases {
            for (hz, latest) in [(250, latest_250), (1000, latest_1000)] {
                let schedule = schedule(retries, linear, hz);
                assert_eq!(seconds(&schedule), attempts, "{retries} {linear}");
                assert_eq!(schedule.gives_up.promise, ms(end * 1000), "{retries} {linear}");
                assert_eq!(schedule.gives_up.latest, ms(latest), "{retries} {linear} at {hz} Hz");
                assert!(schedule.attempts.iter().all(|attempt| attempt.certain));
            }
        }
    }

    #[test]
    fn what_a_kernel_was_seen_to_do_is_inside() {
        for (retries, linear, end_ms) in
            [(6, 4, 134_930), (3, 4, 19_520), (2, 4, 7120), (1, 4, 3080)]
        {
            let Schedule { gives_up, .. } = schedule(retries, linear, 250);
            assert!((gives_up.promise..=gives_up.latest).contains(&ms(end_ms)), "{end_ms}");
        }
        let schedule = schedule(6, 4, 250);
        let gaps_ms = [1030, 1030, 1020, 1020, 1020, 2000, 4300, 8200, 16_100, 33_000];
        for (attempt, gap_ms) in (1..).zip(gaps_ms) {
            let Some(gap) = schedule.gap(attempt) else { panic!("no attempt {attempt}") };
            assert!(gap.promise <= ms(gap_ms), "{attempt}: {gap:?}");
            assert!(ms(gap_ms) <= gap.latest + ms(50), "{attempt}: {gap:?}, read to 0.1 s");
        }
    }

    #[test]
    fn a_low_greatest_rto_makes_time_run_out_before_the_count() {
        let sysctls = Sysctls { rto_max: Duration::from_secs(1), ..Sysctls::default() };
        let schedule = syn(&sysctls, SynOptions::default(), TickRate(250));
        assert_eq!(seconds(&schedule), [1, 2, 3, 4, 5, 6]);
        assert_eq!(schedule.gives_up.promise, ms(7000));
        assert!(ms(7160) <= schedule.gives_up.latest, "as seen");
    }

    #[test]
    fn a_user_timeout_never_shortens_the_first_wait() {
        for (timeout_ms, attempts, end_ms, seen_ms) in
            [(500, &[1][..], 1004, 1042), (2500, &[1, 2], 2500, 2539)]
        {
            let options = SynOptions { user_timeout: Some(ms(timeout_ms)), retries: None };
            let schedule = syn(&Sysctls::default(), options, TickRate(250));
            assert_eq!(seconds(&schedule), attempts);
            assert_eq!(schedule.gives_up.promise, ms(end_ms));
            let latest = schedule.gives_up.latest;
            assert!(latest >= ms(seen_ms - 10) && latest <= ms(seen_ms + 90), "{latest:?}");
        }
    }

    #[test]
    fn the_sockets_own_retries_come_before_the_sysctl() {
        let own = |retries| {
            let options = SynOptions { retries: Some(retries), user_timeout: None };
            syn(&Sysctls::default(), options, TickRate(250))
        };
        assert_eq!(own(3), schedule(3, 4, 250));
        assert_eq!(own(0), schedule(6, 4, 250));
    }

    #[test]
    fn late_timers_cost_the_last_of_many_linear_attempts() {
        let schedule = schedule(6, 127, 250);
        assert_eq!(schedule.attempts.len(), 126);
        assert_eq!(schedule.gives_up.promise, ms(127_000));
        let certain = schedule.attempts.iter().filter(|attempt| attempt.certain).count();
        assert_eq!(certain, 123, "124 timers may be late by 3.968 s");
    }
}
