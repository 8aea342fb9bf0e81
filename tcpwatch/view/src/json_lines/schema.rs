//! The schema of the lines, made from their types. `UPDATE_GOLDEN=1 cargo test -p tcpwatch-view schema` writes it.

use std::{borrow::Cow, env, fs, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};
use tcpwatch_core::{
    event::{SegmentKind, SocketTimerKind, TcpState, Via},
    loss::Cause,
    place::Runtime,
    track::{ClosedBy, Handshake, Reason, StateAge, WaitsFor},
};

use super::{
    Head, Identity, Located, LossLine, Owned, SummaryLine, Tail,
    listed::{LISTED, ListedLine},
    still::StillLine,
    values::{Connected, StateJson},
};
use crate::{forms, json::Seconds};

/// How an owner is known, strongest first.
const VIAS: [Via; 5] = [Via::Close, Via::Io, Via::Fd, Via::Connect, Via::Listen];

/// How the age of a state is known.
const AGES: [StateAge; 5] = [
    StateAge::Timer(Duration::ZERO),
    StateAge::Seen(Duration::ZERO),
    StateAge::Schedule(Duration::ZERO, Duration::ZERO),
    StateAge::Bound(Duration::ZERO),
    StateAge::Unknown,
];

/// The timers of sockets.
const TIMERS: [SocketTimerKind; 4] = [
    SocketTimerKind::Retransmit,
    SocketTimerKind::Keepalive,
    SocketTimerKind::TimeWait,
    SocketTimerKind::WindowProbe,
];

/// How a connection ended.
const ENDS: [Reason; 21] = [
    Reason::Normal,
    Reason::Canceled,
    Reason::GaveUp,
    Reason::Refused,
    Reason::Unreachable,
    Reason::NoPort,
    Reason::TupleInUse,
    Reason::NotSent,
    Reason::TimedOut,
    Reason::ResetSent,
    Reason::ResetReceived,
    Reason::HalfOpen,
    Reason::HalfClosed,
    Reason::Killed,
    Reason::ListenerClosed,
    Reason::NeverAccepted,
    Reason::NetnsGone,
    Reason::OutOfMemory,
    Reason::Repaired,
    Reason::Abandoned,
    Reason::Unknown,
];

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "seconds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

impl JsonSchema for StateJson {
    fn schema_name() -> Cow<'static, str> {
        "a_state".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "#/$defs/state" })
    }
}

macro_rules! schemas {
    ($($name:ident $schema:tt)*) => {
        $(pub(crate) fn $name(_generator: &mut SchemaGenerator) -> Schema {
            json_schema!($schema)
        })*
    };
}
schemas! {
    version { "const": super::SCHEMA_VERSION }
    time {
        "type": "string",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$"
    }
    time_or_null { "anyOf": [{ "$ref": "#/properties/time" }, { "type": "null" }] }
    count { "type": "integer", "minimum": 0 }
    positive { "type": "integer", "minimum": 1 }
    reason { "$ref": "#/$defs/reason" }
    end { "$ref": "#/$defs/end" }
    kind { "$ref": "#/$defs/kind" }
    handshake { "$ref": "#/$defs/handshake" }
    cause { "$ref": "#/$defs/cause" }
    ack_dropped { "$ref": "#/$defs/ack_dropped" }
    age_basis { "enum": (AGES.map(StateAge::basis)) }
    timer { "enum": (TIMERS.map(SocketTimerKind::word)) }
    waits_for { "anyOf": [{ "$ref": "#/$defs/waits_for" }, { "type": "null" }] }
    family { "enum": ["ipv4", "ipv6"] }
    direction { "enum": ["outgoing", "incoming", "both", null] }
    reset_direction { "enum": ["sent", "received"] }
    way { "enum": ["in", "out"] }
    via { "enum": (VIAS.map(Via::word)) }
    runtime { "enum": (Runtime::ALL.map(Runtime::word)) }
    times_of_states {
        "type": "object",
        "propertyNames": { "$ref": "#/$defs/named_state" },
        "additionalProperties": { "type": "number", "minimum": 0 }
    }
    counts_of_kinds {
        "type": "object",
        "propertyNames": { "$ref": "#/$defs/kind" },
        "additionalProperties": { "type": "integer", "minimum": 1 }
    }
    counts_of_causes {
        "type": "object",
        "propertyNames": { "$ref": "#/$defs/cause" },
        "additionalProperties": { "type": "integer", "minimum": 1 }
    }
}

pub(crate) fn closed_by(_generator: &mut SchemaGenerator) -> Schema {
    let words = [ClosedBy::Local, ClosedBy::Remote, ClosedBy::Both, ClosedBy::Reset];
    let words = words.into_iter().map(|by| Some(by.word())).chain([None]);
    json_schema!({ "enum": words.collect::<Vec<_>>() })
}

