//! Finds impossible steps before anything runs, by following the hosts' sockets, processes and rules from step to step.

use std::collections::{BTreeMap, BTreeSet};

use super::{fields::TomlItem, source::FileError};
use crate::{
    host::Host,
    scenario::{Action, Call, CallKind, Condition, DropRule, Signal},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SocketStatus {
    /// Made, perhaps bound.
    Idle,
    Listening,
    /// It has called `connect()` or comes from `accept()`.
    Connection,
    Closed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ProcessStatus {
    #[default]
    Running,
    Stopped,
    Gone,
}

/// The state after the steps so far.
pub(super) struct StepOrder<'r> {
    rules: &'r [DropRule],
    set: BTreeSet<usize>,
    processes: BTreeMap<Host, ProcessStatus>,
    sockets: BTreeMap<(Host, String), SocketStatus>,
    called: BTreeSet<(Host, String, &'static str)>,
    /// The server waits for the client, to connect simultaneously.
    server_waits: bool,
}

type Impossible = (String, String);

impl<'r> StepOrder<'r> {
    pub(super) fn new(rules: &'r [DropRule]) -> Self {
        let from_start = |(slot, rule): (usize, &DropRule)| rule.from_start.then_some(slot);
        Self {
            rules,
            set: rules.iter().enumerate().filter_map(from_start).collect(),
            processes: BTreeMap::new(),
            sockets: BTreeMap::new(),
            called: BTreeSet::new(),
            server_waits: false,
        }
    }

    /// Applies the step; an error refers to the step's line.
    pub(super) fn check(&mut self, action: &Action, item: &TomlItem<'_>) -> Result<(), FileError> {
        let done = match action {
            Action::Call(host, call) => self.call(*host, call),
            Action::Signal(host, signal) => self.signal(*host, *signal),
            Action::SetRule(slot) => self.set_rule(*slot),
            Action::ReleaseRule(slot) => self.release_rule(*slot),
            Action::Wait { condition, .. } => self.wait(condition),
        };
        done.map_err(|(problem, fix)| item.error(problem, fix))
    }

    fn process(&self, host: Host) -> ProcessStatus {
        self.processes.get(&host).copied().unwrap_or_default()
    }

    fn call(&mut self, host: Host, call: &Call) -> Result<(), Impossible> {
        match self.process(host) {
            ProcessStatus::Running => {}
            ProcessStatus::Stopped => {
                let fix = format!("put `{{ {host} = \"continue\" }}` before it");
                return Err((format!("the {host} is stopped and calls nothing"), fix));
            }
            ProcessStatus::Gone => return Err(gone(host)),
        }
        let key = (host, call.socket.clone());
        let before = self.sockets.get(&key).copied();
        let after = after(before, &call.kind).map_err(|fix| {
            let now = match before {
                None => "is not there yet",
                Some(SocketStatus::Idle) => "is not connected",
                Some(SocketStatus::Listening) => "listens",
                Some(SocketStatus::Connection) => "is a connection already",
                Some(SocketStatus::Closed) => "is closed",
            };
            let problem = format!(
                "{}() is not possible: the {host}'s socket \"{}\" {now}",
                name(&call.kind),
                call.socket
            );
            (problem, fix.to_owned())
        })?;
        if let CallKind::Accept { listener } = &call.kind
            && self.sockets.get(&(host, listener.clone())) != Some(&SocketStatus::Listening)
        {
            let problem = format!(
                "accept() needs a socket that listens, and the {host}'s \"{listener}\" does not"
            );
            return Err((problem, format!("put `{{ {host} = \"listen\" }}` before it")));
        }
        if matches!(call.kind, CallKind::ConnectTogether { .. }) {
            let client_is_alone = host == Host::Client && !self.server_waits;
            if client_is_alone {
                let problem = "the server does not wait to connect together".to_owned();
                let fix = "put `{ server = \"connect\", together = true }` before it";
                return Err((problem, fix.to_owned()));
            }
            self.server_waits = host == Host::Server;
        }
        self.called.insert((host, call.socket.clone(), name(&call.kind)));
        if matches!(call.kind, CallKind::RecvThenClose { .. }) {
            self.called.insert((host, call.socket.clone(), name(&CallKind::Close)));
        }
        if call.kind == CallKind::Exit {
            self.processes.insert(host, ProcessStatus::Gone);
        } else {
            self.sockets.insert(key, after);
        }
        Ok(())
    }

    fn signal(&mut self, host: Host, signal: Signal) -> Result<(), Impossible> {
        let after = match (self.process(host), signal) {
            (ProcessStatus::Gone, _) => return Err(gone(host)),
            (ProcessStatus::Running, Signal::Stop) => ProcessStatus::Stopped,
            (ProcessStatus::Stopped, Signal::Continue) => ProcessStatus::Running,
            (_, Signal::Kill) => ProcessStatus::Gone,
            (ProcessStatus::Stopped, Signal::Stop) => {
                return Err((format!("the {host} is stopped already"), "leave it out".into()));
            }
            (ProcessStatus::Running, Signal::Continue) => {
                let fix = format!("put `{{ {host} = \"stop\" }}` before it");
                return Err((format!("the {host} is not stopped"), fix));
            }
        };
        self.processes.insert(host, after);
        Ok(())
    }

    fn rule_name(&self, slot: usize) -> &str {
        self.rules.get(slot).map_or("", |rule| rule.name.as_str())
    }

    fn set_rule(&mut self, slot: usize) -> Result<(), Impossible> {
        if self.set.insert(slot) {
            return Ok(());
        }
        let problem = format!("the rule \"{}\" is set already", self.rule_name(slot));
        Err((problem, "leave it out, or take `from_start` from the rule".into()))
    }

    fn release_rule(&mut self, slot: usize) -> Result<(), Impossible> {
        if self.set.remove(&slot) {
            return Ok(());
        }
        let name = self.rule_name(slot);
        let fix = format!("put `{{ set = \"{name}\" }}` before it");
        Err((format!("the rule \"{name}\" is not set"), fix))
    }

    fn wait(&self, condition: &Condition) -> Result<(), Impossible> {
        match condition {
            Condition::Returned { host, socket, call }
                if !self.called.iter().any(|(where_, on, name)| {
                    (where_, on.as_str(), *name) == (host, socket.as_str(), call.as_str())
                }) =>
            {
                let problem = format!("the {host} has not called {call}() on \"{socket}\" before");
                Err((problem, format!("put `{{ {host} = \"{call}\" }}` before it")))
            }
            Condition::Dropped { rule, .. } if !self.set.contains(rule) => {
                let name = self.rule_name(*rule);
                let fix = format!("put `{{ set = \"{name}\" }}` before it");
                Err((format!("the rule \"{name}\" is not set and drops nothing"), fix))
            }
            _ => Ok(()),
        }
    }
}

fn gone(host: Host) -> Impossible {
    (format!("the {host}'s process has ended"), "put the step before that".into())
}

/// The socket's state after a call, or what to do if the call is not possible.
fn after(before: Option<SocketStatus>, kind: &CallKind) -> Result<SocketStatus, &'static str> {
    use SocketStatus::{Closed, Connection, Idle, Listening};
    let new_name = "give the new socket a name of its own by `socket`";
    let on_connection = matches!(
        kind,
        CallKind::Send { .. }
            | CallKind::Recv { .. }
            | CallKind::RecvThenClose { .. }
            | CallKind::Shutdown(_)
    );
    match (kind, before) {
        (CallKind::Exit, _) => Ok(before.unwrap_or(Closed)),
        (CallKind::Socket, None | Some(Closed)) | (CallKind::Bind { .. }, Some(Idle)) => Ok(Idle),
        (CallKind::SetOption { .. }, Some(open @ (Idle | Listening | Connection))) => Ok(open),
        (CallKind::SetOption { .. } | CallKind::Bind { .. }, None | Some(Closed)) => {
            Err("put a `socket` for it before it")
        }
        (CallKind::Listen { .. }, None | Some(Idle | Listening | Closed)) => Ok(Listening),
        (
            CallKind::Connect { .. } | CallKind::ConnectTogether { .. } | CallKind::FastOpen { .. },
            None | Some(Idle | Closed),
        )
        | (CallKind::Accept { .. }, None | Some(Closed)) => Ok(Connection),
        (CallKind::RecvThenClose { .. }, Some(Connection)) => Ok(Closed),
        (_, Some(Connection)) if on_connection => Ok(Connection),
        _ if on_connection => Err("put a `connect` or an `accept` for this socket before it"),
        (CallKind::Close | CallKind::Reset, Some(Idle | Listening | Connection)) => Ok(Closed),
        (CallKind::Close | CallKind::Reset, _) => {
            Err("name by `socket` one that is open; the usual name of a listener is \"listener\"")
        }
        _ => Err(new_name),
    }
}

const fn name(kind: &CallKind) -> &'static str {
    match kind {
        CallKind::Socket => "socket",
        CallKind::SetOption { .. } => "setsockopt",
        CallKind::Bind { .. } => "bind",
        CallKind::Listen { .. } => "listen",
        CallKind::Connect { .. } | CallKind::ConnectTogether { .. } => "connect",
        CallKind::FastOpen { .. } => "sendto",
        CallKind::Accept { .. } => "accept",
        CallKind::Send { .. } => "send",
        CallKind::Recv { .. } | CallKind::RecvThenClose { .. } => "recv",
        CallKind::Shutdown(_) => "shutdown",
        CallKind::Close | CallKind::Reset => "close",
        CallKind::Exit => "exit",
    }
}
