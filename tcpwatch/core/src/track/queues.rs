//! Listeners' queues: what was read of them goes onto the line of what happens next to the connection, and into
//! its life; what they drop, which no hook reports, onto that of the next SYN that comes through.

use std::{collections::VecDeque, time::Duration};

use super::{
    Tracker, key,
    life::Life,
    mini::{MiniKey, SETTLE},
    stays::Base,
};
use crate::event::{Cookie, KernelTime, MiniEvent, QueueEvent, QueueReading, StateEvent, TcpState};

/// What a connection has met at its listener.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueEncounter(Option<Box<Readings>>);

#[derive(Clone, Debug)]
struct Readings {
    /// The last, and when, for the line of what happens at the same moment.
    latest: Option<(KernelTime, QueueReading)>,
    /// The fullest.
    worst: QueueReading,
}

impl QueueEncounter {
    fn note(&mut self, at: KernelTime, queue: QueueReading) {
        let worst = match &self.0 {
            Some(before) => fuller(before.worst, queue),
            None => queue,
        };
        self.0 = Some(Box::new(Readings { latest: Some((at, queue)), worst }));
    }

    /// What was read on the occasion of what happens at `at`. Each reading is shown once.
    pub(super) fn take_latest(&mut self, at: KernelTime) -> Option<Box<QueueReading>> {
        let (read, queue) = self.0.as_mut()?.latest.take()?;
        (at.since(read) < SETTLE).then(|| Box::new(queue))
    }

    /// The fullest that was read.
    pub(super) fn worst(&self) -> Option<Box<QueueReading>> {
        self.0.as_ref().map(|readings| Box::new(readings.worst))
    }
}

/// The fuller one; an acknowledgment that was dropped once was dropped.
fn fuller(one: QueueReading, other: QueueReading) -> QueueReading {
    let rank = |queue: &QueueReading| (queue.is_full(), queue.is_last_place(), queue.waiting);
    let ack_dropped = one.ack_dropped || other.ack_dropped;
    let fuller = if rank(&other) >= rank(&one) { other } else { one };
    QueueReading { ack_dropped, ..fuller }
}

/// Segments that a listener has dropped, for whatever reason, since a SYN came through last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// How many.
    pub segments: u32,
    /// How long ago that SYN was.
    pub within: Duration,
}

/// What a listener had dropped when a SYN came through.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerDrops {
    pub(super) at: KernelTime,
    pub(super) count: u32,
}

/// The count of a listener grows, and wraps. A difference beyond this is one backwards, of readings on two
/// processors.
const FORWARD: u32 = 1 << 31;

impl ListenerDrops {
    fn since(self, before: Self) -> Option<Dropped> {
        let segments = self.count.wrapping_sub(before.count);
        let grew = segments > 0 && segments < FORWARD;
        grew.then(|| Dropped { segments, within: self.at.since(before.at) })
    }
}

/// Readings of queues on accepting a connection that is no longer known as half-open: since 6.13 the accepted
/// socket enters SYN_RECV, with both its ends, just before (`tcp_v4_syn_recv_sock` in `net/ipv4/tcp_ipv4.c`).
#[derive(Debug, Default)]
pub(super) struct Unclaimed(VecDeque<(KernelTime, MiniKey, QueueReading)>);

/// Connections that can be accepted at the same time, one on each processor.
const MAX_UNCLAIMED: usize = 1024;

impl Unclaimed {
    fn push(&mut self, at: KernelTime, key: MiniKey, queue: QueueReading) {
        if self.0.len() == MAX_UNCLAIMED {
            self.0.pop_front();
        }
        self.0.push_back((at, key, queue));
    }

    /// What was read on the occasion of this change; the socket that enters ESTABLISHED gets its own.
    pub(super) fn take(
        &mut self,
        event: &StateEvent,
        life: &mut Life,
    ) -> Option<Box<QueueReading>> {
        self.claim(event, life);
        life.met.take_latest(event.at)
    }

    fn claim(&mut self, event: &StateEvent, life: &mut Life) {
        let too_old = |read: KernelTime| event.at.since(read) >= SETTLE;
        while self.0.pop_front_if(|(read, ..)| too_old(*read)).is_some() {}
        if (event.from, event.to) != (TcpState::SynRecv, TcpState::Established) {
            return;
        }
        let wanted = key(event.netns, event.ends);
        if let Some(place) = self.0.iter().position(|(_, key, _)| *key == wanted)
            && let Some((read, _, queue)) = self.0.remove(place)
        {
            life.met.note(read, queue);
        }
    }
}

impl Tracker {
    pub(super) fn apply_queue(&mut self, event: &QueueEvent) {
        let key = key(event.netns, event.ends);
        match self.minis.get_mut(&key) {
            Some(mini) => mini.life.met.note(event.at, event.queue),
            None if event.queue.accepted => self.unclaimed.push(event.at, key, event.queue),
            None => {}
        }
        if let Some(listener) = event.queue.listener {
            self.note_accept_queue(event, listener);
        }
    }

    /// A queue that was emptied in between and filled again had a last place again.
    fn note_accept_queue(&mut self, event: &QueueEvent, listener: Cookie) {
        let QueueEvent { at, netns, ref queue, .. } = *event;
        let port = queue.bound_to.port;
        let full = if queue.is_last_place() {
            Some(Base { at, seen_only: false })
        } else if queue.is_full() {
            let before = self.listeners.full_since(netns, port, listener);
            before.or(Some(Base { at, seen_only: true }))
        } else {
            None
        };
        self.listeners.note_full(netns, port, listener, full);
        self.look_after_listener(listener, at);
    }

    /// What the listener has dropped since a SYN came through last, now that one does.
    pub(super) fn dropped_before(&mut self, event: &MiniEvent) -> Option<Dropped> {
        let drops = ListenerDrops { at: event.at, count: event.listener_dropped };
        let listener = event.listener?;
        let before = self.listeners.note_drops(event.netns, event.ends.local, listener, drops)?;
        drops.since(before)
    }
}