pub(crate) fn event(generator: &mut SchemaGenerator) -> Schema {
    let words = named(generator).into_iter().map(|(name, _)| name);
    json_schema!({ "enum": words.chain([LISTED, "loss", "summary"]).collect::<Vec<_>>() })
}

/// A segment on a link belongs to a host, and to no socket.
pub(crate) fn of_a_link(line: &mut Schema) {
    let members = json!({
        "socket": { "description": "Always null.", "type": "null" },
        "process": { "description": "Always null.", "type": "null" },
        "host": {
            "description": "On whose link, which is its local end; absent where the laboratory does not tell.",
            "enum": ["client", "server"]
        }
    });
    merge(line.ensure_object(), "properties", &members);
}

/// About one socket, or about several that have neither cookie nor ends in common.
pub(crate) fn of_one_or_several(line: &mut Schema) {
    line.insert("$ref".to_owned(), Value::Null);
    line.insert("required".to_owned(), json!(["netns", "direction", "process", "state"]));
}

/// What is known of a life hangs together.
pub(crate) fn of_a_life(line: &mut Schema) {
    let fine: Vec<_> = ENDS.into_iter().filter(|end| !end.is_failure()).map(Reason::word).collect();
    let conditions = json!([
        {
            "if": { "properties": { "opened": { "type": "null" } } },
            "then": {
                "properties": {
                    "opened_mono_ns": false,
                    "lasted_s": { "type": "null" },
                    "handshake_s": { "type": "null" }
                }
            },
            "else": {
                "required": ["opened_mono_ns"],
                "properties": { "lasted_s": { "type": "number" } }
            }
        },
        {
            "if": { "properties": { "bytes_sent": { "type": "null" } } },
            "then": {
                "properties": {
                    "bytes_received": false,
                    "bytes_undelivered": false,
                    "srtt_s": false,
                    "min_rtt_s": false
                }
            },
            "else": { "required": ["bytes_received", "srtt_s", "min_rtt_s"] }
        },
        {
            "if": { "properties": { "end": { "enum": fine } } },
            "then": { "properties": { "failed": { "const": false } } },
            "else": { "required": ["failed"], "properties": { "failed": { "const": true } } }
        }
    ]);
    line.insert("allOf".to_owned(), conditions);
}

/// Adds the members of an object, or the items of a list, to those under this name.
fn merge(object: &mut Map<String, Value>, name: &str, more: &Value) {
    match (object.entry(name).or_insert(Value::Null), more) {
        (Value::Object(members), Value::Object(more)) => members.extend(more.clone()),
        (Value::Array(items), Value::Array(more)) => items.extend(more.iter().cloned()),
        (old, more) if old.is_null() => *old = more.clone(),
        (old, more) => panic!("{name}: {old} and {more}"),
    }
}

/// One object with the members of both.
fn with(mut object: Value, part: &Schema, optional: bool) -> Value {
    let members = object.as_object_mut().expect("an object");
    merge(members, "properties", &part.as_value()["properties"]);
    if !optional && let Some(required) = part.get("required") {
        merge(members, "required", required);
    }
    object
}

/// In what every generated schema is brought into the form of this file.
fn tidied(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let integer = members.get("format").and_then(Value::as_str).map(str::to_owned);
            if integer.as_deref().is_some_and(|format| format.starts_with("uint")) {
                members.remove("format");
                if integer.as_deref() == Some("uint32") {
                    members.insert("maximum".to_owned(), json!(u32::MAX));
                }
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
            }
            members.values_mut().for_each(tidied);
        }
        Value::Array(items) => items.iter_mut().for_each(tidied),
        _ => {}
    }
}

fn words(description: &str, words: &[&str]) -> Value {
    json!({ "description": description, "enum": words })
}

/// The addresses of both ends are of this format.
fn both_ends(format: &str) -> Value {
    json!({ "properties": {
        "local": { "properties": { "addr": { "format": format } } },
        "remote": { "properties": { "addr": { "format": format } } }
    } })
}

