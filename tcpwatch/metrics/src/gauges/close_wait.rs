//! How long sockets have been in CLOSE_WAIT: the oldest of each cgroup.
//!
//! The kernel does not keep the time of entry. The FIN acknowledged something, so it is no later than the last
//! acknowledgment (`tcp_ack`, `net/ipv4/tcp_input.c`, sets `rcv_tstamp`); it is earlier only if the peer has
//! acknowledged data or a keepalive probe since. A socket that was listed in CLOSE_WAIT before keeps the earlier time.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant, SystemTime},
};

use tcpwatch_core::event::Cookie;
use tcpwatch_kernel::source::snapshot::Surveyed;

use crate::{counted::CgroupLabels, family::ScrapeFamily};

/// The sockets in CLOSE_WAIT: cookie, cgroup, and time since the last acknowledgment.
#[derive(Clone, Debug, Default)]
pub(super) struct CloseWait(Vec<(Cookie, Option<u64>, Duration)>);

impl CloseWait {
    pub(super) fn add(&mut self, socket: &Surveyed) {
        let age = socket.last_ack_received.unwrap_or_default();
        self.0.push((socket.socket, socket.cgroup, age));
    }
}

/// The latest time at which each socket can have entered CLOSE_WAIT.
#[derive(Debug, Default)]
pub(super) struct Since(HashMap<Cookie, Instant>);

impl Since {
    /// The oldest socket of each cgroup, among those listed at `now`.
    pub(super) fn family(
        &mut self,
        sockets: &CloseWait,
        owners: &mut CgroupLabels,
        now: Instant,
    ) -> ScrapeFamily {
        owners.admit(sockets.0.iter().map(|(_, cgroup, _)| low_half(*cgroup)), now);
        let owners = &*owners;
        let (wall, this_moment) = (SystemTime::now(), Instant::now());
        let mut oldest: BTreeMap<&str, Instant> = BTreeMap::new();
        self.update(sockets, now, |cgroup, since| {
            let entry = oldest.entry(owners.label(low_half(cgroup))).or_insert(since);
            *entry = since.min(*entry);
        });
        let mut family = ScrapeFamily::gauge(
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
        mut each: impl FnMut(Option<u64>, Instant),
    ) {
        let mut current = HashMap::with_capacity(sockets.0.len());
        for (socket, cgroup, age) in &sockets.0 {
            let acknowledged = now.checked_sub(*age).unwrap_or(now);
            let since = self.0.get(socket).map_or(acknowledged, |seen| acknowledged.min(*seen));
            current.insert(*socket, since);
            each(*cgroup, since);
        }
        self.0 = current;
    }
}

/// The number that the kernel side knows a cgroup by; 0 for none.
fn low_half(cgroup: Option<u64>) -> u32 {
    cgroup.and_then(|id| u32::try_from(id & u64::from(u32::MAX)).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(of: &mut Since, now: Instant, ages: &[(u64, u64)]) -> Vec<Instant> {
        let rows =
            ages.iter().map(|(cookie, age)| (Cookie(*cookie), None, Duration::from_secs(*age)));
        let mut times = Vec::new();
        of.update(&CloseWait(rows.collect()), now, |_, since| times.push(since));
        times
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
