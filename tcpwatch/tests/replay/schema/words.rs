//! The words of the program are those that `view/src/schema.json` lists.

use std::collections::BTreeSet;

use serde_json::Value;
use tcpwatch_core::{
    event::{SegmentKind, TcpState, Via},
    loss::Cause,
    track::{ClosedBy, Handshake, Reason, WaitsFor},
};

use super::schema;

/// The words that a definition of the schema lists, without null.
fn listed(definition: &str) -> Vec<String> {
    let schema = schema();
    let words = schema.pointer(definition).and_then(Value::as_array).expect("a list of words");
    words.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn the_schema_lists_every_state() {
    let names: Vec<&str> = TcpState::ALL.into_iter().filter_map(TcpState::name).collect();
    assert_eq!(listed("/$defs/named_state/enum"), names);
}

/// Every variant, and a function that does not compile when there is one more.
macro_rules! all {
    ($type:ident: $($variant:ident),+ $(,)?) => {{
        const fn complete(one: $type) -> $type {
            match one {
                $($type::$variant)|+ => one,
            }
        }
        [$(complete($type::$variant)),+]
    }};
}

/// Reasons that only whole connections have.
const ONLY_OF_LIVES: [Reason; 3] = [Reason::Canceled, Reason::HalfOpen, Reason::HalfClosed];
/// Reasons of a socket's last change that differ from the connection's.
const NOT_OF_LIVES: [Reason; 3] = [Reason::Timer, Reason::Reused, Reason::TimeWaitOverflow];

#[test]
fn the_schema_lists_every_reason() {
    let reasons = all!(Reason: Normal, Refused, TimedOut, ResetReceived, ResetSent, Unreachable, NoPort,
        TupleInUse, NotSent, GaveUp, Killed, Timer, Reused, ListenerClosed, NeverAccepted, NetnsGone,
        TimeWaitOverflow, OutOfMemory, Repaired, Abandoned, Unknown,
        Canceled, HalfOpen, HalfClosed);
    let reasons: Vec<_> =
        reasons.into_iter().filter(|reason| !ONLY_OF_LIVES.contains(reason)).collect();
    assert_eq!(reasons, Reason::ALL);
    assert_eq!(listed("/$defs/reason/enum"), Reason::ALL.map(Reason::word));
}

#[test]
fn the_schema_lists_every_cause_of_a_loss() {
    let causes =
        all!(Cause: RingFull, OutputSlow, Recursion, Unreadable, Undecodable, TableFull, Undecided);
    assert_eq!(listed("/$defs/cause/enum"), causes.map(Cause::word));
}

#[test]
fn the_schema_lists_every_way_to_know_an_owner() {
    let ways = all!(Via: Close, Io, Fd, Connect, Listen);
    assert_eq!(listed("/$defs/process/properties/via/enum"), ways.map(Via::word));
}

#[test]
fn the_schema_lists_every_unusual_handshake() {
    let handshakes = all!(Handshake: FastOpen, SynCookie);
    assert_eq!(listed("/$defs/handshake/enum"), handshakes.map(Handshake::word));
}

#[test]
fn the_schema_lists_everything_that_a_socket_waits_for() {
    let waits = all!(WaitsFor: SynAck, HandshakeAck, FirstWrite, Window, Acknowledgment, PeerFin, Accept, Close, Connection, Timer);
    assert_eq!(waits, WaitsFor::ALL);
    assert_eq!(listed("/$defs/waits_for/enum"), waits.map(WaitsFor::word));
}

#[test]
fn the_schema_lists_every_kind_of_segment() {
    let segments = all!(SegmentKind: Syn, SynAck, Fin, Data);
    assert_eq!(listed("/$defs/kind/enum"), segments.map(SegmentKind::word));
}

#[test]
fn the_schema_lists_every_end_and_which_are_no_failures() {
    let reasons = Reason::ALL.into_iter().chain(ONLY_OF_LIVES);
    let ends: BTreeSet<_> = reasons.filter(|end| !NOT_OF_LIVES.contains(end)).collect();
    let words =
        |ends: &mut dyn Iterator<Item = Reason>| ends.map(Reason::word).collect::<BTreeSet<_>>();
    let schema = listed("/$defs/end/enum");
    let sorted: BTreeSet<_> = schema.iter().map(String::as_str).collect();
    assert_eq!(sorted, words(&mut ends.iter().copied()));
    let good = words(&mut ends.into_iter().filter(|end| !end.is_failure()));
    let fine = listed("/$defs/connection_line/allOf/2/if/properties/end/enum");
    assert_eq!(fine.iter().map(String::as_str).collect::<BTreeSet<_>>(), good);
}

#[test]
fn the_schema_lists_everybody_who_can_close() {
    let ends = all!(ClosedBy: Local, Remote, Both, Reset);
    let listed = listed("/$defs/connection_line/properties/closed_by/enum");
    assert_eq!(listed, ends.map(ClosedBy::word));
}
