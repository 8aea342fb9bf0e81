//! Where events come from: the kernel's ring, and the sockets that existed at the start.

pub mod clock;
pub mod complaints;
pub mod order;
pub mod ring;
pub mod snapshot;
