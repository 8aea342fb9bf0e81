use super::*;
use crate::event::{Cookie, Endpoint, Endpoints, KnownSocket, Netns};

const RATE: TickRate = TickRate(250);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A socket in this state that an application holds, with nothing in its queues.
pub(in crate::track) fn held(state: TcpState) -> Waiter {
    let end = Endpoint { address: [127, 0, 0, 1].into(), port: 1 };
    Waiter {
        known: KnownSocket {
            socket: Cookie(1),
            netns: Netns(1),
            ends: Endpoints { local: end, remote: end },
            state,
            kind: KnownKind::Full,
            timer_left: None,
            seen: KernelTime(1_000_000_000),
            quiet: None,
            queue_full: false,
            inode: 7,
            cgroup: None,
            owner: None,
        },
        timer: None,
        receive_queue: 0,
        send_queue: 0,
        tcp: Some(TcpInfo {
            rto: ms(204),
            backoff: 0,
            in_flight: 0,
            unsent: Some(0),
            window: Some(65_536),
            bytes_received: None,
            bytes_sent: None,
            rtt: None,
        }),
    }
}

fn tcp(waiter: &mut Waiter) -> &mut TcpInfo {
    waiter.tcp.as_mut().expect("a full socket")
}

fn timer(kind: SocketTimerKind, left: u64, tries: u8) -> SocketTimer {
    SocketTimer { kind, left: ms(left), tries }
}

fn judged(waiter: &Waiter) -> Wait {
    let sysctls = Sysctls::default();
    Wait::of(waiter, WaitRules { sysctls: Some(&sysctls), rate: RATE, ends_at: None })
}

#[test]
fn a_fin_behind_a_closed_window_waits_for_the_window_and_is_no_byte() {
    let mut orphan = held(TcpState::FinWait1);
    (orphan.known.inode, orphan.send_queue) = (0, 143_361);
    orphan.timer = Some(timer(SocketTimerKind::WindowProbe, 400, 0));
    *tcp(&mut orphan) =
        TcpInfo { backoff: 2, unsent: Some(143_361), window: Some(0), ..*tcp(&mut orphan) };
    let wait = judged(&orphan);
    assert_eq!(wait.waits_for, Some(WaitsFor::Window));
    assert_eq!((wait.unsent, wait.unacknowledged), (Some(143_360), Some(0)));
    assert_eq!(wait.probes, Some(WindowProbes { sent: 2, or_more: false, unanswered: 0 }));
    assert_eq!((wait.next_in, wait.orphan), (Some(ms(400)), true));
    let GivesUp::In(window) = wait.gives_up else { panic!("{wait:?}") };
    assert_eq!(window.promise, ms(400 + 204 * (1023 - 7) + 120_000));
    orphan.known.inode = 7;
    assert_eq!(judged(&orphan).gives_up, GivesUp::Never, "after shutdown()");
    orphan.timer = Some(timer(SocketTimerKind::Retransmit, 400, 3));
    tcp(&mut orphan).in_flight = 2;
    let shut = judged(&orphan);
    assert_eq!((shut.waits_for, shut.gives_up), (Some(WaitsFor::Window), GivesUp::Unknown));
}

#[test]
fn what_was_sent_waits_for_its_acknowledgment_in_every_closing_state() {
    for state in [TcpState::FinWait1, TcpState::Closing, TcpState::LastAck] {
        let mut sent = held(state);
        (sent.known.inode, sent.send_queue) = (0, 101);
        sent.timer = Some(timer(SocketTimerKind::Retransmit, 816, 2));
        *tcp(&mut sent) = TcpInfo { in_flight: 2, rto: ms(816), ..*tcp(&mut sent) };
        let wait = judged(&sent);
        assert_eq!(wait.waits_for, Some(WaitsFor::Acknowledgment));
        assert_eq!((wait.unsent, wait.unacknowledged), (Some(0), Some(100)));
        assert_eq!((wait.retransmits, wait.next_in), (Some(2), Some(ms(816))));
        let GivesUp::In(window) = wait.gives_up else { panic!("{wait:?}") };
        // The third retransmission is due at 1428 ms of the schedule whose end is at 104,244 ms.
        assert_eq!(window.promise, ms(816 + 104_244 - 1428));
    }
}

