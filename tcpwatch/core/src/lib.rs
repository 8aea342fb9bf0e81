//! What happens to TCP connections, as far as it follows from the kernel's records alone: no clock, no I/O,
//! no lock. In the order in which data passes through it:
//!
//! - [`decode`]: bytes become events
//! - [`event`]: what happened, in the words of the field
//! - [`facts`]: what a look at the kernel shows beside its events
//! - [`order`]: events in the order of the kernel's clock
//! - [`timing`]: how long the kernel waits, and how late its timers may be
//! - [`place`]: which unit, container and pod a cgroup is of
//! - [`track`]: events become changes with durations and owners
//! - [`account`]: what was attempted is what arrived and what was lost ([`loss`])
//! - [`sink`]: what takes changes and losses

#![deny(unsafe_code)]

pub mod account;
pub mod decode;
pub mod event;
pub mod facts;
pub mod loss;
pub mod order;
pub mod place;
pub mod sink;
pub mod timing;
pub mod track;
