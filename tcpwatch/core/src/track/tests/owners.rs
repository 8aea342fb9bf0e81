//! Who holds a socket, as far as it is known when a line is written.

use super::*;
use crate::event::OwnerEvent;

fn owner(at: u64, socket: u64, pid: u32, via: Via) -> Event {
    Event::Owner(OwnerEvent {
        at: ms(at),
        socket: Cookie(socket),
        netns: NETNS,
        ends: server_ends(),
        cgroup: None,
        process: process(pid, via).unwrap(),
    })
}

/// Pid, way of knowing, and whether it is a guess, of each line.
fn owners(yielded: &[TrackedEvent]) -> Vec<(Option<u32>, Option<Via>, bool)> {
    let of = |yielded: &TrackedEvent| {
        let subject = yielded.subject();
        let owner = subject.process;
        (owner.and_then(|owner| owner.pid), owner.map(|owner| owner.via), subject.inherited)
    };
    yielded.iter().map(of).collect()
}

#[test]
fn a_stronger_way_of_knowing_replaces_a_weaker_one_and_never_the_other_way_round() {
    let mut tracker = tracker();
    listening(&mut tracker, 80);
    let yielded = tell(
        &mut tracker,
        [
            Event::State(state(1, 2, Listen, SynRecv)),
            Event::State(state(1, 2, SynRecv, Established)),
            owner(2, 2, 90, Via::Io),
            Event::State(state(3, 2, Established, CloseWait)),
            owner(4, 2, 91, Via::Close),
            Event::State(state(4, 2, CloseWait, LastAck)),
            owner(5, 2, 92, Via::Io),
            Event::State(state(6, 2, LastAck, Closed)),
        ],
    );
    let guess = (Some(80), Some(Via::Listen), true);
    let (reads, closes) = ((Some(90), Some(Via::Io), false), (Some(91), Some(Via::Close), false));
    assert_eq!(owners(&yielded), [guess, guess, reads, closes, closes]);
}

#[test]
fn of_two_that_read_the_later_one_is_the_owner() {
    let mut tracker = tracker();
    let yielded = tell(
        &mut tracker,
        [
            owner(1, 2, 90, Via::Connect),
            Event::State(state(1, 2, Closed, SynSent)),
            owner(2, 2, 91, Via::Io),
            owner(3, 2, 92, Via::Io),
            Event::State(state(4, 2, Established, CloseWait)),
        ],
    );
    let pids: Vec<_> = owners(&yielded).into_iter().map(|(pid, _, _)| pid).collect();
    assert_eq!(pids.first(), Some(&Some(90)), "the owner comes before the change that shows it");
    assert_eq!(pids.last(), Some(&Some(92)));
}

#[test]
fn the_listener_that_the_kernel_chose_names_the_owner_among_those_that_share_a_port() {
    let mut tracker = tracker();
    for (socket, pid) in [(70, 80), (71, 81)] {
        let mut listen = state(0, socket, Closed, Listen);
        let nobody = Endpoint { address: [0, 0, 0, 0].into(), port: 0 };
        listen.ends = Endpoints { local: end(SERVER), remote: nobody };
        listen.process = process(pid, Via::Listen);
        tell(&mut tracker, [Event::State(listen)]);
    }
    let chosen = |listener| MiniEvent { listener, ..request(1, TimerEvent::Start) };
    let yielded = tell(&mut tracker, [Event::Mini(chosen(Some(Cookie(71))))]);
    assert_eq!(owners(&yielded), [(Some(81), Some(Via::Listen), true)]);
    let yielded = tell(
        &mut tracker,
        [
            Event::State(state(2, 5, Listen, SynRecv)),
            Event::State(state(2, 5, SynRecv, Established)),
        ],
    );
    assert_eq!(owners(&yielded), [(Some(81), Some(Via::Listen), true)], "the socket has it too");
}

#[test]
fn a_process_outside_of_the_pid_namespace_has_a_name_and_no_number() {
    let mut tracker = tracker();
    let outside = Process { pid: None, ..process(1, Via::Connect).unwrap() };
    let mut connect = state(1, 2, Closed, SynSent);
    connect.process = Some(outside);
    let yielded = tell(&mut tracker, [Event::State(connect)]);
    assert_eq!(yielded[0].subject().process, Some(outside));
}
