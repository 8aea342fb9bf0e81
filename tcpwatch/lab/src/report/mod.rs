//! Reads the JSON document of `tcpwatch lab run --report` back into runs. Pure: no file, no clock.
//!
//! - [`document`]: the forms of the document and of a run
//! - [`moment`]: the forms of what happened
//!
//! What a newer tcpwatch has added, fields and kinds of events, is ignored; a value that has no meaning here is an error,
//! because a picture without it would be wrong.

mod document;
mod moment;

use serde_json::Value;
use thiserror::Error;

pub use document::{Document, LeftOutRun};

/// The version of the format that is read.
const SCHEMA: u64 = 1;

/// Why a report cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is not JSON, or cut off, or a field is missing or of another type.
    #[error(
        "cannot read the report {name}: {source}; is the file complete? tcpwatch lab run --report makes one"
    )]
    Json {
        /// The file.
        name: String,
        /// The cause, with its line and column where it has one.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error(
        "cannot read the report {name}: its format has version {found}, this tcpwatch reads version 1; use the tcpwatch that wrote it"
    )]
    Schema {
        /// The file.
        name: String,
        /// The version as it is written there, or "none".
        found: String,
    },
    /// A value means nothing to this version.
    #[error(
        "cannot read the report {name}: run {run}, event {event}: {what}; use the tcpwatch that wrote it"
    )]
    Value {
        /// The file.
        name: String,
        /// The number of the run, from 1.
        run: usize,
        /// The number of the event in its story, from 1.
        event: usize,
        /// What is wrong.
        what: String,
    },
}

/// Reads a report. Control characters in its strings, which neither a terminal, HTML nor SVG should get, become U+FFFD.
pub fn read(name: &str, bytes: &[u8]) -> Result<Document, ReadError> {
    let json = |source| ReadError::Json { name: name.to_owned(), source };
    let mut value: Value = serde_json::from_slice(bytes).map_err(json)?;
    let schema = value.get("schema");
    if schema.and_then(Value::as_u64) != Some(SCHEMA) {
        let found = schema.map_or_else(|| "none".to_owned(), ToString::to_string);
        return Err(ReadError::Schema { name: name.to_owned(), found });
    }
    make_printable(&mut value);
    let form: document::DocumentForm = serde_json::from_value(value).map_err(json)?;
    form.document().map_err(|(run, event, what)| ReadError::Value {
        name: name.to_owned(),
        run: run + 1,
        event: event + 1,
        what,
    })
}

fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => {
            let is_bad =
                |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
            if text.contains(is_bad) {
                *text = text.replace(is_bad, "\u{fffd}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_printable),
        Value::Object(members) => members.values_mut().for_each(make_printable),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_is_cut_off_is_refused_with_the_place() {
        let error = read("r.json", b"{\"schema\":1,\"runs\":[").unwrap_err().to_string();
        assert!(error.contains("r.json") && error.contains("line 1"), "{error}");
        assert!(error.contains("is the file complete"), "{error}");
    }

    #[test]
    fn a_report_of_a_future_version_is_refused_with_its_version() {
        let error = read("r.json", b"{\"schema\":2}").unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        let error = read("r.json", b"{}").unwrap_err().to_string();
        assert!(error.contains("version none"), "{error}");
    }

    #[test]
    fn control_characters_are_replaced_wherever_they_are() {
        let mut value = serde_json::json!({ "a": ["\u{1b}[31m", { "b": "x\u{7f}\ny" }] });
        make_printable(&mut value);
        assert_eq!(value, serde_json::json!({ "a": ["\u{fffd}[31m", { "b": "x\u{fffd}\ny" }] }));
    }
}
