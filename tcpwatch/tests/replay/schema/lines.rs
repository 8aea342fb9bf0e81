//! Lines that match the schema and lines that do not, made by hand.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::validator;

fn state_line() -> Value {
    json!({
        "schema": 1, "event": "state", "time": "2026-11-21T10:00:00.123456789Z", "mono_ns": 5,
        "socket": 4097, "netns": 4_026_531_840_u32, "family": "ipv4",
        "local": { "addr": "192.0.2.1", "port": 80 },
        "remote": { "addr": "192.0.2.2", "port": 40000 },
        "direction": "incoming", "process": { "pid": 7, "comm": "server", "via": "listen" },
        "from": "LAST_ACK", "to": "CLOSED", "in_state_s": 0.000_012, "reason": "normal"
    })
}

fn restart_line() -> Value {
    let mut line = state_line();
    for field in ["from", "to", "reason"] {
        line.as_object_mut().expect("an object").remove(field);
    }
    line["event"] = json!("restart");
    line["state"] = json!("TIME_WAIT");
    line["ends_in_s"] = json!(60.1);
    line["starts"] = json!(true);
    line
}

fn existing_line() -> Value {
    let mut line = restart_line();
    line["event"] = json!("existing");
    line["in_state_s"] = json!(null);
    line.as_object_mut().expect("an object").remove("starts");
    line["in_state_at_least_s"] = json!(86_400);
    line
}

fn loss_line() -> Value {
    json!({
        "schema": 1, "event": "loss", "time": "2026-11-21T10:00:00.123456789Z", "mono_ns": 5,
        "cause": "ring_full", "count": 3
    })
}

fn summary_line() -> Value {
    json!({
        "schema": 1, "event": "summary", "time": "2026-11-21T10:00:00.123456789Z", "mono_ns": 5,
        "ran_s": 1.5, "changes": 9, "inferred": 0, "attempted": 12, "received": 11,
        "lost": { "ring_full": 1 }, "out_of_order": 0, "connections": 2, "open": 1
    })
}

/// A line about a socket, without the fields that only a change has.
fn socket_line(event: &str) -> Value {
    let mut line = state_line();
    for field in ["from", "to", "reason", "in_state_s"] {
        line.as_object_mut().expect("an object").remove(field);
    }
    line["event"] = json!(event);
    line
}

/// The line with these additional members.
fn with(mut line: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("members: {members}") };
    line.as_object_mut().expect("an object").extend(members);
    line
}

fn retransmit_line() -> Value {
    with(
        socket_line("retransmit"),
        json!({
            "kind": "syn", "attempt": 3, "since_last_s": 1.03, "state": "SYN_SENT",
            "expected_s": 1, "early": true, "not_sent": true, "next_in_s": 1.0,
            "next_in_at_most_s": 1.032, "attempts_at_most": 10
        }),
    )
}

fn reset_line() -> Value {
    with(
        socket_line("reset"),
        json!({ "direction": "sent", "state": "CLOSED", "why": "tcp_abort_on_close" }),
    )
}

fn error_line() -> Value {
    with(
        socket_line("error"),
        json!({ "state": "CLOSED", "errno": 110, "error": "Connection timed out" }),
    )
}

fn connection_line() -> Value {
    with(
        socket_line("connection"),
        json!({
            "opened": "2026-11-21T10:00:00.123456789Z", "opened_mono_ns": 4, "lasted_s": 44.1,
            "handshake_s": 0.000_412, "states_s": { "SYN_SENT": 0.000_412, "ESTABLISHED": 44.1 },
            "bytes_sent": 5, "bytes_received": 0, "bytes_undelivered": 7,
            "srtt_s": 0.000_412, "min_rtt_s": null,
            "retransmits": 2, "not_sent": 1, "retries": { "data": 2 }, "closed_by": "reset",
            "end": "reset_received", "failed": true, "existing": true, "ends_in_s": 59.9
        }),
    )
}

fn segment_line() -> Value {
    with(
        socket_line("segment"),
        json!({
            "socket": null, "process": null, "host": "client", "direction": "in",
            "flags": "SYN+ACK", "seq": 4_294_967_295_u32, "ack": 8, "len": 0, "window": 65160,
            "options": {
                "mss": 1460, "window_scale": 7, "sack_permitted": true, "timestamp": 1,
                "timestamp_echo": 2, "sack_blocks": 1, "fast_open": true
            },
            "dropped_by": 0
        }),
    )
}

