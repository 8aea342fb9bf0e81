//! tcpwatch shows what the Linux kernel does with every TCP connection.
//!
//! The rooms, in the order in which data passes through them:
//!
//! - [`probe`]: the kernel side, loaded and attached
//! - [`source`]: records out of the kernel's ring, sockets that were there before
//! - [`decode`]: bytes become events
//! - [`event`]: what happened, in the words of the field
//! - [`timing`]: how long the kernel waits, and how late its timers may be
//! - [`track`]: events become changes with durations and owners
//! - [`trial`]: connections of tcpwatch's own, by which it finds out what the kernel side sees
//! - [`sink`]: changes become lines
//! - [`lab`]: the laboratory, which puts real sockets into every state and judges the kernel's timers
//! - [`metrics`]: counters of the kernel side and gauges of the moment become a Prometheus page
//! - [`web`]: that page, and whether tcpwatch is well, over HTTP
//! - [`pipeline`]: all of the above on one page
//! - [`ending`]: the signals that end a run
//! - [`cli`]: what was typed, and what is meant

#![deny(unsafe_code)]

mod account;
pub mod cli;
pub mod decode;
pub mod ending;
pub mod event;
pub mod lab;
pub mod metrics;
mod netns;
pub mod pipeline;
pub mod probe;
mod road;
pub mod sink;
pub mod source;
pub mod timing;
pub mod track;
pub mod trial;
pub mod web;
