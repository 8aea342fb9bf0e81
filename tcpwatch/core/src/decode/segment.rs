//! [`Segment`] becomes [`SegmentEvent`].

use tcpwatch_common::{
    Segment,
    segment::{FLAG_DROPPED, FLAG_OUT},
};

use super::{Decode, DecodeError, Names, address};
use crate::event::{KernelTime, Netns, SegmentEvent, TcpFlags, TcpOptions, Way};

impl<const WORDS: usize> Decode for Segment<WORDS> {
    type Event = SegmentEvent;

    fn decode(&self, _names: &Names) -> Result<SegmentEvent, DecodeError> {
        let Self { head, seq, ack, len, window, flags, rule, ref options, local, remote } = *self;
        let has = |flag| head.flags & flag != 0;
        Ok(SegmentEvent {
            at: KernelTime(head.at_ns),
            netns: Netns(head.netns),
            ends: address::ends(&head, local, remote),
            way: if has(FLAG_OUT) { Way::Out } else { Way::In },
            flags: TcpFlags(flags),
            seq,
            ack,
            len,
            window,
            options: read_options(options.as_flattened()),
            dropped_by: has(FLAG_DROPPED).then_some(rule),
        })
    }
}

/// The options of a header (RFC 9293, section 3.2; numbers: IANA, "TCP Option Kind Numbers"). An option
/// that is longer than what is left ends the list, as it does for the kernel (`tcp_parse_options` in
/// `net/ipv4/tcp_input.c`).
fn read_options(mut bytes: &[u8]) -> TcpOptions {
    let mut options = TcpOptions::default();
    loop {
        bytes = match *bytes {
            // No operation.
            [1, ref rest @ ..] => rest,
            // The end of the list.
            [0, ..] | [] | [_] => return options,
            [kind, length, ref rest @ ..] => {
                let data = usize::from(length).checked_sub(2);
                let Some((data, rest)) = data.and_then(|bytes| rest.split_at_checked(bytes)) else {
                    return options;
                };
                read_option(kind, data, &mut options);
                rest
            }
        };
    }
}

fn read_option(kind: u8, data: &[u8], options: &mut TcpOptions) {
    const SACK_BLOCK: usize = 8;
    match (kind, data) {
        (2, &[a, b]) => options.mss = Some(u16::from_be_bytes([a, b])),
        (3, &[shift]) => options.window_scale = Some(shift),
        (4, []) => options.sack_permitted = true,
        (5, blocks) => {
            options.sack_blocks = u8::try_from(blocks.len() / SACK_BLOCK).unwrap_or(u8::MAX);
        }
        (8, data) => options.timestamps = timestamps(data),
        (34, _) => options.fast_open = true,
        _ => {}
    }
}

/// Value and echo reply.
fn timestamps(data: &[u8]) -> Option<(u32, u32)> {
    let (value, echo) = data.split_first_chunk()?;
    Some((u32::from_be_bytes(*value), u32::from_be_bytes(echo.try_into().ok()?)))
}
