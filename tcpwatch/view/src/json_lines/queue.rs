//! Members about the queues of a listener.

use tcpwatch_core::{
    event::{Cookie, ListenerQueue},
    track::Dropped,
};

use super::{Object, key, write_endpoint};

pub(super) fn queue(line: &mut Object<'_>, queue: Option<&ListenerQueue>) {
    let Some(queue) = queue else { return };
    let ListenerQueue {
        listener,
        bound_to,
        waiting,
        most,
        half_open,
        dropped,
        ack_dropped,
        accepted: _,
    } = *queue;
    line.object(key!("listener"), |object| {
        match listener {
            Some(Cookie(number)) => object.number(key!("socket"), number),
            None => object.null(key!("socket")),
        }
        write_endpoint(object, bound_to);
        object.number(key!("accept_queue"), waiting);
        object.number(key!("accept_queue_max"), most);
        if queue.is_full() {
            object.yes(key!("accept_queue_full"));
        }
        if queue.is_last_place() {
            object.yes(key!("last_place"));
        }
        object.number(key!("syn_queue"), half_open);
        object.number(key!("dropped"), dropped);
    });
    if ack_dropped {
        line.yes(key!("ack_dropped"));
    }
}

pub(super) fn dropped(line: &mut Object<'_>, dropped: Option<Dropped>) {
    if let Some(Dropped { segments, within }) = dropped {
        line.number(key!("listener_dropped"), segments);
        line.seconds(key!("listener_dropped_within_s"), within);
    }
}
