//! Debian's `node_exporter` with the same configuration file.

use std::{
    env,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct NodeExporter {
    child: Child,
    pub address: SocketAddr,
}

impl NodeExporter {
    /// The program, where it is on this machine.
    pub fn program() -> Option<PathBuf> {
        let named = env::var_os("TCPWATCH_NODE_EXPORTER").map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let places = named.into_iter().chain(env::split_paths(&path));
        places.map(|place| place.join("prometheus-node-exporter")).find(|program| program.is_file())
    }

    /// `None` if it refuses the file.
    pub fn start(program: &Path, config: &Path) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut child = Command::new(program)
            .args(["--collector.disable-defaults", "--collector.time"])
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--web.config.file={}", config.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        loop {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(address).is_ok() {
                return Some(Self { child, address });
            }
            assert!(begun.elapsed() < PATIENCE, "node_exporter does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
