//! The running kernel: what tcpwatch loads into it, and what it asks it.
//!
//! - [`beside`](mod@beside): work in a thread beside the run
//! - [`clock`]: the kernel's clock and the wall clock
//! - [`coverage`]: programs of the tests
//! - [`netns`]: a way into another network namespace
//! - [`own_process`]: what the kernel says of tcpwatch itself
//! - [`pid_namespace`]: the numbers of processes that people see here
//! - [`probe`]: the kernel side, loaded and attached
//! - [`source`]: records out of the kernel's ring or a recording, sockets that were there before
//! - [`trial`]: connections of tcpwatch's own

#![deny(unsafe_code)]

pub mod beside;
pub mod clock;
pub mod coverage;
pub mod netns;
pub mod own_process;
pub mod pid_namespace;
pub mod probe;
pub mod source;
pub mod trial;
