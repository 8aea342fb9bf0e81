//! Connections of tcpwatch's own on loopback, one of each kind, by which it finds out which functions the
//! timers of mini-sockets run, and whether the attached hooks see what they are attached for. [`ground`] is
//! where they are made, [`stage`] what they are made with; one file for each kind of connection.

mod filter;
mod fin_wait_2;
pub mod ground;
mod half_open;
pub mod option;
mod pair;
mod refused;
mod retransmits;
pub mod stage;
mod time_wait;

use std::time::Duration;

pub use fin_wait_2::shorten_fin_wait_2;
pub use ground::{Ground, NoGround, leave};
pub use pair::Left;
pub use retransmits::Unanswered;
pub use stage::{LoopbackSockets, Ports};

/// On loopback everything is there within microseconds; a firewall that swallows it must not hold up the
/// start.
pub const PATIENCE: Duration = Duration::from_millis(200);
