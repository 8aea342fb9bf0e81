//! Members of the line about a segment on a link of the laboratory.

use tcpwatch_core::{
    event::{SegmentEvent, TcpOptions},
    track::Subject,
};

use super::{Object, key, write_owner, write_socket};

pub(super) fn segment(line: &mut Object<'_>, segment: &SegmentEvent) {
    let SegmentEvent {
        at: _,
        netns,
        ends,
        way,
        flags,
        seq,
        ack,
        len,
        window,
        ref options,
        dropped_by,
    } = *segment;
    let nobody = Subject::unknown(None, netns, ends);
    write_socket(line, &nobody);
    write_owner(line, &nobody);
    line.word(key!("direction"), way.word());
    line.displayed(key!("flags"), &flags);
    line.number(key!("seq"), seq);
    line.number(key!("ack"), ack);
    line.number(key!("len"), len);
    line.number(key!("window"), window);
    line.object(key!("options"), |object| write_options(object, options));
    match dropped_by {
        Some(slot) => line.number(key!("dropped_by"), slot),
        None => line.null(key!("dropped_by")),
    }
}

/// Those that are there.
fn write_options(object: &mut Object<'_>, options: &TcpOptions) {
    let TcpOptions { mss, window_scale, sack_permitted, timestamps, sack_blocks, fast_open } =
        *options;
    if let Some(mss) = mss {
        object.number(key!("mss"), mss);
    }
    if let Some(shift) = window_scale {
        object.number(key!("window_scale"), shift);
    }
    if sack_permitted {
        object.yes(key!("sack_permitted"));
    }
    if let Some((value, echo)) = timestamps {
        object.number(key!("timestamp"), value);
        object.number(key!("timestamp_echo"), echo);
    }
    if sack_blocks > 0 {
        object.number(key!("sack_blocks"), sack_blocks);
    }
    if fast_open {
        object.yes(key!("fast_open"));
    }
}
