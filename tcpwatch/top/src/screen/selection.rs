//! The page of the table, and the selected row on it.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use tcpwatch_core::{
    event::{TcpState, Waiter},
    track::{StayQuestion, Subject},
};

use super::{Screen, ScreenPage};
use crate::{measured::Measured, row::RowId};

/// Rows by which the wheel of a mouse moves.
const WHEEL: usize = 3;

/// In which direction the selection left the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reveal {
    Above,
    Below,
}

impl Screen {
    /// The mouse was used.
    pub fn point(&mut self, event: &MouseEvent) {
        match event.kind {
            MouseEventKind::ScrollUp => self.step_by(WHEEL, Reveal::Above),
            MouseEventKind::ScrollDown => self.step_by(WHEEL, Reveal::Below),
            MouseEventKind::Down(MouseButton::Left) if self.page == ScreenPage::Table => {
                let place = event.row.checked_sub(self.first_row).map(usize::from);
                if let Some(id) = place.and_then(|place| self.rows.get(place)) {
                    self.selected = Some(*id);
                    self.follow = false;
                }
            }
            _ => {}
        }
    }

    /// What is to be asked of the kernel about the selected socket and those on the page; nothing while the view is
    /// stopped. Of mini-sockets everything is known.
    #[must_use]
    pub fn questions(&self) -> Vec<(RowId, StayQuestion)> {
        if self.paused.is_some() {
            return Vec::new();
        }
        let on_page = self.rows.iter().filter(|id| Some(**id) != self.selected);
        let question = |id: &RowId| {
            let row = self.live.sockets.get(*id).filter(|row| row.ended.is_none())?;
            let is_mini = matches!(row.state, TcpState::TimeWait | TcpState::SynRecv);
            let Subject { netns, ends, socket, .. } = row.subject;
            (!is_mini).then_some((*id, StayQuestion { netns, ends, socket }))
        };
        self.selected.iter().chain(on_page).filter_map(question).collect()
    }

    /// Takes the answers, instead of those before.
    pub fn measure(&mut self, answers: &[(RowId, Waiter)]) {
        self.measured.clear();
        for (id, waiter) in answers {
            let Some(measured) = Measured::of(waiter, self.origin.rate) else { continue };
            self.live.sockets.measured(&measured.now, &mut self.touched);
            self.measured.insert(*id, measured);
        }
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

    pub(super) fn step_by(&mut self, rows: usize, reveal: Reveal) {
        if self.page.is_text() {
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

    pub(super) fn edge(&mut self, reveal: Reveal) {
        if self.page == ScreenPage::Owners || self.page.is_text() {
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
}
