//! Segments on the laboratory's links: each of them is reported, and those that match a rule are dropped.
//!
//! One program is run for incoming segments, the other for outgoing ones. A segment that is dropped on its way out
//! is noticed by its sender's TCP (`NET_XMIT_DROP`, `__dev_queue_xmit` in `net/core/dev.c`); one that
//! is dropped on arrival is lost as on a real network.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::generated,
    macros::classifier,
    programs::TcContext,
};
use tcpwatch_common::{
    RecordHead, RecordKind, Segment,
    counter::Hook,
    rule::{RULES_PER_LINK, RuleKey, WAY_IN, WAY_OUT},
    segment::{FLAG_DROPPED, FLAG_OUT},
};

use crate::{
    emit,
    kernel::{self, Between, Packet},
    maps::{LINKS, RULE_COUNTS, RULES},
};

/// Somebody else's program may still have a word.
const PASS: i32 = TC_ACT_UNSPEC;
const DROP: i32 = TC_ACT_SHOT;

#[classifier]
fn tap_in(ctx: TcContext) -> i32 {
    tap(&ctx, WAY_IN, Hook::TapIn).unwrap_or(PASS)
}

#[classifier]
fn tap_out(ctx: TcContext) -> i32 {
    tap(&ctx, WAY_OUT, Hook::TapOut).unwrap_or(PASS)
}

/// What becomes of the packet; `None` if it is none of ours.
#[inline(always)]
fn tap(ctx: &TcContext, way: u8, hook: Hook) -> Option<i32> {
    let interface = kernel::interface(ctx);
    // SAFETY: the value is one word, copied at once.
    let netns = *unsafe { LINKS.get(interface) }?;
    let Packet { between, tcp, len } = Packet::read(ctx)?;
    let (ports, flags) = if way == WAY_OUT {
        ((tcp.source, tcp.destination), FLAG_OUT)
    } else {
        ((tcp.destination, tcp.source), 0)
    };
    emit::attempt(hook);
    let head = emit::head(RecordKind::Segment, 0, netns, ports, flags);
    let rule = matching_rule(interface, way, ports, tcp.flags, head.at_ns);
    let flags = if rule.is_some() { flags | FLAG_DROPPED } else { flags };
    let head = RecordHead { flags, ..head };
    let segment = Segment {
        head,
        seq: tcp.seq,
        ack: tcp.ack,
        len,
        window: tcp.window,
        flags: tcp.flags,
        rule: rule.unwrap_or(0) as u8,
        options: tcp.options(ctx),
        local: [],
        remote: [],
    };
    let told = match (between, way) {
        (Between::V4(local, remote), WAY_OUT) | (Between::V4(remote, local), _) => {
            emit::emit(addressed(segment, emit::v4(head), local, remote))
        }
        (Between::V6(local, remote), WAY_OUT) | (Between::V6(remote, local), _) => {
            emit::emit(addressed(segment, emit::v6(head), local, remote))
        }
    };
    if told.is_err() {
        emit::count_full_ring(hook);
    }
    Some(if rule.is_some() { DROP } else { PASS })
}

#[inline(always)]
fn addressed<const WORDS: usize>(
    Segment { seq, ack, len, window, flags, rule, options, .. }: Segment<0>,
    head: RecordHead,
    local: [u32; WORDS],
    remote: [u32; WORDS],
) -> Segment<WORDS> {
    Segment { head, seq, ack, len, window, flags, rule, options, local, remote }
}

/// The slot of the first rule that drops the segment.
#[inline(always)]
fn matching_rule(interface: u32, way: u8, ports: (u16, u16), flags: u8, now: u64) -> Option<u32> {
    let fits = |wanted: u16, port: u16| wanted == 0 || wanted == port;
    (0..RULES_PER_LINK).find(|slot| {
        let key: RuleKey = [interface, *slot];
        // SAFETY: a rule is replaced as a whole and copied at once.
        let Some(rule) = (unsafe { RULES.get(key) }).copied() else { return false };
        rule.way == way
            && flags & rule.mask == rule.value
            && fits(rule.local_port, ports.0)
            && fits(rule.remote_port, ports.1)
            && now < rule.until_ns
            && drops_one_more(key)
    })
}

/// Takes one of the segments that the rule may drop, if any is left.
#[inline(always)]
fn drops_one_more(key: RuleKey) -> bool {
    let Some(count) = RULE_COUNTS.get_ptr_mut(key) else { return false };
    // SAFETY: the lookup returned a live value; only an address inside it is taken.
    let lock = unsafe { &raw mut (*count).lock }.cast();
    // SAFETY: it is the lock of a map's value, and the verifier sees that it is released below.
    unsafe { generated::bpf_spin_lock(lock) };
    // SAFETY: the value is ours under its lock.
    let count = unsafe { &mut *count };
    let drops = count.remaining > 0;
    if drops {
        count.remaining -= 1;
        count.dropped += 1;
    }
    // SAFETY: taken above.
    unsafe { generated::bpf_spin_unlock(lock) };
    drops
}
