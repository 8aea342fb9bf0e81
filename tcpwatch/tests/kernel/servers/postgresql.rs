//! Postgres: the postmaster accepts, and forks a process for each connection.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::chown,
    path::PathBuf,
};

use super::{
    agreement::{PORT, Talk, compare},
    needs_packages, packages,
    system::{NOBODY, System},
};

/// The uid and gid of [`NOBODY`].
const NUMBER: u32 = 65534;

/// A message begins with a byte that says what it is, and with its length, which counts itself.
fn send(stream: &mut TcpStream, kind: &[u8], body: &[u8]) {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    stream.write_all(&[kind, &length, body].concat()).unwrap();
}

/// Reads messages up to "ready for query".
fn await_ready(stream: &mut TcpStream) {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        let length = usize::try_from(u32::from_be_bytes(head[1..].try_into().unwrap())).unwrap();
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).unwrap();
        match head[0] {
            b'Z' => return,
            b'E' => panic!("{}", String::from_utf8_lossy(&body)),
            _ => {}
        }
    }
}

/// Begins a session and makes a query.
pub(super) fn ask(stream: &mut TcpStream) {
    begin(stream, "select 1");
}

/// The same with another query.
pub(super) fn begin(stream: &mut TcpStream, query: &str) {
    let version = 196_608_u32.to_be_bytes();
    let names = b"user\0postgres\0database\0postgres\0\0";
    send(stream, b"", &[version.as_slice(), names].concat());
    await_ready(stream);
    send_query(stream, query);
    await_ready(stream);
}

/// Makes a query and does not wait for the answer.
pub(super) fn send_query(stream: &mut TcpStream, query: &str) {
    send(stream, b"Q", &[query.as_bytes(), b"\0"].concat());
}

/// Ends the session, upon which its process ends.
pub(super) fn end(mut stream: TcpStream) {
    send(&mut stream, b"X", b"");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it closes first");
}

/// Where the package has its server, from the root on: the directory has its version.
fn programs() -> PathBuf {
    let root = packages().unwrap().join("postgresql");
    let versions = fs::read_dir(root.join("usr/lib/postgresql")).unwrap();
    let version = versions.map(|entry| entry.unwrap().path()).find(|dir| dir.join("bin").is_dir());
    let programs = version.expect("a version").join("bin");
    PathBuf::from("/").join(programs.strip_prefix(root).unwrap())
}

/// A system with an empty cluster, and how its server is started.
pub(super) fn installed() -> (System, Vec<String>) {
    installed_on("127.0.0.1")
}

/// The same on another address, where everybody may come in.
pub(super) fn installed_on(address: &str) -> (System, Vec<String>) {
    let system = System::of("postgresql");
    chown(system.work(), Some(NUMBER), Some(NUMBER)).unwrap();
    let [initdb, postgres] =
        ["initdb", "postgres"].map(|name| programs().join(name).display().to_string());
    let data = ["-D", "/work/data"];
    let made = ["--username=postgres", "--auth=trust", "--no-sync", "--locale=C"];
    system.run(NOBODY, &[&[initdb.as_str()], &data[..], &made].concat());
    fs::write(system.work().join("data/pg_hba.conf"), "host all all 0.0.0.0/0 trust\n").unwrap();
    let port = PORT.to_string();
    let settings = ["-h", address, "-p", &port, "-k", "", "-F", "-N", "250", "-B", "32MB"];
    let server = [&[postgres.as_str()], &data[..], &settings].concat();
    let server = server.into_iter().map(str::to_owned).collect();
    (system, server)
}

#[test]
fn the_process_that_postgresql_forks_for_a_connection_owns_it() {
    needs_packages!();
    let (system, server) = installed();
    let server: Vec<&str> = server.iter().map(String::as_str).collect();
    let talk = Talk { name: "postgresql", connections: 200, ask, end };
    compare(&talk, |netns| system.start(netns, NOBODY, &server));
}
