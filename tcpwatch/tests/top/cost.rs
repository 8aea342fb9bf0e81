//! What a frame costs does not depend on how many sockets there are.

use std::time::Duration;

use crossterm::event::KeyCode;
use ratatui_core::{buffer::Buffer, layout::Rect};
use tcpwatch::cli::filter_words;
use tcpwatch_core::{
    event::{
        Cookie, Endpoint, Endpoints, KernelTime, Netns, Process, TcpState, Via, WallClock,
        process::Comm,
    },
    timing::wheel::TickRate,
    track::{Existing, Subject, TrackedEvent},
};
use tcpwatch_stream::batch::Item;
use tcpwatch_top::{
    draw::draw,
    screen::{Origin, Screen},
};
use tcpwatch_view::time_of_day::TimeOfDay;

use super::shown::{COLORED, key};

/// So many as the tracker follows at most.
const MOST: u32 = 262_144;

/// A screen with this many sockets.
pub(super) fn with_sockets(count: u32) -> Screen {
    let origin = Origin {
        filters: "sockets".to_owned(),
        recording: false,
        clock: WallClock { kernel: KernelTime(0), unix_ns: 0 },
        times: TimeOfDay::utc(),
        rate: TickRate(250),
        sysctls: Box::new(|_| None),
        words: filter_words::read,
        passes: None,
        ancestry: Box::new(|_, _| tcpwatch_kernel::source::ancestry::Ancestry::default()),
        explain: Box::new(|finding, _, _| finding.kind.advice().what.to_owned()),
    };
    let mut screen = Screen::new(origin, COLORED);
    for number in 0..count {
        screen.apply(&existing(number));
    }
    screen
}

pub(super) fn existing(number: u32) -> Item {
    let local = Endpoint { address: [10, 0, 0, 1].into(), port: 443 };
    let remote = Endpoint { address: (0x0a01_0000 + number).to_be_bytes().into(), port: 50_000 };
    let process = Process::named(1000 + number % 7, Comm::from_text("server"), Via::Io);
    let ends = Endpoints { local, remote };
    let subject = Subject {
        process: Some(process),
        ..Subject::unknown(Some(Cookie((number + 1).into())), Netns(1), ends)
    };
    let states = [TcpState::Established, TcpState::CloseWait, TcpState::FinWait2];
    let state = states.into_iter().cycle().nth(usize::try_from(number % 3).unwrap_or(0));
    Item::TrackedEvent(TrackedEvent::Existing(Existing {
        at: KernelTime(1_000_000_000_000),
        subject,
        state: state.unwrap_or(TcpState::Established),
        in_state: Some(Duration::from_millis((number % 100_000).into())),
        at_least: None,
        ends_at: None,
    }))
}

/// Draws a page, moves, and draws again, as often as is asked.
fn frames(screen: &mut Screen, count: u32) {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 160, 48));
    for number in 0..count {
        let keys = [KeyCode::Down, KeyCode::PageDown, KeyCode::Char('G'), KeyCode::Char('g')];
        let code = keys.into_iter().cycle().nth(usize::try_from(number % 4).unwrap_or(0));
        screen.press(&key(code.unwrap_or(KeyCode::Down)));
        screen.pass(KernelTime(1_000_000_000_000 + u64::from(number) * 1_000_000));
        buffer.reset();
        draw(screen, &mut buffer);
    }
}

#[test]
fn a_frame_takes_as_many_steps_with_262_144_sockets_as_with_100() {
    let steps = [100, 10_000, MOST].map(|count| {
        let mut screen = with_sockets(count);
        frames(&mut screen, 1);
        let before = screen.live().order.steps();
        frames(&mut screen, 40);
        screen.live().order.steps() - before
    });
    assert_eq!(steps[1], steps[2]);
    let difference = steps[0].abs_diff(steps[2]);
    assert!(difference * 10 <= steps[2], "{steps:?}: more than a tenth");
}

/// For docs/costs.md: instructions of all of it, with `TOP_SOCKETS` sockets and `TOP_FRAMES` frames.
#[test]
#[ignore = "it is measured by perf or valgrind: docs/costs.md has the command"]
fn frames_to_be_counted() {
    let number = |name| std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(100);
    let mut screen = with_sockets(number("TOP_SOCKETS"));
    frames(&mut screen, number("TOP_FRAMES"));
}
