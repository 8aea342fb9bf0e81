//! The kernel's own loop, jiffy by jiffy, with timers as late as the wheel makes them: whatever it
//! does is in the schedule.

use proptest::{option, prelude::*};

use super::*;
use crate::event::Jiffies;
use model::model_timeout;
use wheel::{TickRate, fires_at};

/// A socket that retransmits, its times in jiffies and milliseconds.
struct Socket {
    hz: u64,
    first_sent: u64,
    now: u64,
    rto: u64,
    retrans_stamp: u64,
    sent: Vec<u64>,
}

impl Socket {
    fn new(hz: u64, now: u64, rto: u64) -> Self {
        Self { hz, first_sent: now, now, rto, retrans_stamp: now, sent: Vec::new() }
    }

    fn sleep(&mut self, jiffies: u64) {
        self.now = fires_at(Jiffies(self.now), Jiffies(self.now + jiffies)).0;
    }

    fn elapsed_ms(&self) -> u64 {
        self.now * 1000 / self.hz - self.retrans_stamp * 1000 / self.hz
    }

    fn send(&mut self) {
        self.sent.push(self.now - self.first_sent);
    }

    fn back_off(&mut self, rto_max: u64) {
        self.rto = (self.rto * 2).min(rto_max);
    }

    /// `tcp_clamp_rto_to_user_timeout`.
    fn sleep_within(&mut self, user_timeout_ms: Option<u64>) {
        let left = user_timeout_ms.map(|timeout| timeout.saturating_sub(self.elapsed_ms()));
        let left = left.map(|left| (left * self.hz).div_ceil(1000).max(1));
        self.sleep(self.rto.min(left.unwrap_or(u64::MAX)));
    }

    fn check(&self, schedule: &Schedule) {
        let rate = TickRate(self.hz);
        // Elapsed times are cut to milliseconds and what is left is rounded up to a tick.
        let cut = Duration::from_millis(1);
        let is_in = |window: Window, jiffies| {
            let at = rate.duration(jiffies);
            let latest = window.latest + cut + rate.duration(1);
            assert!(window.promise <= at + cut && at <= latest, "{at:?} in {window:?}");
        };
        let certain = schedule.attempts.iter().filter(|attempt| attempt.certain).count();
        assert!(self.sent.len() >= certain && self.sent.len() <= schedule.attempts.len());
        for (attempt, sent) in schedule.attempts.iter().zip(&self.sent) {
            is_in(attempt.window, *sent);
        }
        is_in(schedule.gives_up, self.now - self.first_sent);
    }
}

fn kernel_syn(socket: &mut Socket, sysctls: &Sysctls, user_timeout_ms: Option<u64>) {
    let rate = TickRate(socket.hz);
    let rto_max = sysctls.rto_max_ticks(rate);
    let linear = usize::from(sysctls.syn_linear_timeouts);
    let most = usize::from(sysctls.syn_retries) + linear;
    let model = model_timeout(sysctls.syn_retries, socket.rto, rto_max, rate);
    let timeout = user_timeout_ms.map_or(model, Duration::from_millis);
    socket.sleep(socket.rto);
    while socket.sent.len() < most {
        if !socket.sent.is_empty() && Duration::from_millis(socket.elapsed_ms()) >= timeout {
            return;
        }
        socket.send();
        if socket.sent.len() > linear {
            socket.back_off(rto_max);
        }
        socket.sleep_within(user_timeout_ms);
    }
}

fn kernel_orphan(socket: &mut Socket, sysctls: &Sysctls, user_timeout_ms: Option<u64>) {
    let rate = TickRate(socket.hz);
    let rto_max = sysctls.rto_max_ticks(rate);
    socket.sleep(socket.rto);
    socket.send();
    socket.retrans_stamp = socket.now;
    loop {
        socket.back_off(rto_max);
        socket.sleep_within(user_timeout_ms);
        let alive = socket.rto < rto_max;
        let retries = match sysctls.orphan_retries {
            0 if alive => 8,
            retries => retries,
        };
        let model = model_timeout(retries, rate.ticks(RTO_MIN), rto_max, rate);
        let timeout = user_timeout_ms.map_or(model, Duration::from_millis);
        if Duration::from_millis(socket.elapsed_ms()) >= timeout {
            return;
        }
        socket.send();
    }
}

fn rates() -> impl Strategy<Value = u64> {
    prop_oneof![Just(100), Just(250), Just(300), Just(1000)]
}

fn rto_max() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(120), 1..=120_u64].prop_map(Duration::from_secs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_syn_keeps_to_its_schedule(
        (hz, start) in (rates(), 0_u64..1 << 30),
        (syn_retries, syn_linear_timeouts) in (0_u8..=127, 0_u8..=127),
        rto_max in rto_max(),
        user_timeout_ms in option::of(1_u64..300_000),
    ) {
        let sysctls =
            Sysctls { syn_retries, syn_linear_timeouts, rto_max, ..Sysctls::default() };
        let user_timeout = user_timeout_ms.map(Duration::from_millis);
        let schedule = syn(&sysctls, SynOptions { retries: None, user_timeout }, TickRate(hz));
        let mut socket = Socket::new(hz, start, hz);
        kernel_syn(&mut socket, &sysctls, user_timeout_ms);
        socket.check(&schedule);
    }

    #[test]
    fn an_orphan_keeps_to_its_schedule(
        (hz, start) in (rates(), 0_u64..1 << 30),
        (orphan_retries, rto) in (0_u8..20, 1_u64..2000),
        rto_max in rto_max(),
        user_timeout_ms in option::of(1_u64..300_000),
    ) {
        let sysctls = Sysctls { orphan_retries, rto_max, ..Sysctls::default() };
        let rate = TickRate(hz);
        let rto = rto.min(sysctls.rto_max_ticks(rate));
        let options = RtoOptions {
            first_rto: rate.duration(rto),
            orphan: true,
            probe_first: None,
            user_timeout: user_timeout_ms.map(Duration::from_millis),
        };
        let mut socket = Socket::new(hz, start, rto);
        kernel_orphan(&mut socket, &sysctls, user_timeout_ms);
        socket.check(&unacknowledged(&sysctls, options, rate));
    }
}
