//! The running kernel on a terminal. Needs root.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use super::terminal::OnTerminal;

#[test]
fn what_existed_what_happens_and_what_ends_is_in_the_table() {
    needs_root!();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let leaving = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let (left, _) = listener.accept().expect("the same");
    let mut terminal = OnTerminal::run(&format!("$live --port {port}; echo status $?; sleep 30"));
    terminal.shows(&format!("port {port}: 3"));
    terminal.shows("LISTEN 1 \u{25b6}    SYN_RECV 0 \u{25b6}    ESTABLISHED 2");
    // By now the hooks are attached.
    terminal.shows("? help");
    drop(leaving);
    terminal.shows("FIN_WAIT_2 1");
    terminal.shows("CLOSE_WAIT 1");
    // Asked of the kernel when it has been in it for a second.
    let screen = terminal.shows("close() by owner");
    assert!(screen.contains("FIN of peer"), "{screen}");
    drop(left);
    terminal.shows("TIME_WAIT 1");
    // Without a listener it is refused.
    drop(listener);
    let refused = TcpStream::connect(("127.0.0.1", port));
    assert!(refused.is_err(), "there is no listener");
    let screen = terminal.shows("refused, ");
    assert!(screen.contains("0 lost"), "{screen}");
    terminal.types("/state:timewait\r");
    terminal.shows("/state:timewait: 1 of 1");
    terminal.types("q");
    terminal.shows("status 0");
}

#[test]
fn what_is_wrong_is_said_who_waits_for_accept_is_known_and_the_selected_socket_is_measured() {
    needs_root!();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let mut terminal = OnTerminal::run(&format!("$live --port {port}; echo status $?; sleep 30"));
    terminal.shows(&format!("port {port}: 1"));
    terminal.shows("? help");
    terminal.shows("nothing is wrong that can be seen");
    let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    // One look at the kernel shows both.
    terminal.shows("accept() 1/");
    let screen = terminal.shows("accept() by owner");
    assert!(screen.contains("\u{2190}"), "{screen}");
    // Nobody has accepted it for 5 s.
    terminal.shows("are not accepted, 1 wait");
    terminal.shows("ESTABLISHED 2!");
    let (mut accepted, _) = listener.accept().expect("the same");
    peer.write_all(b"hello").expect("it is open");
    accepted.read_exact(&mut [0; 5]).expect("it has come");
    terminal.types("G\r");
    terminal.shows("RTT ");
    terminal.types("jo");
    let screen = terminal.shows("cgroup");
    assert!(screen.contains("parent") && screen.contains("known by"), "{screen}");
    terminal.types("\u{1b}");
    drop((peer, accepted, listener));
    for _ in 0..20 {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "there is no listener");
    }
    terminal.shows("20 of 21 connects");
    terminal.types("e");
    terminal.shows("connect_refused");
    terminal.types("q");
    terminal.shows("status 0");
}
