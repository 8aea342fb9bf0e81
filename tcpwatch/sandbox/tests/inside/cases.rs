//! The cases, each in a process of its own.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
};

use rustix::{
    net::{AddressFamily, SocketType, netlink, socket},
    process::{Pid, getpid, kill_process, test_kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tcpwatch_sandbox::{Demand, InForce, SandboxNeeds, enter};

type Case = (&'static str, fn());

const CASES: [Case; 6] = [
    ("listening", listening),
    ("looking", looking),
    ("reading", reading),
    ("threads", threads),
    ("off", off),
    ("maps", maps),
];

pub(super) fn run() -> ExitCode {
    if let Some(name) =
        env::args().nth(1).and_then(|word| word.strip_prefix("inside=").map(str::to_owned))
    {
        let (_, case) = CASES.iter().find(|(known, _)| *known == name).unwrap();
        case();
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        assert!(env::var_os("TCPWATCH_REQUIRE_ROOT").is_none(), "this test needs root");
        println!("SKIPPED: needs root");
        return ExitCode::SUCCESS;
    }
    let failed: Vec<_> =
        CASES.iter().filter(|(name, _)| !passes(name)).map(|(name, _)| name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {failed:?}");
    ExitCode::FAILURE
}

/// Runs a case in a process of its own.
fn passes(name: &str) -> bool {
    let program = env::current_exe().unwrap();
    let status = Command::new(program).arg(format!("inside={name}")).stdin(Stdio::null()).status();
    let passed = status.unwrap().success();
    println!("inside {name} ... {}", if passed { "ok" } else { "FAILED" });
    passed
}

fn confined(needs: &SandboxNeeds) -> InForce {
    let in_force = enter(Demand::Strict, needs, || true).unwrap();
    in_force.verify().unwrap();
    in_force
}

#[track_caller]
fn refused<T>(what: &str, result: io::Result<T>) {
    let Err(error) = result else { panic!("{what} works") };
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{what}: {error}");
}

/// What no process may do that has given up anything.
fn nothing_of_root() {
    refused("a program", Command::new("/bin/true").spawn());
    refused("a file", fs::write("/root/tcpwatch-sandbox", "x"));
    refused("a file in /tmp", fs::remove_file("/tmp/tcpwatch-sandbox"));
    refused("another's signal", test_kill_process(Pid::INIT).map_err(Into::into));
    refused(
        "the other user",
        rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).map_err(Into::into),
    );
    refused("a listener", TcpListener::bind("127.0.0.1:0"));
    refused("a connection", TcpStream::connect("127.0.0.1:9"));
    refused(
        "a mount",
        rustix::mount::unmount("/tcpwatch-sandbox", rustix::mount::UnmountFlags::empty())
            .map_err(Into::into),
    );
    let status = fs::read_to_string("/proc/thread-self/status");
    if let Ok(status) = status {
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(status.contains("CapBnd:\t0000000000000000"), "{status}");
        assert!(!status.contains("Uid:\t0"), "{status}");
    }
}

/// The lines of capabilities of the calling thread.
fn capabilities() -> Vec<String> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let lines = status.lines().filter(|line| line.starts_with("Cap"));
    lines.map(|line| line.rsplit('\t').next().unwrap().to_owned()).collect()
}

fn listening() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let folder = env::temp_dir().join(format!("tcpwatch-sandbox-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("web.yml"), "x").unwrap();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    let in_force = confined(&SandboxNeeds::listening([folder.clone()]));
    let text = in_force.to_string();
    for word in ["no capability", "Landlock (ABI ", "seccomp", "no new privileges"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!in_force.enters_namespaces());
    nothing_of_root();
    let everybody = |path: &str| {
        assert!(Path::new(path).exists(), "{path}");
        refused(path, fs::read(path));
    };
    everybody("/etc/passwd");
    everybody("/usr/bin/env");
    let parent = std::os::unix::process::parent_id();
    refused("another's namespace", fs::read_link(format!("/proc/{parent}/ns/net")));

    // In a thread that is started later, too.
    let worker = thread::spawn(move || {
        assert_eq!(capabilities(), ["0000000000000000"; 5]);
        nothing_of_root();
        for path in ["/proc/self/stat", "/proc/net/netstat", "/proc/sys/net/ipv4/tcp_fin_timeout"] {
            fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        for path in ["/proc/self/fd", "/proc/self/fdinfo", "/sys/fs/cgroup"] {
            assert!(fs::read_dir(path).unwrap().count() > 0, "{path}");
        }
        assert_eq!(fs::read(folder.join("web.yml")).unwrap(), b"x");
        netlink_socket().unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.write_all(b"served").unwrap();
    });
    worker.join().unwrap();
    in_force.verify().unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "served");
}

fn netlink_socket() -> io::Result<()> {
    Ok(socket(AddressFamily::NETLINK, SocketType::DGRAM, Some(netlink::SOCK_DIAG)).map(drop)?)
}

fn looking() {
    let in_force = confined(&SandboxNeeds::looking());
    let kept = in_force.to_string();
    assert!(kept.contains("CAP_DAC_READ_SEARCH CAP_SYS_PTRACE CAP_SYS_ADMIN"), "{kept}");
    assert!(in_force.enters_namespaces());
    nothing_of_root();
    // A process of root's, which did not give up anything.
    let other = format!("/proc/{}", std::os::unix::process::parent_id());
    let status = fs::read_to_string(format!("{other}/status")).unwrap();
    assert!(status.contains("Uid:\t0\t"), "{status}");
    let way = format!("{other}/ns/net");
    fs::read_link(&way).unwrap();
    assert!(fs::read_dir(format!("{other}/fd")).unwrap().count() > 0);
    thread::spawn(move || {
        let netns = fs::File::open(way).unwrap();
        move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&netns),
            Some(LinkNameSpaceType::Network),
        )
        .unwrap();
    })
    .join()
    .unwrap();
}

fn reading() {
    let mut open = fs::File::open("/etc/passwd").unwrap();
    confined(&SandboxNeeds::reading());
    nothing_of_root();
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert!(text.contains("root"), "what was open stays so");
    refused("a file", fs::read("/etc/passwd"));
    refused("a cgroup", fs::read_dir("/sys/fs/cgroup"));
    refused("a socket", netlink_socket());
    refused(
        "a signal to itself by kill(2)",
        kill_process(getpid(), rustix::process::Signal::CONT).map_err(Into::into),
    );
}

fn threads() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let other = thread::Builder::new().name("another".to_owned());
    let other = other.spawn(move || ended.recv().is_err()).unwrap();
    let error = enter(Demand::Auto, &SandboxNeeds::looking(), || true).unwrap_err().to_string();
    assert!(error.contains("another"), "{error}");
    drop(end);
    other.join().unwrap();
    confined(&SandboxNeeds::looking());
}

fn off() {
    let before = fs::read_to_string("/proc/thread-self/status").unwrap();
    let in_force =
        enter(Demand::Off, &SandboxNeeds::reading(), || panic!("nothing is tried")).unwrap();
    assert!(in_force.to_string().starts_with("off, user 0, "), "{in_force}");
    let after = fs::read_to_string("/proc/thread-self/status").unwrap();
    let rights = |status: &str| -> Vec<_> {
        let lines =
            status.lines().filter(|line| line.starts_with("Cap") || line.starts_with("NoNew"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(rights(&before), rights(&after));
}

/// Where the kernel reads no map without `CAP_BPF`, this capability stays, and that is said.
fn maps() {
    let mut tried_with = Vec::new();
    let in_force = enter(Demand::Auto, &SandboxNeeds::listening([]), || {
        tried_with = capabilities();
        false
    })
    .unwrap();
    assert_eq!(tried_with[2], "0000000000000000", "effective while it is tried");
    assert!(in_force.to_string().contains(", CAP_BPF, "), "{in_force}");
    let missing = in_force.missing.join("; ");
    assert!(missing.contains("CAP_BPF, which stays"), "{missing}");
}
