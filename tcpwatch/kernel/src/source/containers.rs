//! What a user calls a container: its name, its id, or the beginning of the id.

use std::collections::{BTreeMap, BTreeSet};

use tcpwatch_core::place::{CgroupPlace, container::is_id};

use super::{cgroup_paths, container_names::ContainerNames};

/// A word names no container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// None that exists is called so.
    #[error(
        "no container here has the name \"{word}\" or an id that begins so; names are known of Docker, of root's \
         Podman, of CRI-O and containerd (of Kubernetes POD/CONTAINER), of LXC and systemd-nspawn; \
         `podman inspect -f '{{{{.Id}}}}' NAME` tells the id of a user's; a container that is still to come is \
         watched by --cgroup or --unit"
    )]
    Unknown {
        /// The word.
        word: String,
    },
    /// Several are.
    #[error(transparent)]
    Ambiguous(#[from] AmbiguousContainer),
}

/// More than one container is meant.
#[derive(Debug, thiserror::Error)]
#[error("\"{word}\" means more than one container: {}; write more of the id", containers.join(", "))]
pub struct AmbiguousContainer {
    /// The word.
    pub word: String,
    /// The ids, with the names that are known.
    pub containers: Vec<String>,
}

/// The id of the container that the user means, of those that exist. An id in full may be that of one that has gone
/// or is to come.
///
/// # Errors
/// If none is called so, or several are.
pub fn resolve(word: &str) -> Result<String, ContainerError> {
    let paths = cgroup_paths::existing();
    choose(word, paths.iter().map(|path| CgroupPlace::of(path)), || ContainerNames::new().all())
}

fn choose(
    word: &str,
    places: impl Iterator<Item = CgroupPlace>,
    names: impl FnOnce() -> Vec<(String, String)>,
) -> Result<String, ContainerError> {
    let word = word.to_owned();
    if is_id(&word) {
        return Ok(word);
    }
    let running: BTreeSet<String> =
        places.filter_map(|place| Some(place.container?.id.to_string())).collect();
    if running.contains(&word) {
        return Ok(word);
    }
    let names: BTreeMap<String, String> = names().into_iter().collect();
    let begins = |id: &&String| !word.is_empty() && is_id(id) && id.starts_with(&word);
    let begun = running.iter().filter(begins);
    let chosen: BTreeSet<&String> = begun.chain(named(&word, &names, &running)).collect();
    let mut ids = chosen.iter();
    match (ids.next(), ids.next()) {
        (None, _) => Err(ContainerError::Unknown { word }),
        (Some(id), None) => Ok(String::clone(id)),
        (Some(_), Some(_)) => {
            let shown = |id: &&String| match names.get(*id) {
                Some(name) => format!("{id} ({})", name.escape_debug()),
                None => String::clone(id),
            };
            let containers = chosen.iter().map(shown).collect();
            Err(AmbiguousContainer { word, containers }.into())
        }
    }
}

/// The containers with this name: those that run, or else those that do not. Kubernetes keeps some that have ended.
fn named<'n>(
    word: &str,
    names: &'n BTreeMap<String, String>,
    running: &BTreeSet<String>,
) -> Vec<&'n String> {
    let all = names.iter().filter(|(_, name)| *name == word).map(|(id, _)| id);
    let (run, stopped): (Vec<_>, Vec<_>) = all.partition(|id| running.contains(*id));
    if run.is_empty() { stopped } else { run }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(word: &str) -> Result<String, String> {
        let (a, b) = ("abc0".repeat(16), "abc1".repeat(16));
        let paths = [format!("/docker/{a}"), format!("/docker/{b}"), "/lxc/web".to_owned()];
        let names = [
            (&a, "api"),
            (&b, "db-0/postgres"),
            (&"1".repeat(64), "api"),
            (&"2".repeat(64), "twice"),
            (&"3".repeat(64), "twice"),
            (&"4".repeat(64), "abc0"),
        ];
        let names = names.map(|(id, name)| (id.clone(), name.to_owned()));
        choose(word, paths.iter().map(|path| CgroupPlace::of(path.as_bytes())), || names.into())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_container_is_named_by_what_only_its_id_begins_with_or_by_its_name() {
        assert_eq!(chosen("abc1"), Ok("abc1".repeat(16)));
        assert_eq!(chosen("web"), Ok("web".to_owned()));
        assert_eq!(chosen("db-0/postgres"), Ok("abc1".repeat(16)));
        assert_eq!(chosen(&"d".repeat(64)), Ok("d".repeat(64)), "it may come later");
    }

    #[test]
    fn of_two_containers_with_one_name_it_is_the_one_that_runs() {
        assert_eq!(chosen("api"), Ok("abc0".repeat(16)));
    }

    #[test]
    fn what_means_two_containers_is_an_error_that_names_both() {
        for (word, one, other) in [
            (
                "abc",
                format!("{} (api)", "abc0".repeat(16)),
                format!("{} (db-0/postgres)", "abc1".repeat(16)),
            ),
            ("twice", "2".repeat(64), "3".repeat(64)),
            ("abc0", "abc0".repeat(16), format!("{} (abc0)", "4".repeat(64))),
        ] {
            let error = chosen(word).unwrap_err();
            assert!(error.contains(&one) && error.contains(&other), "{word}: {error}");
        }
    }

    #[test]
    fn what_means_none_is_an_error_that_says_whose_names_are_known() {
        for word in ["my-app", "we", "", "ffff"] {
            let error = chosen(word).unwrap_err();
            assert!(error.contains("names are known of Docker"), "{word}: {error}");
        }
    }
}
