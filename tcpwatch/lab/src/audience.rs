//! What the live log tells, to the runs it concerns: news come in as from any pipeline and leave as
//! moments, told apart by network namespace.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tcpwatch_core::{
    event::{Netns, WallClock},
    sink::{Loss, Sink, Summary},
    track::News,
};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    host::Host,
    story::{Moment, What},
};

/// The hosts of all runs that go on.
#[derive(Clone, Debug, Default)]
pub struct Audience {
    hosts: Rc<RefCell<HashMap<Netns, Listener>>>,
    lost: Rc<RefCell<u64>>,
}

#[derive(Debug)]
struct Listener {
    host: Host,
    story: UnboundedSender<Moment>,
}

impl Audience {
    /// From now on `story` gets what happens in `netns`, until the [`Seat`] is dropped.
    #[must_use = "whoever drops the seat hears no more"]
    pub fn seat(&self, netns: Netns, host: Host, story: UnboundedSender<Moment>) -> Seat {
        self.hosts.borrow_mut().insert(netns, Listener { host, story });
        Seat { audience: self.clone(), netns }
    }

    /// Does somebody listen to this namespace?
    #[must_use]
    pub fn hears(&self, netns: Netns) -> bool {
        self.hosts.borrow().contains_key(&netns)
    }

    /// Records lost so far: any run may have missed some of them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        *self.lost.borrow()
    }
}

/// A host that listens.
#[derive(Debug)]
pub struct Seat {
    audience: Audience,
    netns: Netns,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.audience.hosts.borrow_mut().remove(&self.netns);
    }
}

impl Sink for Audience {
    fn news(&mut self, news: &News, _clock: &WallClock, _out: &mut Vec<u8>) {
        let hosts = self.hosts.borrow();
        let Some(listener) = hosts.get(&news.subject().netns) else { return };
        let what = match news {
            News::Segment(segment) => What::Segment(segment.clone()),
            news => What::News(Box::new(news.clone())),
        };
        let moment = Moment { at: news.at(), host: listener.host, what };
        // A run that is over has dropped the other end.
        let _heard = listener.story.send(moment).is_ok();
    }

    fn loss(&mut self, loss: &Loss, _clock: &WallClock, _out: &mut Vec<u8>) {
        *self.lost.borrow_mut() += loss.count;
    }

    fn summary(&mut self, _summary: &Summary, _clock: &WallClock, _out: &mut Vec<u8>) {}
}
