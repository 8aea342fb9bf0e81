//! Where the owners of recorded sockets ran: the paths are in the recording, and the filters ask them.

use serde_json::Value;

use super::recording::{Played, Recording, run};

/// Numbers of states in `include/net/tcp_states.h`.
const CLOSED: u8 = 7;
const LISTEN: u8 = 10;

/// The number and the path of a cgroup.
type Cgroup<'a> = (u32, &'a str);

/// The beginning of both containers' ids.
const BOTH: &str = "c0ffee";

fn container(digit: char) -> String {
    format!("{BOTH}{}", digit.to_string().repeat(58))
}

/// A client and a server, each of them in a cgroup; the listener's port tells them apart.
fn recording([server, client]: [Cgroup<'_>; 2]) -> Recording {
    let mut recording = Recording::read("client_closes_first_v4");
    let listens = recording.position(|record| record.is_change(CLOSED, LISTEN));
    let port = recording.records[listens].local_port();
    for record in &mut recording.records {
        record.put_into(if record.local_port() == port { server.0 } else { client.0 });
    }
    for (number, path) in [server, client] {
        recording.head.push(format!("{{\"cgroup\":[{number},\"{}\"]}}", hex::encode(path)));
    }
    recording
}

#[test]
fn a_recordings_sockets_are_chosen_by_their_cgroup_unit_and_container() {
    let id = container('1');
    let server = format!("/shop.slice/docker-{id}.scope");
    let client = "/shop.slice/order-api.service";
    let recording = recording([(7, &server), (8, client)]);
    let file = recording.file();
    let whole = Played::of(file.path(), &[]);
    assert!(whole.lines.iter().all(|line| line["cgroup"].is_string()), "{:?}", whole.lines);
    for (args, of) in [
        (["--cgroup", client], client),
        (["--unit", "order-api"], client),
        (["--cgroup", server.as_str()], &server),
        (["--container", id.as_str()], &server),
        (["--container", BOTH], &server),
    ] {
        let chosen = Played::of(file.path(), &args);
        let expected: Vec<_> =
            whole.lines.iter().filter(|line| line["cgroup"] == of).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < whole.lines.len(), "{args:?}");
        assert_eq!(chosen.lines, expected, "{args:?}");
    }
    assert_eq!(Played::of(file.path(), &["--cgroup", "/shop.slice"]).lines, whole.lines);
}

#[test]
fn a_recording_has_the_names_of_containers_and_is_chosen_by_them() {
    let [web, db] = ['1', '2'].map(|digit| format!("/docker/{}", container(digit)));
    let mut recording = recording([(7, &web), (8, &db)]);
    for (frame, name) in recording.head.iter_mut().rev().zip(["db \\u001b[2J", "web"]) {
        *frame = frame.replace("\"]}", &format!("\",\"{name}\"]}}"));
    }
    let file = recording.file();
    let whole = Played::of(file.path(), &[]);
    let named =
        |name: &str| whole.lines.iter().filter(|line| line["container_name"] == name).count();
    assert!(named("web") > 0 && named("db \u{1b}[2J") > 0, "{:?}", whole.lines);
    for name in ["web", "db \u{1b}[2J"] {
        let chosen = Played::of(file.path(), &["--container", name]);
        assert_eq!(chosen.lines.len(), named(name), "{name}");
        assert!(chosen.lines.iter().all(|line| line["container_name"] == name), "{name}");
    }
    assert_eq!(Played::of(file.path(), &["--container", "we"]).lines, Vec::<Value>::new());
    let text = run(file.path(), &[]);
    assert!(text.status.success() && !text.stdout.contains(&0x1b), "{text:?}");

    if let Some(frame) = recording.head.last_mut() {
        *frame = frame.replace("db ", &"x".repeat(513));
    }
    let text = run(recording.file().path(), &[]);
    let said = String::from_utf8_lossy(&text.stderr);
    assert!(!text.status.success() && said.contains("is damaged"), "{said}");
}

#[test]
fn the_beginning_of_two_containers_ids_in_a_recording_is_refused_with_both_and_nothing_is_shown() {
    let ids = [container('1'), container('2')];
    let [server, client] = ids.each_ref().map(|id| format!("/docker/{id}"));
    let file = recording([(7, &server), (8, &client)]).file();
    let output =
        run(file.path(), &["--container", BOTH, "--format", "json", "--summary", "--existing"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{said}");
    for words in [&ids[0], &ids[1], "more than one container"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
