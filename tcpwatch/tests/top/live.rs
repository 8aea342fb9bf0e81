//! The running kernel on a terminal. Needs root.

use std::net::{TcpListener, TcpStream};

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
