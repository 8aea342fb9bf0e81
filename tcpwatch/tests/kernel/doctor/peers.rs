//! Resets by peers: the doctor must not see their own end, which says why.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Stdio,
};

use super::{Judged, doctor, finished, host::Host};
use crate::harness::{program, sockets};

/// What the doctor says of this host alone, while clients of the neighbour ask its server one after the other.
fn judged(end: impl Fn(TcpStream, TcpStream)) -> Judged {
    let host = Host::new();
    let mut command = doctor(&["-d", "3", "--netns", &host.here.word()]);
    let (child, _stderr) = program::started(&mut command, Stdio::piped());
    let listener: TcpListener = host.listen(16);
    for _ in 0..8 {
        let mut client = host.connect_from_there(&listener);
        let mut server = listener.accept().unwrap().0;
        client.write_all(b"a request").unwrap();
        server.read_exact(&mut [0; 9]).unwrap();
        end(client, server);
    }
    Judged::of(&finished(child))
}

#[test]
fn resets_that_peers_send_are_found() {
    needs_root!();
    let judged = judged(|client, mut server| {
        sockets::reset(client);
        assert!(server.read(&mut [0]).is_err(), "reset");
    });
    let [finding] = &judged.findings[..] else { panic!("{:#?}", judged.findings) };
    assert_eq!((&finding["finding"], &finding["count"]), (&"reset_received".into(), &8.into()));
    assert_eq!(finding["process"]["pid"], std::process::id(), "{finding}");
}

#[test]
fn peers_that_close_in_order_are_no_finding() {
    needs_root!();
    let judged = judged(sockets::close_first);
    assert!(judged.findings.is_empty(), "{:#?}", judged.findings);
}
