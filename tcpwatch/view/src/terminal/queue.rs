//! A listener's queues in words.

use tcpwatch_core::{
    event::QueueReading,
    track::{Change, Dropped},
};

use super::Humane;

/// What is to be said of them, in phrases, the weightiest last.
pub(super) fn phrases(queue: &QueueReading) -> impl Iterator<Item = String> {
    let QueueReading { bound_to, waiting, most, half_open, .. } = *queue;
    let accept_queue = if queue.is_full() {
        Some(format!("accept queue of {bound_to} full ({waiting} of {most})"))
    } else if queue.is_last_place() {
        Some(format!("last place in the accept queue of {bound_to} ({waiting} before it)"))
    } else {
        None
    };
    // Nothing is let in anyway.
    let syn_queue = (queue.is_crowded() && !queue.is_full()).then(|| {
        let full = if half_open > most { " full" } else { "" };
        format!("SYN queue of {bound_to}{full} ({half_open} of {most})")
    });
    let ack_dropped = queue.ack_dropped.then(|| "its ACK was dropped".to_owned());
    [ack_dropped, syn_queue, accept_queue].into_iter().flatten()
}

/// What a change of state says of queues, each phrase behind a dot.
pub(super) fn of_change(change: &Change) -> String {
    let queue = change.queue.iter().flat_map(|queue| phrases(queue));
    let dropped = change.dropped.iter().map(|Dropped { segments, within }| {
        let within = Humane(Some(*within));
        let segments =
            if *segments == 1 { "1 segment".to_owned() } else { format!("{segments} segments") };
        format!("its listener dropped {segments} in the {within} before")
    });
    dotted(queue.chain(dropped))
}

/// Each phrase behind a dot.
pub(super) fn dotted(phrases: impl Iterator<Item = String>) -> String {
    phrases.flat_map(|phrase| [" \u{b7} ".to_owned(), phrase]).collect()
}
