//! `FIN_WAIT_2`: how long a closed socket waits for the peer's FIN.

use std::time::Duration;

use super::{Window, wheel::TickRate};

/// What a mini-socket takes at most (`TCP_TIMEWAIT_LEN`, `include/net/tcp.h`).
const TIME_WAIT: Duration = Duration::from_mins(1);

/// The stages of an orphan's wait, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinWait2 {
    /// The full socket stays, with its keepalive timer (`tcp_rcv_state_process`,
    /// `net/ipv4/tcp_input.c`): only where the wait is longer than 60 s.
    pub full_socket: Option<Window>,
    /// A timewait mini-socket in its place (`tcp_time_wait`, `net/ipv4/tcp_minisocks.c`).
    pub mini_socket: Window,
}

impl FinWait2 {
    /// Both stages.
    #[must_use]
    pub fn total(&self) -> Window {
        let full = self.full_socket.unwrap_or_default();
        Window {
            promise: full.promise.saturating_add(self.mini_socket.promise),
            latest: full.latest.saturating_add(self.mini_socket.latest),
        }
    }
}

/// How long an orphan stays in `FIN_WAIT_2`. `fin_timeout` is its `TCP_LINGER2`, or else
/// [`Sysctls::fin_timeout`](super::Sysctls::fin_timeout) at the moment of the transition; `rto` is
/// its RTO then.
///
/// The wait is never less than 3.5 RTO (`tcp_fin_time`, `include/net/tcp.h`). One of more than 60 s
/// is not what it says: the full socket waits for what is above 60 s, and then the mini-socket for
/// the same time again (`tcp_keepalive_timer`, `net/ipv4/tcp_timer.c`).
///
/// Limits. A socket that was shut down but not closed waits without end. If the FIN comes with the
/// ACK that leads here, or a system call holds the socket at that moment, the full socket waits all
/// of the time.
#[must_use]
pub fn fin_wait_2(fin_timeout: Duration, rto: Duration, rate: TickRate) -> FinWait2 {
    let rto = rate.ticks(rto);
    let least = rto.saturating_mul(4).saturating_sub(rto / 2);
    let wait = rate.ticks(fin_timeout).max(least);
    let above = wait.saturating_sub(rate.ticks(TIME_WAIT));
    if above == 0 {
        return FinWait2 { full_socket: None, mini_socket: Window::of_timer(wait, rate) };
    }
    FinWait2 {
        full_socket: Some(Window::of_timer(above, rate)),
        mini_socket: Window::of_timer(above.max(least), rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: TickRate = TickRate(250);
    const RTO: Duration = Duration::from_millis(204);

    #[test]
    fn the_wait_is_the_timeout_up_to_a_minute_and_from_there_twice_the_rest() {
        for (timeout_s, promise_ms, seen_ms) in [
            (0, 716, 716),
            (1, 1000, 1030),
            (5, 5000, 5020),
            (60, 60_000, 60_270),
            (61, 2000, 2000),
            (65, 10_000, 10_170),
            (90, 60_000, 60_000),
            (120, 120_000, 120_000),
            (180, 240_000, 240_000),
        ] {
            let total = fin_wait_2(Duration::from_secs(timeout_s), RTO, RATE).total();
            assert_eq!(total.promise, Duration::from_millis(promise_ms), "{timeout_s}");
            assert!(total.latest >= Duration::from_millis(seen_ms), "{timeout_s}");
        }
    }

    #[test]
    fn above_a_minute_a_full_socket_goes_first() {
        assert_eq!(fin_wait_2(Duration::from_mins(1), RTO, RATE).full_socket, None);
        let wait = fin_wait_2(Duration::from_secs(65), RTO, RATE);
        let seen = [(wait.full_socket.unwrap(), 5050), (wait.mini_socket, 5120)];
        for (Window { promise, latest }, seen_ms) in seen {
            assert_eq!(promise, Duration::from_secs(5));
            assert!(latest >= Duration::from_millis(seen_ms));
        }
    }

    #[test]
    fn a_mini_socket_lasts_three_and_a_half_rto_at_least() {
        let wait = fin_wait_2(Duration::from_secs(61), Duration::from_secs(1), RATE);
        assert_eq!(wait.full_socket.unwrap().promise, Duration::from_secs(1));
        assert_eq!(wait.mini_socket.promise, Duration::from_millis(3500));
    }
}