fn still_line() -> Value {
    with(
        socket_line("still"),
        json!({
            "state": "FIN_WAIT_1", "in_state_s": 1.0, "waits_for": "window", "orphan": true,
            "bytes_unsent": 143_360, "bytes_unacknowledged": 0, "bytes_unread": 0, "peer_window": 0,
            "window_probes": 15, "window_probes_or_more": true, "window_probes_unanswered": 1,
            "next_in_s": 0.4, "gives_up_in_s": 328.0, "gives_up_in_at_most_s": 340.5, "estimate": true
        }),
    )
}

fn listed_line() -> Value {
    with(
        socket_line("listed"),
        json!({
            "state": "SYN_SENT", "waits_for": "syn_ack", "age_s": 1.99, "age_at_most_s": 2.11,
            "age_basis": "schedule", "until": "2026-11-21T10:00:01.123456789Z", "timer": "retransmit",
            "timer_left_s": 0.5, "tries": 2, "tries_max": 10, "accept_queue": 5,
            "accept_queue_max": 4
        }),
    )
}

#[test]
fn a_listed_line_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in [
        ("/age_s", json!(-1)),
        ("/age_basis", json!("guess")),
        ("/until", json!("19:47:08")),
        ("/timer", json!("on")),
        ("/tries", json!(-1)),
        ("/waits_for", json!("godot")),
        ("/accept_queue", json!("5")),
    ] {
        refused(&validator, listed_line(), pointer, &bad);
    }
    let unknown = json!({ "age_s": null, "age_basis": null, "until": null, "waits_for": null });
    assert!(validator.is_valid(&with(listed_line(), unknown)));
}

fn more_line() -> Value {
    let mut line =
        with(socket_line("still"), json!({ "state": "CLOSE_WAIT", "more": 1204, "after_s": 10 }));
    for field in ["socket", "family", "local", "remote"] {
        line.as_object_mut().expect("an object").remove(field);
    }
    line
}

fn every_line() -> [Value; 13] {
    [
        state_line(),
        existing_line(),
        listed_line(),
        still_line(),
        more_line(),
        restart_line(),
        retransmit_line(),
        reset_line(),
        error_line(),
        connection_line(),
        segment_line(),
        loss_line(),
        summary_line(),
    ]
}

#[test]
fn a_good_line_of_each_kind_is_accepted_also_with_a_field_more() {
    let validator = validator();
    for mut line in every_line() {
        assert!(validator.is_valid(&line), "{:?}", validator.validate(&line).err());
        line["a_later_field"] = json!({ "may": ["hold", "anything"] });
        assert!(validator.is_valid(&line), "{:?}", validator.validate(&line).err());
    }
}

#[test]
fn a_line_without_one_of_its_fields_is_refused() {
    let validator = validator();
    let optional = [
        "ends_in_s",
        "expected_s",
        "early",
        "not_sent",
        "host",
        "starts",
        "existing",
        "in_state_at_least_s",
        "bytes_undelivered",
        "orphan",
        "bytes_unread",
        "peer_window",
        "window_probes_or_more",
        "gives_up_in_at_most_s",
        "age_at_most_s",
        "timer",
        "timer_left_s",
        "tries",
        "tries_max",
        "accept_queue",
        "accept_queue_max",
    ];
    for line in every_line() {
        for field in line.as_object().expect("an object").keys() {
            let mut poorer = line.clone();
            poorer.as_object_mut().expect("an object").remove(field);
            let optional = optional.contains(&field.as_str());
            assert_eq!(validator.is_valid(&poorer), optional, "without {field}: {poorer}");
        }
    }
}

#[test]
fn a_line_about_a_socket_that_stays_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in [
        ("/state", json!("FIN_WAIT_3")),
        ("/in_state_s", json!(-1)),
        ("/waits_for", json!("godot")),
        ("/bytes_unsent", json!(-1)),
        ("/window_probes", json!(1.5)),
        ("/gives_up_in_s", json!("soon")),
        ("/orphan", json!(1)),
    ] {
        refused(&validator, still_line(), pointer, &bad);
    }
    for (pointer, bad) in [("/more", json!(0)), ("/process", json!("java")), ("/netns", json!(0))] {
        refused(&validator, more_line(), pointer, &bad);
    }
    let for_ever = with(still_line(), json!({ "gives_up_in_s": null }));
    assert!(validator.is_valid(&for_ever));
    assert!(!validator.is_valid(&with(more_line(), json!({ "socket": 5 }))), "of which one?");
}

