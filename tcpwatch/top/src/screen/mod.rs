//! What is shown, and what keys do to it. Pure: a run, keys and a moment go into cells.

mod choices;
mod findings;
mod origin;
mod pause;
mod prompt;
mod selection;
mod view;
mod wish;

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent};
use tcpwatch_core::{
    event::{KernelTime, Netns},
    facts::HostFacts,
    timing::Sysctls,
};
use tcpwatch_stream::batch::Item;

use self::selection::Reveal;
pub use self::{
    origin::{AskSysctls, Explain, Origin, Theme},
    pause::{Model, Paused},
    prompt::{Prompt, PromptKind},
    wish::{ReplayProgress, ReplayStep, Wish},
};
use crate::{
    copies::CopyOffer,
    findings::Findings,
    future::FutureRules,
    keys::{self, KeyAction},
    measured::Measured,
    order::Rank,
    row::RowId,
    sockets::Sockets,
};

/// Rows that are judged by a new filter at once: about 2 ms.
pub const SLICE: usize = 4096;

/// Namespaces whose sysctls are remembered.
const MAX_NAMESPACES: usize = 1024;

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreenPage {
    /// Sockets.
    Table,
    /// The life of one.
    Life,
    /// Owners.
    Owners,
    /// A finding.
    Finding,
    /// The owner of one.
    Owner,
    /// Keys and words.
    Help,
    /// What can be copied.
    Copies,
}

impl ScreenPage {
    /// Lines that can be scrolled.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Help | Self::Finding | Self::Owner)
    }
}

/// All that is shown.
pub struct Screen {
    live: Model,
    /// The view was stopped.
    pub paused: Option<Paused>,
    /// What fills the screen.
    pub page: ScreenPage,
    /// The selected socket.
    pub selected: Option<RowId>,
    /// The place where the page of the table begins; `None` is the top.
    top: Option<Rank>,
    /// The selected socket stays in sight.
    pub follow: bool,
    reveal: Option<Reveal>,
    /// The rows of the last page.
    rows: Vec<RowId>,
    /// How many there was room for.
    room: usize,
    /// The selected owner, counted from the first.
    pub owner: usize,
    /// What is wrong.
    pub findings: Findings,
    judged: bool,
    /// Lines of the help, or of a finding, above the first that is shown.
    pub scrolled: usize,
    /// The line that is being typed.
    pub prompt: Option<Prompt>,
    /// The filter line as it was understood last.
    pub filter: String,
    /// The owner that is shown, in words: what, and its text.
    pub owner_lines: Vec<(&'static str, String)>,
    /// The mouse is taken.
    pub mouse: bool,
    /// The row of the terminal at which the table's first row stands.
    pub first_row: u16,
    /// What the kernel said of the rows of the page.
    pub measured: HashMap<RowId, Measured>,
    /// What can be copied.
    pub offers: Vec<CopyOffer>,
    /// Something to be said until the next key.
    pub message: Option<String>,
    /// Of a recording.
    pub progress: ReplayProgress,
    /// How it looks.
    pub theme: Theme,
    /// Where it comes from.
    pub origin: Origin,
    sysctls: HashMap<Netns, Option<Sysctls>>,
    touched: Vec<RowId>,
}

impl Screen {
    /// An empty one.
    #[must_use]
    pub fn new(origin: Origin, theme: Theme) -> Self {
        Self {
            live: Model::default(),
            paused: None,
            page: ScreenPage::Table,
            selected: None,
            top: None,
            follow: false,
            reveal: None,
            rows: Vec::new(),
            room: 1,
            owner: 0,
            findings: Findings::default(),
            judged: false,
            scrolled: 0,
            prompt: None,
            filter: String::new(),
            owner_lines: Vec::new(),
            mouse: false,
            first_row: 0,
            measured: HashMap::new(),
            offers: Vec::new(),
            message: None,
            progress: ReplayProgress::default(),
            theme,
            origin,
            sysctls: HashMap::new(),
            touched: Vec::new(),
        }
    }

    /// Takes in what a run yields. The order follows with [`Self::pass`], once for all that happened to a row.
    pub fn apply(&mut self, item: &Item) {
        self.live.sockets.apply(item, &mut self.touched);
    }

    /// Time has passed.
    pub fn pass(&mut self, now: KernelTime) {
        let Model { sockets, order } = &mut self.live;
        sockets.pass(now, self.selected, &mut self.touched);
        self.touched.sort_unstable();
        self.touched.dedup();
        for id in self.touched.drain(..) {
            order.update(sockets, id);
        }
        order.pass(sockets);
    }

