//! Network namespaces that are held only by their sockets: they cannot be entered.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    process::Stdio,
};

use crate::harness::{netns::Netns, program, sockets};

#[test]
fn a_namespace_that_has_gone_is_warned_about_once_however_much_is_sent_again_in_it() {
    needs_root!();
    let netns = Netns::new();
    let mut command = program::tcpwatch();
    command.args(["--netns", &netns.word(), "--retries", "--count", "6"]);
    let (mut child, mut stderr) = program::started(&mut command, Stdio::null());
    let (_listener, _connecting) = netns.inside(|| {
        let listener = TcpListener::bind(sockets::V4).unwrap();
        sockets::lose_all(&listener);
        let to: SocketAddr = listener.local_addr().unwrap();
        let connecting = [(); 3].map(|()| sockets::start_connect(sockets::unbound(to), to));
        (listener, connecting)
    });
    drop(netns);
    // Each SYN is retransmitted after one second and after two.
    assert!(child.wait().unwrap().success());
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("WARN")).collect();
    let [warning] = warnings.as_slice() else { panic!("one warning: {said}") };
    assert!(warning.contains("retries in netns"), "{warning}");
    assert!(warning.contains("has gone"), "{warning}");
}
