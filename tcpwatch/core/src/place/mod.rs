//! Where the owner of a socket runs: from the path of a cgroup to the systemd unit, the container and the
//! Kubernetes pod. Pure: a path is bytes, and only its form is looked at.
//!
//! A path is that of the second hierarchy (cgroup v2). Where container managers use the first one (cgroup v1), a
//! socket's cgroup is that of the second one all the same, which is the root there unless systemd manages both
//! (`hybrid`): then nothing is found, and nothing is guessed.

pub mod container;
pub mod filter;
pub mod known;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use container::{Container, Runtime};
pub use filter::PlaceFilter;
pub use known::Places;

/// A cgroup, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPlace {
    /// From the root of the hierarchy, which is `/`; any bytes but a line feed and zero.
    pub path: Box<[u8]>,
    /// The innermost systemd unit: a service, scope, socket, mount or swap.
    pub unit: Option<Arc<str>>,
    /// The innermost container.
    pub container: Option<Container>,
    /// The uid of the innermost Kubernetes pod, as the API server has it.
    pub pod: Option<Arc<str>>,
}

impl CgroupPlace {
    /// What the path says.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        let names: Vec<&str> = path
            .split(|byte| *byte == b'/')
            .map(|name| std::str::from_utf8(name).unwrap_or_default())
            .filter(|name| !name.is_empty())
            .collect();
        Self {
            path: path.into(),
            unit: names.iter().rev().find_map(|name| unit(name)).map(Into::into),
            container: container::innermost(&names),
            pod: names.iter().rev().find_map(|name| pod(name)).map(Into::into),
        }
    }

    /// The unit, a service without its type; none for a unit that is one for all that a user does.
    #[must_use]
    pub fn unit_name(&self) -> Option<&str> {
        let unit = self.unit.as_deref()?;
        let is_session = unit == "init.scope" || unit.starts_with("session-");
        (!is_session).then(|| unit.strip_suffix(".service").unwrap_or(unit))
    }

    /// Is it `above`, or below it?
    #[must_use]
    pub fn is_in(&self, above: &[u8]) -> bool {
        let above = above.strip_suffix(b"/").unwrap_or(above);
        self.path.strip_prefix(above).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    }
}

/// Types of units that have processes (`unit_type_table` in systemd's `src/basic/unit-def.c`). Every path begins
/// with slices, which say little.
const UNITS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// The name of a unit, if it is one (`unit_name_is_valid` in systemd's `src/basic/unit-name.c`). systemd puts a `_`
/// before a name that could be taken for a file of the kernel (`cg_escape`).
fn unit(name: &str) -> Option<&str> {
    let name = name.strip_prefix('_').unwrap_or(name);
    let stem = UNITS.iter().find_map(|kind| name.strip_suffix(kind))?;
    let valid = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    (!stem.is_empty() && name.len() < 256 && stem.chars().all(valid)).then_some(name)
}

/// The uid of a pod: `pod0b9e…` from the driver `cgroupfs`, `kubepods-burstable-pod0b9e_….slice` from the driver
/// `systemd` (`pkg/kubelet/cm/cgroup_manager_linux.go` in Kubernetes), also before `:cri-containerd:ID`, which a
/// runtime makes that takes the one for the other.
fn pod(name: &str) -> Option<String> {
    let name = name.split(':').next()?;
    let uid = match name.strip_suffix(".slice") {
        Some(slice) => {
            let (before, uid) = slice.rsplit_once("-pod")?;
            before.contains("kubepods").then_some(uid)?
        }
        None => name.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    is_uid(&uid).then_some(uid)
}

/// A UUID; the kubelet's own pods have a hash of 32 digits instead.
fn is_uid(uid: &str) -> bool {
    let parts: Vec<usize> = uid.split('-').map(str::len).collect();
    let digits = uid.chars().all(|c| c == '-' || c.is_ascii_digit() || matches!(c, 'a'..='f'));
    digits && (parts == [8, 4, 4, 4, 12] || parts == [32])
}
