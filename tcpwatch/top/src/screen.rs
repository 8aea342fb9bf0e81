//! What is shown, and what keys do to it. Pure: a run, keys and a moment go into cells.

use std::{collections::HashMap, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tcpwatch_core::{
    event::{KernelTime, Netns, WallClock},
    timing::{Sysctls, wheel::TickRate},
};
use tcpwatch_stream::batch::Item;
use tcpwatch_view::time_of_day::TimeOfDay;

use crate::{
    copies::{self, CopyOffer},
    filter::{Filter, LogWords},
    future::FutureRules,
    keys::{self, KeyAction},
    order::{Rank, RowOrder},
    row::RowId,
    sockets::Sockets,
};

/// Rows that are kept while the view is stopped.
const PAUSED_ROWS: usize = 10_000;
/// Rows that are judged by a new filter at once: about 2 ms.
pub const SLICE: usize = 4096;
/// Namespaces whose sysctls are remembered.
const MAX_NAMESPACES: usize = 1024;

/// Finds the sysctls of a network namespace.
pub type AskSysctls = Box<dyn FnMut(Netns) -> Option<Sysctls>>;

/// What the screen may assume about its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Colours are wanted.
    pub color: bool,
    /// No characters but ASCII.
    pub ascii: bool,
}

/// Where it comes from.
pub struct Origin {
    /// The filters that were decided before: `port 443`.
    pub filters: String,
    /// It is a recording.
    pub recording: bool,
    /// For times of the kernel's clock.
    pub clock: WallClock,
    /// How moments are shown.
    pub times: TimeOfDay,
    /// Ticks per second of that kernel.
    pub rate: TickRate,
    /// By which rules its namespaces send again.
    pub sysctls: AskSysctls,
    /// The filters of the log.
    pub words: LogWords,
}

/// What is to be done outside of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// End; the screen stays where it is, or not.
    Quit {
        /// It stays.
        keep: bool,
    },
    /// Stop this program.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Copy a text.
    Copy(String),
    /// Go to another place in the recording.
    Step(ReplayStep),
}

/// A step through a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStep {
    /// The next event.
    Forward,
    /// An event back.
    Backward,
    /// So much on.
    Later(Duration),
    /// So much back.
    Earlier(Duration),
    /// To this moment.
    To(KernelTime),
    /// Play, or stop.
    Play,
}

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreenPage {
    /// Sockets.
    Table,
    /// The life of one.
    Life,
    /// Owners.
    Owners,
    /// Keys and words.
    Help,
    /// What can be copied.
    Copies,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// It is a filter, and not a moment.
    pub filter: bool,
    /// What was typed.
    pub text: String,
    /// What is wrong with it.
    pub error: Option<String>,
    /// The filter that was there before.
    before: String,
}

/// Sockets and their order.
#[derive(Default)]
pub struct Model {
    /// The sockets.
    pub sockets: Sockets,
    /// Which are in the view, in which order.
    pub order: RowOrder,
}

/// The view as it was when it was stopped.
pub struct Paused {
    model: Model,
    /// Changes by then.
    pub changes: u64,
    /// Sockets there were.
    open: usize,
}

/// How far a recording was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Events so far.
    pub event: usize,
    /// All of them.
    pub events: usize,
    /// It goes on by itself.
    pub playing: bool,
}

