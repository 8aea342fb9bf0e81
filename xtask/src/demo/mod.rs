//! Nothing comes in; connections on loopback go out, to be looked at with tcpwatch.

mod scene;
mod server;
mod traffic;

pub(crate) use traffic::{PORT, Reserved, Traffic};
