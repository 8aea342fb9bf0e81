//! The checks, one file each.

mod accept_queue;
mod close_wait;
mod connects;
mod half_closed;
mod idle;
mod no_listener;
mod ports;
mod resets;
mod syn_ack;
mod syn_queue;
mod sysctls;
mod time_wait;
mod tuple;
mod unread;
mod zero_window;

use tcpwatch_core::{event::KernelTime, facts::HostFacts, track::TrackedEvent};

use crate::{finding::Finding, seen::Surroundings};

/// One kind of fault, or a few that are told apart by the same events.
pub(crate) trait Check {
    /// Takes in an event.
    fn tracked(&mut self, _news: &TrackedEvent) {}
    /// Takes in a look at the kernel, which `seen` has too.
    fn facts(&mut self, _facts: &HostFacts) {}
    /// What is wrong at `now`.
    fn findings(&self, now: KernelTime, seen: &mut Surroundings, into: &mut Vec<Finding>);
}

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Check>> {
    vec![
        Box::new(close_wait::CloseWaits::default()),
        Box::new(half_closed::HalfCloseds::default()),
        Box::new(accept_queue::AcceptQueueCheck::default()),
        Box::new(syn_queue::SynQueues::default()),
        Box::new(connects::Connects::default()),
        Box::new(ports::PortUses::default()),
        Box::new(syn_ack::SynAcks::default()),
        Box::new(zero_window::ZeroWindows::default()),
        Box::new(unread::Unreads::default()),
        Box::new(resets::Resets::default()),
        Box::new(no_listener::ClosedPorts::default()),
        Box::new(idle::Idles::default()),
        Box::new(time_wait::TimeWaitOverflowCheck::default()),
        Box::new(tuple::TuplesInUse::default()),
    ]
}

pub(crate) use sysctls::unsafe_sysctls;
