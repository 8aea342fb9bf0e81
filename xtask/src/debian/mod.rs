//! Programs and kernels from Debian's archive that the tests and the bench need, fetched by apt into the user's cache.
//! No package of the machine is added, replaced or removed.

mod apt;
mod programs;
#[cfg(test)]
mod test_archive;
mod unpack;

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

pub(crate) use apt::Apt;
pub(crate) use programs::{
    BPFTRACE, BUSYBOX, DEBOOTSTRAP, IPROUTE, LIBBPF_TOOLS, NODE_EXPORTER, PROMETHEUS, ProgramFile,
    ProgramPackage, QEMU, RPM, RSYSLOG, SERVERS, TCPDUMP, VALGRIND, parts,
};
pub(crate) use unpack::{finish, packages_in, unpack};

/// The cache: `tcpwatch` in `XDG_CACHE_HOME`, or in `.cache` of `HOME`.
pub(crate) fn cache() -> Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let caches = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let caches = caches.context("neither XDG_CACHE_HOME nor HOME says where to keep packages")?;
    Ok(caches.join("tcpwatch"))
}
