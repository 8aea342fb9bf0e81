//! Replays a recording in memory through the whole pipeline, into every output format.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;
use tcpwatch_core::{
    event::KernelTime,
    sink::{Sink, Summary},
};
use tcpwatch_kernel::{
    probe::{Filters, Tells},
    source::recording::Recording,
};
use tcpwatch_stream::{log::Log, plan::Plan, replay::Replay};
use tcpwatch_view::{
    json_lines::JsonLines,
    terminal::{LogLayout, Terminal, TimeStyle},
};

/// The output of a recording in one format.
pub(crate) struct Played {
    pub(crate) text: Vec<u8>,
    /// Why the replay ended early, if it did.
    pub(crate) summary: Result<Summary, String>,
}

fn plan(tells: Tells) -> Plan {
    Plan::of(Filters { tells, ..Filters::default() })
}

/// Fails if the recording cannot be opened.
fn play(recording: &[u8], tells: Tells, sink: &mut dyn Sink) -> Result<Played, String> {
    let recording = Recording::open(recording).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let plan = plan(tells);
    let mut replay = Replay::open(&plan, recording);
    let mut log = Log::new(sink, &mut text, true);
    let played = loop {
        match replay.next_batch().and_then(|batch| batch.map(|batch| log.write(&batch)).transpose())
        {
            Ok(Some(())) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(format!("{error:#}")),
        }
    };
    let summary = log.into_summary().ok_or("the totals come always")?;
    Ok(Played { text, summary: played.map(|()| summary) })
}

/// Replays it as JSON, whose lines must match the schema, and as text; returns the JSON.
pub(crate) fn play_all(recording: &[u8]) -> Result<Played, String> {
    for (tells, color) in [(Tells::Happenings, false), (Tells::Lives, true)] {
        let layout = LogLayout {
            color,
            time: if color { TimeStyle::Utc } else { TimeStyle::Elapsed },
            page: color.then_some(10),
            width: if color { 80 } else { 160 },
            cut: color,
            started: KernelTime(0),
        };
        let played = play(recording, tells, &mut Terminal::new(layout))?;
        check_text(&played.text, color);
    }
    let played = play(recording, Tells::Lives, &mut JsonLines::default())?;
    for line in played.text.split_inclusive(|byte| *byte == b'\n') {
        check(line);
    }
    Ok(played)
}

/// No control characters other than line feeds and, if requested, colours.
fn check_text(text: &[u8], color: bool) {
    let text = std::str::from_utf8(text).expect("text is UTF-8");
    let mut plain = String::new();
    for (place, piece) in text.split("\u{1b}[").enumerate() {
        let without = |piece: &str| {
            let end = piece.find(|c: char| c != ';' && !c.is_ascii_digit())?;
            piece[end..].strip_prefix('m').map(str::to_owned)
        };
        match without(piece).filter(|_| place > 0 && color) {
            Some(rest) => plain.push_str(&rest),
            None => plain.push_str(piece),
        }
        assert!(place == 0 || color, "an escape sequence where no colours are wanted: {text:?}");
    }
    let obeyed = plain.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(obeyed, None, "{plain:?}");
}

fn check(line: &[u8]) {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
        let schema = serde_json::from_str(include_str!("../../view/src/schema.json"));
        jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema.expect("the schema is JSON"))
            .expect("the schema is a JSON Schema")
    });
    assert_eq!(line.last(), Some(&b'\n'), "the last line is whole");
    let shown = String::from_utf8_lossy(line);
    let obeyed = shown.trim_end_matches('\n').chars().find(|c| c.is_control());
    assert_eq!(obeyed, None, "JSON may be printed to a terminal: {shown:?}");
    let value: Value =
        serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let errors: Vec<String> = SCHEMA
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{shown}{}", errors.join("\n"));
}
