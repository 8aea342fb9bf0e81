//! How long the kernel waits in each state: sysctls and options become schedules of windows. Pure:
//! no clock, no I/O; `source/sysctls.rs` reads the numbers.
//!
//! The road: [`Sysctls`] and what is known of a socket go into [`syn()`], [`syn_ack()`],
//! [`unacknowledged`], [`window_probes()`] or [`fin_wait_2()`]; `walk.rs` goes from timer to timer, each armed when the
//! one before really fired; [`wheel`] says how late that may be.
//!
//! Limits. A [`Window`] holds where the timer alone decides. On top of it a softirq takes its time:
//! below a millisecond on an idle machine, some ten on a busy one. The kernel compares elapsed
//! times in whole milliseconds, which can end a `TCP_USER_TIMEOUT` one millisecond early. A
//! retransmission that never leaves the machine (a full queue, a firewall's drop on output) is
//! tried again every 500 ms instead (`tcp_retransmit_timer`, `net/ipv4/tcp_timer.c`).

mod fin_wait_2;
mod model;
#[cfg(test)]
mod properties;
mod rto;
mod schedule;
#[cfg(test)]
mod simulation;
mod syn;
mod syn_ack;
mod sysctls;
mod walk;
pub mod wheel;
mod window_probes;

use std::time::Duration;

pub use fin_wait_2::{FinWait2, fin_wait_2};
pub use rto::{RtoOptions, after_rto, unacknowledged};
pub use schedule::{Attempt, AttemptKind, Next, Schedule, Then, Window};
pub use syn::{SynOptions, syn};
pub use syn_ack::{half_open_at_least, syn_ack};
pub use sysctls::Sysctls;
pub use window_probes::{ProbeOptions, window_probes};

/// The RTO before there is a measured round trip (`TCP_TIMEOUT_INIT`, `include/net/tcp.h`).
const TIMEOUT_INIT: Duration = Duration::from_secs(1);
/// The least RTO, unless it is set otherwise (`TCP_RTO_MIN`, `include/net/tcp.h`).
const RTO_MIN: Duration = Duration::from_millis(200);
/// The greatest RTO (`TCP_RTO_MAX`, `include/net/tcp.h`), which can be lowered since 6.15.
const RTO_MAX: Duration = Duration::from_mins(2);
