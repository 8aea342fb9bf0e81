//! What is wrong in a recording, by the moment.

use std::collections::HashSet;

use tcpwatch_core::event::KernelTime;
use tcpwatch_doctor::Finding;

use crate::findings::{FindingKey, key};

/// A moment at which a finding begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub(crate) at: KernelTime,
    pub(crate) key: FindingKey,
}

/// The findings of a recording.
#[derive(Default)]
pub(crate) struct Verdicts {
    /// From each moment on, until the next.
    by_time: Vec<(KernelTime, Vec<Finding>)>,
    beginnings: Vec<Beginning>,
    present: HashSet<FindingKey>,
    /// The place of the beginning that was gone to last.
    last: Option<usize>,
}

impl Verdicts {
    /// Adds what is wrong from a moment on, which is later than those before.
    pub(crate) fn push(&mut self, at: KernelTime, list: Vec<Finding>) {
        let keys: HashSet<FindingKey> = list.iter().map(key).collect();
        let new = list.iter().map(key).filter(|key| !self.present.contains(key));
        self.beginnings.extend(new.map(|key| Beginning { at, key }));
        self.present = keys;
        if self.by_time.last().is_none_or(|(_, before)| *before != list) {
            self.by_time.push((at, list));
        }
    }

    /// What is wrong at a moment.
    pub(crate) fn at(&self, now: KernelTime) -> &[Finding] {
        let behind = self.by_time.partition_point(|(at, _)| *at <= now);
        behind.checked_sub(1).and_then(|last| self.by_time.get(last)).map_or(&[], |(_, it)| it)
    }

    /// The next finding that begins, or the one before, seen from `now`; of several that begin at one moment one
    /// after the other.
    pub(crate) fn go(&mut self, now: KernelTime, on: bool) -> Option<Beginning> {
        let is_here = |place: &usize| self.beginnings.get(*place).is_some_and(|it| it.at == now);
        let place = match (self.last.filter(is_here), on) {
            (Some(last), true) => Some(last + 1),
            (Some(last), false) => last.checked_sub(1),
            (None, true) => Some(self.beginnings.partition_point(|it| it.at <= now)),
            (None, false) => self.beginnings.partition_point(|it| it.at < now).checked_sub(1),
        };
        let found = self.beginnings.get(place?)?.clone();
        self.last = place;
        Some(found)
    }
}
