//! Signals to a host's process.

use tcpwatch_core::event::TcpState;
use tcpwatch_lab::{
    host::Host,
    scenario::{CallKind, Signal},
    story::MomentKind,
};

use crate::harness::{FAMILIES, Lab, accept, listen, run};

/// `T` is stopped, `Z` has ended (`proc_pid_status(5)`).
fn state(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap();
    line.trim()[..1].to_owned()
}

#[test]
fn a_stopped_process_does_nothing_until_it_continues() {
    needs_root!();
    run(async {
        let mut lab = Lab::new(FAMILIES[0]).await;
        lab.call(Host::Server, "listener", listen(16)).await;
        lab.call(Host::Server, "server", accept()).await;
        let pid = lab.world.machine(Host::Server).pid();
        lab.world.machine_mut(Host::Server).signal(Signal::Stop).await.unwrap();
        assert_eq!(state(pid), "T");
        let error = lab.try_call(Host::Server, "x", CallKind::Socket).await.unwrap_err();
        assert!(error.to_string().contains("stopped"), "{error}");
        // The kernel completes the handshake without the process.
        lab.call(Host::Client, "client", CallKind::Connect { port: crate::harness::PORT }).await;
        assert_eq!(lab.returned("client", "connect").await, "connect(3) = 0");
        let lines = lab.lines();
        assert!(!lines.iter().any(|line| line.starts_with("accept")), "{lines:?}");
        lab.world.machine_mut(Host::Server).signal(Signal::Continue).await.unwrap();
        assert_eq!(lab.returned("server", "accept").await, "accept(3) = 4");
        let signals: Vec<_> = lab
            .so_far()
            .iter()
            .filter_map(|moment| match moment.what {
                MomentKind::Signal(signal) => Some((moment.host, signal)),
                _ => None,
            })
            .collect();
        let expected = [(Host::Server, Signal::Stop), (Host::Server, Signal::Continue)];
        assert_eq!(signals, expected);
    });
}

#[test]
fn a_killed_process_leaves_its_sockets_to_the_kernel_and_the_network_stays() {
    needs_root!();
    run(async {
        let mut lab = Lab::new(FAMILIES[0]).await;
        lab.connect().await;
        let pid = lab.world.machine(Host::Client).pid();
        lab.world.machine_mut(Host::Client).signal(Signal::Stop).await.unwrap();
        lab.world.machine_mut(Host::Client).signal(Signal::Kill).await.unwrap();
        assert_eq!(state(pid), "Z");
        assert!(matches!(lab.so_far().last().unwrap().what, MomentKind::Signal(Signal::Kill)));
        lab.see(Host::Client, &[TcpState::FinWait2]).await;
        lab.see(Host::Server, &[TcpState::CloseWait, TcpState::Listen]).await;
        let error = lab.world.machine_mut(Host::Client).signal(Signal::Kill).await.unwrap_err();
        assert!(error.to_string().contains("ended"), "{error}");
    });
}
