//! A file that changes while the server runs.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use tcpwatch_metrics::{collector::Collector as _, family::ScrapeFamily};

use super::{
    certificates::{Folder, PASSWORD},
    client::{Ask, Reply, ask},
    served::Served,
};

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";
const USERS: &str = "basic_auth_users: {alice: \"HASH\"}\n";

/// Asks until this comes: a change is looked for once a second.
fn until(served: &Served, folder: &Folder, request: Ask, reply: &Reply) {
    let begun = Instant::now();
    while ask(served.address(), folder, request) != *reply {
        assert!(begun.elapsed() < Duration::from_secs(20), "never {reply:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_current(served: &Served) -> bool {
    let mut families = Vec::new();
    served.counters.clone().collect(&mut families).unwrap();
    let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
    let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
    text.contains("tcpwatch_web_config_reload_success 1\n")
}

#[test]
fn users_are_those_of_the_file_as_it_is_now_and_of_a_broken_one_those_before() {
    let folder = Folder::new();
    let served = Served::with(&folder.write(&format!("{TLS}{USERS}"))).unwrap();
    let alice = Ask::TLS.by("alice", PASSWORD);
    assert_eq!(ask(served.address(), &folder, alice), Reply::status(200));
    assert!(is_current(&served));

    folder.write(&format!("{TLS}basic_auth_users: {{bob: \"HASH\"}}\n"));
    until(&served, &folder, alice, &Reply::status(401));
    assert_eq!(ask(served.address(), &folder, Ask::TLS.by("bob", PASSWORD)), Reply::status(200));

    folder.write(&format!("{TLS}basic_auth_users: {{carol: plain}}\n"));
    let begun = Instant::now();
    while is_current(&served) {
        assert!(begun.elapsed() < Duration::from_secs(20), "never seen to be broken");
        assert_eq!(
            ask(served.address(), &folder, Ask::TLS.by("bob", PASSWORD)),
            Reply::status(200)
        );
    }
    assert_eq!(ask(served.address(), &folder, Ask::TLS), Reply::status(401));

    folder.write(TLS);
    until(&served, &folder, Ask::TLS, &Reply::status(200));
    assert!(is_current(&served));
}

#[test]
fn a_certificate_that_is_replaced_is_shown_from_then_on() {
    let folder = Folder::new();
    let served = Served::with(&folder.write(TLS)).unwrap();
    assert_eq!(ask(served.address(), &folder, Ask::TLS), Reply::status(200));
    let other = Folder::new();
    assert_eq!(ask(served.address(), &other, Ask::TLS), Reply::Refused, "not of that authority");
    // As a renewal does it: one file after the other, so that for a moment they do not belong together.
    for file in ["server.crt", "server.key"] {
        let beside = folder.path().join("new");
        fs::copy(other.path().join(file), &beside).unwrap();
        fs::rename(beside, folder.path().join(file)).unwrap();
        if file == "server.crt" {
            let begun = Instant::now();
            while is_current(&served) {
                assert!(begun.elapsed() < Duration::from_secs(20), "never seen to be broken");
                assert_eq!(ask(served.address(), &folder, Ask::TLS), Reply::status(200));
            }
        }
    }
    until(&served, &other, Ask::TLS, &Reply::status(200));
    assert!(is_current(&served));
}

#[test]
fn tls_is_not_switched_off_by_a_change() {
    let folder = Folder::new();
    let served = Served::with(&folder.write(TLS)).unwrap();
    folder.write("");
    let begun = Instant::now();
    while is_current(&served) {
        assert!(begun.elapsed() < Duration::from_secs(20), "never seen to be broken");
        assert_eq!(ask(served.address(), &folder, Ask::TLS), Reply::status(200));
    }
    assert_eq!(ask(served.address(), &folder, Ask::PLAIN), Reply::status(400));
}
