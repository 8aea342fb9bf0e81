//! What is wrong, and the sockets that it is about.

use tcpwatch_doctor::Finding;

use super::{Screen, selection::Reveal};

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

    /// Selects the first socket of the chosen finding that is known.
    pub fn select_example(&mut self) {
        let Some(finding) = self.findings.chosen() else { return };
        let mut sockets = finding.examples.iter().filter_map(|example| example.socket);
        let found = sockets.find_map(|socket| self.live.sockets.of_cookie(socket));
        if let Some(id) = found {
            self.selected = Some(id);
            self.reveal = Some(Reveal::Below);
        }
    }
}
