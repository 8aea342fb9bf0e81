//! The lines of `tcpwatch doctor`: one for each finding, and the verdict behind them. Their form is in
//! `findings.schema.json`, which is made of the types here.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::{
    event::{Endpoint, Endpoints, KernelTime, WallClock},
    track::Subject,
};
use tcpwatch_doctor::{Example, Finding, Kind, Whose};

use super::{JsonLines, Located, Owned};
use crate::json::{Seconds, Word};

/// The form of the lines, as JSON Schema.
pub const FINDINGS_SCHEMA: &str = include_str!("../findings.schema.json");

/// Something that is wrong.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct FindingLine<'a> {
    /// Which kind: `tcpwatch explain` has a page for each.
    #[cfg_attr(test, schemars(with = "String"))]
    finding: Word,
    /// critical: connections fail now; warning: some fail, or will; notice: it works, but not as it should.
    #[cfg_attr(test, schemars(with = "String"))]
    severity: Word,
    /// certain: the kernel reported it; likely: nothing else that is common fits; possible: it fits.
    #[cfg_attr(test, schemars(with = "String"))]
    certainty: Word,
    /// On what the certainty rests.
    basis: &'a str,
    /// What is wrong, in one sentence.
    what: &'a str,
    /// How many connections, or segments, it is about.
    count: u64,
    /// Since when; of what was there before tcpwatch, no later than this. Null when that is not known.
    since: Option<String>,
    /// How long that is.
    since_s: Option<Seconds>,
    /// Inode of the network namespace.
    netns: u32,
    /// The owner is that of the listener that accepted the connections: a guess.
    owner_inherited: bool,
    /// Three connections at most.
    examples: Vec<ExampleMember<'a>>,
    /// Likely causes, the most frequent first.
    causes: &'a [&'static str],
    /// What to check.
    check: Vec<String>,
    /// What to change: first by the values of this host, then in general.
    change: Vec<String>,
}

/// A connection that shows it.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "example"))]
struct ExampleMember<'a> {
    /// The kernel's cookie; null where none is known.
    socket: Option<u64>,
    /// This host's end.
    local: EndMember,
    /// The other end.
    remote: EndMember,
    /// Null without a socket.
    state: Option<String>,
    /// For how long it has been so, or at least.
    lasted_s: Option<Seconds>,
    /// What is special about it; may be empty.
    note: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "end"))]
struct EndMember {
    #[cfg_attr(test, schemars(with = "String"))]
    addr: std::net::IpAddr,
    port: u16,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct VerdictLine {
    /// How many findings there are.
    pub findings: usize,
    /// How long was looked.
    pub looked_s: Seconds,
    /// Events that were judged.
    pub events: u64,
    /// Network namespaces that were looked at.
    pub namespaces: usize,
    /// Listeners in them.
    pub listeners: usize,
    /// The kinds of findings that were looked for.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub checked: Vec<Word>,
    /// What could not be seen.
    pub not_seen: Vec<String>,
}

impl VerdictLine {
    /// The words of the kinds.
    #[must_use]
    pub fn words(kinds: &[Kind]) -> Vec<Word> {
        kinds.iter().map(|kind| Word(kind.word())).collect()
    }
}

impl JsonLines {
    /// Appends the line of a finding that was made at `at`.
    pub fn finding(
        &mut self,
        finding: &Finding,
        at: KernelTime,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        let since = finding.since.map(|since| self.moment(since, clock));
        let subject = subject(&finding.whose);
        self.write("finding", at, clock, out, |line| {
            line.add(&FindingLine::of(finding, since, at));
            line.add(&Owned::of(&subject));
            if let Some(place) = &finding.whose.place {
                line.add(&Located::at(place));
            }
        });
    }

    /// Appends the last line.
    pub fn verdict(
        &mut self,
        verdict: &VerdictLine,
        at: KernelTime,
        clock: &WallClock,
        out: &mut Vec<u8>,
    ) {
        self.line("verdict", at, clock, out, verdict);
    }
}

impl<'a> FindingLine<'a> {
    fn of(finding: &'a Finding, since: Option<String>, at: KernelTime) -> Self {
        let advice = finding.kind.advice();
        Self {
            finding: Word(finding.kind.word()),
            severity: Word(finding.severity.word()),
            certainty: Word(finding.certainty.word()),
            basis: &finding.basis,
            what: &finding.what,
            count: finding.count,
            since,
            since_s: finding.since.map(|since| Seconds(at.since(since))),
            netns: finding.whose.netns.0,
            owner_inherited: finding.whose.inherited,
            examples: finding.examples.iter().map(ExampleMember::of).collect(),
            causes: advice.causes,
            check: finding.checks(),
            change: finding.changes(),
        }
    }
}

impl<'a> ExampleMember<'a> {
    fn of(example: &'a Example) -> Self {
        let end = |Endpoint { address, port }| EndMember { addr: address, port };
        let Endpoints { local, remote } = example.ends;
        Self {
            socket: example.socket.map(|socket| socket.0),
            local: end(local),
            remote: end(remote),
            state: example.state.map(|state| state.to_string()),
            lasted_s: example.lasted.map(Seconds),
            note: &example.note,
        }
    }
}

fn subject(whose: &Whose) -> Subject {
    let none = Endpoint { address: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
    let ends = Endpoints { local: none, remote: none };
    Subject { process: whose.process, ..Subject::unknown(None, whose.netns, ends) }
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use schemars::generate::SchemaSettings;
    use serde_json::json;

    use super::*;
    use crate::json_lines::Head;

    #[test]
    fn the_schema_of_findings_is_that_of_the_types() {
        let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let head = Head::json_schema(&mut generator).to_value();
        let finding = FindingLine::json_schema(&mut generator).to_value();
        let owned = Owned::json_schema(&mut generator).to_value();
        let located = Located::json_schema(&mut generator).to_value();
        let verdict = VerdictLine::json_schema(&mut generator).to_value();
        let mut head = head;
        head["properties"]["event"] = json!({ "enum": ["finding", "verdict"] });
        let mut properties = located["properties"].clone();
        for part in [&owned, &finding] {
            for (name, value) in part["properties"].as_object().unwrap() {
                properties[name] = value.clone();
            }
        }
        let required: Vec<_> = [&finding, &owned]
            .iter()
            .flat_map(|part| part["required"].as_array().unwrap().clone())
            .collect();
        let when = |event: &str, then: serde_json::Value| json!({ "if": { "properties": { "event": { "const": event } } }, "then": then });
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "urn:tcpwatch:finding:1",
            "title": "A line of tcpwatch doctor --format json",
            "description": "Fields may be added to any line; none is renamed, and none changes its meaning while \
                            \"schema\" stays the same.",
            "type": "object",
            "properties": head["properties"],
            "required": head["required"],
            "allOf": [
                when("finding", json!({ "properties": properties, "required": required })),
                when("verdict", json!({ "properties": verdict["properties"], "required": verdict["required"] })),
            ],
            "$defs": generator.take_definitions(true),
        });
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/findings.schema.json");
        let made = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(file, &made).unwrap();
        }
        assert_eq!(fs::read_to_string(file).unwrap(), made, "UPDATE_GOLDEN=1 writes {file}");
    }
}
