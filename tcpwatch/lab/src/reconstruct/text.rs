//! The scenario as a TOML file.

use std::fmt::Write as _;

use tcpwatch_core::{event::TcpState, track::Reason};

use super::script::Script;
use crate::host::Host;

/// The text of the file. It is read again by the laboratory's own reader.
pub(super) fn file(mut script: Script<'_>, name: &str) -> String {
    let name = plain(name);
    let lines = script.lines();
    let mut text = String::new();
    _ = writeln!(text, "# Written by tcpwatch {} from {name}.", env!("CARGO_PKG_VERSION"));
    for (number, conversation) in script.conversations.iter().enumerate() {
        let ends = conversation.tuple;
        if conversation.listener.is_some() {
            _ = writeln!(text, "# listener: server port {}", ends.remote.port);
            continue;
        }
        let (local, remote) = (ends.local, ends.remote);
        _ = writeln!(
            text,
            "# connection {}: client {} port {}, server {} port {}",
            number + 1,
            local.address,
            local.port,
            remote.address,
            remote.port
        );
    }
    for guess in &script.guesses {
        _ = writeln!(text, "# guess: {guess}");
    }
    for left in &script.left_out {
        _ = writeln!(text, "# left out: {left}");
    }
    _ = writeln!(text, "title = \"as recorded\"");
    _ = writeln!(
        text,
        "claim = \"The states that {name} has are entered again, in the same order.\""
    );
    _ = writeln!(text, "steps = [");
    for line in lines {
        _ = writeln!(text, "    {line},");
    }
    _ = writeln!(text, "]");
    sysctls(&mut text, &script);
    for rule in &script.rules {
        _ = writeln!(text, "\n[[rule]]\nname = \"{}\"\non = \"{}\"", rule.name, rule.on);
        if rule.way != "in" {
            _ = writeln!(text, "way = \"{}\"", rule.way);
        }
        for key in rule.matches {
            _ = writeln!(text, "{key}");
        }
    }
    expectations(&mut text, &script);
    text
}

fn sysctls(text: &mut String, script: &Script<'_>) {
    if script.sysctls.is_empty() {
        return;
    }
    _ = writeln!(text, "\n[sysctls]");
    for ((host, name), sysctl) in &script.sysctls {
        if let Some(guess) = &sysctl.guess {
            _ = writeln!(text, "# guess: {guess}");
        }
        _ = writeln!(text, "{host}.{name} = {}", sysctl.value);
    }
}

fn expectations(text: &mut String, script: &Script<'_>) {
    for host in Host::ALL {
        let lives = script.conversations.iter().filter_map(|conversation| conversation.end(host));
        for (number, life) in lives.enumerate() {
            let mut chain = script.chain(life);
            if life.first() == Some(TcpState::Established) {
                let opening: &[TcpState] = match host {
                    Host::Client => &[TcpState::Closed, TcpState::SynSent, TcpState::Established],
                    Host::Server => &[TcpState::Listen, TcpState::SynRecv, TcpState::Established],
                };
                chain = opening.iter().copied().chain(chain).collect();
            }
            if chain.len() < 2 {
                continue;
            }
            let words: Vec<_> = chain.iter().map(|state| format!("\"{state}\"")).collect();
            let which = format!("host = \"{host}\"\nconnection = {}", number + 1);
            // What nothing can stop may go on after the last step.
            let goes_on = script.is_cut() && chain.last() != Some(&TcpState::Closed);
            let key = if goes_on { "begins" } else { "path" };
            _ = writeln!(text, "\n[[expect]]\n{which}\n{key} = [{}]", words.join(", "));
            let ends = life.changes.iter().find(|change| {
                matches!(change.reason, Some(Reason::TimedOut | Reason::Timer | Reason::Refused))
                    && !script.is_left_out(change.at)
            });
            if let Some((ends, reason)) = ends.and_then(|ends| Some((ends, ends.reason?))) {
                let (state, word) = (ends.from, reason.word());
                _ = writeln!(text, "\n[[expect]]\n{which}\nstate = \"{state}\"\nends = \"{word}\"");
            }
        }
    }
    let listeners = script.conversations.iter().filter_map(|it| it.listener.as_ref());
    if listeners.count() > 0 {
        _ = writeln!(text, "\n[[expect]]\nhost = \"server\"\nstate = \"LISTEN\"");
    }
}

/// A name as a part of a comment and of a string.
fn plain(name: &str) -> String {
    let letters = name.chars().take(200);
    letters.map(|c| if c.is_control() || matches!(c, '"' | '\\') { '?' } else { c }).collect()
}
