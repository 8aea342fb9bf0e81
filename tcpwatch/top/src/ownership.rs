//! Whose a socket is, in words: the process and how it is known, its unit and that unit's file, its container, its
//! parents.

use tcpwatch_core::{place::CgroupPlace, track::Subject};
use tcpwatch_kernel::source::ancestry::Ancestry;

/// What, and its text.
pub type OwnerLine = (&'static str, String);

/// All that is known. Text of others is as it is.
#[must_use]
pub fn lines(
    subject: &Subject,
    place: Option<&CgroupPlace>,
    ancestry: &Ancestry,
) -> Vec<OwnerLine> {
    let mut lines = vec![("owner", owner(subject))];
    if let Some(place) = place {
        let file = ancestry.unit_file.as_ref().map(|file| file.display().to_string());
        let container = place.container.as_ref();
        let name = container.and_then(|container| container.name.as_deref());
        let parts = [
            ("unit", place.unit.as_deref().map(str::to_owned)),
            ("its file", file),
            ("container", container.map(|container| container.id.to_string())),
            ("its name", name.map(str::to_owned)),
            ("pod", place.pod.as_deref().map(str::to_owned)),
            ("cgroup", Some(String::from_utf8_lossy(&place.path).into_owned())),
        ];
        lines.extend(parts.into_iter().filter_map(|(what, text)| Some((what, text?))));
    }
    lines.push(("namespace", format!("network namespace {}", subject.netns.0)));
    lines.extend(ancestry.line.iter().enumerate().map(|(generation, process)| {
        let command = if process.command.is_empty() { &process.name } else { &process.command };
        let what = if generation == 0 { "process" } else { "parent" };
        (what, format!("{:>7} {command}", process.pid))
    }));
    if ancestry.line.is_empty() && subject.process.is_some() {
        lines
            .push(("process", "its parents are not known: it has ended, or is not of here".into()));
    }
    lines
}

fn owner(subject: &Subject) -> String {
    let Some(process) = subject.process else { return "not known".to_owned() };
    let pid = process.pid.map_or_else(String::new, |pid| format!(" {pid}"));
    let uid = process.uid.map_or_else(String::new, |uid| format!(", uid {uid}"));
    let thread = process.thread.map_or_else(String::new, |name| format!(", thread {name}"));
    let via = process.via.word();
    let guess = if subject.inherited { " of its listener, a guess" } else { "" };
    format!("{}{pid}{uid}{thread}, known by {via}{guess}", process.comm)
}
