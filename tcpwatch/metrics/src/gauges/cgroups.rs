//! Sockets by owner: by systemd unit or container, in the states in which sockets accumulate.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use tcpwatch_core::event::TcpState;
use tcpwatch_kernel::source::{cgroups::CgroupNames, snapshot::Surveyed};

use super::{
    slots::{Overflow, SeriesSlots},
    states,
};
use crate::family::ScrapeFamily;

/// The states that are counted, each in its column.
pub(super) const STATES: [TcpState; 4] =
    [TcpState::Established, TcpState::CloseWait, TcpState::FinWait2, TcpState::TimeWait];

/// The maximal number of names with series of their own.
const MOST: usize = 20;

/// The label of sockets without a known cgroup: mini-sockets, which have none, and cgroups that were removed or are not
/// visible from here.
pub(super) const UNKNOWN: &str = "unknown";
/// The label of all cgroups that have no series of their own.
pub(super) const OTHER: &str = "other";

/// Counts by cgroup number and by column of [`STATES`].
#[derive(Clone, Debug, Default)]
pub(super) struct Cgroups(HashMap<Option<u64>, [u32; STATES.len()]>);

impl Cgroups {
    pub(super) fn add(&mut self, socket: &Surveyed) {
        if let Some(column) = STATES.iter().position(|it| *it == socket.state) {
            self.count(socket.cgroup, column, 1);
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (cgroup, counts) in &other.0 {
            for (column, count) in counts.iter().enumerate() {
                self.count(*cgroup, column, *count);
            }
        }
    }

    fn count(&mut self, cgroup: Option<u64>, column: usize, more: u32) {
        if let Some(count) = self.0.entry(cgroup).or_default().get_mut(column) {
            *count += more;
        }
    }

    /// The ids of all cgroups.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied().flatten()
    }
}

/// The cgroups that have series of their own.
#[derive(Debug)]
pub(super) struct OwnerLabels(SeriesSlots<Arc<str>>);

impl OwnerLabels {
    pub(super) fn new(overflow: Overflow) -> Self {
        Self(SeriesSlots::new(MOST, overflow))
    }

    /// The label of a cgroup.
    pub(super) fn label<'a>(&self, id: Option<u64>, names: &'a CgroupNames) -> &'a str {
        match id.and_then(|id| names.name(id)) {
            None => UNKNOWN,
            Some(name) if self.0.admits(name) => name,
            Some(_) => OTHER,
        }
    }

    /// Of several new cgroups, those with most sockets are admitted first.
    fn admit(&mut self, cgroups: &Cgroups, names: &CgroupNames) {
        let mut sizes: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
        for (id, counts) in &cgroups.0 {
            if let Some(name) = id.and_then(|id| names.name(id)) {
                *sizes.entry(name).or_default() += counts.iter().sum::<u32>();
            }
        }
        let mut present: Vec<_> = sizes.into_iter().collect();
        present.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        self.0.settle(present.into_iter().map(|(name, _)| Arc::clone(name)), |name| {
            names.exists(name)
        });
    }

    /// Sockets by cgroup, in those states that could be listed.
    pub(super) fn family(
        &mut self,
        cgroups: &Cgroups,
        counted: &[TcpState],
        names: &mut CgroupNames,
        now: Instant,
    ) -> ScrapeFamily {
        names.learn(cgroups.ids(), now);
        self.admit(cgroups, names);
        let mut rows: BTreeMap<&str, [u32; STATES.len()]> = BTreeMap::new();
        for name in self.0.admitted().map(|name| &**name).chain([UNKNOWN, OTHER]) {
            rows.insert(name, Default::default());
        }
        for (id, counts) in &cgroups.0 {
            let row = rows.entry(self.label(*id, names)).or_default();
            row.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let mut family = ScrapeFamily::gauge(
            "tcpwatch_cgroup_sockets",
            "TCP sockets by cgroup (systemd unit, container) and state (sock_diag). The first 20 \
             cgroups have series of their own while they exist, the rest is other; unknown are \
             cgroups that have gone, and all mini-sockets, which is every socket in TIME_WAIT and \
             an orphan in FIN_WAIT_2. Network namespace of this process.",
        );
        for (name, row) in rows {
            for (state, count) in STATES.iter().zip(row) {
                if counted.contains(state) {
                    family
                        .add(&[("cgroup", name), ("state", &states::label(*state))], count.into());
                }
            }
        }
        family
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _, time::Duration};

    use super::*;

    /// Label, established sockets.
    type Row = (String, f64);

    fn rows_of(
        owners: &mut OwnerLabels,
        names: &mut CgroupNames,
        sockets: &[(Option<u64>, u32)],
        now: Instant,
    ) -> Vec<Row> {
        let mut cgroups = Cgroups::default();
        for (id, count) in sockets {
            cgroups.count(*id, 0, *count);
        }
        let family = owners.family(&cgroups, &[TcpState::Established], names, now);
        let family = family.finish().unwrap();
        let row = |metric: &prometheus::proto::Metric| {
            (metric.get_label()[0].value().to_owned(), metric.get_gauge().get_value())
        };
        family.get_metric().iter().map(row).collect()
    }

    fn of(rows: &[Row], label: &str) -> Option<f64> {
        rows.iter().find(|(name, _)| name == label).map(|(_, count)| *count)
    }

    #[test]
    fn no_more_than_twenty_have_their_own_series_and_no_socket_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let mut sockets = vec![(None, 1000)];
        for number in 0..25 {
            let path = root.path().join(format!("unit-{number}.service"));
            fs::create_dir(&path).unwrap();
            sockets.push((Some(fs::metadata(&path).unwrap().ino()), number + 1));
        }
        let mut names = CgroupNames::under(Some(root.path().to_owned()));
        let overflow = Overflow::default();
        let mut owners = OwnerLabels::new(Arc::clone(&overflow));
        let start = Instant::now();

        let rows = rows_of(&mut owners, &mut names, &sockets, start);
        assert_eq!(rows.len(), 22, "{rows:?}");
        assert_eq!(of(&rows, UNKNOWN), Some(1000.0));
        assert_eq!(of(&rows, OTHER), Some(1.0 + 2.0 + 3.0 + 4.0 + 5.0), "the smallest five");
        assert_eq!(of(&rows, "unit-24.service"), Some(25.0));
        assert_eq!(overflow.load(std::sync::atomic::Ordering::Relaxed), 5);

        let rows = rows_of(&mut owners, &mut names, &sockets[1..6], start);
        assert_eq!(rows.len(), 22, "series stay while their cgroups exist: {rows:?}");
        assert_eq!(of(&rows, "unit-24.service"), Some(0.0));
        assert_eq!(of(&rows, OTHER), Some(15.0), "and no other takes their slots");

        fs::remove_dir(root.path().join("unit-24.service")).unwrap();
        let later = start + Duration::from_mins(2);
        let rows = rows_of(&mut owners, &mut names, &sockets, later);
        assert_eq!(of(&rows, "unit-24.service"), None, "it has gone");
        assert_eq!(of(&rows, UNKNOWN), Some(1025.0), "and left its sockets");
        assert_eq!(of(&rows, "unit-4.service"), Some(5.0), "the next one has its seat");
        assert_eq!(of(&rows, OTHER), Some(10.0));
    }
}
