//! Which processes have a socket in their tables of open files, as `ss -p` says it.

use std::{
    collections::HashMap,
    process::{Command, Stdio},
};

/// A process by its number and its name.
pub(crate) type Holder = (u32, String);

/// The holders of all TCP connections of the calling thread's network namespace, by the socket's cookie. Sockets
/// that no process holds are left out.
pub(crate) fn look() -> HashMap<u64, Vec<Holder>> {
    let output = Command::new("ss").arg("-HOtanpe").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.starts_with("LISTEN")).filter_map(parsed).collect()
}

/// `… users:(("nginx",pid=12,fd=3),("nginx",pid=13,fd=9)) … sk:2b2d5 …`; names have no quotes.
fn parsed(line: &str) -> Option<(u64, Vec<Holder>)> {
    let cookie = line.split_whitespace().find_map(|word| word.strip_prefix("sk:"))?;
    let users = line.split_once("users:((")?.1.split_once("))")?.0;
    let holder = |user: &str| {
        let (name, rest) = user.strip_prefix('"')?.split_once("\",pid=")?;
        Some((rest.split_once(',')?.0.parse().ok()?, name.to_owned()))
    };
    let holders = users.split("),(").map(|user| holder(user).expect("ss names a process"));
    Some((u64::from_str_radix(cookie, 16).ok()?, holders.collect()))
}

#[test]
fn holders_are_read_as_ss_writes_them() {
    let line = r#"ESTAB 0 0 127.0.0.1:80 127.0.0.1:9 users:(("a b",pid=12,fd=3),("c",pid=7,fd=9)) ino:4 sk:1f <->"#;
    let holders = vec![(12, "a b".to_owned()), (7, "c".to_owned())];
    assert_eq!(parsed(line), Some((0x1f, holders)));
    assert_eq!(parsed("TIME-WAIT 0 0 127.0.0.1:80 127.0.0.1:9 ino:0 sk:1f"), None);
}
