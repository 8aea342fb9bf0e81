//! What is wrong, and the sockets that it is about.

use tcpwatch_doctor::Finding;

use super::{Screen, selection::Reveal};
use crate::{findings::FindingSockets, row::RowId};

impl Screen {
    /// Takes what is wrong now.
    pub fn judge(&mut self, list: Vec<Finding>) {
        self.judged = true;
        if self.findings.list != list {
            self.findings.take(list);
            self.only_findings();
        }
    }

    /// It was judged what is wrong.
    #[must_use]
    pub const fn judged(&self) -> bool {
        self.judged
    }

    pub(super) fn only_findings(&mut self) {
        let about = self.findings.only.then(|| self.findings.about());
        let paused = self.paused.as_mut().map(|paused| &mut paused.model);
        for model in [&mut self.live].into_iter().chain(paused) {
            model.order.only(about.clone(), &model.sockets);
        }
        self.settle();
    }

    /// Chooses another finding, and selects the first of its sockets that is known.
    pub(super) fn turn_findings(&mut self, on: bool) {
        self.findings.turn(on);
        self.select_example();
    }

    /// The first socket of the view that is in the situation of a finding.
    fn first_about(&mut self, about: &FindingSockets) -> Option<RowId> {
        let model = self.shown();
        let ranks = model.order.page(None, usize::MAX);
        ranks.into_iter().map(|rank| rank.id).find(|id| {
            let row = model.sockets.get(*id);
            let place = row.map(|row| row.subject).and_then(|it| model.sockets.place(&it));
            model.sockets.get(*id).is_some_and(|row| about.holds(row, place.as_deref()))
        })
    }

    /// Selects the first socket of the chosen finding that is known.
    pub fn select_example(&mut self) {
        let Some(finding) = self.findings.chosen() else { return };
        let mut sockets = finding.examples.iter().filter_map(|example| example.socket);
        let example = sockets.find_map(|socket| self.live.sockets.of_cookie(socket));
        let about = FindingSockets::of(finding);
        let found = example.or_else(|| self.first_about(&about));
        if let Some(id) = found {
            self.selected = Some(id);
            self.reveal = Some(Reveal::Below);
        }
    }
}
