//! Fields of JSON lines, from the schema.

use serde_json::Value;
use tcpwatch_view::json_lines::SCHEMA;

use super::{GlossaryEntry, events::AS_IN_JSON};

/// A field, wherever it is.
struct Field {
    name: String,
    /// The lines or objects that have it, and what it is there.
    places: Vec<(String, String)>,
    /// What it can be, and its words if there are some; where there are most.
    values: String,
}

/// One page for each name.
pub(super) fn pages() -> Vec<GlossaryEntry> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap_or_default();
    let mut fields = Vec::new();
    collect(&schema, &schema, "every line", &mut fields);
    let definitions = schema.get("$defs").and_then(Value::as_object);
    for (name, definition) in definitions.into_iter().flatten() {
        collect(&schema, definition, &place(name), &mut fields);
    }
    fields.into_iter().map(page).collect()
}

/// Lines about events that have no entry of their own: one page for each, of what the schema says.
pub(super) fn lines(has_an_entry: impl Fn(&str) -> bool) -> Vec<GlossaryEntry> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap_or_default();
    let names = schema.pointer("/properties/event/enum").and_then(Value::as_array);
    let names = names.into_iter().flatten();
    let names = names.filter_map(Value::as_str).filter(|name| !has_an_entry(name));
    let page = |name: &str| GlossaryEntry {
        kind: "event",
        words: vec![name.to_owned().into(), format!("{name} event").into()],
        what: schema
            .pointer(&format!("/$defs/{name}_line"))
            .map_or_else(String::new, |line| description(&schema, line)),
        parts: Vec::new(),
    };
    names.map(page).collect()
}

/// Where the fields of a definition are, in words.
fn place(definition: &str) -> String {
    match definition {
        "socket_line" | "subject" => "every line about a socket".to_owned(),
        "endpoint" => "local, remote".to_owned(),
        other => match other.strip_suffix("_line") {
            Some(event) => format!("{event} lines"),
            None => other.to_owned(),
        },
    }
}

/// Adds the fields of an object, and of the objects within it.
fn collect(schema: &Value, object: &Value, place: &str, fields: &mut Vec<Field>) {
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        // Words that stand for "is none of this line".
        if field.is_object() {
            let described = description(schema, field);
            let values = values(schema, field);
            let place = (place.to_owned(), described);
            match fields.iter_mut().find(|known| known.name == *name) {
                Some(known) => {
                    known.places.push(place);
                    if known.values.len() < values.len() {
                        known.values = values;
                    }
                }
                None => fields.push(Field { name: name.clone(), places: vec![place], values }),
            }
            collect(schema, field, name, fields);
        }
    }
}

/// What a reference leads to, one after the other.
fn resolved<'s>(schema: &'s Value, field: &'s Value) -> Vec<&'s Value> {
    let mut all = vec![field];
    let mut here = field;
    while let Some(path) = here["$ref"].as_str() {
        let Some(next) = schema.pointer(path.trim_start_matches('#')) else { break };
        all.push(next);
        here = next;
    }
    all
}

/// A field's definition, what it refers to, and the alternatives of these.
fn definitions<'s>(schema: &'s Value, field: &'s Value) -> Vec<&'s Value> {
    let mut all = resolved(schema, field);
    let alternatives = |part: &&'s Value| part["anyOf"].as_array().into_iter().flatten();
    let any: Vec<&Value> = all.iter().flat_map(alternatives).collect();
    all.extend(any.into_iter().flat_map(|part| definitions(schema, part)));
    all
}

fn description(schema: &Value, field: &Value) -> String {
    let described = |part: &Value| part["description"].as_str().map(str::to_owned);
    definitions(schema, field).into_iter().find_map(described).unwrap_or_default()
}

/// `number or null`; `one of sent, received`.
fn values(schema: &Value, field: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words: Vec<String> = Vec::new();
    let mut types: Vec<String> = Vec::new();
    for part in definitions(schema, field) {
        words.extend(part["enum"].as_array().into_iter().flatten().map(text));
        match &part["type"] {
            Value::Array(several) => types.extend(several.iter().map(text)),
            Value::String(one) => types.push(one.clone()),
            _ => {}
        }
    }
    types.dedup();
    if words.is_empty() { types.join(" or ") } else { format!("one of {}", words.join(", ")) }
}

fn page(field: Field) -> GlossaryEntry {
    let Field { name, places, values } = field;
    let mut merged: Vec<(String, Vec<String>)> = Vec::new();
    for (place, described) in places {
        match merged.iter_mut().find(|(known, _)| *known == described) {
            Some((_, places)) => places.push(place),
            None => merged.push((described, vec![place])),
        }
    }
    let lines: Vec<String> = merged
        .into_iter()
        .map(|(described, places)| format!("In {}: {described}", places.join(", ")))
        .collect();
    let mut words = vec![name.clone().into()];
    let text = AS_IN_JSON.iter().filter(|(_, field)| *field == name);
    words.extend(text.map(|(word, _)| (*word).into()));
    let parts = if values.is_empty() { Vec::new() } else { vec![("value", values.into())] };
    GlossaryEntry { kind: "field of JSON lines", words, what: lines.join("\n"), parts }
}
