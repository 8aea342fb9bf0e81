//! `ss` of iproute2 as a second witness: inside both hosts it lists the same sockets as the laboratory's own reader of
//! `sock_diag`, in the same states, with the same cookies and timers.

use std::{net::SocketAddr, time::Duration};

use tcpwatch_core::event::{Endpoint, KnownSocket, TcpState};
use tcpwatch_lab::{
    host::Host,
    scenario::{CallKind, Shutdown},
};

use crate::{
    harness::{DEADLINE, FAMILIES, Lab, inside, run},
    ss,
};

/// `ss` runs later, and truncates to whole seconds.
const APART: Duration = Duration::from_secs(3);

fn address(end: Endpoint) -> SocketAddr {
    SocketAddr::new(end.address, end.port)
}

/// As `ss` shows it, without the time.
fn row(socket: &KnownSocket) -> (String, SocketAddr, SocketAddr, u64) {
    let (local, remote) = (address(socket.ends.local), address(socket.ends.remote));
    (socket.state.to_string(), local, remote, socket.socket.0)
}

fn same_by_ss(lab: &mut Lab, host: Host) -> usize {
    let machine = lab.world.machine_mut(host);
    let mut own = machine.list().unwrap();
    let netns = machine.netns_fd().try_clone_to_owned().unwrap();
    let mut seen = inside(&netns, ss::look);
    own.sort_by_key(row);
    seen.sort_by_key(|it| (it.state.clone(), it.local, it.remote, it.cookie));
    let rows: Vec<_> =
        seen.iter().map(|it| (it.state.clone(), it.local, it.remote, it.cookie)).collect();
    assert_eq!(own.iter().map(row).collect::<Vec<_>>(), rows, "{host}: {seen:?}");
    for (own, seen) in own.iter().zip(&seen) {
        let timer = seen.timer.as_ref().filter(|(kind, _)| kind == "timewait");
        let (own, seen) = (own.timer_left, timer.map(|(_, left)| *left));
        assert_eq!(own.is_some(), seen.is_some(), "a timewait timer: {own:?}, {seen:?}");
        let apart = own.unwrap_or_default().abs_diff(seen.unwrap_or_default());
        assert!(apart < APART, "{own:?} left, {seen:?} by ss");
    }
    rows.len()
}

/// Waits for these states, and compares both hosts.
async fn compare(lab: &mut Lab, client: &[TcpState], server: &[TcpState]) {
    lab.see(Host::Client, client).await;
    lab.see(Host::Server, server).await;
    assert_eq!(same_by_ss(lab, Host::Client), client.len());
    assert_eq!(same_by_ss(lab, Host::Server), server.len());
}

#[test]
fn ss_sees_every_state_of_a_close_as_the_laboratory_does() {
    use TcpState::{CloseWait, Established, FinWait2, Listen, TimeWait};
    needs_root!();
    for family in FAMILIES {
        run(async {
            let mut lab = Lab::new(family).await;
            lab.connect().await;
            compare(&mut lab, &[Established], &[Established, Listen]).await;
            lab.call(Host::Client, "client", CallKind::Shutdown(Shutdown::Write)).await;
            compare(&mut lab, &[FinWait2], &[CloseWait, Listen]).await;
            lab.call(Host::Client, "client", CallKind::Close).await;
            // As an orphan, FIN_WAIT_2 is a timewait socket.
            let orphaned = async {
                while lab.world.machine_mut(Host::Client).list().unwrap()[0].timer_left.is_none() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(DEADLINE, orphaned).await.unwrap();
            compare(&mut lab, &[FinWait2], &[CloseWait, Listen]).await;
            lab.call(Host::Server, "server", CallKind::Close).await;
            compare(&mut lab, &[TimeWait], &[Listen]).await;
        });
    }
}

#[test]
fn ss_sees_half_open_and_unanswered_connections_as_the_laboratory_does() {
    use TcpState::{FinWait1, Listen, SynSent};
    needs_root!();
    for family in FAMILIES {
        run(async {
            let mut lab = Lab::new(family).await;
            lab.connect().await;
            let netns = lab.world.machine(Host::Server).netns_fd().try_clone_to_owned().unwrap();
            // From now on nothing reaches the server.
            inside(&netns, || {
                let link = ["link", "set", tcpwatch_lab::hosts::LINK, "down"];
                assert!(std::process::Command::new("ip").args(link).status().unwrap().success());
            });
            lab.call(Host::Client, "client", CallKind::Close).await;
            let connect = CallKind::Connect { port: crate::harness::PORT };
            lab.see(Host::Client, &[FinWait1]).await;
            lab.call(Host::Client, "second", connect).await;
            lab.see(Host::Client, &[SynSent, FinWait1]).await;
            assert_eq!(same_by_ss(&mut lab, Host::Client), 2);
            assert!(same_by_ss(&mut lab, Host::Server) >= [Listen].len());
        });
    }
}
