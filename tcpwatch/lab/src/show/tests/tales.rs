//! Runs made by hand after real ones.

use tcpwatch_core::{
    event::{
        SegmentKind,
        TcpState::{
            CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, SynRecv, SynSent,
            TimeWait,
        },
        Way,
    },
    track::Reason,
};

use super::tale::{ACK, DATA, FIN, MadeUpRun, SYN, SYN_ACK};
use crate::{
    host::Host::{Client, Server},
    scenario::Signal,
    story::{MomentKind, Run},
};

pub(super) fn fin_wait_2() -> Run {
    let mut tale = MadeUpRun::new(
        "fin-wait-2",
        "the peer never closes",
        "A stopped server cannot answer our FIN with its own. The client waits in FIN_WAIT_2, but \
         not for ever: tcp_fin_timeout ends it.",
    );
    tale.handshake();
    tale.at(0.112).signal(Server, Signal::Stop);
    tale.at(0.2131).state(Client, Established, FinWait1).sends(Client, FIN, 0);
    tale.state(Server, Established, CloseWait).sends(Server, ACK, 0);
    tale.state(Client, FinWait1, FinWait2).returned(Client, "close(3)", 0);
    tale.add(Client, MomentKind::Witness(vec![FinWait2]));
    tale.at(60.4832).ends_by(Client, FinWait2, Closed, Reason::Timer);
    tale.judged("client enters FIN_WAIT_2", "after its FIN is acknowledged", "0.2132 s");
    tale.timed(
        "client stays in FIN_WAIT_2",
        (60.0, 62.05),
        60.27,
        "tcp_fin_timeout = 60, timer wheel 2.05 s",
    );
    tale.judged("server stays in CLOSE_WAIT", "until the application closes", "to the end");
    tale.end()
}

pub(super) fn syn_sent() -> Run {
    let mut tale = MadeUpRun::new(
        "syn-sent",
        "the answer to a SYN is lost",
        "A client whose SYN is not answered sends it again after 1, 2, 4 s and then gives up.",
    );
    tale.rule("no-syn-ack", Client, Way::In, SYN_ACK);
    tale.listens();
    tale.at(0.01).add(Client, MomentKind::RuleSet(0));
    tale.at(0.0101).returned(Client, "socket()", 3).called(Client, "connect(3)");
    tale.state(Client, Closed, SynSent).sends(Client, SYN, 0);
    tale.state(Server, Closed, SynRecv).loses(Server, SYN_ACK, 0);
    for (attempt, at, gap) in [(1, 1.0321, 1.02), (2, 3.0521, 2.02), (3, 7.1481, 4.096)] {
        tale.at(at).again(Client, SegmentKind::Syn, (attempt, gap), None);
        tale.again(Server, SegmentKind::SynAck, (attempt, gap), Some(0));
    }
    tale.at(15.3401).error(Client, SynSent, 110);
    tale.ends_by(Client, SynSent, Closed, Reason::TimedOut);
    tale.failed(Client, "connect(3)", "ETIMEDOUT");
    tale.at(15.341).add(Client, MomentKind::RuleReleased(0));
    for (number, promise, latest, measured) in
        [(1, 1.0, 1.042, 1.02), (2, 2.0, 2.074, 2.02), (3, 4.0, 4.138, 4.096)]
    {
        tale.timed(
            &format!("client sends its SYN again, {number}"),
            (promise, latest),
            measured,
            "tcp_syn_linear_timeouts = 0",
        );
    }
    tale.judged("connect() returns", "ETIMEDOUT", "ETIMEDOUT");
    tale.end()
}

pub(super) fn time_wait() -> Run {
    let mut tale = MadeUpRun::new(
        "time-wait",
        "who closes first waits",
        "The side that sends the first FIN keeps the connection in TIME_WAIT for 60 s.",
    );
    tale.handshake();
    tale.at(0.1).sends(Client, DATA, 5).returned(Client, "send(3)", 5);
    tale.sends(Server, ACK, 0).returned(Server, "recv(4)", 5);
    tale.at(0.2131).state(Client, Established, FinWait1).sends(Client, FIN, 0);
    tale.state(Server, Established, CloseWait).returned(Client, "close(3)", 0);
    tale.at(0.2535).sends(Server, ACK, 0).state(Client, FinWait1, FinWait2);
    tale.at(0.3141).state(Server, CloseWait, LastAck).sends(Server, FIN, 0);
    tale.state(Client, FinWait2, TimeWait).sends(Client, ACK, 0);
    tale.state(Server, LastAck, Closed).returned(Server, "close(4)", 0);
    tale.at(61.9521).ends_by(Client, TimeWait, Closed, Reason::Timer);
    tale.timed("client stays in TIME_WAIT", (60.0, 62.05), 61.638, "TCP_TIMEWAIT_LEN = 60 s");
    tale.end()
}

