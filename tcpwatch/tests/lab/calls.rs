//! System calls of a host's process: really made, reported as strace shows them.

use tcpwatch_core::event::TcpState;
use tcpwatch_lab::{
    host::Host,
    scenario::{CallKind, Shutdown},
    story::MomentKind,
};

use crate::harness::{FAMILIES, Lab, PORT, accept, listen, run};

#[test]
fn two_hosts_connect_and_the_first_socket_is_3() {
    needs_root!();
    for family in FAMILIES {
        run(async {
            let mut lab = Lab::new(family).await;
            lab.connect().await;
            let expected = [
                "socket() = 3",
                "bind(3) = 0",
                "listen(3, 16) = 0",
                "socket() = 3",
                "connect(3) = 0",
                "accept(3) = 4",
            ];
            assert_eq!(lab.lines(), expected, "{family:?}");
            let [client] = &lab.world.machine_mut(Host::Client).list().unwrap()[..] else {
                panic!("one socket");
            };
            assert_eq!(client.state, TcpState::Established);
            assert_eq!(client.ends.local.address, Host::Client.address(family));
            assert_eq!(client.ends.remote.address, Host::Server.address(family));
            assert_eq!(client.ends.remote.port, PORT);
            lab.see(Host::Server, &[TcpState::Established, TcpState::Listen]).await;
        });
    }
}

#[test]
fn a_connection_is_closed_step_by_step() {
    needs_root!();
    for family in FAMILIES {
        run(async {
            let mut lab = Lab::new(family).await;
            lab.connect().await;
            lab.call(Host::Client, "client", CallKind::Send { bytes: 1000 }).await;
            lab.call(Host::Server, "server", CallKind::Recv { bytes: Some(1000) }).await;
            assert_eq!(lab.returned("server", "recv").await, "recv(4) = 1000");
            lab.call(Host::Client, "client", CallKind::Shutdown(Shutdown::Write)).await;
            lab.see(Host::Client, &[TcpState::FinWait2]).await;
            lab.see(Host::Server, &[TcpState::CloseWait, TcpState::Listen]).await;
            lab.call(Host::Server, "server", CallKind::Close).await;
            lab.see(Host::Client, &[TcpState::TimeWait]).await;
            lab.see(Host::Server, &[TcpState::Listen]).await;
            lab.call(Host::Client, "client", CallKind::Close).await;
            lab.call(Host::Server, "listener", CallKind::Close).await;
            lab.see(Host::Server, &[]).await;
            let lines = lab.lines();
            for line in ["send(3, 1000) = 1000", "shutdown(3, SHUT_WR) = 0", "close(3) = 0"] {
                assert!(lines.iter().any(|told| told == line), "{line}: {lines:?}");
            }
        });
    }
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    needs_root!();
    for family in FAMILIES {
        run(async {
            let mut lab = Lab::new(family).await;
            lab.call(Host::Client, "client", CallKind::Connect { port: PORT }).await;
            let line = lab.returned("client", "connect").await;
            assert_eq!(line, "connect(3) = -1 ECONNREFUSED");
        });
    }
}

#[test]
fn a_reset_is_seen_by_the_other_end() {
    needs_root!();
    run(async {
        let mut lab = Lab::new(FAMILIES[0]).await;
        lab.connect().await;
        lab.call(Host::Server, "server", CallKind::Recv { bytes: None }).await;
        lab.call(Host::Client, "client", CallKind::Reset).await;
        assert_eq!(lab.returned("server", "recv").await, "recv(4) = -1 ECONNRESET");
        lab.see(Host::Client, &[]).await;
    });
}

#[test]
fn a_call_that_blocks_is_told_when_it_begins_and_leaves_the_process_free() {
    needs_root!();
    run(async {
        let mut lab = Lab::new(FAMILIES[0]).await;
        lab.call(Host::Server, "listener", listen(16)).await;
        lab.call(Host::Server, "server", accept()).await;
        let has_begun = lab.so_far().iter().any(|moment| match &moment.what {
            MomentKind::Called(call) => call.line() == "accept(3)",
            _ => false,
        });
        assert!(has_begun, "{:?}", lab.story);
        lab.call(Host::Server, "another", CallKind::Socket).await;
        // `accept` reserves its number before it waits (`__sys_accept4_file`, `net/socket.c`).
        assert_eq!(lab.lines().last().unwrap(), "socket() = 5");
        lab.call(Host::Client, "client", CallKind::Connect { port: PORT }).await;
        assert_eq!(lab.returned("server", "accept").await, "accept(3) = 4");
        let times: Vec<_> = lab
            .so_far()
            .iter()
            .filter(|moment| match &moment.what {
                MomentKind::Called(call) | MomentKind::Returned(call) => call.name == "accept",
                _ => false,
            })
            .collect();
        assert!(times[0].at < times[1].at, "{times:?}");
    });
}

#[test]
fn data_goes_along_with_the_syn() {
    needs_root!();
    run(async {
        // 1 + 2: both sides; 4 + 0x200 + 0x400: without cookies, on every listener.
        let sysctls = crate::harness::sysctls(&[("tcp_fastopen", "1543")]);
        let mut lab = crate::harness::try_build(FAMILIES[0], &sysctls).await.unwrap();
        lab.call(Host::Server, "listener", listen(16)).await;
        let open = CallKind::FastOpen { port: PORT, bytes: 100 };
        lab.call(Host::Client, "client", open).await;
        assert_eq!(lab.returned("client", "sendto").await, "sendto(3, 100, MSG_FASTOPEN) = 100");
        lab.call(Host::Server, "server", accept()).await;
        lab.call(Host::Server, "server", CallKind::Recv { bytes: Some(100) }).await;
        assert_eq!(lab.returned("server", "recv").await, "recv(4) = 100");
    });
}

#[test]
fn an_option_is_set_and_told() {
    needs_root!();
    run(async {
        let mut lab = Lab::new(FAMILIES[0]).await;
        lab.call(Host::Client, "client", CallKind::Socket).await;
        let option = CallKind::SetOption { name: "user_timeout".to_owned(), value: 2500 };
        lab.call(Host::Client, "client", option).await;
        assert_eq!(lab.lines(), ["socket() = 3", "setsockopt(3, TCP_USER_TIMEOUT, 2500) = 0"]);
    });
}

#[test]
fn what_cannot_be_done_is_told_in_words() {
    needs_root!();
    run(async {
        let mut lab = Lab::new(FAMILIES[0]).await;
        lab.call(Host::Server, "listener", listen(16)).await;
        lab.call(Host::Server, "server", accept()).await;
        let option = CallKind::SetOption { name: "keepalives".to_owned(), value: 1 };
        for (socket, kind, words) in [
            ("nobody", CallKind::Close, "there is no socket `nobody`; its process has `listener`"),
            ("listener", CallKind::Socket, "there is a socket `listener` already"),
            ("listener", CallKind::Close, "has not returned yet"),
            ("listener", option, "no socket option `keepalives`"),
            ("second", listen(16), "bind(5) = -1 EADDRINUSE"),
        ] {
            let error = lab.try_call(Host::Server, socket, kind).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        lab.call(Host::Server, "", CallKind::Exit).await;
        let error = lab.try_call(Host::Server, "x", CallKind::Socket).await.unwrap_err();
        assert!(error.to_string().contains("has ended"), "{error}");
    });
}