/// The line with `bad` at `pointer` is refused.
fn refused(validator: &Validator, mut line: Value, pointer: &str, bad: &Value) {
    *line.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} exists")) = bad.clone();
    assert!(!validator.is_valid(&line), "{pointer} = {bad}");
}

#[test]
fn a_state_line_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in [
        ("/schema", json!(2)),
        ("/event", json!("transition")),
        ("/time", json!("2026-11-21T10:00:00Z")),
        ("/time", json!("2026-11-21T19:00:00.123456789+09:00")),
        ("/time", json!("2026-13-21T10:00:00.123456789Z")),
        ("/mono_ns", json!(-1)),
        ("/mono_ns", json!(1.5)),
        ("/socket", json!("4097")),
        ("/socket", json!(0)),
        ("/netns", json!(0)),
        ("/netns", json!(null)),
        ("/family", json!("IPv4")),
        ("/family", json!("ipv6")),
        ("/local/addr", json!("192.0.2.256")),
        ("/local/addr", json!("2001:db8::1")),
        ("/remote/addr", json!("*")),
        ("/local/port", json!(65536)),
        ("/remote/port", json!("80")),
        ("/local", json!({ "addr": "192.0.2.1" })),
        ("/direction", json!("out")),
        ("/process", json!({})),
        ("/process/pid", json!(0)),
        ("/process/comm", json!("a-name-of-sixtee")),
        ("/process/via", json!("accept")),
        ("/from", json!("FIN_WAIT1")),
        ("/from", json!("established")),
        ("/to", json!(7)),
        ("/to", json!("TIME_WAIT")), // which is no end, so that there is no reason
        ("/in_state_s", json!("12us")),
        ("/in_state_s", json!(-0.1)),
        ("/reason", json!("reset by peer")),
        ("/reason", json!(null)),
    ] {
        refused(&validator, state_line(), pointer, &bad);
    }
}

#[test]
fn any_other_line_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in
        [("/state", json!("TIMEWAIT")), ("/ends_in_s", json!(-1)), ("/ends_in_s", json!(null))]
    {
        refused(&validator, restart_line(), pointer, &bad);
    }
    for (pointer, bad) in [("/cause", json!("ring full")), ("/count", json!(0))] {
        refused(&validator, loss_line(), pointer, &bad);
    }
    for (pointer, bad) in [
        ("/ran_s", json!(null)),
        ("/changes", json!(-1)),
        ("/lost", json!({ "ring_full": 0 })),
        ("/lost", json!({ "weather": 1 })),
        ("/lost", json!([])),
    ] {
        refused(&validator, summary_line(), pointer, &bad);
    }
}

#[test]
fn a_line_that_says_why_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in [
        ("/kind", json!("SYN")),
        ("/kind", json!("data")), // whose attempts are limited by time and not by number
        ("/attempt", json!(0)),
        ("/since_last_s", json!(-1)),
        ("/state", json!(null)),
        ("/expected_s", json!(null)),
        ("/early", json!(1)),
        ("/next_in_s", json!("1 s")),
        ("/attempts_at_most", json!(-1)),
        ("/direction", json!("sent")),
    ] {
        refused(&validator, retransmit_line(), pointer, &bad);
    }
    for (pointer, bad) in [
        ("/direction", json!("outgoing")),
        ("/direction", json!(null)),
        ("/state", json!("closed")),
        ("/why", json!("")),
        ("/why", json!(9)),
    ] {
        refused(&validator, reset_line(), pointer, &bad);
    }
    for (pointer, bad) in [
        ("/errno", json!(0)),
        ("/errno", json!(-110)),
        ("/error", json!(110)),
        ("/state", json!(null)),
    ] {
        refused(&validator, error_line(), pointer, &bad);
    }
}