/// In which direction the selection left the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reveal {
    Above,
    Below,
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
    /// Lines of the help above the first that is shown.
    pub scrolled: usize,
    /// The line that is being typed.
    pub prompt: Option<Prompt>,
    /// The filter line as it was understood last.
    pub filter: String,
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
            scrolled: 0,
            prompt: None,
            filter: String::new(),
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

    /// Begins anew with these sockets.
    pub fn restore(&mut self, sockets: Sockets) {
        self.live.sockets = sockets;
        self.live.order.begin(&self.live.sockets);
        while !self.go_on() {}
    }

    /// The sockets as they are now, and their order.
    #[must_use]
    pub const fn live(&self) -> &Model {
        &self.live
    }

    /// Sockets in the view, whether that is all that is known of them, and how many there are.
    #[must_use]
    pub fn numbers(&self) -> (usize, bool, usize) {
        if let Some(Paused { model, open, .. }) = &self.paused {
            return (model.order.open(), model.sockets.open() == *open, *open);
        }
        let Model { sockets, order } = &self.live;
        (order.open(), order.is_complete(), sockets.open())
    }

    /// The sockets that are shown, and their order.
    pub const fn shown(&mut self) -> &mut Model {
        match &mut self.paused {
            Some(paused) => &mut paused.model,
            None => &mut self.live,
        }
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

    /// The rows of the page, of which there is room for so many; the selection is on it where it has to be.
    pub fn fill(&mut self, room: usize) -> Vec<RowId> {
        let (selected, follow, reveal) = (self.selected, self.follow, self.reveal.take());
        let top = self.top;
        let order = &mut self.shown().order;
        let mut page = order.page(top, room);
        if page.len() < room && page.len() < order.len() {
            // The end of the table is at the end of the page.
            let last = order.before(None, room);
            page = last.into_iter().rev().collect();
        }
        let rank = selected.and_then(|id| order.rank(id));
        if let Some(rank) = rank
            && (follow || reveal.is_some())
            && !page.contains(&rank)
        {
            let above = match reveal {
                Some(Reveal::Above) => 0,
                Some(Reveal::Below) => room.saturating_sub(1),
                None => room / 2,
            };
            let first = order.before(Some(rank), above).last().copied().unwrap_or(rank);
            page = order.page(Some(first), room);
        }
        let first = page.first().copied();
        self.top = first.filter(|first| !self.shown().order.before(Some(*first), 1).is_empty());
        self.rows = page.iter().map(|rank| rank.id).collect();
        self.room = room.max(1);
        let in_view = self.selected.is_some_and(|id| self.shown().order.rank(id).is_some());
        if !in_view && !self.rows.is_empty() {
            self.selected = self.rows.first().copied();
        }
        self.rows.clone()
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
            KeyAction::Forward => return Some(Wish::Step(ReplayStep::Forward)),
            KeyAction::Backward => return Some(Wish::Step(ReplayStep::Backward)),
            KeyAction::Later => {
                return Some(Wish::Step(ReplayStep::Later(Duration::from_secs(10))));
            }
            KeyAction::Earlier => {
                return Some(Wish::Step(ReplayStep::Earlier(Duration::from_secs(10))));
            }
            KeyAction::Pause if self.origin.recording => return Some(Wish::Step(ReplayStep::Play)),
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
            KeyAction::Help => self.turn(ScreenPage::Help),
            KeyAction::Back => self.page = ScreenPage::Table,
            KeyAction::Copy => self.offer_copies(),
            KeyAction::Filter => self.ask(true, self.filter.clone()),
            KeyAction::Moment => self.ask(false, String::new()),
            KeyAction::Sort => {
                let by = self.live.order.by().next();
                self.each_order(|order, sockets| order.sort(by, sockets));
            }
            KeyAction::Reverse => self.each_order(|order, _| order.reversed = !order.reversed),
            KeyAction::Follow => self.follow = !self.follow,
        }
        None
    }

    /// Shows a page, or the table again if it is there.
    fn turn(&mut self, page: ScreenPage) {
        self.page = if self.page == page { ScreenPage::Table } else { page };
    }

    fn ask(&mut self, filter: bool, text: String) {
        let before = self.filter.clone();
        self.prompt = Some(Prompt { filter, text, error: None, before });
        if self.page != ScreenPage::Owners {
            self.page = ScreenPage::Table;
        }
    }

    /// Changes the order of what is shown and of what will be.
    fn each_order(&mut self, mut change: impl FnMut(&mut RowOrder, &Sockets)) {
        let paused = self.paused.as_mut().map(|paused| &mut paused.model);
        for model in [&mut self.live].into_iter().chain(paused) {
            change(&mut model.order, &model.sockets);
        }
        self.live.order.go_on(&mut self.live.sockets, SLICE);
        if let Some(Paused { model, .. }) = &mut self.paused {
            while !model.order.go_on(&mut model.sockets, SLICE) {}
        }
        self.top = None;
        self.reveal = Some(Reveal::Below);
    }

    /// Takes a filter, unless something is wrong with it.
    ///
    /// # Errors
    /// Says what.
    pub fn filter_by(&mut self, text: &str) -> Result<(), String> {
        let words = self.origin.words;
        Filter::parse(text, words)?;
        self.each_order(|order, sockets| {
            order.filter(Filter::parse(text, words).unwrap_or_default(), sockets);
        });
        text.trim().clone_into(&mut self.filter);
        self.owner = 0;
        Ok(())
    }

    fn type_in(&mut self, event: &KeyEvent) -> Option<Wish> {
        let prompt = self.prompt.as_mut()?;
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('c') if control => return Some(Wish::Quit { keep: false }),
            KeyCode::Char('u') if control => prompt.text.clear(),
            KeyCode::Char(c) if !control && prompt.text.len() < 512 => prompt.text.push(c),
            KeyCode::Backspace => drop(prompt.text.pop()),
            KeyCode::Esc => {
                let prompt = self.prompt.take()?;
                if prompt.filter {
                    self.filter_by(&prompt.before).unwrap_or_default();
                }
                return None;
            }
            KeyCode::Enter => return self.entered(),
            _ => return None,
        }
        let (filter, text) = (prompt.filter, prompt.text.clone());
        let error = if filter { self.filter_by(&text).err() } else { None };
        if let Some(prompt) = &mut self.prompt {
            prompt.error = error;
        }
        None
    }

    fn entered(&mut self) -> Option<Wish> {
        let prompt = self.prompt.take()?;
        if prompt.filter {
            let error = self.filter_by(&prompt.text).err();
            self.prompt = error.is_some().then_some(Prompt { error, ..prompt });
            return None;
        }
        match self.moment(&prompt.text) {
            Ok(at) => Some(Wish::Step(ReplayStep::To(at))),
            Err(error) => {
                self.prompt = Some(Prompt { error: Some(error), ..prompt });
                None
            }
        }
    }

    /// A time of day, or a duration from now on.
    fn moment(&self, text: &str) -> Result<KernelTime, String> {
        let now = self.live.sockets.now;
        let text = text.trim();
        if let Some(back) = text.strip_prefix('-') {
            return Ok(now.before(crate::filter::duration(back)?));
        }
        if let Some(on) = text.strip_prefix('+') {
            return Ok(now.after(crate::filter::duration(on)?));
        }
        let Origin { clock, times, .. } = &self.origin;
        let unix_ns = times.parse(text, clock.unix_ns(now));
        let unix_ns = unix_ns.map_err(|error| format!("\"{text}\" is {error}, +1m30s or -5s"))?;
        let away = unix_ns.saturating_sub(clock.unix_ns(now));
        let distance = Duration::from_nanos(away.unsigned_abs());
        Ok(if away < 0 { now.before(distance) } else { now.after(distance) })
    }

    fn pause(&mut self) {
        if self.paused.take().is_some() {
            return;
        }
        let Model { sockets, order } = &mut self.live;
        let before = self.top.map(|top| order.before(Some(top), PAUSED_ROWS / 2));
        let before = before.unwrap_or_default();
        let page = order.page(self.top, PAUSED_ROWS - before.len());
        let ids: Vec<_> = before.iter().chain(&page).map(|rank| rank.id).collect();
        let mut model = Model { sockets: sockets.excerpt(&ids), order: RowOrder::default() };
        model.order.reversed = order.reversed;
        model.order.sort(order.by(), &model.sockets);
        while !model.order.go_on(&mut model.sockets, SLICE) {}
        let (changes, open) = (sockets.changes, sockets.open());
        self.paused = Some(Paused { model, changes, open });
    }

    fn step_by(&mut self, rows: usize, reveal: Reveal) {
        if self.page == ScreenPage::Help {
            self.scrolled = match reveal {
                Reveal::Above => self.scrolled.saturating_sub(rows),
                Reveal::Below => self.scrolled.saturating_add(rows),
            };
            return;
        }
        if self.page == ScreenPage::Owners {
            let last = self.shown().order.owners.len().saturating_sub(1);
            self.owner = match reveal {
                Reveal::Above => self.owner.saturating_sub(rows),
                Reveal::Below => self.owner.saturating_add(rows).min(last),
            };
            return;
        }
        self.follow = false;
        self.reveal = Some(reveal);
        // From where the eye is.
        let in_sight = self.selected.filter(|id| self.rows.contains(id));
        let edge = match reveal {
            Reveal::Above => self.rows.last(),
            Reveal::Below => self.rows.first(),
        };
        let edge = edge.copied();
        let order = &mut self.shown().order;
        let Some(rank) = in_sight.and_then(|id| order.rank(id)) else {
            self.selected = edge;
            return;
        };
        let passed = match reveal {
            Reveal::Above => order.before(Some(rank), rows),
            Reveal::Below => order.after(rank, rows),
        };
        if let Some(rank) = passed.last() {
            self.selected = Some(rank.id);
        }
    }

    fn edge(&mut self, reveal: Reveal) {
        if matches!(self.page, ScreenPage::Owners | ScreenPage::Help) {
            return self.step_by(usize::MAX, reveal);
        }
        self.follow = false;
        self.reveal = Some(reveal);
        let order = &mut self.shown().order;
        let row = match reveal {
            Reveal::Above => order.page(None, 1),
            Reveal::Below => order.before(None, 1),
        };
        if let Some(rank) = row.first() {
            self.selected = Some(rank.id);
        }
    }

    fn filter_by_owner(&mut self) {
        let owner = self.owner;
        let owners = self.shown().order.owners.page(owner, 1);
        let Some((owner, _)) = owners.into_iter().next() else { return };
        let name = &owner.name;
        if owner.filter.is_empty() || name.contains([' ', ',']) {
            self.message = Some(format!("there is no filter for the owner \"{name}\""));
            return;
        }
        let filter = format!("{}:{name}", owner.filter);
        match self.filter_by(&filter) {
            Ok(()) => self.page = ScreenPage::Table,
            Err(error) => self.message = Some(error),
        }
    }

    fn offer_copies(&mut self) {
        let selected = self.selected;
        let row = selected.and_then(|id| self.shown().sockets.get(id).cloned());
        self.offers = row.as_ref().map_or(Vec::new(), copies::of);
        if self.offers.is_empty() {
            self.message = Some("no socket is selected".to_owned());
        } else {
            self.turn(ScreenPage::Copies);
        }
    }

    fn choose_copy(&mut self, key: char) -> Option<Wish> {
        let place = key.to_digit(10).and_then(|digit| usize::try_from(digit).ok())?;
        let offer = self.offers.get(place.checked_sub(1)?)?;
        self.page = ScreenPage::Table;
        self.message = Some(format!("copied, if this terminal does (OSC 52): {}", offer.text));
        Some(Wish::Copy(offer.text.clone()))
    }
}
