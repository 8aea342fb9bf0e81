//! Steps and rules in words.

use tcpwatch_core::event::{TcpFlags, Way};

use crate::scenario::{Action, CallKind, Condition, DropRule, ScenarioStep, Shutdown, Signal};

/// `client  close()`
pub(super) fn step(step: &ScenarioStep, rules: &[DropRule]) -> String {
    let name = |slot: usize| rules.get(slot).map_or("?", |rule| rule.name.as_str());
    match &step.action {
        Action::Call(host, call) => format!("{:<7} {}", host.name(), words(&call.kind)),
        Action::Signal(host, signal) => {
            let signal = match signal {
                Signal::Stop => "SIGSTOP (by hand Ctrl+Z)",
                Signal::Continue => "SIGCONT (by hand fg)",
                Signal::Kill => "SIGKILL",
            };
            format!("{:<7} {signal}", host.name())
        }
        Action::SetRule(slot) => format!("{:<7} {} is set", "rule", name(*slot)),
        Action::ReleaseRule(slot) => format!("{:<7} {} is released", "rule", name(*slot)),
        Action::Wait { condition, .. } => {
            let until = match condition {
                Condition::State(host, state) => format!("the {host} is in {state}"),
                Condition::Retransmits { host, segment, count } => {
                    format!("the {host} has sent {} again, {count} times", segment.word())
                }
                Condition::Segment { host, flags, zero_window, count } => {
                    let window = if *zero_window { " and a zero window" } else { "" };
                    format!("{count} segments with {flags}{window} have come to the {host}")
                }
                Condition::Returned { host, call, .. } => {
                    format!("the {host}'s {call}() has returned")
                }
                Condition::Dropped { rule, count } => {
                    format!("{} has dropped {count}", name(*rule))
                }
            };
            format!("{:<7} until {until}", "wait")
        }
    }
}

fn words(call: &CallKind) -> String {
    match call {
        CallKind::Socket => "socket()".to_owned(),
        CallKind::SetOption { name, value } => format!("setsockopt() {name} = {value}"),
        CallKind::Bind { port } => format!("bind() to port {port}"),
        CallKind::Listen { port, backlog } => {
            format!("listen() on port {port}, backlog {backlog}")
        }
        CallKind::Connect { port } => format!("connect() to port {port}"),
        CallKind::ConnectTogether { port } => {
            format!("connect() to port {port}, together with the other host")
        }
        CallKind::FastOpen { port, bytes } => {
            format!("sendto() with MSG_FASTOPEN to port {port}, {bytes} bytes")
        }
        CallKind::Accept { .. } => "accept()".to_owned(),
        CallKind::Send { bytes } => format!("send() of {bytes} bytes"),
        CallKind::Recv { bytes } => recv(*bytes),
        CallKind::RecvThenClose { bytes } => format!("{}, then at once close()", recv(*bytes)),
        CallKind::Shutdown(how) => {
            let how = match how {
                Shutdown::Read => "SHUT_RD",
                Shutdown::Write => "SHUT_WR",
                Shutdown::Both => "SHUT_RDWR",
            };
            format!("shutdown() {how}")
        }
        CallKind::Close => "close()".to_owned(),
        CallKind::Reset => "close() with SO_LINGER 0".to_owned(),
        CallKind::Exit => "exit".to_owned(),
    }
}

fn recv(bytes: Option<u32>) -> String {
    let what = bytes.map(|bytes| format!("of {bytes} bytes"));
    format!("recv() {}", what.as_deref().unwrap_or("until the end of data"))
}

/// `no-fin: drops segments with FIN that come in at the server`
pub(super) fn rule(rule: &DropRule) -> String {
    let way = if rule.drops.way == Way::In { "come in" } else { "go out" };
    let what = if rule.drops.mask == TcpFlags::default() {
        "all segments".to_owned()
    } else if rule.drops.mask == rule.drops.value {
        format!("segments with {}", rule.drops.value)
    } else {
        rule.drops.value.to_string()
    };
    let mut words = format!("{}: drops {what} that {way} at the {}", rule.name, rule.host);
    words += &rule.drops.local_port.map_or_else(String::new, |port| format!(", its port {port}"));
    words += &rule
        .drops
        .remote_port
        .map_or_else(String::new, |port| format!(", the peer's port {port}"));
    words += &rule.drops.count.map_or_else(String::new, |count| format!(", at most {count}"));
    let seconds = |ns: u64| std::time::Duration::from_nanos(ns).as_secs_f64();
    words += &rule.drops.for_ns.map_or_else(String::new, |ns| format!(", for {} s", seconds(ns)));
    words + if rule.from_start { ", from the start" } else { "" }
}
