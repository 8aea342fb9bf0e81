//! What can be copied about a socket: its line, and commands that ask or act on it.

use tcpwatch_core::event::TcpState;

use crate::row::SocketRow;

/// Something to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOffer {
    /// What it is.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

/// All there is about a socket.
#[must_use]
pub fn of(row: &SocketRow) -> Vec<CopyOffer> {
    let ends = row.subject.ends;
    let (local, remote) = (ends.local, ends.remote);
    let pid = row.owner().and_then(|owner| owner.pid);
    let mut offers = vec![CopyOffer { what: "the socket", text: line(row) }];
    if row.ended.is_some() {
        return offers;
    }
    if row.state == TcpState::Listen {
        let text = format!("sudo tcpwatch --local-port {}", local.port);
        offers.push(CopyOffer { what: "its log", text });
        offers.push(CopyOffer {
            what: "ask ss",
            text: format!("ss -ltnpe 'sport = :{}'", local.port),
        });
    } else {
        let ports = format!("--local-port {} --remote-port {}", local.port, remote.port);
        offers.push(CopyOffer { what: "its log", text: format!("sudo tcpwatch {ports}") });
        let between = format!("src {local} dst {remote}");
        offers.push(CopyOffer { what: "ask ss", text: format!("ss -tanoiep {between}") });
        offers.push(CopyOffer { what: "destroy it", text: format!("sudo ss -K {between}") });
    }
    if let Some(pid) = pid {
        offers.push(CopyOffer { what: "end its owner", text: format!("kill {pid}") });
    }
    offers
}

/// One line: state, ends, cookie, owner.
fn line(row: &SocketRow) -> String {
    let ends = row.subject.ends;
    let state = if row.ended.is_some() { TcpState::Closed } else { row.state };
    let cookie = row.subject.socket.map(|cookie| format!(" sk:{:x}", cookie.0));
    let owner = row.owner().map(|owner| {
        let pid = owner.pid.map(|pid| format!(" {pid}")).unwrap_or_default();
        format!(" {}{pid}", owner.comm)
    });
    let (cookie, owner) = (cookie.unwrap_or_default(), owner.unwrap_or_default());
    format!("{state} {} {}{cookie}{owner}", ends.local, ends.remote)
}
