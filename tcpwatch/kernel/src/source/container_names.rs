//! What container managers call their containers, by the files that they keep of them. Only files that are there are
//! read; what they hold is foreign text.
//!
//! | files, from the root on | of | name |
//! |---|---|---|
//! | `var/lib/docker/containers/ID/config.v2.json` | Docker | `Name` |
//! | `containers.json`, `volatile-containers.json` in `var/lib/containers/storage/DRIVER-containers` and `run/containers/storage/DRIVER-containers` | Podman, CRI-O | `names` |
//! | `run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID/config.json` | containerd: Kubernetes, nerdctl | `annotations` |

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, de::DeserializeOwned};
use tcpwatch_core::place::{CgroupPlace, container::is_id};

const DOCKER: &str = "var/lib/docker/containers";
/// Of root; each user's Podman has its own below a home directory.
const STORAGES: [&str; 2] = ["var/lib/containers/storage", "run/containers/storage"];
const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task";
/// A file that is longer is left out: no manager writes it.
const LONGEST: u64 = 16 << 20;
/// A name that is longer is none: two of Kubernetes' with 253 bytes each have room.
pub(super) const LONGEST_NAME: usize = 512;

/// Finds the names of containers.
#[derive(Debug)]
pub struct ContainerNames {
    root: PathBuf,
}

/// `config.v2.json` (`container.Container` in moby's `daemon/container`).
#[derive(Deserialize)]
struct DockerContainer {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Config")]
    config: Option<DockerConfig>,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// An entry of `containers.json` (`Container` in containers/storage's `containers.go`).
#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

/// `config.json` (`Spec` of the Open Container Initiative).
#[derive(Deserialize)]
struct OciSpec {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl ContainerNames {
    /// Those of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::under(PathBuf::from("/"))
    }

    /// Those of the managers whose files are below `root`.
    #[must_use]
    pub const fn under(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a cgroup of this path is, with the name of its container.
    #[must_use]
    pub fn place(&self, path: &[u8]) -> CgroupPlace {
        let mut place = CgroupPlace::of(path);
        if let Some(container) = &mut place.container {
            container.name = self.name(&container.id);
        }
        place
    }

    /// The name of a container, if a manager has one for this id.
    #[must_use]
    pub fn name(&self, id: &str) -> Option<Arc<str>> {
        if !is_id(id) {
            return None;
        }
        let stored = || self.stored().find(|stored| stored.id == id).and_then(Stored::name);
        let in_containerd = || self.bundles().find_map(|namespace| bundle(&namespace.join(id)));
        let name =
            docker(&self.root.join(DOCKER).join(id)).or_else(in_containerd).or_else(stored)?;
        Some(name.into())
    }

    /// All ids that have names, with them, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(String, String)> {
        let of_docker = entries(&self.root.join(DOCKER)).map(|dir| (docker(&dir), dir));
        let bundles = self.bundles().flat_map(|namespace| entries(&namespace));
        let of_containerd = bundles.map(|dir| (bundle(&dir), dir));
        let stored = self.stored().filter_map(|stored| Some((stored.id.clone(), stored.name()?)));
        let by_directory = of_docker
            .chain(of_containerd)
            .filter_map(|(name, dir)| Some((dir.file_name()?.to_str()?.to_owned(), name?)));
        by_directory.chain(stored).filter(|(id, _)| is_id(id)).collect()
    }

    /// The containers of containers/storage, whichever of its drivers keeps them.
    fn stored(&self) -> impl Iterator<Item = Stored> {
        let drivers = STORAGES.into_iter().flat_map(|storage| entries(&self.root.join(storage)));
        let is_of_containers =
            |dir: &PathBuf| dir.as_os_str().as_encoded_bytes().ends_with(b"-containers");
        let files = ["containers.json", "volatile-containers.json"];
        drivers
            .filter(is_of_containers)
            .flat_map(move |dir| files.map(|file| dir.join(file)))
            .flat_map(|file| read::<Vec<Stored>>(&file).unwrap_or_default())
    }

