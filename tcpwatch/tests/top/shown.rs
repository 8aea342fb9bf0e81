//! A recording on a screen of some size, keys, and what is shown then.

use std::{fs::File, io::BufReader, path::Path};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_core::{buffer::Buffer, layout::Rect};
use tcpwatch::cli::{
    args::{Cli, Command},
    filter_words,
};
use tcpwatch_kernel::{probe::Filters, source::recording::Recording};
use tcpwatch_stream::{plan::Plan, replay::Replay};
use tcpwatch_top::{
    draw::{draw, text_of},
    screen::{Origin, Screen, Theme, Wish},
    timeline::Timeline,
};
use tcpwatch_view::time_of_day::TimeOfDay;

/// A recording that is being looked at.
pub(super) struct Shown {
    pub(super) screen: Screen,
    pub(super) timeline: Timeline,
    pub(super) size: (u16, u16),
}

/// Plain letters and colours.
pub(super) const COLORED: Theme = Theme { color: true, ascii: false };

impl Shown {
    /// At its beginning.
    pub(super) fn open(recording: &str, size: (u16, u16), theme: Theme) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(recording);
        let file = BufReader::new(File::open(&path).expect("the recording exists"));
        let recording = Recording::open(file).expect("a recording");
        let origin = Origin {
            filters: "sockets".to_owned(),
            recording: true,
            clock: recording.header.clock,
            times: TimeOfDay::utc(),
            rate: recording.header.reliance.rate,
            sysctls: Box::new(|_| None),
            words: filter_words::read,
            passes: None,
            ancestry: Box::new(|_, _| tcpwatch_kernel::source::ancestry::Ancestry::default()),
            explain: Box::new(|finding, _, _| finding.kind.advice().what.to_owned()),
        };
        let plan = Plan { existing: true, waits: true, ..Plan::of(Filters::default()) };
        let mut screen = Screen::new(origin, theme);
        let mut timeline = Timeline::default();
        let mut replay = Replay::open(&plan, recording);
        while let Some(batch) = replay.next_batch().expect("it can be replayed") {
            for item in batch.items {
                assert!(timeline.push(item.clone()), "the recording is short");
            }
            batch.facts.iter().for_each(|facts| timeline.push_facts(facts.clone()));
        }
        let sysctls = replay.sysctls();
        screen.origin.sysctls = Box::new(move |netns| sysctls.get(&netns).copied());
        timeline.judge(None);
        timeline.begin(&mut screen);
        Self { screen, timeline, size }
    }

    /// Presses a key as `session` does; returns whether it goes on.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        match self.screen.press(&key) {
            Some(Wish::Quit { .. }) => return false,
            Some(Wish::Step(step)) => self.timeline.step(step, &mut self.screen),
            Some(
                Wish::Suspend | Wish::Redraw | Wish::Copy(_) | Wish::Write(_) | Wish::Mouse(_),
            )
            | None => {}
        }
        // What is in sight decides where a move begins.
        self.draw();
        true
    }

    /// Presses the keys of a line: names, or letters between quotes.
    pub(super) fn type_in(&mut self, keys: &str) {
        for word in keys.split(' ').filter(|word| !word.is_empty()) {
            if let Some(text) = word.strip_prefix('"') {
                for letter in text.trim_end_matches('"').chars() {
                    assert!(self.press(key(KeyCode::Char(letter))));
                }
                continue;
            }
            let (count, name) = word.split_once('*').unwrap_or(("1", word));
            for _ in 0..count.parse::<u32>().expect("a number of times") {
                assert!(self.press(named(name)), "{name}");
            }
        }
    }

    /// What is in the cells.
    pub(super) fn draw(&mut self) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, self.size.0, self.size.1));
        draw(&mut self.screen, &mut buffer);
        buffer
    }

    /// As text.
    pub(super) fn text(&mut self) -> String {
        text_of(&self.draw())
    }
}

pub(super) const fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn named(name: &str) -> KeyEvent {
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "PgDn" => KeyCode::PageDown,
        "PgUp" => KeyCode::PageUp,
        "Space" => KeyCode::Char(' '),
        letter => KeyCode::Char(letter.chars().next().expect("a letter")),
    };
    key(code)
}

#[test]
fn the_command_line_takes_a_recording_and_no_recording_of_a_recording() {
    use clap::Parser as _;
    let cli = Cli::try_parse_from(["tcpwatch", "top", "--replay", "x", "--state", "LISTEN"]);
    let Some(Command::Top(args)) = cli.expect("it is understood").command else {
        panic!("another command")
    };
    assert_eq!(args.replay.as_deref(), Some(Path::new("x")));
    let both = Cli::try_parse_from(["tcpwatch", "top", "--replay", "x", "--record", "y"]);
    assert!(both.is_err(), "a recording of a recording");
}
