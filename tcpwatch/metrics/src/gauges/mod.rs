//! Gauges that are read from the kernel at each scrape: sockets by state, owner and port, accept queues, and the
//! kernel's own counters of refused connections.
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

use std::sync::{Arc, Mutex};

use tcpwatch_kernel::source::cgroups::CgroupNames;

use self::{
    listeners::AcceptQueues, netstat::Netstat, overflows::Overflows, slots::Overflow,
    sockets::SocketGauges,
};
use crate::{collector::Collector, counted::CgroupLabels};

/// The maximal number of cgroups with series of their own.
const MOST_CGROUPS: usize = 20;

/// All of them; the one that counts omitted label values comes last. Which cgroups have series of their own is in what is
/// returned beside them, which the counts of sockets settle.
#[must_use]
pub fn collectors() -> (Vec<Box<dyn Collector>>, Arc<Mutex<CgroupLabels>>) {
    let names = Arc::new(Mutex::new(CgroupNames::new()));
    let (cgroup, listener) = (Overflow::default(), Overflow::default());
    let owners = CgroupLabels::new(Arc::clone(&names), MOST_CGROUPS, Arc::clone(&cgroup));
    let owners = Arc::new(Mutex::new(owners));
    let collectors: Vec<Box<dyn Collector>> = vec![
        Box::new(SocketGauges::new(Arc::clone(&owners))),
        Box::new(AcceptQueues::new(names, Arc::clone(&listener))),
        Box::new(Netstat),
        Box::new(Overflows(vec![("cgroup", cgroup), ("local_port", listener)])),
    ];
    (collectors, owners)
}
