//! Distributes the events of the live log to the runs that they concern, by network namespace.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tcpwatch_core::{event::Netns, track::TrackedEvent};
use tcpwatch_stream::batch::Item;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    host::Host,
    story::{MomentKind, StoryEvent},
};

/// The hosts of all runs in progress.
#[derive(Clone, Debug, Default)]
pub struct Audience {
    hosts: Rc<RefCell<HashMap<Netns, Subscriber>>>,
    lost: Rc<RefCell<u64>>,
}

#[derive(Debug)]
struct Subscriber {
    host: Host,
    story: UnboundedSender<StoryEvent>,
}

impl Audience {
    /// Sends the events in `netns` to `story` until the [`Subscription`] is dropped.
    #[must_use = "dropping it ends the subscription"]
    pub fn subscribe(
        &self,
        netns: Netns,
        host: Host,
        story: UnboundedSender<StoryEvent>,
    ) -> Subscription {
        self.hosts.borrow_mut().insert(netns, Subscriber { host, story });
        Subscription { audience: self.clone(), netns }
    }

    /// Records lost so far: any run may have missed some of them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        *self.lost.borrow()
    }

    /// Passes on an item of the live log.
    pub(super) fn hear(&self, item: &Item) {
        match item {
            Item::TrackedEvent(tracked) => self.pass_on(tracked),
            Item::Loss(loss) => *self.lost.borrow_mut() += loss.count,
            Item::Place(..) | Item::Summary(_) => {}
        }
    }

    fn pass_on(&self, tracked: &TrackedEvent) {
        let hosts = self.hosts.borrow();
        let Some(subscriber) = hosts.get(&tracked.subject().netns) else { return };
        let what = match tracked {
            TrackedEvent::Segment(segment) => MomentKind::Segment(segment.clone()),
            tracked => MomentKind::TrackedEvent(Box::new(tracked.clone())),
        };
        let moment = StoryEvent { at: tracked.at(), host: subscriber.host, what };
        // An error means that the run is over and has dropped the receiver.
        drop(subscriber.story.send(moment));
    }
}

/// A host that gets its events.
#[derive(Debug)]
pub struct Subscription {
    audience: Audience,
    netns: Netns,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.audience.hosts.borrow_mut().remove(&self.netns);
    }
}
