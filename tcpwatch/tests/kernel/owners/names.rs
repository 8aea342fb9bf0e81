//! One process, one name; and the number that it has where tcpwatch runs.

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    process::{self, Command},
    thread,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    carried,
    harness::{
        line::Line,
        lives::{life, transcript},
        netns::Netns,
        peer::Peer,
        poll,
        sockets::{Pair, V4},
        watch::Watch,
    },
};

#[test]
fn a_thread_is_named_besides_its_process_and_either_name_is_a_filter() {
    needs_root!();
    let netns = Netns::new();
    let own = fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned();
    let watches = [
        Watch::on(&netns),
        Watch::with(&netns, &["--comm", &own]),
        Watch::with(&netns, &["--comm", "worker-7"]),
    ];
    let work = || {
        netns.inside(|| {
            rustix::thread::set_name(c"worker-7").unwrap();
            let pair = Pair::over(&TcpListener::bind(V4).unwrap());
            let ends = pair.ends();
            pair.close_client_first();
            ends
        })
    };
    let (client, server) = thread::scope(|scope| scope.spawn(work).join().unwrap());
    for watch in watches {
        watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
        let ours = life(&watch.stop().lines, client, server);
        assert_eq!(ours.path(), "CLOSED SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT");
        for line in &ours.lines {
            let owner = line.process.clone().unwrap();
            assert_eq!((owner.pid, owner.comm.as_str()), (process::id(), own.as_str()), "{line}");
            assert_eq!(owner.thread.as_deref(), Some("worker-7"), "{line}");
        }
    }
}

#[test]
fn accepted_and_connected_show_one_direction() {
    needs_root!();
    let netns = Netns::new();
    let watches = ["--accepted", "--connected"].map(|word| Watch::with(&netns, &[word]));
    let (mut server, mut client) =
        (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
    let listening = server.listen("127.0.0.1:0");
    client.connect(listening);
    for (watch, direction) in watches.into_iter().zip(["incoming", "outgoing"]) {
        watch.wait_count(1, "ESTABLISHED", |line| line.to == "ESTABLISHED");
        let log = watch.stop();
        let directions = log.lines.iter().map(|line| line.direction.as_deref());
        assert!(directions.into_iter().all(|one| one == Some(direction)), "only {direction}");
    }
}

#[test]
fn a_subflow_that_the_kernel_opens_belongs_to_the_owner_of_its_mptcp_connection() {
    needs_root!();
    let netns = Netns::new();
    let mptcp = || Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(262)));
    if netns.set("mptcp.enabled", "1").is_err() || netns.inside(|| mptcp().is_err()) {
        println!("measured: this kernel has no MPTCP");
        return;
    }
    netns.run("ip addr add 10.9.0.1/24 dev lo");
    netns.run("ip addr add 10.9.0.2/24 dev lo");
    netns.run("ip mptcp limits set subflow 2 add_addr_accepted 2");
    netns.run("ip mptcp endpoint add 10.9.0.2 dev lo subflow");
    let watch = Watch::on(&netns);
    let (listening, made) = netns.inside(|| {
        let server = mptcp().unwrap();
        server.bind(&"10.9.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        server.listen(8).unwrap();
        let client = mptcp().unwrap();
        client.bind(&"10.9.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        client.connect(&server.local_addr().unwrap()).unwrap();
        let (accepted, _) = server.accept().unwrap();
        client.send(&[0; 1000]).unwrap();
        accepted.recv(&mut [std::mem::MaybeUninit::uninit(); 1000]).unwrap();
        let listening = server.local_addr().unwrap().as_socket().unwrap().port();
        (listening, (server, client, accepted))
    });
    // The accepted end may open one, too, to the client's port, which refuses it: nothing has said yet whose it is.
    let is_subflow = |line: &Line| {
        line.is_state()
            && line.local.is_some_and(|end| end.addr.to_string() == "10.9.0.2")
            && line.remote.is_some_and(|end| end.port == listening)
    };
    watch.wait_count(2, "the subflow", |line| is_subflow(line));
    drop(made);
    let log = watch.stop();
    for line in log.lines.iter().filter(|line| is_subflow(line)) {
        let owner = line.process.clone();
        let owner = owner.unwrap_or_else(|| panic!("an owner: {line}\n{}", transcript(&log.lines)));
        assert_eq!(owner.pid, process::id(), "{line}");
    }
}

/// Runs tcpwatch in a pid namespace of its own, with a shell that connects, says its number there, and closes. It
/// ends as soon as tcpwatch does.
const CONTAINER: &str = r#"
"$1" --netns "$2" --format json --summary 2>err >log &
until grep -q "Ctrl-C to stop" err; do kill -0 $!; sleep 0.02; done
exec 3<>"/dev/tcp/127.0.0.1/$3" && echo $$ >number && echo >&3
exec 3>&-
until grep -q '"LAST_ACK","to":"CLOSED"' log; do kill -0 $!; sleep 0.02; done
kill -INT $! && wait $!
"#;

#[test]
fn numbers_are_those_of_the_pid_namespace_that_tcpwatch_runs_in_and_others_have_none() {
    needs_root!();
    let netns = Netns::new();
    let listener = netns.inside(|| TcpListener::bind(V4).unwrap());
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-ec", CONTAINER, "-"])
        .arg(carried::program())
        .args([netns.word(), port.to_string()])
        .current_dir(&folder);
    let mut container = netns.inside(|| command.spawn().unwrap());
    listener.set_nonblocking(true).unwrap();
    let (mut stream, _) = poll("the client", || {
        assert_eq!(container.try_wait().unwrap(), None, "it connects before it ends");
        listener.accept().ok()
    });
    stream.set_nonblocking(false).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    drop(stream);
    assert!(container.wait().unwrap().success());
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let inside: u32 = read("number").trim().parse().unwrap();
    let log = read("log");
    let lines = log.lines().filter(|line| line.contains(r#""event":"state""#));
    let lines: Vec<Line> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let clients = lines.iter().filter(|line| line.remote.is_some_and(|end| end.port == port));
    for line in clients {
        assert_eq!(line.process.as_ref().map(|owner| owner.pid), Some(inside), "{line}");
    }
    let closed = lines.iter().find(|line| line.is("CLOSE_WAIT>LAST_ACK")).unwrap();
    let owner = closed.process.clone().unwrap();
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!((owner.pid, owner.comm.as_str(), owner.via.as_str()), (0, own.trim_end(), "close"));
    assert!(log.contains(r#""process":{"pid":null,"#), "{log}");
}
