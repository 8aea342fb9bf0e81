//! Behind the owner: the unit or container that it runs in, where that says more than the name of the process.

use tcpwatch_core::{
    place::{CgroupPlace, Places},
    track::Subject,
};

use super::{cell, char_count};

/// Between the owner and where it runs.
const IN: &[u8] = b" in ";

/// Appends ` in nginx` or ` in 3f2a9c1b7d5e` to the owner, if both fit in `room` columns.
pub(super) fn append(subject: &Subject, places: &mut Places, room: usize, owner: &mut Vec<u8>) {
    let Some(place) = subject.cgroup.and_then(|id| places.get(id)) else { return };
    let Some(word) = word(place) else { return };
    let named = |comm: &[u8]| is_named_after(word.as_bytes(), comm);
    let is_known = subject.process.is_some_and(|process| named(process.comm.as_bytes()));
    if !is_known && char_count(owner) + IN.len() + word.chars().count() <= room {
        owner.extend_from_slice(IN);
        cell::foreign(word, owner);
    }
}

/// A container, or else a unit that is not one for all that a user does.
fn word(place: &CgroupPlace) -> Option<&str> {
    if let Some(container) = &place.container {
        return Some(container.short());
    }
    place.unit_name()
}

/// Does the process's name, which is cut to 15 bytes, say the same?
fn is_named_after(word: &[u8], comm: &[u8]) -> bool {
    word == comm || comm.len() == 15 && word.starts_with(comm)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tcpwatch_core::event::{CgroupId, Endpoint, Endpoints, Netns, Process, Via, process::Comm};

    use super::*;

    fn shown(path: &str, comm: Option<&str>, room: usize) -> String {
        let id = CgroupId::from_low(7);
        let mut places = Places::default();
        places.learn(id.unwrap(), Some(Arc::new(CgroupPlace::of(path.as_bytes()))));
        let end = Endpoint { address: [0, 0, 0, 0].into(), port: 0 };
        let ends = Endpoints { local: end, remote: end };
        let process = comm.map(|comm| Process::named(12, Comm::from_text(comm), Via::Io));
        let subject = Subject { cgroup: id, process, ..Subject::unknown(None, Netns(1), ends) };
        let mut owner = Vec::new();
        cell::owner(&subject, cell::GUESS, &mut owner);
        append(&subject, &mut places, room, &mut owner);
        String::from_utf8(owner).unwrap()
    }

    #[test]
    fn a_unit_or_a_container_follows_the_owner_where_it_says_more_and_there_is_room() {
        let id = "0123456789abcdef".repeat(4);
        let docker = format!("/system.slice/docker-{id}.scope");
        for (path, comm, room, text) in [
            ("/system.slice/order-api.service", Some("java"), 20, "java 12 in order-api"),
            ("/system.slice/order-api.service", Some("java"), 19, "java 12"),
            ("/system.slice/order-api.service", None, 20, "- in order-api"),
            ("/system.slice/nginx.service", Some("nginx"), 20, "nginx 12"),
            (
                "/system.slice/a-name-of-twenty-chr.service",
                Some("a-name-of-twenty-chr"),
                60,
                "a-name-of-twent 12",
            ),
            ("/system.slice/ssh.socket", Some("sshd"), 60, "sshd 12 in ssh.socket"),
            ("/user.slice/user-0.slice/session-3.scope", Some("curl"), 60, "curl 12"),
            ("/init.scope", Some("systemd"), 60, "systemd 12"),
            ("/", Some("curl"), 60, "curl 12"),
            (&docker, Some("node"), 60, "node 12 in 0123456789ab"),
            ("/lxc/we\u{1b}[2Jb\u{e9}", Some("node"), 60, "node 12 in we?[2Jb?"),
        ] {
            assert_eq!(shown(path, comm, room), text, "{path} in {room}");
        }
    }
}
