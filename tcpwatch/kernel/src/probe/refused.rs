//! Cgroups whose sockets the kernel side refuses, because user space has found that no filter wants them.

use aya::maps::{HashMap, MapData};
use tcpwatch_core::event::CgroupId;

/// The map of the kernel side. What is not in it passes.
pub struct RefusedCgroups(HashMap<MapData, u32, u32>);

impl RefusedCgroups {
    pub(super) const fn new(map: HashMap<MapData, u32, u32>) -> Self {
        Self(map)
    }

    /// From now on the kernel side emits nothing of the sockets of this cgroup. If it cannot be noted, they pass, and
    /// are refused by whoever reads the records.
    pub fn refuse(&mut self, id: CgroupId) {
        if let Err(error) = self.0.insert(id.0.get(), 1, 0) {
            tracing::debug!("cgroup {} is not refused in the kernel: {error}", id.0);
        }
    }
}
