//! Who connected, listened and accepted.

use std::{collections::BTreeSet, time::Duration};

use tcpwatch_core::{
    event::{KernelTime, TcpState},
    track::{Handshake, Reason},
};

use super::{
    life::{Conversation, EndLife},
    script::{Script, ScriptPhase, within},
};
use crate::host::Host;

/// Both fast open without cookies, as a client and as a server (`tcp_fastopen` in ip-sysctl.rst).
const FAST_OPEN: u64 = 0x607;

pub(super) fn add(script: &mut Script<'_>, conversations: &[&Conversation<'_>]) {
    let mut listening = BTreeSet::new();
    for (index, conversation) in conversations.iter().enumerate() {
        if let Some(listener) = &conversation.listener {
            listens_alone(script, listener);
            continue;
        }
        let port = conversation.tuple.remote.port;
        if needs_listener(conversation) && listening.insert(port) {
            let began = conversation.began();
            let refused =
                conversations.iter().filter_map(|it| it.refused()).filter(|at| *at < began);
            // After those that met no listener.
            let after = refused.max().map(|at| at.after(Duration::from_micros(1)));
            let before = began.before(Duration::from_millis(1));
            listen(script, conversations, port, before.max(after.unwrap_or(before)));
        }
        connect(script, conversations, index, conversation);
        accept(script, conversations, index, conversation);
    }
}

fn listens_alone(script: &mut Script<'_>, listener: &EndLife<'_>) {
    let port = listener.ends.local.port;
    let at = listener.began();
    script.add(at, ScriptPhase::Call, vec![format!("{{ server = \"listen\", port = {port} }}")]);
    if let Some(closed) = listener.enters(TcpState::Closed) {
        let close = "{ server = \"close\", socket = \"listener\" }".to_owned();
        script.add(closed, ScriptPhase::Call, vec![close]);
    }
}

/// Not for a simultaneous open, nor where nothing listened.
fn needs_listener(conversation: &Conversation<'_>) -> bool {
    let refused = conversation.refused().is_some();
    !conversation.is_simultaneous() && (conversation.other.is_some() || !refused)
}

fn listen(script: &mut Script<'_>, conversations: &[&Conversation<'_>], port: u16, at: KernelTime) {
    let mut others = conversations.iter().filter_map(|it| it.other.as_ref());
    let most = others.find_map(|life| life.full_queue);
    let backlog = most.map_or_else(String::new, |most| format!(", backlog = {most}"));
    let line = format!("{{ server = \"listen\", port = {port}{backlog} }}");
    // Before everything else of this moment: its position among the steps decides.
    script.add(at, ScriptPhase::Before, vec![line]);
}

