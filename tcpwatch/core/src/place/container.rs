//! Which container a cgroup is of, by the names that container managers give to cgroups.

use std::sync::Arc;

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id: 64 hexadecimal digits, or the name where a manager has nothing else.
    pub id: Arc<str>,
    /// Who made it, where the cgroup's name says so.
    pub runtime: Option<Runtime>,
    /// What its manager calls it, for Kubernetes `POD/CONTAINER`; no path says it.
    pub name: Option<Arc<str>>,
}

/// What makes containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// containerd, for Kubernetes or by nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// LXC, LXD and Incus, Proxmox.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
}

impl Runtime {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Docker, Self::Podman, Self::Containerd, Self::CriO, Self::Lxc, Self::Nspawn];

    /// The word used in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Lxc => "lxc",
            Self::Nspawn => "systemd-nspawn",
        }
    }
}

impl Container {
    /// Its name, or else its id as managers print it: the first twelve of 64 digits.
    #[must_use]
    pub fn short(&self) -> &str {
        if let Some(name) = &self.name {
            return name;
        }
        if is_id(&self.id) { self.id.get(..12).unwrap_or(&self.id) } else { &self.id }
    }
}

/// What stands before the id, by who made it. Not here, because they are outside of the container: `libpod-conmon-`
/// and `crio-conmon-`, whose process watches over it.
const PREFIXES: [(&str, Runtime); 6] = [
    ("docker-", Runtime::Docker),
    ("libpod-payload-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
];

/// The innermost container of a path's names.
pub(super) fn innermost(names: &[&str]) -> Option<Container> {
    (0..names.len()).rev().find_map(|at| {
        let (before, rest) = names.split_at_checked(at)?;
        let (name, below) = rest.split_first()?;
        at_name(before.last().copied(), name, below.first().copied())
    })
}

/// The container whose cgroup has this name, `above` and `below` which others are.
fn at_name(above: Option<&str>, name: &str, below: Option<&str>) -> Option<Container> {
    let made = |id: &str, runtime| Some(Container { id: id.into(), runtime, name: None });
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    if is_id(stem) {
        let runtime = (above == Some("docker")).then_some(Runtime::Docker);
        return made(stem, runtime);
    }
    // `kubepods-burstable-podUID.slice:cri-containerd:ID`, of a runtime that is to speak to systemd and does not.
    let dashed = stem.split_once(':').map(|(_, rest)| rest.replace(':', "-"));
    for (prefix, runtime) in PREFIXES {
        let id = dashed.as_deref().unwrap_or(stem).strip_prefix(prefix);
        if let Some(id) = id.filter(|id| is_id(id)) {
            return made(id, Some(runtime));
        }
    }
    if let Some(id) = lxc(above, name) {
        return made(id, Some(Runtime::Lxc));
    }
    nspawn(name, below).and_then(|id| made(&id, Some(Runtime::Nspawn)))
}

/// `lxc/NAME` up to 3.1, `lxc.payload/NAME`, and `lxc.payload.NAME` since 4.0 (`src/lxc/cgroups/cgfsng.c`); not
/// `lxc.monitor.NAME`, which is outside.
fn lxc<'n>(above: Option<&str>, name: &'n str) -> Option<&'n str> {
    let named = matches!(above, Some("lxc" | "lxc.payload")).then_some(name);
    named.or_else(|| name.strip_prefix("lxc.payload.")).filter(|name| !name.is_empty())
}

/// `systemd-nspawn@NAME.service`; or `machine-NAME.scope`, which a virtual machine has too, but not its `payload`.
fn nspawn(name: &str, below: Option<&str>) -> Option<String> {
    let of_service =
        name.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service"));
    let of_scope = || {
        let name = name.strip_prefix("machine-")?.strip_suffix(".scope")?;
        (below == Some("payload")).then_some(name)
    };
    of_service.or_else(of_scope).map(unescaped).filter(|name| !name.is_empty())
}

/// systemd writes `-` as `\x2d` (`unit_name_escape`).
fn unescaped(name: &str) -> String {
    name.replace("\\x2d", "-")
}

/// An id of the Open Container Initiative's managers.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
