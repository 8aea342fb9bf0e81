//! The steps of a scenario in the order of time, with waits for what happens by itself between them.

use std::{collections::BTreeMap, time::Duration};

use tcpwatch_core::{
    event::{KernelTime, TcpState},
    timing::Sysctls,
};

use super::{
    RecordedRun,
    life::{Conversation, EndLife},
};
use crate::host::Host;

/// A tick of the kernel at the lowest rate (100 Hz).
const TICK: Duration = Duration::from_millis(10);

/// The order of steps at the same moment; a change of state is in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ScriptPhase {
    /// Rules are set and sockets prepared.
    Before,
    /// The call that causes the change of this moment.
    Call,
    /// A state is entered.
    Entered,
    /// What waits for the change.
    After,
    /// Rules are removed.
    Release,
}

/// A step, or a state that is entered.
#[derive(Debug)]
struct ScriptItem {
    at: KernelTime,
    phase: ScriptPhase,
    what: ItemKind,
}

#[derive(Debug)]
enum ItemKind {
    /// Lines of `steps`.
    Lines(Vec<String>),
    /// A state of an end of a conversation, by its index.
    State(Host, usize, TcpState),
}

/// A drop rule and what it is for.
#[derive(Debug)]
pub(super) struct ScriptRule {
    pub(super) name: String,
    pub(super) on: Host,
    /// `in` or `out`.
    pub(super) way: &'static str,
    /// Other keys of the rule, a line each.
    pub(super) matches: &'static [&'static str],
    pub(super) set: KernelTime,
    /// When it is removed, and the step that waits for the moment; `None` if it stays.
    pub(super) released: Option<(KernelTime, String)>,
}

/// A value of a sysctl, and how it is known if the recording does not have it.
#[derive(Clone, Debug)]
pub(super) struct ScriptSysctl {
    pub(super) value: u64,
    pub(super) guess: Option<String>,
}

/// What the scenario is made of.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) conversations: &'a [&'a Conversation<'a>],
    items: Vec<ScriptItem>,
    pub(super) rules: Vec<ScriptRule>,
    pub(super) guesses: Vec<String>,
    pub(super) left_out: Vec<String>,
    pub(super) sysctls: BTreeMap<(Host, &'static str), ScriptSysctl>,
    /// From here on nothing can be made.
    cut: Option<KernelTime>,
}

impl<'a> Script<'a> {
    pub(super) fn new(
        recorded: &RecordedRun<'_>,
        conversations: &'a [&'a Conversation<'a>],
    ) -> Self {
        let mut script = Self {
            conversations,
            items: Vec::new(),
            rules: Vec::new(),
            guesses: Vec::new(),
            left_out: Vec::new(),
            sysctls: BTreeMap::new(),
            cut: None,
        };
        script.note_gaps(recorded.lost);
        for host in Host::ALL {
            if host == Host::Client && conversations.iter().all(|it| it.listener.is_some()) {
                continue;
            }
            let lives = || conversations.iter().flat_map(|it| it.ends());
            let mut lives = lives().filter(|(role, _)| *role == host);
            let known = lives.find_map(|(_, life)| recorded.sysctls.get(&life.netns));
            match known {
                Some(sysctls) => script.copy_sysctls(host, sysctls),
                None => script.guess(&format!(
                    "the sysctls of the {host} are not in the recording; this kernel's defaults count"
                )),
            }
        }
        script
    }

    /// What the recording does not have although it happened.
    fn note_gaps(&mut self, lost: u64) {
        if lost > 0 {
            self.guess(&format!(
                "lost records of the recording: {lost}; it is assumed that nothing of these connections was among them"
            ));
        }
        let changes = || {
            let ends = self.conversations.iter().flat_map(|it| it.ends());
            ends.flat_map(|(_, life)| &life.changes)
        };
        let inferred = changes().filter(|change| change.inferred).count();
        if inferred > 0 {
            self.guess(&format!(
                "changes of state that were not recorded and follow from the others: {inferred}"
            ));
        }
    }

    fn copy_sysctls(&mut self, host: Host, sysctls: &Sysctls) {
        let usual = Sysctls::default();
        for name in Sysctls::NAMES {
            let Some(value) = sysctls.by_name(name) else { continue };
            // Older kernels lack some, and behave as with these.
            if Some(value) != usual.by_name(name) || name == "tcp_syn_linear_timeouts" {
                self.sysctls.insert((host, name), ScriptSysctl { value, guess: None });
            }
        }
    }

    /// A sysctl that the recording does not have, unless it is known.
    pub(super) fn assume_sysctl(&mut self, host: Host, name: &'static str, value: u64, why: &str) {
        let guess = Some(why.to_owned());
        self.sysctls.entry((host, name)).or_insert(ScriptSysctl { value, guess });
    }

    pub(super) fn guess(&mut self, what: &str) {
        if !self.guesses.iter().any(|known| known == what) {
            self.guesses.push(what.to_owned());
        }
    }

    /// Nothing after this moment can be made.
    pub(super) fn leave_out(&mut self, at: KernelTime, what: String) {
        if self.cut.is_none_or(|cut| at < cut) {
            self.cut = Some(at);
            self.left_out = vec![what];
        }
    }

