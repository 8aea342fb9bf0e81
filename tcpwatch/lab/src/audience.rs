//! What the live log yields, for the runs it concerns: news become moments, told apart by network
//! namespace.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tcpwatch_core::{event::Netns, track::News};
use tcpwatch_stream::batch::Item;
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

    /// Records lost so far: any run may have missed some of them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        *self.lost.borrow()
    }

    /// Takes in what the live log yields.
    pub(super) fn hear(&self, item: &Item) {
        match item {
            Item::News(news) => self.pass_on(news),
            Item::Loss(loss) => *self.lost.borrow_mut() += loss.count,
            Item::Place(..) | Item::Summary(_) => {}
        }
    }

    fn pass_on(&self, news: &News) {
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