fn connect(
    script: &mut Script<'_>,
    conversations: &[&Conversation<'_>],
    index: usize,
    conversation: &Conversation<'_>,
) {
    let (local, remote) = (conversation.tuple.local.port, conversation.tuple.remote.port);
    let again = conversations.iter().filter(|it| it.tuple == conversation.tuple).count() > 1;
    let is_together = conversation.is_simultaneous()
        && conversation.ends().all(|(_, life)| !life.again.is_empty());
    if is_together {
        // The server's part comes first, and waits for the client.
        let first = conversation.began();
        for (host, from, to) in [(Host::Server, remote, local), (Host::Client, local, remote)] {
            bind(script, first, host, index, from);
            let keys = format!(", port = {to}, together = true");
            let line = script.step(host, index, "connect", &keys);
            script.add(first, ScriptPhase::Call, vec![line]);
        }
    } else if conversation.is_simultaneous() {
        for (host, from, to) in [(Host::Client, local, remote), (Host::Server, remote, local)] {
            let at = connected_at(conversation, host);
            bind(script, at, host, index, from);
            let line = script.step(host, index, "connect", &format!(", port = {to}"));
            script.add(at, ScriptPhase::Call, vec![line]);
        }
    } else {
        let at = connected_at(conversation, Host::Client);
        if again {
            bind(script, at, Host::Client, index, local);
        }
        let call = if is_by(conversation, Handshake::FastOpen) { "fast_open" } else { "connect" };
        let line = script.step(Host::Client, index, call, &format!(", port = {remote}"));
        script.add(at, ScriptPhase::Call, vec![line]);
    }
    handshake(script, conversation);
    connect_returns(script, index, conversation);
}

fn bind(script: &mut Script<'_>, at: KernelTime, host: Host, index: usize, port: u16) {
    let lines = vec![
        script.step(host, index, "socket", ""),
        script.step(host, index, "set_option", ", option = \"reuseaddr\", value = 1"),
        script.step(host, index, "bind", &format!(", port = {port}")),
    ];
    script.add(at, ScriptPhase::Before, lines);
}

/// When an end called `connect()`, or the earliest moment that is known.
fn connected_at(conversation: &Conversation<'_>, host: Host) -> KernelTime {
    let known = conversation.end(host).and_then(|life| life.enters(TcpState::SynSent));
    // Otherwise before everything that the recording has of it.
    known.unwrap_or_else(|| conversation.began().before(Duration::from_millis(1)))
}

fn is_by(conversation: &Conversation<'_>, way: Handshake) -> bool {
    let mut changes = conversation.ends().flat_map(|(_, life)| &life.changes);
    changes.any(|change| change.handshake == Some(way))
}

fn handshake(script: &mut Script<'_>, conversation: &Conversation<'_>) {
    if is_by(conversation, Handshake::FastOpen) {
        for host in Host::ALL {
            let why = "fast open was used; 0x607 allows it without cookies";
            script.assume_sysctl(host, "tcp_fastopen", FAST_OPEN, why);
        }
    }
    if is_by(conversation, Handshake::SynCookie) {
        let why = "a SYN cookie was used; with 2 it always is";
        script.assume_sysctl(Host::Server, "tcp_syncookies", 2, why);
    }
    match (&conversation.opener, &conversation.other) {
        (None, _) => script.guess("the client's end is not in the recording; what it called follows from what the server's end went through"),
        (_, None) => script.guess("the server's end is not in the recording; what it called follows from what the client's end went through"),
        _ => {}
    }
    let mut ends = conversation.ends();
    if ends.any(|(_, life)| life.first() == Some(TcpState::Established)) {
        script.guess(
            "the connection was open when the recording began; an ordinary handshake is assumed",
        );
    }
}

fn connect_returns(script: &mut Script<'_>, index: usize, conversation: &Conversation<'_>) {
    let call = if is_by(conversation, Handshake::FastOpen) { "sendto" } else { "connect" };
    let hosts: &[Host] = if conversation.is_simultaneous() { &Host::ALL } else { &[Host::Client] };
    for host in hosts {
        let seen = conversation.end(*host).or(conversation.end(host.peer()));
        let Some(end) = seen else { continue };
        let called = connected_at(conversation, *host);
        let connects = end.connects() && conversation.end(*host).is_some();
        let at = match end.enters(TcpState::Established) {
            Some(at) => at,
            None if connects => match end.enters(TcpState::Closed) {
                Some(at) => at,
                None => continue,
            },
            // It was open when the recording began.
            None => called,
        };
        let line = script.returned(*host, index, call, &within(called, at));
        script.add(at, ScriptPhase::After, vec![line]);
    }
}

fn accept(
    script: &mut Script<'_>,
    conversations: &[&Conversation<'_>],
    index: usize,
    conversation: &Conversation<'_>,
) {
    if conversation.is_simultaneous() {
        return;
    }
    let Some(at) = accepted_at(conversation) else { return };
    let at = queued_until(conversations, conversation).unwrap_or(at);
    script.guess("accept() is not in a recording; it is assumed to come at once");
    let lines = vec![
        script.step(Host::Server, index, "accept", ""),
        script.returned(Host::Server, index, "accept", ""),
    ];
    script.add(at, ScriptPhase::After, lines);
}

/// When the connection came into the accept queue; `None` if it did not, or never left it.
fn accepted_at(conversation: &Conversation<'_>) -> Option<KernelTime> {
    let life = conversation.other.as_ref().or(conversation.opener.as_ref())?;
    if life.changes.iter().any(|change| change.reason == Some(Reason::NeverAccepted)) {
        return None;
    }
    match life.first() {
        Some(TcpState::Established) => Some(life.began().before(Duration::from_micros(1))),
        _ => life.enters(TcpState::Established),
    }
}

/// When a connection left a full queue: before another one, whose SYN was sent again until then, came in.
fn queued_until(
    conversations: &[&Conversation<'_>],
    conversation: &Conversation<'_>,
) -> Option<KernelTime> {
    let life = conversation.other.as_ref()?;
    life.full_queue?;
    let waiting = conversations.iter().filter_map(|it| it.opener.as_ref());
    let mut waiting = waiting.filter(|it| it.began() > life.began() && !it.again.is_empty());
    let again = &waiting.next()?.again;
    again.iter().rev().nth(1).or(again.first()).map(|again| again.at)
}
