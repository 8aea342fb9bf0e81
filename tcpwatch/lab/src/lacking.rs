//! Sysctls that only newer kernels have. Where a scenario sets one to the fixed behaviour of older kernels, it need not
//! be set; where it sets another value, the scenario cannot run there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::host::Host;

const DIRECTORY: &str = "/proc/sys/net/ipv4";

/// A sysctl that is newer than the oldest kernel that tcpwatch runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Newer {
    name: &'static str,
    since: &'static str,
    /// The value that corresponds to the behaviour of a kernel without it.
    before: &'static str,
}

const fn newer(name: &'static str, since: &'static str, before: &'static str) -> Newer {
    Newer { name, since, before }
}

/// `net/ipv4/sysctl_net_ipv4.c`, compared from version to version.
const NEWER: [Newer; 4] = [
    newer("tcp_syn_linear_timeouts", "6.5", "0"),
    newer("tcp_rto_min_us", "6.11", "200000"),
    newer("tcp_tw_reuse_delay", "6.14", "1000"),
    newer("tcp_rto_max_ms", "6.15", "120000"),
];

/// A scenario cannot be run on this kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this kernel has no net.ipv4.{name} (since Linux {since}): it behaves as with {before}, but the scenario \
     sets the {host}'s to {value}"
)]
pub struct Lacking {
    name: &'static str,
    since: &'static str,
    before: &'static str,
    host: Host,
    value: String,
}

/// Per host, names below `/proc/sys/net/ipv4` and their values.
pub type SysctlValues = BTreeMap<Host, BTreeMap<String, String>>;

/// The first of these sysctls that this kernel lacks and whose value differs from the kernel's behaviour.
#[must_use]
pub fn lacking(sysctls: &SysctlValues) -> Option<Lacking> {
    lacking_in(Path::new(DIRECTORY), sysctls)
}

fn lacking_in(directory: &Path, sysctls: &SysctlValues) -> Option<Lacking> {
    let of_hosts = sysctls
        .iter()
        .flat_map(|(host, values)| values.iter().map(move |(name, value)| (*host, name, value)));
    of_hosts.into_iter().find_map(|(host, name, value)| {
        let Newer { name, since, before } = absent(directory, name)?;
        (value != before).then(|| Lacking { name, since, before, host, value: value.clone() })
    })
}

/// Whether this kernel lacks the sysctl and behaves as if it had this value.
pub(super) fn is_needless(name: &str, value: &str) -> bool {
    absent(Path::new(DIRECTORY), name).is_some_and(|newer| newer.before == value)
}

fn absent(directory: &Path, name: &str) -> Option<Newer> {
    let newer = NEWER.into_iter().find(|newer| newer.name == name)?;
    let path: PathBuf = directory.join(name);
    (!path.exists()).then_some(newer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> SysctlValues {
        SysctlValues::from([(Host::Client, BTreeMap::from([(name.to_owned(), value.to_owned())]))])
    }

    /// The sysctls of a kernel 6.4.
    fn old_kernel() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tcp_fin_timeout"), "60\n").unwrap();
        folder
    }

    #[test]
    fn a_value_that_an_old_kernel_cannot_take_is_told_with_the_version_that_can() {
        let kernel = old_kernel();
        let found = lacking_in(kernel.path(), &set("tcp_syn_linear_timeouts", "4")).unwrap();
        let words = "this kernel has no net.ipv4.tcp_syn_linear_timeouts (since Linux 6.5): it behaves as with 0, \
                     but the scenario sets the client's to 4";
        assert_eq!(found.to_string(), words);
    }

    #[test]
    fn a_value_that_an_old_kernel_behaves_as_is_no_obstacle() {
        let kernel = old_kernel();
        for (name, value) in [("tcp_syn_linear_timeouts", "0"), ("tcp_rto_min_us", "200000")] {
            assert_eq!(lacking_in(kernel.path(), &set(name, value)), None, "{name}");
        }
    }

    #[test]
    fn a_sysctl_that_is_there_or_that_no_kernel_has_is_none_of_these() {
        let kernel = old_kernel();
        for name in ["tcp_fin_timeout", "tcp_fin_timeot"] {
            assert_eq!(lacking_in(kernel.path(), &set(name, "3")), None, "{name}");
        }
        std::fs::write(kernel.path().join("tcp_syn_linear_timeouts"), "4\n").unwrap();
        let set = set("tcp_syn_linear_timeouts", "2");
        assert_eq!(lacking_in(kernel.path(), &set), None, "a newer kernel");
    }
}
