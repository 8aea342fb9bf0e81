//! What holds for every schedule, whatever the sysctls and options.

use proptest::{option, prelude::*};

use super::*;
use wheel::TickRate;

fn rates() -> impl Strategy<Value = TickRate> {
    prop_oneof![Just(100), Just(250), Just(300), Just(1000)].prop_map(TickRate)
}

fn milliseconds(most: u64) -> impl Strategy<Value = Duration> {
    (0..most).prop_map(Duration::from_millis)
}

fn sysctls() -> impl Strategy<Value = Sysctls> {
    (any::<[u8; 5]>(), any::<u32>()).prop_map(|(counts, rto_max_ms)| {
        let [syn_retries, syn_linear_timeouts, synack_retries, orphan_retries, retries2] = counts;
        Sysctls {
            syn_retries,
            syn_linear_timeouts,
            synack_retries,
            orphan_retries,
            retries2,
            rto_max: Duration::from_millis(rto_max_ms.into()),
            ..Sysctls::default()
        }
    })
}

fn user_timeouts() -> impl Strategy<Value = Option<Duration>> {
    option::of(milliseconds(3_600_000))
}

fn rto_options() -> impl Strategy<Value = RtoOptions> {
    let times = (any::<u32>(), option::of(milliseconds(10_000)), user_timeouts());
    (times, any::<bool>()).prop_map(|((rto_us, probe_first, user_timeout), orphan)| RtoOptions {
        first_rto: Duration::from_micros(rto_us.into()),
        orphan,
        probe_first,
        user_timeout,
    })
}

/// How late a timer may be: 8 of 63, the wheel's lag, and the tick in which it is armed.
fn tolerance(promise: Duration, rate: TickRate) -> Duration {
    promise * 8 / 63 + rate.duration(2)
}

fn check(schedule: &Schedule, rate: TickRate) {
    let Schedule { attempts, gives_up, .. } = schedule;
    let mut before = Window::default();
    let mut tolerated = Duration::ZERO;
    for (number, attempt) in (1..).zip(attempts) {
        let Window { promise, latest } = attempt.window;
        assert!(before.promise < promise && before.latest < latest, "{number} comes later");
        assert!(promise <= latest);
        let gap = schedule.gap(number).unwrap();
        assert!(gap.promise <= gap.latest);
        tolerated += tolerance(gap.latest, rate);
        let late = latest.saturating_sub(promise);
        assert!(late <= tolerated, "{number} is late by {late:?}");
        assert_eq!(schedule.after(number - 1).unwrap().wait, gap);
        before = attempt.window;
    }
    let certain = attempts.iter().rfind(|attempt| attempt.certain);
    let certain = certain.map_or_else(Window::default, |attempt| attempt.window);
    assert!(gives_up.promise > certain.promise);
    assert!(gives_up.latest > before.latest);
    assert!(gives_up.promise <= gives_up.latest);
    assert!(attempts.is_sorted_by_key(|attempt| !attempt.certain), "the uncertain ones are last");
    assert_eq!(schedule.after(attempts.len()).unwrap().then, Then::GivesUp);
    assert_eq!((schedule.gap(0), schedule.gap(attempts.len() + 1)), (None, None));
}

proptest! {
    #[test]
    fn a_syn_has_no_more_attempts_than_retries_and_linear_timeouts(
        sysctls in sysctls(),
        retries in any::<Option<u8>>(),
        user_timeout in user_timeouts(),
        rate in rates(),
    ) {
        let schedule = syn(&sysctls, SynOptions { retries, user_timeout }, rate);
        check(&schedule, rate);
        let retries = retries.filter(|retries| *retries > 0).unwrap_or(sysctls.syn_retries);
        let most = usize::from(retries) + usize::from(sysctls.syn_linear_timeouts);
        prop_assert!(schedule.attempts.len() <= most);
    }

    #[test]
    fn without_linear_timeouts_a_syn_doubles_up_to_the_greatest_rto(
        retries in 1_u8..,
        rto_max in 1_u64..=120,
        rate in rates(),
    ) {
        let rto_max = Duration::from_secs(rto_max);
        let sysctls = Sysctls {
            syn_retries: retries,
            syn_linear_timeouts: 0,
            rto_max,
            ..Sysctls::default()
        };
        let schedule = syn(&sysctls, SynOptions::default(), rate);
        let mut wait = Duration::from_secs(1);
        for attempt in &schedule.attempts {
            prop_assert_eq!(attempt.gap.promise, wait);
            wait = (wait * 2).min(rto_max);
        }
    }

    #[test]
    fn a_syn_ack_has_as_many_attempts_as_retries(sysctls in sysctls(), rate in rates()) {
        let schedule = syn_ack(&sysctls, None, rate);
        check(&schedule, rate);
        prop_assert_eq!(schedule.attempts.len(), usize::from(sysctls.synack_retries));
    }

    #[test]
    fn what_is_not_acknowledged_is_given_up_some_day(
        sysctls in sysctls(),
        options in rto_options(),
        rate in rates(),
    ) {
        check(&unacknowledged(&sysctls, options, rate), rate);
    }

    #[test]
    fn fin_wait_2_overflows_nowhere(
        timeout_s in any::<u64>(),
        rto_us in any::<u64>(),
        rate in rates(),
    ) {
        let rto = Duration::from_micros(rto_us);
        let total = fin_wait_2(Duration::from_secs(timeout_s), rto, rate).total();
        prop_assert!(total.promise <= total.latest);
        let next = after_rto(rto, Duration::from_secs(timeout_s), true, rate);
        prop_assert!(next.promise <= next.latest);
    }
}