/// Both SYNs and both FINs cross on their way.
pub(super) fn simultaneous() -> Run {
    let mut tale = MadeUpRun::new(
        "simultaneous-close",
        "both close at once",
        "FINs that cross lead through CLOSING to TIME_WAIT on both sides.",
    );
    tale.handshake();
    tale.at(0.2131).state(Client, Established, FinWait1);
    let ours = tale.leaves(Client, FIN, 0, false, None);
    tale.state(Server, Established, FinWait1);
    let theirs = tale.leaves(Server, FIN, 0, false, None);
    tale.arrives(Client, ours, None).state(Server, FinWait1, Closing);
    tale.arrives(Server, theirs, None).state(Client, FinWait1, Closing);
    tale.returned(Client, "close(3)", 0).returned(Server, "close(4)", 0);
    tale.sends(Client, ACK, 0).state(Server, Closing, TimeWait);
    tale.sends(Server, ACK, 0).state(Client, Closing, TimeWait);
    tale.at(60.5).ends_by(Client, TimeWait, Closed, Reason::Timer);
    tale.ends_by(Server, TimeWait, Closed, Reason::Timer);
    tale.judged("client passes through CLOSING", "yes", "yes");
    tale.judged("server passes through CLOSING", "yes", "yes");
    tale.end()
}

pub(super) fn reset() -> Run {
    let mut tale = MadeUpRun::new(
        "reset-by-client",
        "a close that resets",
        "close() with a linger time of 0 sends RST instead of FIN; nobody waits for anything.",
    );
    tale.handshake();
    tale.at(0.2131).ends_by(Client, Established, Closed, Reason::ResetSent);
    tale.resets(Client, "tcp_disconnect_with_data").error(Server, Established, 104);
    tale.ends_by(Server, Established, Closed, Reason::ResetReceived);
    tale.returned(Client, "close(3)", 0).failed(Server, "recv(4)", "ECONNRESET");
    tale.judged("server is reset", "ECONNRESET", "ECONNRESET");
    tale.end()
}

/// Two connections, a segment dropped at the sender's own link, a timer that comes too late.
pub(super) fn failing() -> Run {
    let mut tale = MadeUpRun::new(
        "two-clients",
        "a second connection in the shadow of the first",
        "Made up, so that something fails.",
    );
    tale.rule("own-output", Client, Way::Out, SYN);
    tale.rule("never", Server, Way::In, FIN);
    tale.handshake();
    tale.next_connection();
    tale.at(0.05).called(Client, "connect(5)").state(Client, Closed, SynSent);
    tale.leaves(Client, SYN, 0, false, Some(0));
    tale.run.dropped[0] += 1;
    tale.at(0.548).sends(Client, SYN, 0).state(Server, Closed, SynRecv);
    tale.sends(Server, SYN_ACK, 0).state(Client, SynSent, Established).sends(Client, ACK, 0);
    tale.state(Server, SynRecv, Established).returned(Client, "connect(5)", 0);
    tale.at(4.2);
    tale.timed("client sends its SYN again", (0.5, 0.53), 0.498, "dropped at the sender: 500 ms");
    tale.timed("client stays in FIN_WAIT_2", (2.0, 2.07), 4.1523, "tcp_fin_timeout = 2");
    tale.judged("server is in CLOSE_WAIT", "once", "never");
    if let Some(last) = tale.run.verdicts.last_mut() {
        last.holds = false;
    }
    tale.run
        .warnings
        .push("rule never dropped nothing: it is not part of what was measured".into());
    tale.run.failure = Some(
        "line 31: waited 4 s for server to be in CLOSE_WAIT\nseen instead: ESTABLISHED since \
         0.0104 s"
            .into(),
    );
    tale.end()
}

pub(super) fn all() -> [Run; 6] {
    [fin_wait_2(), syn_sent(), time_wait(), simultaneous(), reset(), failing()]
}
