//! Findings as text of 80 columns.

use std::{fmt::Write as _, time::Duration};

use tcpwatch::glossary::wrapped;
use tcpwatch_core::event::KernelTime;
use tcpwatch_doctor::{Example, Finding, Kind, Span};
use tcpwatch_view::json_lines::finding::VerdictLine;

/// Columns at most.
const WIDTH: usize = 80;
/// Columns before a text, its label among them.
const INDENT: usize = 11;

/// A page: what, whose, since when, evidence, causes, what to check and change, how sure.
pub(crate) fn finding(finding: &Finding, since: Option<&str>, at: KernelTime) -> String {
    let Finding { kind, severity, certainty, basis, what, whose, .. } = finding;
    let mut text = format!(
        "{} \u{b7} {} \u{b7} {}\n",
        severity.word().to_uppercase(),
        kind.word(),
        certainty.word()
    );
    labelled(&mut text, "", what);
    let guess = if whose.inherited { ", a guess: the listener's" } else { "" };
    labelled(&mut text, "whose", &format!("{whose}{guess}, network namespace {}", whose.netns.0));
    if let Some((moment, since)) = since.zip(finding.since) {
        let moment = moment.get(..19).unwrap_or(moment).replace('T', " ");
        labelled(&mut text, "since", &format!("{moment} UTC, {}", Span(at.since(since))));
    }
    for (number, example) in finding.examples.iter().enumerate() {
        labelled(&mut text, if number == 0 { "evidence" } else { "" }, &example_line(example));
    }
    let advice = kind.advice();
    listed(&mut text, "causes", advice.causes);
    listed(&mut text, "check", advice.check);
    let own = finding.change.iter().map(String::as_str);
    listed(&mut text, "change", &own.chain(advice.change.iter().copied()).collect::<Vec<_>>());
    let basis = if basis.is_empty() { String::new() } else { format!(": {basis}") };
    labelled(&mut text, "how sure", &format!("{}{basis}", certainty.word()));
    text.push('\n');
    text
}

fn example_line(example: &Example) -> String {
    let Example { socket, ends, state, lasted, note } = example;
    let mut line = format!("{} {}", ends.local, ends.remote);
    if let Some(state) = state {
        // Writing to a string cannot fail.
        let _written = write!(line, " {state}").is_ok();
    }
    if let Some(lasted) = lasted {
        let _written = write!(line, " for {}", Span(*lasted)).is_ok();
    }
    if !note.is_empty() {
        let _written = write!(line, ", {note}").is_ok();
    }
    if let Some(socket) = socket {
        let _written = write!(line, " (sk:{:x})", socket.0).is_ok();
    }
    line
}

/// What was looked at, and what that came to.
pub(super) fn verdict(
    verdict: &VerdictLine,
    findings: &[Finding],
    checked: &[Kind],
    looked: Duration,
) -> String {
    let VerdictLine { events, namespaces, listeners, not_seen, .. } = verdict;
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let looked = format!(
        "looked for {}: {events} events, {listeners} listener{} in {namespaces} network namespace{}",
        Span(looked),
        plural(*listeners),
        plural(*namespaces)
    );
    let mut text = match findings.len() {
        0 => format!("All clear: nothing is wrong that can be seen.\n{looked}\n"),
        count => format!("{count} finding{}; {looked}\n", plural(count)),
    };
    let found = |kind: &&Kind| findings.iter().all(|finding| finding.kind != **kind);
    let titles: Vec<&str> = checked.iter().filter(found).map(|kind| kind.title()).collect();
    labelled(&mut text, "healthy", &titles.join("; "));
    if not_seen.is_empty() {
        labelled(&mut text, "not seen", "nothing that is known of");
    }
    for (number, what) in not_seen.iter().enumerate() {
        labelled(&mut text, if number == 0 { "not seen" } else { "" }, what);
    }
    text
}

/// A text behind its label, broken at spaces.
fn labelled(text: &mut String, label: &str, content: &str) {
    for (number, line) in wrapped(content, WIDTH - INDENT).iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        let _written = writeln!(text, "  {label:<8} {line}").is_ok();
    }
}

/// Texts behind one label, numbered where there are several.
fn listed(text: &mut String, label: &str, contents: &[&str]) {
    for (number, content) in contents.iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        let numbered = format!("{}. {content}", number + 1);
        labelled(text, label, if contents.len() == 1 { content } else { &numbered });
    }
}
