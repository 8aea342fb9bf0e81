//! Nothing that tcpwatch shows is without an entry, and every entry is short.

use serde_json::Value;

use super::*;
use tcpwatch_core::event::{TcpState, reset_reason::MEANINGS};

fn schema() -> Value {
    serde_json::from_str(tcpwatch_view::json_lines::SCHEMA).unwrap()
}

/// Names of all properties below a part of the schema, but of those that only ask for the kind of line.
fn properties(part: &Value, names: &mut Vec<String>) {
    match part {
        Value::Object(members) => {
            for (key, member) in members {
                if key == "properties" {
                    names.extend(member.as_object().unwrap().keys().cloned());
                }
                properties(member, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, names)),
        _ => {}
    }
}

#[track_caller]
fn assert_explained(word: &str, kind: &str) {
    let text = explain(word).unwrap_or_else(|error| panic!("{error}"));
    assert!(text.contains(&format!(" \u{b7} {kind}\n")), "{word} as {kind}: {text}");
}

#[test]
fn every_state_has_an_entry_in_every_spelling() {
    for state in TcpState::ALL {
        let name = state.name().unwrap();
        let dashes = name.replace('_', "-").to_lowercase();
        for spelling in [name, &dashes, &name.replace('_', ""), &format!("TCP_{name}")] {
            let text = explain(spelling).unwrap();
            assert!(text.contains(&format!("{name} \u{b7} state\n")), "{spelling}: {text}");
        }
    }
    for (spelling, name) in [
        ("ESTAB", "ESTABLISHED"),
        ("FIN_WAIT2", "FIN_WAIT_2"),
        ("SYN-RECEIVED", "SYN_RECV"),
        ("TCP_NEW_SYN_RECV", "SYN_RECV"),
        ("Time-Wait", "TIME_WAIT"),
        ("unconn", "CLOSED"),
        ("tcp_close", "CLOSED"),
        ("TcpExtListenOverflows", "LISTEN"),
    ] {
        assert!(
            explain(spelling).unwrap().contains(&format!("{name} \u{b7} state\n")),
            "{spelling}"
        );
    }
}

#[test]
fn every_field_of_the_schema_has_an_entry_that_says_what_it_is() {
    let mut names = Vec::new();
    properties(&schema(), &mut names);
    assert!(names.len() > 50);
    for name in names {
        assert_explained(&name, "field of JSON lines");
    }
    for page in fields::pages() {
        for line in page.what.lines() {
            let (_, described) = line.split_once(": ").expect("a place and what it is there");
            assert!(described.len() > 5, "{}: {line}: the schema describes it", page.title());
        }
    }
}

#[test]
fn every_word_that_the_schema_lists_has_an_entry() {
    let schema = schema();
    for (list, kind) in [
        ("/properties/event/enum", "event"),
        ("/$defs/named_state/enum", "state"),
        ("/$defs/reason/enum", "reason, end"),
        ("/$defs/end/enum", "reason, end"),
        ("/$defs/kind/enum", "segment that is sent again"),
        ("/$defs/handshake/enum", "handshake"),
        ("/$defs/waits_for/enum", "what a socket waits for"),
        ("/$defs/cause/enum", "cause of a loss"),
    ] {
        for word in schema.pointer(list).unwrap().as_array().unwrap() {
            let word = word.as_str().unwrap();
            assert_explained(word, kind);
        }
    }
    for (list, before) in [
        ("/$defs/process/properties/via/enum", "via"),
        ("/$defs/connection_line/properties/closed_by/enum", "closed by"),
    ] {
        let words = schema.pointer(list).unwrap().as_array().unwrap();
        for word in words.iter().filter_map(Value::as_str).filter(|word| *word != "reset") {
            assert_explained(&format!("{before} {word}"), "who it is");
        }
    }
}

#[test]
fn every_reason_for_a_reset_has_an_entry() {
    for (word, meaning) in MEANINGS {
        for spelling in [
            word.to_owned(),
            word.replace('_', " "),
            format!("SK_RST_REASON_{}", word.to_uppercase()),
        ] {
            let text = explain(&spelling).unwrap();
            let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(joined.contains(meaning), "{spelling}: {text}");
        }
    }
}

#[test]
fn every_metric_has_an_entry() {
    let documented = include_str!("../../../deploy/METRICS.md");
    let rows = documented.lines().filter(|line| line.starts_with("| `")).count();
    assert!(rows > 40, "{rows}");
    assert_eq!(metrics::pages().len(), rows);
    assert_explained("tcpwatch_listen_overflows_total", "metric");
    assert_explained("connect_failures_total", "metric");
}

#[test]
fn every_page_fits_80_columns_and_says_in_few_lines_what_a_word_is() {
    for page in pages() {
        let text = page::shown(&page);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.ends_with(' '), "{line}|");
        }
        let lines = text.lines().count();
        let least = if matches!(page.kind, "state" | "reason, end") { 5 } else { 2 };
        // A finding has all that is to be done about it.
        let most = if page.kind == "finding of doctor" { 26 } else { 13 };
        assert!((least..=most).contains(&lines), "{lines} lines:\n{text}");
    }
}

#[test]
fn no_two_pages_of_one_kind_have_a_word_in_common() {
    let pages = pages();
    for (at, page) in pages.iter().enumerate() {
        for other in pages[..at].iter().filter(|other| other.kind == page.kind) {
            for word in &page.words {
                let same = other.words.iter().any(|known| normal(known) == normal(word));
                assert!(!same, "{word} of {} and {}", page.title(), other.title());
            }
        }
    }
}

#[test]
fn a_word_without_an_entry_gets_the_nearest_ones() {
    let error = explain("CLOSE_WIAT").unwrap_err().to_string();
    assert!(error.contains("no entry for \"CLOSE_WIAT\"; did you mean CLOSE_WAIT"), "{error}");
    let error = explain("zzzz\u{1b}[2J").unwrap_err().to_string();
    assert_eq!(error, "no entry for \"zzzz\\u{1b}[2J\"; `tcpwatch explain` lists all words");
    assert!(explain("").is_err());
}

#[test]
fn the_list_has_every_page_and_fits_80_columns() {
    let list = list();
    for page in pages() {
        assert!(list.contains(page.title()), "{}", page.title());
    }
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
}
