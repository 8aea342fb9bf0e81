//! Describes the laboratory's scenarios without running them: `lab list`, `lab show`, `lab format`.

mod expected;
mod steps;

use std::{fmt::Write as _, time::Duration};

use tcpwatch_view::terminal::style;

use super::{
    catalog::{self, BuiltIn},
    expect::allowed,
    host::Host,
    scenario::{Choices, Scenario},
    show::{TerminalLayout, wrapped},
    story::Profile,
};

/// The documentation of the scenario format.
pub const FORMAT: &str = include_str!("../scenarios/README.md");

/// Maximal width of the text of `lab show`, in columns, however wide the terminal is.
const WIDTH: usize = 100;

/// Every built-in scenario with its duration in each profile.
#[must_use]
pub fn list(choices: &Choices, color: bool) -> String {
    let mut text = String::new();
    heading(&mut text, &row("NAME", "QUICK", "FULL", "WHAT"), color);
    for built_in in catalog::all() {
        let takes = |profile| takes(built_in, profile, choices);
        let title = built_in.read(choices).map(|scenario| scenario.title).unwrap_or_default();
        text += &row(built_in.name, &takes(Profile::Quick), &takes(Profile::Full), &title);
        text.push('\n');
    }
    text
}

fn row(name: &str, quick: &str, full: &str, what: &str) -> String {
    let row = format!("{name:<26} {quick:>8} {full:>8}   {what}");
    row.trim_end().to_owned()
}

fn takes(built_in: &BuiltIn, profile: Profile, choices: &Choices) -> String {
    let scenario = built_in.read(&Choices { profile, ..choices.clone() });
    match scenario.map(|scenario| scenario.takes) {
        Ok(takes) if takes < Duration::from_secs(1) => "< 1 s".to_owned(),
        Ok(takes) => format!("{:.1} s", takes.as_secs_f64()),
        Err(_) => "?".to_owned(),
    }
}

/// A scenario: the claim, what it teaches, the commands by hand, its steps, and what is expected with the sysctls of
/// `choices`. Prose is wrapped at the layout's width, at most at 100 columns.
#[must_use]
pub fn show(scenario: &Scenario, choices: &Choices, layout: TerminalLayout) -> String {
    let TerminalLayout { color, width } = layout;
    let width = width.min(WIDTH);
    let mut text = String::new();
    heading(&mut text, &format!("{} \u{b7} {}", scenario.name, scenario.title), color);
    paragraph(&mut text, &scenario.claim, width);
    if !scenario.teaches.is_empty() {
        text.push('\n');
        paragraph(&mut text, &scenario.teaches, width);
    }
    let by_hand = scenario.by_hand.iter().cloned();
    section(&mut text, "By hand", by_hand, color);
    section(&mut text, "Sysctls", sysctls(scenario), color);
    section(&mut text, "Rules", scenario.rules.iter().map(steps::rule), color);
    let steps = scenario.steps.iter().map(|step| steps::step(step, &scenario.rules));
    section(&mut text, "Steps", steps, color);
    let expected = scenario.expect.iter().map(|expect| expected::line(expect, scenario, choices));
    section(&mut text, "Expected on this kernel", expected, color);
    let _written = write!(text, "\nsudo tcpwatch lab run {}", scenario.word);
    if !scenario.takes.is_zero() {
        let _written = write!(text, "   takes {}", allowed::round(scenario.takes));
    }
    text.push('\n');
    text
}

fn sysctls(scenario: &Scenario) -> impl Iterator<Item = String> {
    Host::ALL.into_iter().flat_map(|host| {
        let pinned = scenario.sysctls.get(&host).into_iter().flatten();
        pinned.map(move |(name, value)| format!("{host:<7} {name} = {value}"))
    })
}

/// Appends a titled section; nothing if it has no lines.
fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>, color: bool) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    text.push('\n');
    heading(text, title, color);
    for line in lines {
        *text += format!("    {line}").trim_end();
        text.push('\n');
    }
}

fn heading(text: &mut String, line: &str, color: bool) {
    let mut painted = Vec::new();
    style::paint(style::PLAIN.bold(), line.as_bytes(), color, &mut painted);
    *text += &String::from_utf8_lossy(&painted);
    text.push('\n');
}

/// Appends the text in lines of at most `width` columns.
fn paragraph(text: &mut String, words: &str, width: usize) {
    for line in wrapped(words, width) {
        text.push_str(&line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, profile: Profile) -> String {
        let choices = Choices { profile, ..Choices::default() };
        let layout = TerminalLayout { color: false, width: TerminalLayout::USUAL_WIDTH };
        show(&catalog::find(name).unwrap().read(&choices).unwrap(), &choices, layout)
    }

    #[test]
    fn a_scenario_is_told_with_its_claim_recipe_steps_and_times() {
        let text = shown("fin-wait-2", Profile::Full);
        for part in [
            "fin-wait-2 \u{b7} the peer never closes\nA closed socket whose peer does not close",
            "By hand\n    [root@server ~]# nc -kl 11111\n",
            "Sysctls\n    client  tcp_fin_timeout = 60\n",
            "server  listen() on port 11111, backlog 16\n",
            "server  SIGSTOP (by hand Ctrl+Z)\n",
            "wait    until the client is in FIN_WAIT_2\n",
            "client  FIN_WAIT_2: lasts 60 s, at most 62.05 s (timer wheel 2.05 s); by timer; then CLOSED\n",
            "server  CLOSE_WAIT: lasts to the end\n",
            "sudo tcpwatch lab run fin-wait-2   takes 60 s\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    #[test]
    fn a_schedule_is_told_attempt_by_attempt() {
        let text = shown("syn-retries", Profile::Full);
        assert!(text.contains("after 1, 2, 4, 8, 16, 32 s, given up 64 s later"), "{text}");
        assert!(text.contains("drops SYN that come in at the server, from the start"), "{text}");
    }

    #[test]
    fn every_scenario_is_listed_and_shown() {
        let list = list(&Choices::default(), false);
        for built_in in catalog::all() {
            assert!(list.contains(built_in.name), "{list}");
            let text = shown(built_in.name, Profile::Quick);
            assert!(text.lines().count() > 10, "{text}");
            assert!(!text.contains("\u{1b}["));
        }
        assert!(
            list.contains("time-wait                     < 1 s   60.0 s   sixty seconds\n"),
            "{list}"
        );
    }

    #[test]
    fn the_format_names_every_word_that_expressions_know() {
        use crate::scenario::expression::{FUNCTIONS, NAMES};
        for word in NAMES.iter().chain(&FUNCTIONS) {
            assert!(
                FORMAT.contains(&format!("`{word}")) || FORMAT.contains(&format!("{word}(")),
                "{word}"
            );
        }
        for reason in tcpwatch_core::track::Reason::ALL {
            let is_told = FORMAT.contains(&format!("`{}`", reason.word()));
            assert!(is_told || matches!(reason.word(), "unknown" | "netns_gone"), "{reason:?}");
        }
    }

    #[test]
    fn the_example_of_the_format_can_be_read() {
        let example: Vec<_> = FORMAT
            .lines()
            .skip_while(|line| !line.starts_with("    title"))
            .take_while(|line| line.is_empty() || line.starts_with("    "))
            .map(str::trim_start)
            .collect();
        let example = example.join("\n");
        let scenario = crate::scenario::read("example.toml", &example, &Choices::default());
        assert_eq!(scenario.unwrap_or_else(|error| panic!("{error}")).rules.len(), 1);
    }
}
