//! Gauges that are read from the kernel at each scrape: sockets by state, owner and port, accept queues, and the
//! kernel's own counters of refused connections.
//!
//! All of them are about the network namespace of the calling thread, which is that of the process, and need no
//! privilege. Memory: a few dozen bytes for each destination that is connected to and each socket in CLOSE_WAIT.

mod cgroups;
mod close_wait;
mod listeners;
mod netstat;
mod overflows;
mod ports;
mod slots;
mod sockets;
mod states;

use std::sync::{Arc, Mutex};

use tcpwatch_kernel::source::cgroups::CgroupNames;

use self::{
    listeners::AcceptQueues, netstat::Netstat, overflows::Overflows, slots::Overflow,
    sockets::SocketGauges,
};
use crate::collector::Collector;

/// All of them; the one that counts omitted label values comes last.
#[must_use]
pub fn collectors() -> Vec<Box<dyn Collector>> {
    let names = Arc::new(Mutex::new(CgroupNames::new()));
    let (cgroup, listener) = (Overflow::default(), Overflow::default());
    vec![
        Box::new(SocketGauges::new(Arc::clone(&names), Arc::clone(&cgroup))),
        Box::new(AcceptQueues::new(names, Arc::clone(&listener))),
        Box::new(Netstat),
        Box::new(Overflows(vec![("cgroup", cgroup), ("local_port", listener)])),
    ]
}