#[test]
fn a_syn_waits_for_its_answer_and_one_that_was_not_sent_for_the_first_write() {
    let mut syn = held(TcpState::SynSent);
    syn.send_queue = 1;
    assert_eq!(judged(&syn).waits_for, Some(WaitsFor::FirstWrite));
    tcp(&mut syn).in_flight = 1;
    syn.timer = Some(timer(SocketTimerKind::Retransmit, 500, 1));
    let wait = judged(&syn);
    assert_eq!(wait.waits_for, Some(WaitsFor::SynAck));
    assert_eq!((wait.unsent, wait.unacknowledged), (Some(0), Some(0)), "a SYN is no byte");
    let GivesUp::In(window) = wait.gives_up else { panic!("{wait:?}") };
    assert_eq!(window.promise, ms(500) + Duration::from_secs(131 - 2));
}

#[test]
fn close_wait_waits_for_the_application_to_read_and_close_or_to_accept() {
    let mut left = held(TcpState::CloseWait);
    left.receive_queue = 1025;
    let wait = judged(&left);
    assert_eq!(wait.waits_for, Some(WaitsFor::Close));
    assert_eq!((wait.unread, wait.end_read), (Some(1024), Some(false)), "the FIN is no byte");
    left.receive_queue = 0;
    assert_eq!((judged(&left).unread, judged(&left).end_read), (Some(0), Some(true)));
    left.known.inode = 0;
    assert_eq!(judged(&left).waits_for, Some(WaitsFor::Accept));
    assert!(!judged(&left).orphan);
}

#[test]
fn fin_wait_2_ends_with_its_timer_if_it_has_one() {
    let half_closed = held(TcpState::FinWait2);
    let wait = judged(&half_closed);
    assert_eq!((wait.waits_for, wait.ends_at), (Some(WaitsFor::PeerFin), None));
    let mut mini = half_closed;
    (mini.known.kind, mini.known.inode, mini.tcp) = (KnownKind::TimeWait, 0, None);
    mini.timer = Some(timer(SocketTimerKind::TimeWait, 59_000, 0));
    let wait = judged(&mini);
    assert_eq!((wait.orphan, wait.unread), (true, None));
    assert_eq!(wait.ends_at, Some(mini.known.seen.after(ms(59_000))));
    assert!(!wait.end_estimated);
    let mut long = half_closed;
    (long.known.inode, long.timer) = (0, Some(timer(SocketTimerKind::Keepalive, 4000, 0)));
    let sysctls = Sysctls { fin_timeout: Duration::from_secs(65), ..Sysctls::default() };
    let rules = WaitRules { sysctls: Some(&sysctls), rate: RATE, ends_at: None };
    let wait = Wait::of(&long, rules);
    assert_eq!(wait.ends_at, Some(long.known.seen.after(ms(9000))));
    assert!(wait.end_estimated, "TCP_LINGER2 may decide");
    long.known.inode = 7;
    assert_eq!(Wait::of(&long, rules).ends_at, None, "that is a keepalive");
}

#[test]
fn what_is_not_known_stays_unknown() {
    let mut old = held(TcpState::FinWait1);
    old.timer = Some(timer(SocketTimerKind::Retransmit, 100, 1));
    let rules = WaitRules { sysctls: None, rate: RATE, ends_at: None };
    assert_eq!(Wait::of(&old, rules).gives_up, GivesUp::Unknown, "the namespace's sysctls");
    tcp(&mut old).unsent = None;
    assert_eq!((judged(&old).unsent, judged(&old).unacknowledged), (None, None), "before 4.6");
    old.timer = None;
    assert_eq!(judged(&old).waits_for, None);
    let absurd = Waiter {
        timer: Some(timer(SocketTimerKind::Retransmit, u64::MAX, 255)),
        send_queue: u32::MAX,
        receive_queue: u32::MAX,
        ..held(TcpState::LastAck)
    };
    let _wait = judged(&absurd);
}
