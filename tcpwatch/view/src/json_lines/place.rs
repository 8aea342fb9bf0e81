//! Members of a line that say where the owner of its socket runs.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::place::CgroupPlace;

#[cfg(test)]
use super::schema;
use crate::json::{ForeignText, Word};

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct Located<'a> {
    /// Path in the cgroup v2 hierarchy of the cgroup that the socket was made in; of an accepted connection
    /// its listener's. Absent when it is not known.
    #[cfg_attr(test, schemars(with = "String", regex(pattern = r"^/")))]
    cgroup: ForeignText<'a>,
    /// The innermost systemd unit of the cgroup: a service, scope, socket, mount or swap. Absent where the
    /// path has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String", length(min = 1)))]
    unit: Option<&'a str>,
    /// Id of the innermost container of the cgroup: 64 hexadecimal digits, or the name of one of LXC or
    /// systemd-nspawn. Absent where the path has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String", length(min = 1)))]
    container: Option<&'a str>,
    /// What made the container; absent where the path does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "schema::runtime"))]
    runtime: Option<Word>,
    /// What the container's manager calls it: Docker, Podman, CRI-O, containerd; of a container of Kubernetes
    /// POD/CONTAINER. Absent where no file of theirs says it, and in what is replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String", length(min = 1)))]
    container_name: Option<&'a str>,
    /// Uid of the innermost Kubernetes pod of the cgroup. Absent where the path has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "String", regex(pattern = r"^[0-9a-f-]{32,36}$")))]
    pod: Option<&'a str>,
}

impl<'a> Located<'a> {
    pub(super) fn at(place: &'a CgroupPlace) -> Self {
        let CgroupPlace { path, unit, container, pod } = place;
        let runtime = container.as_ref().and_then(|container| container.runtime);
        Self {
            cgroup: ForeignText(path),
            unit: unit.as_deref(),
            container: container.as_ref().map(|container| &*container.id),
            runtime: runtime.map(|runtime| Word(runtime.word())),
            container_name: container.as_ref().and_then(|container| container.name.as_deref()),
            pod: pod.as_deref(),
        }
    }
}
