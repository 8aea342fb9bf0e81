//! Gauges that are read from the kernel: ports, accept queues, the oldest CLOSE_WAIT, and the kernel's own counters of
//! refused connections.
//!
//! All of them are about the network namespace of the calling thread, which is that of the process, and need no
//! privilege. Memory: a few dozen bytes for each destination that is connected to and each socket in CLOSE_WAIT.

mod close_wait;
mod listeners;
mod netstat;
mod overflows;
mod ports;
pub(crate) mod slots;
mod sockets;
mod time_wait;

use std::sync::{Arc, Mutex};

use tcpwatch_kernel::source::cgroups::CgroupNames;

use self::{
    listeners::AcceptQueues, netstat::Netstat, overflows::Overflows, slots::Overflow,
    sockets::SocketGauges,
};
use crate::{collector::Collector, counted::CgroupLabels};

/// The maximal number of cgroups with series of their own.
const MOST_CGROUPS: usize = 20;

/// The collectors of gauges.
pub struct Gauges {
    /// Those that list sockets.
    pub listed: Vec<Box<dyn Collector>>,
    /// The others; the one that counts omitted label values comes last.
    pub quick: Vec<Box<dyn Collector>>,
    /// Which cgroups have series of their own.
    pub labels: Arc<Mutex<CgroupLabels>>,
}

/// All of them.
#[must_use]
pub fn collectors() -> Gauges {
    let names = Arc::new(Mutex::new(CgroupNames::new()));
    let (cgroup, listener) = (Overflow::default(), Overflow::default());
    let labels = CgroupLabels::new(Arc::clone(&names), MOST_CGROUPS, Arc::clone(&cgroup));
    let labels = Arc::new(Mutex::new(labels));
    let listed: Vec<Box<dyn Collector>> = vec![
        Box::new(SocketGauges::new(Arc::clone(&labels))),
        Box::new(AcceptQueues::new(names, Arc::clone(&listener))),
    ];
    let quick: Vec<Box<dyn Collector>> = vec![
        Box::new(Netstat),
        Box::new(Overflows(vec![("cgroup", cgroup), ("local_port", listener)])),
    ];
    Gauges { listed, quick, labels }
}
