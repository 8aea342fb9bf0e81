//! Finds to which connection of a host an event belongs: by the socket's cookie, else by its ports, because a
//! mini-socket in SYN_RECV has no cookie.

use crate::report::{End, Happened};

#[derive(Debug)]
struct Lane {
    cookie: Option<u64>,
    local: End,
    remote: End,
}

/// The connections of one host, in the order of their first events.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Vec<Lane>);

impl Lanes {
    /// The connection's number, from 0. `None` for an event without addresses, and for listeners.
    pub(crate) fn number(&mut self, event: &Happened) -> Option<usize> {
        let (local, remote) = (event.local.as_ref()?, event.remote.as_ref()?);
        if remote.port == 0 {
            return None;
        }
        let known = self.0.iter().position(|lane| {
            let is_same = event.socket.is_some() && lane.cookie == event.socket;
            is_same || (local.port != 0 && (&lane.local, &lane.remote) == (local, remote))
        });
        let Some(number) = known else {
            let (local, remote) = (local.clone(), remote.clone());
            self.0.push(Lane { cookie: event.socket, local, remote });
            return Some(self.0.len() - 1);
        };
        let lane = self.0.get_mut(number)?;
        lane.cookie = event.socket.or(lane.cookie);
        lane.local = local.clone();
        Some(number)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
