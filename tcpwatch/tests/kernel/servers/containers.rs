//! A container that Podman runs: its id and its name in the log and as filters.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{self, Command},
    time::Duration,
};

use serde_json::Value;

use super::{
    busybox, needs_packages,
    system::{ROOT, System},
};
use crate::{
    carried,
    harness::{cgroup::Cgroup, lives::life, netns::Netns, poll_within, watch::Watch},
};

const PORT: u16 = 8000;
const NAME: &str = "web-7";

/// `$1` is the parent of the container's cgroup. No other file system and no network are asked for, so that this
/// runs inside of containers; the limits are below those of any machine, and whoever is privileged has no filter
/// for devices, which not every kernel lets a program make.
const RUN: &str = r#"
podman() {
    command podman --root /work/storage --runroot /work/run --storage-driver vfs \
        --cgroup-manager cgroupfs --events-backend none --runtime crun "$@"
}
podman import --quiet /work/image.tar tiny >/dev/null
podman run --name web-7 --cgroup-parent "$1" --network host --privileged --pids-limit 0 \
    --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 tiny /bin/busybox httpd -f -p 8000
"#;

/// An image of busybox alone.
fn make_image(work: &Path) {
    let root = work.join("image");
    for dir in ["bin", "dev", "etc", "proc", "run", "sys", "tmp"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy(busybox().unwrap(), root.join("bin/busybox")).unwrap();
    let mut tar = Command::new("tar");
    let tar = tar.arg("-C").arg(&root).arg("-cf").arg(work.join("image.tar")).arg(".");
    assert!(tar.status().unwrap().success());
}

/// tcpwatch on a machine whose Podman keeps its containers in `storage`.
fn beside(storage: &Path, netns: &Netns, args: &[&str]) -> Watch {
    const MACHINE: &str = r#"
        mount -t tmpfs none /var/lib
        mkdir -p /var/lib/containers/storage
        mount --bind "$1" /var/lib/containers/storage
        shift
        exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", MACHINE, "sh"]).arg(storage).arg(carried::program());
    let netns = netns.word();
    Watch::start_by(command, &[&["--netns", netns.as_str()], args].concat())
}

#[test]
fn a_container_of_podman_has_its_id_and_its_name_in_the_log_and_both_are_filters() {
    needs_packages!();
    let system = System::of("podman");
    make_image(system.work());
    let netns = Netns::new();
    let parent = Cgroup::new(format!("tcpwatch-{}-podman", process::id()));
    let running = system.start(&netns, ROOT, &["sh", "-ec", RUN, "sh", &parent.path()]);
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let minute = Duration::from_mins(1);
    poll_within(minute, "the server", || netns.inside(|| TcpStream::connect(at)).ok());
    let storage = system.work().join("storage");
    let listed = fs::read(storage.join("vfs-containers/containers.json")).unwrap();
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    let id = listed[0]["id"].as_str().unwrap();

    let wanted: [&[&str]; 3] = [&[], &["--container", &id[..10]], &["--container", NAME]];
    let watches = wanted.map(|args| beside(&storage, &netns, args));
    let mut client = netns.inside(|| TcpStream::connect(at).unwrap());
    let connected = client.local_addr().unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    drop(client);
    for watch in watches {
        watch.wait_count(1, "TIME_WAIT", |line| line.to == "TIME_WAIT");
        let log = watch.stop();
        let theirs = life(&log.lines, at, connected);
        let path = "LISTEN SYN_RECV ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT";
        assert_eq!(theirs.path(), path, "{theirs}");
        for line in &theirs.lines {
            assert_eq!(line.container.as_deref(), Some(id), "{line}");
            assert_eq!(line.runtime.as_deref(), Some("podman"), "{line}");
            assert_eq!(line.container_name.as_deref(), Some(NAME), "{line}");
        }
    }
    drop(running);
    parent.remove_below();
}
