//! Demo traffic: connections on loopback to be watched with tcpwatch.

mod scene;
mod server;
mod traffic;

pub(crate) use traffic::{DemoTraffic, PORT, Reserved};