#[test]
fn a_line_about_a_life_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in [
        ("/opened", json!("10:00:00")),
        ("/opened", json!(null)), // while there are times that begin with it
        ("/opened_mono_ns", json!(null)),
        ("/lasted_s", json!(null)),
        ("/handshake_s", json!("412 us")),
        ("/states_s", json!({ "state#13": 1.0 })),
        ("/states_s", json!({ "ESTABLISHED": null })),
        ("/bytes_sent", json!(-1)),
        ("/bytes_sent", json!(null)), // while the other totals are known
        ("/retransmits", json!(null)),
        ("/retries", json!({ "data": 0 })),
        ("/retries", json!({ "ack": 1 })),
        ("/closed_by", json!("peer")),
        ("/end", json!("reset")),
        ("/end", json!("normal")), // which is no failure
        ("/failed", json!(false)),
        ("/direction", json!("received")),
    ] {
        refused(&validator, connection_line(), pointer, &bad);
    }
}

#[test]
fn a_line_about_a_segment_with_a_wrong_value_is_refused() {
    let validator = validator();
    for (pointer, bad) in [
        ("/socket", json!(4097)),
        ("/process", json!({ "pid": 7, "comm": "server", "via": "listen" })),
        ("/host", json!("router")),
        ("/direction", json!("sent")),
        ("/flags", json!("syn+ack")),
        ("/flags", json!("ACK+SYN")),
        ("/flags", json!("")),
        ("/seq", json!(4_294_967_296_u64)),
        ("/ack", json!(null)),
        ("/len", json!(-1)),
        ("/window", json!(65536)),
        ("/options", json!(null)),
        ("/options/mss", json!("1460")),
        ("/options/sack_blocks", json!(0)),
        ("/options", json!({ "timestamp": 1 })),
        ("/dropped_by", json!(-1)),
        ("/dropped_by", json!("SYN+ACK")),
    ] {
        refused(&validator, segment_line(), pointer, &bad);
    }
    let mut passed = segment_line();
    passed["dropped_by"] = json!(null);
    passed["options"] = json!({});
    assert!(validator.is_valid(&passed), "{:?}", validator.validate(&passed).err());
}

#[test]
fn a_timer_that_runs_has_both_its_bounds_and_brings_one_thing() {
    let validator = validator();
    let mut end = retransmit_line();
    for (from, to) in
        [("next_in_s", "gives_up_in_s"), ("next_in_at_most_s", "gives_up_in_at_most_s")]
    {
        let members = end.as_object_mut().expect("an object");
        let bound = members.remove(from).expect("the bound");
        members.insert(to.to_owned(), bound);
    }
    assert!(validator.is_valid(&end), "{:?}", validator.validate(&end).err());
    let both = with(retransmit_line(), json!({ "gives_up_in_s": 1, "gives_up_in_at_most_s": 1 }));
    assert!(!validator.is_valid(&both));
}

#[test]
fn a_life_of_which_little_is_known_keeps_to_the_schema() {
    let validator = validator();
    let mut line = connection_line();
    for field in
        ["opened_mono_ns", "bytes_received", "bytes_undelivered", "srtt_s", "min_rtt_s", "failed"]
    {
        line.as_object_mut().expect("an object").remove(field);
    }
    let unknown = json!({
        "opened": null, "lasted_s": null, "handshake_s": null, "states_s": {}, "bytes_sent": null,
        "retransmits": 0, "retries": {}, "closed_by": null, "end": "unknown"
    });
    let line = with(line, unknown);
    assert!(validator.is_valid(&line), "{:?}", validator.validate(&line).err());
}

#[test]
fn a_reset_without_a_socket_keeps_to_the_schema() {
    let validator = validator();
    let nobody = json!({ "socket": null, "process": null, "state": null, "why": null });
    let line = with(reset_line(), nobody);
    assert!(validator.is_valid(&line), "{:?}", validator.validate(&line).err());
}

#[test]
fn what_is_not_known_is_null_and_a_state_without_a_name_has_its_number() {
    let validator = validator();
    for (pointer, value) in [
        ("/socket", json!(null)),
        ("/direction", json!(null)),
        ("/process", json!(null)),
        ("/in_state_s", json!(null)),
        ("/from", json!("state#13")),
    ] {
        let mut line = state_line();
        *line.pointer_mut(pointer).expect("the field exists") = value;
        assert!(validator.is_valid(&line), "{pointer}: {:?}", validator.validate(&line).err());
    }
}
