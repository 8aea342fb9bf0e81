//! Lines for terminals of several widths, from made-up news.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tcpwatch_core::{
    event::{SegmentKind, TcpState},
    track::Connection,
};

use super::{
    lives::{client, deaf},
    *,
};

fn terminal(width: usize) -> Terminal {
    Terminal::new(LogLayout {
        color: false,
        time: TimeStyle::Utc,
        page: Some(24),
        width,
        cut: true,
        started: KernelTime(0),
    })
}

fn text(terminal: &mut Terminal, tracked: &[TrackedEvent]) -> String {
    let mut out = Vec::new();
    for tracked in tracked {
        terminal.tracked(tracked, &CLOCK, &mut out);
    }
    String::from_utf8(out).unwrap()
}

/// Lines on a new terminal, without their titles.
fn lines(width: usize, tracked: &[TrackedEvent]) -> Vec<String> {
    let text = text(&mut terminal(width), tracked);
    text.lines().filter(|line| !line.contains("PROCESS")).map(str::to_owned).collect()
}

struct Owner(&'static str, u32);

fn change(
    (local, remote): (&str, &str),
    (from, to): (TcpState, TcpState),
    Owner(name, pid): Owner,
) -> Change {
    let process = Process::named(pid, Comm::from_text(name), Via::Fd);
    let is_server = name.ends_with("server") || name.starts_with("a-name");
    let subject = Subject {
        ends: ends(local, remote),
        direction: Some(if is_server { Direction::Incoming } else { Direction::Outgoing }),
        process: Some(process),
        inherited: is_server,
        ..subject(Direction::Outgoing)
    };
    let change = Change::plain(at(5_614_410), subject, (from, None), to);
    Change { in_state: Some(ms(250)), ..change }
}

const CLIENT: (&str, &str) = ("127.0.0.1:46854", "127.0.0.1:11111");
const SERVER: (&str, &str) = ("127.0.0.1:11111", "127.0.0.1:46854");
const LONGEST: (&str, &str) = ("255.255.255.255:65535", "255.255.255.254:65535");
const LONGEST_V6: (&str, &str) = (
    "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1]:65535",
    "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535",
);

/// The life of a connection.
fn story() -> Vec<TrackedEvent> {
    use TcpState::{CloseWait, Closed, Established, FinWait1, FinWait2, Listen, SynSent, TimeWait};
    let client = |states| change(CLIENT, states, Owner("demo-client", 9482));
    let listen = change(("127.0.0.1:11111", "0.0.0.0:0"), (Closed, Listen), Owner("demo", 9482));
    let subject = Subject { direction: None, ..listen.subject };
    vec![
        TrackedEvent::Change(Change { subject, in_state: None, ..listen }),
        TrackedEvent::Change(client((Closed, SynSent))),
        TrackedEvent::Change(client((Established, FinWait1))),
        TrackedEvent::Change(change(SERVER, (Established, CloseWait), Owner("demo-server", 9482))),
        TrackedEvent::Change(Change {
            ends_at: Some(at(5_674_410)),
            ..client((FinWait2, TimeWait))
        }),
        TrackedEvent::Change(Change {
            reason: Some(Reason::ResetReceived),
            ..client((Established, Closed))
        }),
    ]
}

#[test]
fn at_80_columns_a_line_has_one_address_and_its_whole_owner() {
    assert_eq!(
        text(&mut terminal(80), &story()),
        "\
TIME       LOCAL  REMOTE          CHANGE                  AFTER PROCESS
01:33:34.4 127.0.0.1:11111        CLOSED→LISTEN               - demo 9482
01:33:34.4 :46854→127.0.0.1:11111 CLOSED→SYN_SENT         250ms demo-client 9482
01:33:34.4 :46854→127.0.0.1:11111 ESTABLISHED→FIN_WAIT_1  250ms demo-client 9482
01:33:34.4 :11111←127.0.0.1:46854 ESTABLISHED→CLOSE_WAIT 250ms demo-server 9482?
01:33:34.4 :46854→127.0.0.1:11111 FIN_WAIT_2→TIME_WAIT    250ms demo-client 9482
           · ends 01:34:34.4
01:33:34.4 :46854→127.0.0.1:11111 →CLOSED 250ms demo-client 9482 · reset by peer
"
    );
}

#[test]
fn from_120_columns_on_everything_about_ipv4_has_room() {
    assert_eq!(
        text(&mut terminal(120), &story()[1..5]),
        "\
TIME          LOCAL             REMOTE          CHANGE                      AFTER  PROCESS
01:33:34.4100 127.0.0.1:46854 → 127.0.0.1:11111 CLOSED      → SYN_SENT     250 ms  demo-client 9482
01:33:34.4100 127.0.0.1:46854 → 127.0.0.1:11111 ESTABLISHED → FIN_WAIT_1   250 ms  demo-client 9482
01:33:34.4100 127.0.0.1:11111 ← 127.0.0.1:46854 ESTABLISHED → CLOSE_WAIT   250 ms  demo-server 9482 (listener)
01:33:34.4100 127.0.0.1:46854 → 127.0.0.1:11111 FIN_WAIT_2  → TIME_WAIT    250 ms  demo-client 9482 · ends 01:34:34.4
"
    );
}

#[test]
fn ipv6_has_one_line_from_120_columns_on_and_two_where_its_address_takes_most_of_one() {
    let states = (TcpState::Established, TcpState::CloseWait);
    let tracked =
        TrackedEvent::Change(change(LONGEST_V6, states, Owner("a-name-of-15-ch", 4_194_304)));
    assert_eq!(
        lines(120, std::slice::from_ref(&tracked)),
        [
            "01:33:34.4100 :65535 ← [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535 →CLOSE_WAIT        250 ms \
          a-name-of-15-ch 4194304?"
        ]
    );
    assert_eq!(
        lines(80, std::slice::from_ref(&tracked)),
        [
            "01:33:34.4 :65535←[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535",
            "           ESTABLISHED→CLOSE_WAIT 250ms a-name-of-15-ch 4194304?"
        ]
    );
    let loopback = change(("[::1]:46854", "[::1]:11111"), states, Owner("nc", 7));
    assert_eq!(
        lines(80, &[TrackedEvent::Change(loopback)]),
        ["01:33:34.4 :46854→[::1]:11111     ESTABLISHED→CLOSE_WAIT  250ms nc 7"]
    );
}

#[test]
fn a_long_address_moves_no_column_of_others() {
    let states = (TcpState::Established, TcpState::FinWait1);
    let short = || TrackedEvent::Change(change(CLIENT, states, Owner("nc", 7)));
    let long = TrackedEvent::Change(change(LONGEST_V6, states, Owner("nc", 7)));
    for width in [80, 120] {
        let lines = lines(width, &[short(), long.clone(), short()]);
        assert_eq!(lines.first(), lines.last(), "{width}");
    }
}

#[test]
fn lives_have_the_columns_for_which_there_is_room() {
    let lives = [client(), deaf()].map(|life| TrackedEvent::Connection(Box::new(life)));
    assert_eq!(
        text(&mut terminal(80), &lives),
        "\
OPENED     LOCAL  REMOTE              LASTED   SENT   RECV PROCESS      END
00:00:00.4 :43068→192.168.2.100:11111  44.1s 1.20MB  312kB nc 2410      normal
00:00:00.4 :43068→192.168.2.100:11111  2m07s      0      0 nc 2410     timed out
"
    );
    assert_eq!(
        text(&mut terminal(120), &lives),
        "\
OPENED        LOCAL    REMOTE              LASTED  SHAKE   SENT   RECV RETRY CLOSED PROCESS          END
00:00:00.4120 :43068 → 192.168.2.100:11111  44.1s  412us 1.20MB  312kB     2 local  nc 2410  normal, 61.6 s in TIME_WAIT
00:00:00.4120 :43068 → 192.168.2.100:11111  2m07s      -      0      0     6 -      nc 2410       timed out after 7 SYNs
"
    );
}

#[test]
fn a_resize_takes_effect_with_the_next_line() {
    static WIDTH: AtomicUsize = AtomicUsize::new(120);
    let mut terminal = terminal(120).asking(|| Some((WIDTH.load(Ordering::Relaxed), 24)));
    let story = story();
    let wide = text(&mut terminal, &story[2..3]);
    WIDTH.store(80, Ordering::Relaxed);
    let narrow = text(&mut terminal, &story[2..3]);
    WIDTH.store(120, Ordering::Relaxed);
    let again = text(&mut terminal, &story[2..3]);
    assert_eq!(wide, again);
    assert!(wide.starts_with("TIME          LOCAL             REMOTE"), "{wide}");
    assert!(narrow.starts_with("TIME       LOCAL  REMOTE"), "{narrow}");
    assert!(narrow.contains(" ESTABLISHED→FIN_WAIT_1  250ms demo-client 9482\n"), "{narrow}");
}

fn state() -> impl Strategy<Value = TcpState> {
    proptest::sample::select(TcpState::ALL.to_vec())
}

proptest! {
    #[test]
    fn no_line_is_wider_than_its_terminal_and_every_owner_is_whole(
        width in 72..260_usize,
        (from, to) in (state(), state()),
        longest in any::<bool>(),
        v6 in any::<bool>(),
        pid in 1..4_194_304_u32,
        ends_at in any::<bool>(),
        reason in proptest::option::of(proptest::sample::select(Reason::ALL.to_vec())),
        retry in any::<bool>(),
    ) {
        let ends = match (v6, longest) {
            (true, _) => LONGEST_V6,
            (false, true) => LONGEST,
            (false, false) => CLIENT,
        };
        let change = change(ends, (from, to), Owner("a-name-of-15-ch", pid));
        let subject = change.subject;
        let tracked = if retry {
            TrackedEvent::Retransmit(tcpwatch_core::track::TrackedRetransmit {
                at: change.at,
                subject,
                state: from,
                segment: SegmentKind::Data,
                attempt: 12,
                early: false,
                since_last: Some(ms(104_448)),
                expected: Some(ms(104_448)),
                next: None,
                most: None,
                sent: false,
                queue: None,
            })
        } else {
            let ends_at = ends_at.then(|| at(5_674_410));
            TrackedEvent::Change(Change { reason, ends_at, ..change })
        };
        let life = TrackedEvent::Connection(Box::new(Connection { subject, ..deaf() }));
        for tracked in [tracked, life] {
            let shown = lines(width, std::slice::from_ref(&tracked));
            for line in &shown {
                prop_assert!(line.chars().count() <= width, "{width}: {shown:#?}");
                prop_assert_eq!(line.trim_end(), line.as_str());
            }
            let owner = format!("a-name-of-15-ch {pid}");
            let has_owner = shown.iter().any(|line| line.contains(&owner));
            prop_assert!(has_owner || retry, "{shown:#?}");
        }
    }
}
