//! What single sockets wait for: their timers and queues, and the sysctls that decide how long.

use std::collections::BTreeMap;

use tcpwatch_core::{
    event::{Netns, Waiter},
    timing::Sysctls,
    track::Question,
};

use super::{super::super::sysctls, Channel, Lookup};

/// What was asked in some network namespaces.
#[derive(Debug, Default)]
pub struct Details {
    /// The sockets that exist. One that is gone, or whose namespace cannot be entered, is missing.
    pub waiters: Vec<Waiter>,
    /// The sysctls of the namespaces that were asked for them and could be read.
    pub sysctls: Vec<(Netns, Sysctls)>,
}

impl Lookup {
    /// Asks about each socket once; and for the sysctls of namespaces that `lacks_sysctls` names.
    ///
    /// Every namespace but the own one is entered once, in a thread of its own that ends before this returns;
    /// that takes `CAP_SYS_ADMIN`.
    pub fn ask_in_detail(&mut self, questions: &[Question], lacks_sysctls: &[Netns]) -> Details {
        let mut groups: BTreeMap<Netns, Vec<Question>> = BTreeMap::new();
        for question in questions {
            groups.entry(question.netns).or_default().push(*question);
        }
        let mut details = Details::default();
        for (netns, group) in groups {
            let wants_sysctls = lacks_sysctls.contains(&netns);
            let (waiters, sysctls) = self.details_of(netns, &group, wants_sysctls);
            details.waiters.extend(waiters);
            details.sysctls.extend(sysctls.map(|sysctls| (netns, sysctls)));
        }
        details
    }

    fn details_of(
        &mut self,
        netns: Netns,
        group: &[Question],
        wants_sysctls: bool,
    ) -> (Vec<Waiter>, Option<Sysctls>) {
        let sysctls = || wants_sysctls.then(|| sysctls::read_here().ok()).flatten();
        if netns == self.own.netns() {
            return (self.own.ask_in_detail(group), sysctls());
        }
        let inside = self.inside(netns, || {
            let waiters = Channel::open(netns).map(|mut channel| channel.ask_in_detail(group));
            (waiters.unwrap_or_default(), sysctls())
        });
        inside.unwrap_or_default()
    }
}