/// What several lines refer to.
fn definitions() -> Value {
    let states: Vec<_> = TcpState::ALL.into_iter().filter_map(TcpState::name).collect();
    json!({
        "socket_line": {
            "description": "What every line about a socket holds, but one about a reset.",
            "$ref": "#/$defs/subject"
        },
        "subject": {
            "description": "Which socket, between whom, and whose.",
            "dependentRequired": {
                "unit": ["cgroup"],
                "container": ["cgroup"],
                "runtime": ["container"],
                "container_name": ["container"],
                "pod": ["cgroup"]
            },
            "if": { "properties": { "family": { "const": "ipv4" } } },
            "then": both_ends("ipv4"),
            "else": both_ends("ipv6")
        },
        "state": {
            "description": "A state's name; state#N for a number of the kernel's that has no name yet.",
            "anyOf": [
                { "$ref": "#/$defs/named_state" },
                { "type": "string", "pattern": "^state#[0-9]{1,3}$" }
            ]
        },
        "named_state": { "enum": states },
        "reason": words(
            "Why the socket entered CLOSED; on no other line.",
            &Reason::ALL.map(Reason::word)
        ),
        "end": words(
            "How a connection ended. canceled: the application gave up its connect before the SYN was sent \
             again; gave_up: later, without an answer; tuple_in_use: it bound a port from which there is a \
             connection to the same peer; not_sent: connect failed before a SYN, for another reason; \
             never_accepted: the listener closed first; out_of_memory: too many orphans or no memory for \
             sockets; repaired: taken away by TCP_REPAIR; abandoned: given up without a reset while its last \
             segments were not acknowledged.",
            &ENDS.map(Reason::word)
        ),
        "kind": words("What was sent again.", &SegmentKind::ALL.map(SegmentKind::word)),
        "handshake": words(
            "How the handshake was done, on the way to ESTABLISHED, if not in the usual way: the SYN brought \
             data and the server took them, at either end, or the kernel kept no state until the final ACK.",
            &[Handshake::FastOpen, Handshake::SynCookie].map(Handshake::word)
        ),
        "cause": words("Why something was lost.", &Cause::ALL.map(Cause::word)),
        "waits_for": { "enum": WaitsFor::ALL.map(WaitsFor::word) },
        "ack_dropped": {
            "description": "The last ACK of the handshake came before and was dropped, not because of \
                            TCP_DEFER_ACCEPT: the accept queue was full then, or the kernel could not make a \
                            socket. Absent means false.",
            "type": "boolean"
        }
    })
}

/// Has all that is said of a socket that stays, but for how long.
fn listed(generator: &mut SchemaGenerator) -> Schema {
    let own = ListedLine::json_schema(generator);
    let mut line = with(own.as_value().clone(), &StillLine::json_schema(generator), true);
    let members = line.as_object_mut().expect("an object");
    for name in ["in_state_s", "in_state_at_least_s", "more", "after_s"] {
        members["properties"].as_object_mut().expect("members").remove(name);
    }
    merge(members, "required", &json!(["state", "waits_for"]));
    line.try_into().expect("a schema")
}

/// The forms, of which neighbours with one name are one.
fn named(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    let mut forms = forms(generator);
    forms.dedup_by_key(|(name, _)| *name);
    forms
}

/// The whole schema.
fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let generator = &mut generator;
    let mut root = with(
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "urn:tcpwatch:line:1",
            "title": "A line of tcpwatch --format json",
            "description": "Fields may be added to any line; none is renamed, and none changes its meaning \
                            while \"schema\" stays the same.",
            "type": "object"
        }),
        &Head::json_schema(generator),
        false,
    );
    root = with(root, &Tail::json_schema(generator), true);
    let mut defs = definitions();
    let part = |defs: &mut Value, name: &str, schema: &Schema, optional: bool| {
        defs[name] = with(defs[name].take(), schema, optional);
    };
    part(&mut defs, "socket_line", &Connected::json_schema(generator), false);
    part(&mut defs, "subject", &Identity::json_schema(generator), false);
    part(&mut defs, "subject", &Owned::json_schema(generator), false);
    part(&mut defs, "subject", &Located::json_schema(generator), true);
    let mut conditions = Vec::new();
    let mut line = |name: &str, mut form: Schema, of_a_socket: bool| {
        if form.get("$ref").is_some_and(Value::is_null) {
            form.remove("$ref");
        } else if of_a_socket && form.get("$ref").is_none() {
            form.insert("$ref".to_owned(), json!("#/$defs/socket_line"));
        }
        form.remove("type");
        defs[format!("{name}_line")] = form.to_value();
        conditions.push(json!({
            "if": { "required": ["event"], "properties": { "event": { "const": name } } },
            "then": { "$ref": format!("#/$defs/{name}_line") }
        }));
    };
    for (name, form) in named(generator) {
        line(name, form, true);
    }
    line(LISTED, listed(generator), true);
    line("loss", LossLine::json_schema(generator), false);
    line("summary", SummaryLine::json_schema(generator), false);
    root["allOf"] = json!(conditions);
    for (name, definition) in generator.take_definitions(true) {
        defs[name] = definition;
    }
    root["$defs"] = defs;
    tidied(&mut root);
    root
}

#[test]
fn the_schema_is_that_of_the_types() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema.json");
    let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, &made).unwrap();
    }
    let written = fs::read_to_string(file).unwrap();
    assert_eq!(written, made, "UPDATE_GOLDEN=1 writes {file}");
}