    /// Whether the scenario ends before the recording.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    pub(super) fn is_left_out(&self, at: KernelTime) -> bool {
        self.cut.is_some_and(|cut| at >= cut)
    }

    pub(super) fn add(&mut self, at: KernelTime, phase: ScriptPhase, lines: Vec<String>) {
        self.items.push(ScriptItem { at, phase, what: ItemKind::Lines(lines) });
    }

    /// A call of a conversation's end.
    pub(super) fn call(&mut self, at: KernelTime, host: Host, index: usize, call: &str) {
        let line = self.step(host, index, call, "");
        self.add(at, ScriptPhase::Call, vec![line]);
    }

    /// The step `{ client = "close" }`, with the socket's name and more keys.
    pub(super) fn step(&self, host: Host, index: usize, call: &str, keys: &str) -> String {
        format!("{{ {host} = \"{call}\"{}{keys} }}", self.socket(index))
    }

    /// The step that waits for a call to return.
    pub(super) fn returned(&self, host: Host, index: usize, call: &str, keys: &str) -> String {
        format!("{{ wait = \"{host}\", returned = \"{call}\"{}{keys} }}", self.socket(index))
    }

    /// The key that names the socket, where there are several.
    fn socket(&self, index: usize) -> String {
        if self.conversations.len() > 1 {
            format!(", socket = \"c{}\"", index + 1)
        } else {
            String::new()
        }
    }

    /// The recorded changes of an end that the scenario makes.
    pub(super) fn chain(&self, life: &EndLife<'_>) -> Vec<TcpState> {
        let mut chain = match life.first() {
            // Opened before the recording began.
            Some(TcpState::Established) if life.cookie.is_some() => Vec::new(),
            first => first.into_iter().collect(),
        };
        let kept = life.changes.iter().filter(|change| !self.is_left_out(change.at));
        chain.extend(kept.filter(|change| change.from != change.to).map(|change| change.to));
        chain
    }

    /// All lines of `steps`.
    pub(super) fn lines(&mut self) -> Vec<String> {
        self.add_states();
        self.add_rules();
        let cut = self.cut.unwrap_or(KernelTime(u64::MAX));
        self.items.retain(|item| item.at < cut);
        self.items.sort_by_key(|item| (item.at, item.phase));
        let mut lines = Vec::new();
        let mut since = self.items.first().map_or(KernelTime(0), |item| item.at);
        // The latest state of each end since the last step.
        let mut entered: Vec<((Host, usize), TcpState, KernelTime)> = Vec::new();
        for item in &self.items {
            match &item.what {
                ItemKind::State(host, index, state) => {
                    entered.retain(|(end, ..)| *end != (*host, *index));
                    entered.push(((*host, *index), *state, item.at));
                }
                ItemKind::Lines(step) => {
                    waits(&mut lines, &entered, since);
                    entered.clear();
                    since = item.at;
                    lines.extend(step.iter().cloned());
                }
            }
        }
        waits(&mut lines, &entered, since);
        lines
    }

    fn add_states(&mut self) {
        for (index, conversation) in self.conversations.iter().enumerate() {
            for (host, life) in conversation.ends() {
                for change in life.changes.iter().filter(|change| change.from != change.to) {
                    let what = ItemKind::State(host, index, change.to);
                    // What sock_diag was asked for is exact to a tick, and may seem to come before its cause.
                    let at = if change.asked { change.at.after(TICK) } else { change.at };
                    self.items.push(ScriptItem { at, phase: ScriptPhase::Entered, what });
                }
            }
        }
    }

    fn add_rules(&mut self) {
        let mut items = Vec::new();
        for rule in &self.rules {
            let name = &rule.name;
            let set = ItemKind::Lines(vec![format!("{{ set = \"{name}\" }}")]);
            items.push(ScriptItem { at: rule.set, phase: ScriptPhase::Before, what: set });
            if let Some((at, wait)) = &rule.released {
                let lines = vec![wait.clone(), format!("{{ release = \"{name}\" }}")];
                let what = ItemKind::Lines(lines);
                items.push(ScriptItem { at: *at, phase: ScriptPhase::Release, what });
            }
        }
        // Before the other steps of the same moment.
        items.append(&mut self.items);
        self.items = items;
    }
}

/// Waits for the states that ends have entered since the last step.
fn waits(
    lines: &mut Vec<String>,
    entered: &[((Host, usize), TcpState, KernelTime)],
    since: KernelTime,
) {
    for ((host, _), state, at) in entered {
        let within = within(since, *at);
        let line = format!("{{ wait = \"{host}\", state = \"{state}\"{within} }}");
        if !lines.ends_with(std::slice::from_ref(&line)) {
            lines.push(line);
        }
    }
}

/// The key that says how long a wait takes, if that is a second or more.
pub(super) fn within(since: KernelTime, at: KernelTime) -> String {
    let time = at.since(since).as_millis();
    if time < 1000 { String::new() } else { format!(", within = \"{time}ms\"") }
}
