//! The sockets that are shown: those of now, or those of the moment at which the view was stopped.

use super::{SLICE, Screen, selection::Reveal};
use crate::{order::RowOrder, sockets::Sockets};

/// Rows that are kept while the view is stopped.
const PAUSED_ROWS: usize = 10_000;

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
    pub(super) model: Model,
    /// Changes by then.
    pub changes: u64,
    /// Sockets there were.
    open: usize,
}

impl Screen {
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

    pub(super) fn pause(&mut self) {
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

    /// Changes the order of what is shown and of what will be.
    pub(super) fn each_order(&mut self, mut change: impl FnMut(&mut RowOrder, &Sockets)) {
        let paused = self.paused.as_mut().map(|paused| &mut paused.model);
        for model in [&mut self.live].into_iter().chain(paused) {
            change(&mut model.order, &model.sockets);
        }
        self.settle();
        self.top = None;
        self.reveal = Some(Reveal::Below);
    }

    pub(super) fn settle(&mut self) {
        self.live.order.go_on(&mut self.live.sockets, SLICE);
        if let Some(Paused { model, .. }) = &mut self.paused {
            while !model.order.go_on(&mut model.sockets, SLICE) {}
        }
    }
}