    /// Goes on with what takes more than a moment; returns whether that is done.
    pub fn go_on(&mut self) -> bool {
        let Model { sockets, order } = &mut self.live;
        order.go_on(sockets, SLICE)
    }

    /// Takes in a look at the kernel.
    pub fn facts(&mut self, facts: &HostFacts) {
        self.live.sockets.facts(facts, &mut self.touched);
    }

    /// Begins anew with these sockets.
    pub fn restore(&mut self, sockets: Sockets) {
        self.live.sockets = sockets;
        self.live.order.begin(&self.live.sockets);
        while !self.go_on() {}
    }

    /// By which rules the sockets of a namespace wait.
    pub fn rules(&mut self, netns: Netns) -> FutureRules<'_> {
        if self.sysctls.len() >= MAX_NAMESPACES {
            self.sysctls.clear();
        }
        let ask = &mut self.origin.sysctls;
        let sysctls = self.sysctls.entry(netns).or_insert_with(|| ask(netns));
        FutureRules { sysctls: sysctls.as_ref(), rate: self.origin.rate }
    }

    /// A key was pressed.
    pub fn press(&mut self, event: &KeyEvent) -> Option<Wish> {
        self.message = None;
        if self.prompt.is_some() {
            return self.type_in(event);
        }
        if self.page == ScreenPage::Copies
            && let KeyCode::Char(key @ '1'..='9') = event.code
        {
            return self.choose_copy(key);
        }
        let recording = self.origin.recording;
        let binding = keys::binding(event, recording)?;
        self.act(binding.action)
    }

    fn act(&mut self, action: KeyAction) -> Option<Wish> {
        match action {
            KeyAction::Quit => return Some(Wish::Quit { keep: false }),
            KeyAction::QuitKeeping => return Some(Wish::Quit { keep: true }),
            KeyAction::Suspend => return Some(Wish::Suspend),
            KeyAction::Redraw => return Some(Wish::Redraw),
            action if self.origin.recording && action.step().is_some() => {
                return action.step().map(Wish::Step);
            }
            KeyAction::Forward | KeyAction::Backward | KeyAction::Later | KeyAction::Earlier => {}
            KeyAction::Pause => self.pause(),
            KeyAction::Up => self.step_by(1, Reveal::Above),
            KeyAction::Down => self.step_by(1, Reveal::Below),
            KeyAction::PageUp => self.step_by(self.room, Reveal::Above),
            KeyAction::PageDown => self.step_by(self.room, Reveal::Below),
            KeyAction::First => self.edge(Reveal::Above),
            KeyAction::Last => self.edge(Reveal::Below),
            KeyAction::Life if self.page == ScreenPage::Owners => self.filter_by_owner(),
            KeyAction::Life => self.turn(ScreenPage::Life),
            KeyAction::Owners => self.turn(ScreenPage::Owners),
            KeyAction::OnlyFindings => {
                self.findings.only = !self.findings.only;
                self.only_findings();
                self.top = None;
            }
            KeyAction::NextFinding => self.turn_findings(true),
            KeyAction::LastFinding => self.turn_findings(false),
            KeyAction::Finding => {
                self.scrolled = 0;
                self.turn(ScreenPage::Finding);
            }
            KeyAction::Help => self.turn(ScreenPage::Help),
            KeyAction::Back => self.page = ScreenPage::Table,
            KeyAction::Copy => self.offer_copies(),
            KeyAction::Owner => self.show_owner(),
            KeyAction::Write => self.ask(PromptKind::File, "sockets.txt".to_owned()),
            KeyAction::Mouse => return Some(self.turn_mouse()),
            KeyAction::Filter => self.ask(PromptKind::Filter, self.filter.clone()),
            KeyAction::Moment => self.ask(PromptKind::Moment, String::new()),
            KeyAction::Sort => {
                let by = self.live.order.by().next();
                self.each_order(|order, sockets| order.sort(by, sockets));
            }
            KeyAction::Reverse => self.each_order(|order, _| order.reversed = !order.reversed),
            KeyAction::Follow => self.follow = !self.follow,
        }
        None
    }

    fn turn_mouse(&mut self) -> Wish {
        self.mouse = !self.mouse;
        let words = if self.mouse {
            "the mouse scrolls and selects rows; m leaves it to the terminal"
        } else {
            "the mouse is the terminal's"
        };
        self.message = Some(words.to_owned());
        Wish::Mouse(self.mouse)
    }

    /// Shows a page, or the table again if it is there.
    fn turn(&mut self, page: ScreenPage) {
        self.page = if self.page == page { ScreenPage::Table } else { page };
    }
}