    /// The directories of containerd's namespaces.
    fn bundles(&self) -> impl Iterator<Item = PathBuf> + use<> {
        entries(&self.root.join(CONTAINERD))
    }
}

impl Default for ContainerNames {
    fn default() -> Self {
        Self::new()
    }
}

impl Stored {
    /// The kubelet has CRI-O call it `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`.
    fn name(self) -> Option<String> {
        let name = self.names.into_iter().next()?;
        let parts: Vec<&str> = name.split('_').collect();
        match parts.as_slice() {
            ["k8s", container, pod, _, _, _] => valid(format!("{pod}/{container}")),
            _ => valid(name),
        }
    }
}

fn docker(dir: &Path) -> Option<String> {
    let container: DockerContainer = read(&dir.join("config.v2.json"))?;
    let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
    let name = container.name.strip_prefix('/').unwrap_or(&container.name);
    of_kubernetes(&labels).or_else(|| valid(name.to_owned()))
}

fn bundle(dir: &Path) -> Option<String> {
    let OciSpec { annotations } = read(&dir.join("config.json"))?;
    of_kubernetes(&annotations).or_else(|| valid(annotations.get("nerdctl/name")?.clone()))
}

/// The names that the kubelet gives as labels, and those that containerd's plugin `cri` gives as annotations
/// (`pkg/cri/annotations`). The container that holds a pod's namespaces has none.
fn of_kubernetes(labels: &BTreeMap<String, String>) -> Option<String> {
    let both = |pod, container| valid(format!("{}/{}", labels.get(pod)?, labels.get(container)?));
    both("io.kubernetes.pod.name", "io.kubernetes.container.name")
        .or_else(|| both("io.kubernetes.cri.sandbox-name", "io.kubernetes.cri.container-name"))
}

fn valid(name: String) -> Option<String> {
    (1..=LONGEST_NAME).contains(&name.len()).then_some(name)
}

/// The paths in a directory; none if it cannot be read.
fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

/// What a file holds, if it is there and of this form.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    // Opening something else, such as a pipe, may wait for ever.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Files below a root, as managers write them.
    fn root(files: &[(String, &str)]) -> (TempDir, ContainerNames) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let names = ContainerNames::under(root.path().to_owned());
        (root, names)
    }

    fn id(digit: &str) -> String {
        digit.repeat(64)
    }

    #[test]
    fn each_managers_containers_have_the_names_that_it_shows() {
        let stored = format!(
            r#"[{{"id":"{}","names":["web-7"],"layer":"{}","created":"2026-01-02T03:04:05Z"}},
                {{"id":"{}","names":["k8s_nginx_web-0_default_0b9e_2"]}},{{"id":"{}"}}]"#,
            id("a"),
            id("b"),
            id("c"),
            id("d")
        );
        let volatile = format!(r#"[{{"id":"{}","names":["run-once"]}}]"#, id("e"));
        let (_root, names) = root(&[
            (
                format!("{DOCKER}/{}/config.v2.json", id("1")),
                r#"{"ID":"1","Name":"/shop \"1\"\u001b[2J","Config":{"Labels":null}}"#,
            ),
            (
                format!("{DOCKER}/{}/config.v2.json", id("2")),
                r#"{"Name":"/k8s_api","Config":{"Labels":{"io.kubernetes.pod.name":"api-0",
                    "io.kubernetes.container.name":"api"}}}"#,
            ),
            ("var/lib/containers/storage/overlay-containers/containers.json".into(), &stored),
            ("run/containers/storage/vfs-containers/volatile-containers.json".into(), &volatile),
            (
                format!("{CONTAINERD}/k8s.io/{}/config.json", id("3")),
                r#"{"ociVersion":"1.1.0","annotations":{"io.kubernetes.cri.sandbox-name":"db-0",
                    "io.kubernetes.cri.container-name":"postgres"}}"#,
            ),
            (
                format!("{CONTAINERD}/k8s.io/{}/config.json", id("4")),
                r#"{"annotations":{"io.kubernetes.cri.sandbox-name":"db-0"}}"#,
            ),
            (
                format!("{CONTAINERD}/default/{}/config.json", id("5")),
                r#"{"annotations":{"nerdctl/name":"mine"}}"#,
            ),
        ]);
        let expected = [
            ("1", Some("shop \"1\"\u{1b}[2J")),
            ("2", Some("api-0/api")),
            ("a", Some("web-7")),
            ("c", Some("web-0/nginx")),
            ("d", None),
            ("e", Some("run-once")),
            ("3", Some("db-0/postgres")),
            ("4", None),
            ("5", Some("mine")),
            ("f", None),
        ];
        for (digit, name) in expected {
            assert_eq!(names.name(&id(digit)).as_deref(), name, "{digit}");
        }
        let mut all = names.all();
        all.sort();
        let mut with_names: Vec<_> = expected
            .iter()
            .filter_map(|(digit, name)| Some((id(digit), (*name)?.to_owned())))
            .collect();
        with_names.sort();
        assert_eq!(all, with_names);
        assert_eq!(names.name("../../../../etc"), None, "only ids are parts of paths");
    }

    #[test]
    fn files_that_are_spoiled_or_absent_name_nothing() {
        let long = format!(r#"{{"Name":"/{}"}}"#, "x".repeat(LONGEST_NAME + 1));
        let (root, names) = root(&[
            (format!("{DOCKER}/{}/config.v2.json", id("1")), "{\"Name\":"),
            (format!("{DOCKER}/{}/config.v2.json", id("2")), &long),
            (format!("{DOCKER}/{}/config.v2.json", id("3")), r#"{"Name":"/"}"#),
            (format!("{DOCKER}/notes/config.v2.json"), r#"{"Name":"/notes"}"#),
            ("var/lib/containers/storage/vfs-containers/containers.json".into(), "{}"),
        ]);
        fs::create_dir_all(root.path().join(CONTAINERD).join("k8s.io").join(id("4"))).unwrap();
        for digit in ["1", "2", "3", "4"] {
            assert_eq!(names.name(&id(digit)), None, "{digit}");
        }
        assert_eq!(names.all(), []);
        assert_eq!(ContainerNames::under("/proc/none".into()).all(), []);
    }
}
