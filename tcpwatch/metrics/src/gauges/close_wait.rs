//! How long the peer's FIN has waited for the application: the oldest CLOSE_WAIT of each cgroup.
//!
//! The kernel keeps no time of entry. The FIN acknowledged something, so it is no later than the
//! last acknowledgment (`tcp_ack`, `net/ipv4/tcp_input.c`, sets `rcv_tstamp`); it is later only if
//! the peer acknowledged data or a keepalive probe since. A socket that was seen in CLOSE_WAIT
//! before keeps the earlier time.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant, SystemTime},
};

use tcpwatch_core::event::Cookie;
use tcpwatch_kernel::source::{cgroups::CgroupNames, snapshot::Surveyed};

use super::cgroups::Owners;
use crate::family::Family;

/// The sockets in CLOSE_WAIT: which, whose, and how long ago the last acknowledgment came.
#[derive(Clone, Debug, Default)]
pub(super) struct CloseWait(Vec<(Cookie, Option<u64>, Duration)>);

impl CloseWait {
    pub(super) fn add(&mut self, socket: &Surveyed) {
        let age = socket.last_ack_received.unwrap_or_default();
        self.0.push((socket.socket, socket.cgroup, age));
    }
}

/// Since when at the latest sockets are in CLOSE_WAIT.
#[derive(Debug, Default)]
pub(super) struct Since(HashMap<Cookie, Instant>);

impl Since {
    /// The oldest of each cgroup, of sockets that were told at `now`; the names have been learned.
    pub(super) fn family(
        &mut self,
        sockets: &CloseWait,
        owners: &Owners,
        names: &CgroupNames,
        now: Instant,
    ) -> Family {
        let (wall, this_moment) = (SystemTime::now(), Instant::now());
        let mut oldest: BTreeMap<&str, Instant> = BTreeMap::new();
        self.update(sockets, now, |cgroup, since| {
            let entry = oldest.entry(owners.label(cgroup, names)).or_insert(since);
            *entry = since.min(*entry);
        });
        let mut family = Family::gauge(
            "tcpwatch_close_wait_oldest_timestamp_seconds",
            "Since when, at the latest, the oldest socket in CLOSE_WAIT waits for its application \
             to close it, as Unix time; no series where there is none. It is the time of the last \
             acknowledgment (sock_diag), or of the first scrape that saw it if that was earlier. \
             Network namespace of this process.",
        );
        for (cgroup, since) in oldest {
            let age = this_moment.saturating_duration_since(since);
            let entered = wall.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
            let unix = entered.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            family.add(&[("cgroup", cgroup)], unix.as_secs_f64());
        }
        family
    }

    fn update(
        &mut self,
        sockets: &CloseWait,
        now: Instant,
        mut tell: impl FnMut(Option<u64>, Instant),
    ) {
        let mut current = HashMap::with_capacity(sockets.0.len());
        for (socket, cgroup, age) in &sockets.0 {
            let acknowledged = now.checked_sub(*age).unwrap_or(now);
            let since = self.0.get(socket).map_or(acknowledged, |seen| acknowledged.min(*seen));
            current.insert(*socket, since);
            tell(*cgroup, since);
        }
        self.0 = current;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(of: &mut Since, now: Instant, ages: &[(u64, u64)]) -> Vec<Instant> {
        let rows =
            ages.iter().map(|(cookie, age)| (Cookie(*cookie), None, Duration::from_secs(*age)));
        let mut told = Vec::new();
        of.update(&CloseWait(rows.collect()), now, |_, since| told.push(since));
        told
    }

    #[test]
    fn a_later_acknowledgment_does_not_make_a_socket_younger() {
        let mut of = Since::default();
        let base = Instant::now();
        let at = |second| base.checked_add(Duration::from_secs(second)).unwrap();
        assert_eq!(since(&mut of, at(1000), &[(1, 10)]), [at(990)]);
        assert_eq!(since(&mut of, at(1030), &[(1, 2), (2, 2)]), [at(990), at(1028)]);
        assert!(since(&mut of, at(1030), &[]).is_empty());
        assert!(of.0.is_empty(), "sockets that have gone are forgotten");
    }
}
