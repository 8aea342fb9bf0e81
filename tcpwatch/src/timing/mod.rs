//! How long the kernel waits in each state, and how late its timers may be. Pure: no clock, no I/O.

pub mod wheel;
