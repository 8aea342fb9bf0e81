//! Gauges that are read from the kernel at each scrape: sockets by state and owner.
//!
//! All of them are about the network namespace of the calling thread, which is that of the process, and need no
//! privilege. Memory: a few dozen bytes for each socket in CLOSE_WAIT.

mod cgroups;
mod close_wait;
mod overflows;
pub(crate) mod slots;
mod sockets;
mod states;

use std::sync::{Arc, Mutex};

use tcpwatch_kernel::source::cgroups::CgroupNames;

use self::{overflows::Overflows, slots::Overflow, sockets::SocketGauges};
use crate::{collector::Collector, namespaces::NamespaceOverflows};

/// All of them; the one that counts omitted label values comes last.
#[must_use]
pub fn collectors(
    names: Arc<Mutex<CgroupNames>>,
    namespaces: NamespaceOverflows,
) -> Vec<Box<dyn Collector>> {
    let cgroup = Overflow::default();
    let NamespaceOverflows { netns, listener, destination } = namespaces;
    vec![
        Box::new(SocketGauges::new(names, Arc::clone(&cgroup))),
        Box::new(Overflows(vec![
            ("cgroup", cgroup),
            ("netns", netns),
            ("local_port", listener),
            ("remote_address", destination),
        ])),
    ]
}
