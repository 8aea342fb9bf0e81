//! However the laboratory ends, neither a process nor a network namespace is left.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::{
        fs::PermissionsExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{self, Child, Command, Stdio},
    time::Instant,
};

use tcpwatch_core::event::{Netns, TcpState};
use tcpwatch_kernel::{probe::filters::FamilyFilter, source::snapshot::namespaces};
use tcpwatch_lab::{
    host::Host,
    hosts::{HostsPlan, LINK, World, end_orphans},
    scenario::{CallKind, Signal},
};

use crate::{
    carried,
    harness::{DEADLINE, Lab, inside, run},
};

const VICTIM: &str = "TCPWATCH_LAB_VICTIM";

/// Any process, mount or open file that holds it.
fn holders(netns: u32) -> Vec<String> {
    let link = format!("net:[{netns}]");
    let reachable = namespaces::reachable().unwrap().places.into_iter();
    let mut holders: Vec<String> = reachable
        .filter(|place| place.netns == Netns(netns))
        .flat_map(|place| place.paths)
        .map(|path| path.display().to_string())
        .collect();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for file in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            if fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*link) {
                holders.push(file.path().display().to_string());
            }
        }
    }
    holders
}

/// Can execute the test binary and tcpwatch, and nothing else.
const NOBODY: u32 = 65534;

#[test]
fn without_privilege_the_error_says_what_it_takes() {
    needs_root!();
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("lab");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new(program)
        .args(["--exact", "leftovers::a_laboratory_that_dies", "--ignored", "--nocapture"])
        .env(VICTIM, "exit")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let error = said.lines().find_map(|line| line.split_once("error> ")).expect("an error").1;
    assert!(error.contains("unshare") && error.contains("Operation not permitted"), "{error}");
    assert!(error.contains("sudo") && error.ends_with("precondition: true"), "{error}");
}

pub(crate) fn wait_until_gone(pids: &[u32], netns: &[u32]) {
    let begun = Instant::now();
    loop {
        let alive: Vec<_> =
            pids.iter().filter(|pid| fs::metadata(format!("/proc/{pid}")).is_ok()).collect();
        let held: Vec<_> = netns.iter().flat_map(|netns| holders(*netns)).collect();
        if alive.is_empty() && held.is_empty() {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "left: processes {alive:?}, namespaces {held:?}");
        std::thread::yield_now();
    }
}

/// Another process builds two hosts, stops one of them, prints their ids, and dies.
fn die(how: &str) {
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "leftovers::a_laboratory_that_dies", "--ignored", "--nocapture"])
        .env(VICTIM, how)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let line = lines
        .map(Result::unwrap)
        .find_map(|line| line.split_once("hosts> ").map(|(_, hosts)| hosts.to_owned()))
        .expect("the hosts were built");
    let numbers: Vec<u32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
    let [client, server, client_netns, server_netns] = numbers[..] else { panic!("{line}") };
    for (pid, name) in [(client, "lab-client\n"), (server, "lab-server\n")] {
        assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), name, "{how}");
    }
    assert!(!holders(client_netns).is_empty(), "the test sees what is there");
    if how == "kill" {
        victim.kill().unwrap();
    } else {
        drop(victim.stdin.take());
    }
    victim.wait().unwrap();
    wait_until_gone(&[client, server], &[client_netns, server_netns]);
}

#[test]
#[ignore = "runs in the child processes of other tests"]
#[expect(clippy::exit, reason = "one of the ways in which a laboratory ends")]
fn a_laboratory_that_dies() {
    let Ok(how) = env::var(VICTIM) else { return };
    let sysctls = crate::harness::Sysctls::new();
    run(async {
        let plan = HostsPlan {
            family: FamilyFilter::V4,
            sysctls: &sysctls,
            ifindex_base: 77,
            program: carried::program(),
        };
        let (tell, _told) = tokio::sync::mpsc::unbounded_channel();
        let mut world = match World::build(&plan, tell).await {
            Ok(world) => world,
            Err(error) => {
                println!("error> {error}; precondition: {}", error.is_precondition());
                return;
            }
        };
        world.machine_mut(Host::Server).signal(Signal::Stop).await.unwrap();
        let [client, server] = Host::ALL.map(|host| world.machine(host));
        let netns = [client, server].map(|machine| machine.netns().0);
        println!("hosts> {} {} {} {}", client.pid(), server.pid(), netns[0], netns[1]);
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        match &*how {
            "panic" => panic!("as asked"),
            "exit" => process::exit(1),
            _ => {}
        }
    });
}

#[test]
fn nothing_is_left_of_a_laboratory_that_was_killed() {
    needs_root!();
    die("kill");
}

#[test]
fn nothing_is_left_of_a_laboratory_that_panicked_or_left_without_a_word() {
    needs_root!();
    die("panic");
    die("exit");
}

#[test]
fn nothing_is_left_of_hosts_that_are_dropped() {
    needs_root!();
    let mut pids = Vec::new();
    let mut netns = Vec::new();
    run(async {
        let mut lab = Lab::new(FamilyFilter::V4).await;
        lab.connect().await;
        for machine in Host::ALL.map(|host| lab.world.machine(host)) {
            pids.push(machine.pid());
            netns.push(machine.netns().0);
        }
    });
    wait_until_gone(&pids, &netns);
}

#[test]
fn no_socket_that_retries_holds_the_namespace_of_dropped_hosts() {
    needs_root!();
    let netns = run(async {
        let mut lab = Lab::new(FamilyFilter::V4).await;
        lab.connect().await;
        let netns =
            Host::ALL.map(|host| lab.world.machine(host).netns_fd().try_clone_to_owned().unwrap());
        // From now on nothing reaches the server.
        inside(&netns[1], || {
            let done = Command::new("ip").args(["link", "set", LINK, "down"]).status().unwrap();
            assert!(done.success());
        });
        lab.call(Host::Client, "client", CallKind::Close).await;
        lab.see(Host::Client, &[TcpState::FinWait1]).await;
        netns
    });
    for netns in netns {
        let sockets = inside(&netns, || fs::read_to_string("/proc/thread-self/net/tcp").unwrap());
        assert_eq!(sockets.lines().count(), 1, "a title and no sockets: {sockets}");
    }
}

/// A process that resembles a host's, started by `maker`.
fn impostor(folder: &Path, maker: u32) -> Child {
    fs::write(folder.join("lab-peer"), "read word").unwrap();
    Command::new("/bin/sh")
        .arg0("lab-server")
        .args(["lab-peer", "server", "--parent", &maker.to_string()])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn only_hosts_without_their_laboratory_are_ended() {
    needs_root!();
    let folder = tempfile::tempdir().unwrap();
    let mut left = impostor(folder.path(), 1);
    let mut kept = impostor(folder.path(), process::id());
    let ended = end_orphans(Path::new("/bin/sh")).unwrap();
    assert_eq!(ended, [left.id()]);
    assert_eq!(left.wait().unwrap().signal(), Some(9));
    assert!(kept.try_wait().unwrap().is_none(), "it has its laboratory");
    kept.kill().unwrap();
    kept.wait().unwrap();
    run(async {
        let mut lab = Lab::new(FamilyFilter::V4).await;
        let ended = end_orphans(&carried::program()).unwrap();
        assert_eq!(ended, Vec::<u32>::new());
        lab.connect().await;
    });
}

#[test]
fn a_host_whose_maker_is_another_process_does_not_live() {
    let status = Command::new(carried::program())
        .args(["lab-peer", "client", "--parent", "1", "--cpu", "0"])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
