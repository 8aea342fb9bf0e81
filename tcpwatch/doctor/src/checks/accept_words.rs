//! What is said of an accept queue.

use std::time::Duration;

use crate::{span::Span, whose::Whose};

/// What is said of a queue.
pub(super) struct QueueState {
    pub(super) is_full: bool,
    /// Connections were dropped.
    pub(super) drops: bool,
    /// For how long nothing was accepted.
    pub(super) stuck: Option<Duration>,
    /// For how long a connection has waited.
    pub(super) longest: Option<Duration>,
}

impl QueueState {
    /// A sentence; of the queue, how many wait and the limit for those.
    pub(super) fn words(
        &self,
        port: u16,
        (waiting, most): (u32, Option<u32>),
        whose: &Whose,
    ) -> String {
        let queue = most.map_or_else(String::new, |most| {
            format!(", {waiting} wait and {} fit", most.saturating_add(1))
        });
        let stuck = self
            .stuck
            .map(|stuck| format!("{whose} has not called accept() for {} at least", Span(stuck)));
        let waits = self.longest.map_or_else(String::new, |longest| {
            format!(", a connection waited for {}", Span(longest))
        });
        match (self.is_full, stuck) {
            (true, Some(stuck)) => {
                let drops =
                    if self.drops { "more connections are dropped" } else { "the next is dropped" };
                format!("the accept queue of port {port} is full{queue}: {stuck}, and {drops}")
            }
            (true, None) => {
                let drops =
                    if self.drops { "connections were dropped" } else { "the next one is dropped" };
                format!(
                    "the accept queue of port {port} was full{queue}: {whose} accepts too slowly{waits}, and {drops}"
                )
            }
            (false, Some(stuck)) => {
                format!("connections to port {port} are not accepted{queue}: {stuck}")
            }
            (false, None) => format!(
                "connections to port {port} wait too long for accept(){queue}: {whose} accepts too slowly{waits}"
            ),
        }
    }
}
