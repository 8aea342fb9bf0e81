//! What can be chosen about the selected row: texts to copy, and its owner as a filter.

use super::{Screen, ScreenPage, Wish};
use crate::{copies, ownership};

impl Screen {
    /// Finds out about the owner of the selected socket, and shows it.
    pub(super) fn show_owner(&mut self) {
        if self.page == ScreenPage::Owner {
            self.page = ScreenPage::Table;
            return;
        }
        let selected = self.selected;
        let sockets = &mut self.shown().sockets;
        let Some(subject) = selected.and_then(|id| Some(sockets.get(id)?.subject)) else {
            self.message = Some("no socket is selected".to_owned());
            return;
        };
        let place = sockets.place(&subject);
        let pid = subject.process.and_then(|process| process.pid);
        let unit = place.as_deref().and_then(|place| place.unit.as_deref());
        let ancestry = (self.origin.ancestry)(pid, unit);
        self.owner_lines = ownership::lines(&subject, place.as_deref(), &ancestry);
        self.scrolled = 0;
        self.page = ScreenPage::Owner;
    }

    pub(super) fn filter_by_owner(&mut self) {
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

    pub(super) fn offer_copies(&mut self) {
        let selected = self.selected;
        let row = selected.and_then(|id| self.shown().sockets.get(id).cloned());
        self.offers = row.as_ref().map_or(Vec::new(), copies::of);
        if self.offers.is_empty() {
            self.message = Some("no socket is selected".to_owned());
        } else {
            self.turn(ScreenPage::Copies);
        }
    }

    pub(super) fn choose_copy(&mut self, key: char) -> Option<Wish> {
        let place = key.to_digit(10).and_then(|digit| usize::try_from(digit).ok())?;
        let offer = self.offers.get(place.checked_sub(1)?)?;
        self.page = ScreenPage::Table;
        self.message = Some(format!("copied, if this terminal does (OSC 52): {}", offer.text));
        Some(Wish::Copy(offer.text.clone()))
    }
}
