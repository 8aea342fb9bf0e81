//! One line per connection, from made-up lives.

use tcpwatch_core::{
    event::{SegmentKind, SocketTotals, TcpState},
    track::{ClosedBy, Connection, Spent},
};

use super::*;

fn again(syn: u32, syn_ack: u32, data: u32) -> [(SegmentKind, u32); 4] {
    [
        (SegmentKind::Syn, syn),
        (SegmentKind::SynAck, syn_ack),
        (SegmentKind::Fin, 0),
        (SegmentKind::Data, data),
    ]
}

/// A client that closed first.
pub(super) fn client() -> Connection {
    Connection {
        at: at(106_120),
        subject: subject(Direction::Outgoing),
        existed: false,
        opened: Some(at(412)),
        lasted: Some(ms(44_100)),
        spent: Spent::of(&[
            (TcpState::SynSent, Duration::from_micros(412)),
            (TcpState::Established, ms(44_000)),
            (TcpState::TimeWait, ms(61_600)),
        ]),
        handshake: Some(Duration::from_micros(412)),
        again: again(0, 0, 2),
        not_sent: 0,
        totals: Some(SocketTotals {
            sent: 1_200_000,
            syn_counted: false,
            undelivered: Some(0),
            received: 312_000,
            retransmits: 2,
            srtt: None,
            min_rtt: None,
        }),
        closed_by: Some(ClosedBy::Local),
        end: Reason::Normal,
        ends_at: None,
        inferred: Vec::new(),
        queue: None,
    }
}

/// A connect that nobody answers.
pub(super) fn deaf() -> Connection {
    Connection {
        lasted: Some(ms(127_000)),
        spent: Spent::of(&[(TcpState::SynSent, ms(127_000))]),
        handshake: None,
        again: again(6, 0, 0),
        totals: Some(SocketTotals {
            sent: 0,
            syn_counted: false,
            undelivered: Some(0),
            received: 0,
            retransmits: 6,
            srtt: None,
            min_rtt: None,
        }),
        closed_by: None,
        end: Reason::TimedOut,
        ..client()
    }
}

fn shown(connection: Connection) -> String {
    line(&TrackedEvent::Connection(Box::new(connection)), 200, true)
}

#[test]
fn a_life_is_one_line_from_its_opening_to_its_end() {
    assert_eq!(
        shown(client()),
        "       0.4120 192.168.2.105:43068 → 192.168.2.100:11111  44.1 s    412 us  1.20 MB   312 kB       2 \
         local     nc 2410                      normal, 61.6 s in TIME_WAIT"
    );
    assert_eq!(
        shown(deaf()),
        "       0.4120 192.168.2.105:43068 → 192.168.2.100:11111   2m07s         -        0        0       6 \
         -         nc 2410                      timed out after 7 SYNs"
    );
}

#[test]
fn a_life_over_ipv6_of_an_unknown_owner_that_began_before_has_dashes() {
    let connection = Connection {
        subject: Subject {
            ends: ends("[2001:db8::1]:80", "[2001:db8::2]:40000"),
            process: None,
            ..subject(Direction::Incoming)
        },
        opened: None,
        lasted: None,
        spent: Spent::of(&[(TcpState::LastAck, ms(1))]),
        handshake: None,
        again: again(0, 0, 0),
        totals: None,
        closed_by: Some(ClosedBy::Remote),
        ..client()
    };
    assert_eq!(
        shown(connection),
        "-             [2001:db8::1]:80 ← [2001:db8::2]:40000       -         -        -        -       0 \
         remote    -                            normal"
    );
}

#[test]
fn titles_stand_above_their_cells() {
    let mut out = Vec::new();
    let layout = LogLayout {
        color: false,
        time: TimeStyle::Utc,
        page: None,
        width: 120,
        cut: false,
        started: KernelTime(0),
    };
    Terminal::new(layout).tracked(&TrackedEvent::Connection(Box::new(client())), &CLOCK, &mut out);
    let text = String::from_utf8(out).unwrap();
    let (titles, life) = text.split_once('\n').unwrap();
    let title = |word: &str| titles.find(word).unwrap();
    let cell =
        |word: &str| life.chars().take(life.len()).collect::<String>().find(word).unwrap() - 2;
    // The arrow takes two bytes more than its column.
    assert_eq!(cell("local"), title("CLOSED BY"));
    assert_eq!(cell("nc 2410"), title("PROCESS"));
    assert_eq!(cell("normal"), title("END"));
    assert_eq!(cell("1.20 MB") + "1.20 MB".len(), title("SENT") + "SENT".len());
}

#[test]
fn an_end_is_told_in_words_with_what_explains_it() {
    let waiting = Spent::of(&[(TcpState::FinWait2, ms(60_200))]);
    let established = Spent::of(&[(TcpState::Established, ms(924_600))]);
    for (connection, words) in [
        (Connection { spent: Spent::default(), ..client() }, "normal"),
        (client(), "normal, 61.6 s in TIME_WAIT"),
        (deaf(), "timed out after 7 SYNs"),
        (Connection { again: again(0, 0, 0), ..deaf() }, "timed out after 1 SYN"),
        (Connection { end: Reason::TimedOut, spent: established, ..client() }, "timed out"),
        (
            Connection { end: Reason::HalfOpen, again: again(0, 5, 0), ..client() },
            "handshake given up after 6 SYN+ACKs",
        ),
        (
            Connection { end: Reason::HalfClosed, spent: waiting, ..client() },
            "the peer never closed, 60.2 s in FIN_WAIT_2",
        ),
        (Connection { end: Reason::Canceled, ..deaf() }, "canceled"),
        (Connection { end: Reason::Refused, ..deaf() }, "refused"),
        (Connection { end: Reason::Unreachable, ..deaf() }, "unreachable"),
        (Connection { end: Reason::NoPort, ..deaf() }, "no local port left"),
        (Connection { end: Reason::ResetSent, ..client() }, "reset"),
        (Connection { end: Reason::ResetReceived, ..client() }, "reset by peer"),
        (Connection { end: Reason::Killed, ..client() }, "killed"),
        (Connection { end: Reason::ListenerClosed, ..client() }, "listener closed"),
        (Connection { end: Reason::NetnsGone, ..client() }, "netns gone"),
        (Connection { end: Reason::Unknown, ..client() }, "unknown end"),
    ] {
        let told = shown(connection);
        assert!(told.ends_with(&format!(" {words}")), "{words}: {told}");
    }
}

#[test]
fn a_failure_is_red_and_a_normal_end_is_not() {
    let mut out = Vec::new();
    let layout = LogLayout {
        color: true,
        time: TimeStyle::Elapsed,
        page: None,
        width: 120,
        cut: true,
        started: KernelTime(0),
    };
    let mut terminal = Terminal::new(layout);
    for (connection, red) in [(client(), false), (deaf(), true)] {
        out.clear();
        terminal.tracked(&TrackedEvent::Connection(Box::new(connection)), &CLOCK, &mut out);
        let text = String::from_utf8_lossy(&out);
        assert_eq!(text.contains("\u{1b}[31m"), red, "{text}");
    }
}
