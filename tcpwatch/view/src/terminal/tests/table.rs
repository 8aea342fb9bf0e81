//! The table of `tcpwatch list`, from made-up sockets.

use std::collections::BTreeMap;

use tcpwatch_core::{
    event::{KnownKind, KnownSocket, SocketTimer, SocketTimerKind, TcpInfo, TcpState, Waiter},
    timing::{Sysctls, wheel::TickRate},
    track::sockets_now,
};

use super::*;

fn waiter(cookie: u64, state: TcpState, between: (&str, &str), owner: Option<&str>) -> Waiter {
    let inode = if owner.is_some() { 7 } else { 0 };
    Waiter {
        known: KnownSocket {
            socket: Cookie(cookie),
            netns: Netns(7),
            ends: ends(between.0, between.1),
            state,
            kind: KnownKind::Full,
            timer_left: None,
            seen: at(5_614_410),
            quiet: None,
            queue_full: false,
            inode,
            cgroup: None,
            owner: owner.map(|name| Process::named(2410, Comm::from_text(name), Via::Fd)),
        },
        timer: None,
        receive_queue: 0,
        send_queue: 0,
        tcp: Some(TcpInfo {
            rto: ms(204),
            backoff: 0,
            in_flight: 1,
            unsent: Some(0),
            window: Some(65_536),
            bytes_received: None,
            bytes_sent: None,
            rtt: None,
        }),
    }
}

fn sockets() -> Vec<Waiter> {
    let mut leaked = waiter(
        1,
        TcpState::CloseWait,
        ("10.0.0.5:8081", "10.0.9.7:51022"),
        Some("order-processor"),
    );
    leaked.known.quiet = Some(ms(273_600_000));
    let listener = waiter(2, TcpState::Listen, ("10.0.0.5:8081", "0.0.0.0:0"), Some("shop"));
    let listener = Waiter { receive_queue: 5, send_queue: 4, ..listener };
    let queued = waiter(3, TcpState::Established, ("10.0.0.5:8081", "203.0.113.15:61043"), None);
    let mut syn = waiter(4, TcpState::SynSent, ("10.0.0.5:43070", "192.0.2.9:443"), Some("curl"));
    syn.timer = Some(SocketTimer { kind: SocketTimerKind::Retransmit, left: ms(600), tries: 2 });
    let mut gone = waiter(5, TcpState::TimeWait, ("10.0.0.5:43071", "192.0.2.9:443"), None);
    (gone.known.kind, gone.known.timer_left) = (KnownKind::TimeWait, Some(ms(47_000)));
    gone.timer = Some(SocketTimer { kind: SocketTimerKind::TimeWait, left: ms(47_000), tries: 0 });
    vec![listener, queued, syn, gone, leaked]
}

fn table(waiters: &[Waiter], width: Option<usize>) -> String {
    let sysctls = BTreeMap::from([(Netns(7), Sysctls::default())]);
    let rows = sockets_now(waiters, &sysctls, TickRate(250));
    let layout = TableLayout { color: false, time: TimeStyle::Utc, width, started: KernelTime(0) };
    let mut out = Vec::new();
    ListTable::new(layout, &CLOCK, |_| None).write(&rows, &mut Places::default(), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_pipe_gets_everything_whatever_its_width() {
    assert_eq!(
        table(&sockets(), None),
        "\
STATE               AGE WAITS FOR               UNTIL      TRY  LOCAL            REMOTE             PROCESS
CLOSE_WAIT       >3d04h close() by owner        -          -    10.0.0.5:8081  ← 10.0.9.7:51022     order-processor 2410
TIME_WAIT        13.0 s its timer               01:34:21.4 -    10.0.0.5:43071   192.0.2.9:443      -
SYN_SENT    2.39-2.49 s SYN+ACK                 01:33:35.0 2/10 10.0.0.5:43070 → 192.0.2.9:443      curl 2410
LISTEN                - accept(), 5 of 4 queued -          -    10.0.0.5:8081    *                  shop 2410
ESTABLISHED           - accept() by owner       -          -    10.0.0.5:8081  ← 203.0.113.15:61043 shop 2410 (listener)
"
    );
}

#[test]
fn at_80_columns_words_are_short_and_nothing_is_wider() {
    assert_eq!(
        table(&sockets(), Some(80)),
        "\
STATE          AGE WAITS FOR    DUE IN LOCAL  REMOTE        PROCESS
CLOSE_WAIT  >3d04h close()      -      :8081 ←10.0.…7:51022 order-processor 2410
TIME_WAIT    13.0s its timer    47.0s  :43071 192.0.2.9:443 -
SYN_SENT    >2.39s SYN+ACK 2/10 600ms  :43070→192.0.2.9:443 curl 2410
LISTEN           - accept() 5/4 -      10.0.0.5:8081        shop 2410
ESTABLISHED      - accept()     -      :8081 ←203.0…5:61043 shop 2410?
"
    );
}

#[test]
fn no_row_is_wider_than_the_terminal_if_its_remote_end_can_be_cut() {
    let v6 = (
        "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1]:65535",
        "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535",
    );
    let mut sockets = sockets();
    sockets.push(waiter(9, TcpState::Established, v6, Some("a-name-of-15-ch")));
    for width in [80, 100, 120, 160, 200] {
        let text = table(&sockets, Some(width));
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
            let owner = ["PROCESS", "-", " 2410", " 2410?", " 2410 (listener)"];
            assert!(owner.into_iter().any(|end| line.ends_with(end)), "{line}");
        }
    }
    let whole = table(&sockets, None);
    assert!(whole.contains(v6.0) && whole.contains(v6.1), "{whole}");
}

#[test]
fn where_there_are_several_a_network_namespace_is_named_if_it_has_room() {
    let mut sockets = sockets();
    sockets[4].known.netns = Netns(4_026_532_177);
    let owner = "order-processor 2410";
    for (width, has) in [(None, true), (Some(200), true), (Some(80), false)] {
        let text = table(&sockets, width);
        let line = text.lines().find(|line| line.contains(owner)).unwrap();
        assert_eq!(line.ends_with(" \u{b7} netns 4026532177"), has, "{width:?}: {text}");
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(width.is_none_or(|width| widest <= width), "{width:?}: {text}");
    }
}
