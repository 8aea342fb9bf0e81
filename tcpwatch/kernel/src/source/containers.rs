//! What a user calls a container: its id, or the beginning of it.

use std::collections::BTreeSet;

use tcpwatch_core::place::Place;

use super::cgroup_paths;

/// Digits of an id in full.
const WHOLE: usize = 64;

/// A word names no container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// None that exists has such an id.
    #[error(
        "no container here has an id that begins with \"{word}\"; names are known to their manager only: \
         `docker inspect -f '{{{{.Id}}}}' NAME`, `podman inspect -f '{{{{.Id}}}}' NAME` and `crictl ps` tell \
         the id, and LXC's and systemd-nspawn's names will do; a container that is still to come is watched by \
         --cgroup or --unit"
    )]
    Unknown {
        /// The word.
        word: String,
    },
    /// Several have.
    #[error(transparent)]
    Ambiguous(#[from] AmbiguousContainer),
}

/// The beginning of more than one container's id.
#[derive(Debug, thiserror::Error)]
#[error("\"{word}\" is the beginning of more than one container's id: {}; write more of it", ids.join(", "))]
pub struct AmbiguousContainer {
    /// The word.
    pub word: String,
    /// The ids.
    pub ids: Vec<String>,
}

/// The id of the container that the user means, of those that exist. An id in full may be that of one that has gone
/// or is to come.
///
/// # Errors
/// If it is the beginning of no id, or of several.
pub fn resolve(word: &str) -> Result<String, ContainerError> {
    choose(word, cgroup_paths::existing().iter().map(|path| Place::of(path)))
}

fn choose(word: &str, places: impl Iterator<Item = Place>) -> Result<String, ContainerError> {
    let word = word.to_owned();
    let is_id = word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id && word.len() == WHOLE {
        return Ok(word);
    }
    let all: BTreeSet<String> =
        places.filter_map(|place| Some(place.container?.id.to_string())).collect();
    if all.contains(&word) {
        return Ok(word);
    }
    let begins = |id: &&String| is_id && id.len() == WHOLE && id.starts_with(&word);
    let ids: Vec<String> = all.iter().filter(begins).cloned().collect();
    match ids.as_slice() {
        [] => Err(ContainerError::Unknown { word }),
        [id] if !word.is_empty() => Ok(id.clone()),
        _ => Err(AmbiguousContainer { word, ids }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(word: &str) -> Result<String, String> {
        let (a, b) = ("abc0".repeat(16), "abc1".repeat(16));
        let paths = [format!("/docker/{a}"), format!("/docker/{b}"), "/lxc/web".to_owned()];
        choose(word, paths.iter().map(|path| Place::of(path.as_bytes())))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_container_is_named_by_what_only_its_id_begins_with_or_by_a_name_that_is_its_id() {
        assert_eq!(chosen("abc0"), Ok("abc0".repeat(16)));
        assert_eq!(chosen("web"), Ok("web".to_owned()));
        assert_eq!(chosen(&"d".repeat(64)), Ok("d".repeat(64)), "it may come later");
    }

    #[test]
    fn the_beginning_of_two_ids_is_an_error_that_names_both() {
        let error = chosen("abc").unwrap_err();
        assert!(
            error.contains(&"abc0".repeat(16)) && error.contains(&"abc1".repeat(16)),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_only_its_manager_knows_is_an_error_that_says_how_to_get_the_id() {
        for word in ["my-app", "we", "", "ffff"] {
            let error = chosen(word).unwrap_err();
            let help =
                if word.is_empty() { "write more" } else { "docker inspect -f '{{.Id}}' NAME" };
            assert!(error.contains(help), "{word}: {error}");
        }
    }
}
