//! A network namespace that lives as long as its guard: a thread of this process holds it, so the kernel removes it
//! however the test ends.

use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    panic,
    process::Command,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use rustix::thread::{LinkNameSpaceType, gettid, move_into_link_name_space};

thread_local! {
    /// Inodes of the namespaces that this thread has made.
    static MADE_HERE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Inodes of the namespaces that this thread has made since the last call.
pub(crate) fn take_made_here() -> Vec<u32> {
    MADE_HERE.take()
}

const OWN: &str = "/proc/thread-self/ns/net";

/// A private network namespace with a loopback interface.
pub(crate) struct Netns {
    /// Its inode, by which tcpwatch identifies it.
    pub(crate) inode: u32,
    /// The thread that holds it; `ip` accepts its id as that of a process.
    pub(crate) holder: i32,
    file: Option<File>,
    release: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Netns {
    pub(crate) fn new() -> Self {
        let (tell, told) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let hold = move || {
            #[expect(deprecated, reason = "CLONE_NEWNET does not touch the file table")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            run("ip link set lo up");
            let file = File::open(OWN).unwrap();
            let inode = u32::try_from(fs::metadata(OWN).unwrap().ino()).unwrap();
            tell.send((inode, gettid().as_raw_nonzero().get(), file)).unwrap();
            assert!(released.recv().is_err(), "nothing is ever sent");
        };
        let thread = thread::Builder::new().name("holder".to_owned()).spawn(hold).unwrap();
        let (inode, holder, file) = told.recv().unwrap();
        MADE_HERE.with_borrow_mut(|made| made.push(inode));
        Self { inode, holder, file: Some(file), release: Some(release), thread: Some(thread) }
    }

    /// With these sysctls.
    pub(crate) fn with(sysctls: &[(&str, &str)]) -> Self {
        let netns = Self::new();
        for (name, value) in sysctls {
            netns.set(name, value).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        netns
    }

    /// Writes a sysctl such as `ipv4.tcp_fin_timeout`.
    pub(crate) fn set(&self, name: &str, value: &str) -> io::Result<()> {
        let path = format!("/proc/sys/net/{}", name.replace('.', "/"));
        self.inside(|| fs::write(path, value))
    }

    /// Runs `act` in a thread inside the namespace. Sockets made there stay there.
    pub(crate) fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let file = self.file.as_ref().unwrap();
        let done = thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                        .unwrap();
                    act()
                })
                .join()
        });
        done.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// Runs a command line inside.
    pub(crate) fn run(&self, line: &str) {
        self.inside(|| run(line));
    }

    /// The argument by which tcpwatch watches only this namespace.
    pub(crate) fn word(&self) -> String {
        self.inode.to_string()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(self.file.take());
        drop(self.release.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if ended.is_err() && !thread::panicking() {
                eprintln!("the thread that held network namespace {} panicked", self.inode);
            }
        }
    }
}

/// Two namespaces joined by a link: `10.9.0.1` and `10.9.0.2`.
pub(crate) fn two_hosts() -> (Netns, Netns) {
    let left = Netns::new();
    let right = neighbour_of(&left);
    (left, right)
}

/// A second host for one that is `10.9.0.1`.
pub(crate) fn neighbour_of(left: &Netns) -> Netns {
    let right = Netns::new();
    left.run(&format!("ip link add cable type veth peer name cable netns {}", right.holder));
    for (host, address) in [(left, "10.9.0.1/24"), (&right, "10.9.0.2/24")] {
        host.run(&format!("ip address add {address} dev cable"));
        host.run("ip link set cable up");
    }
    right
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}`: {said}");
}
