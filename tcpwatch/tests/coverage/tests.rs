//! Tests of the witness itself: real connections, with the programs attached and without.

use std::net::{TcpListener, TcpStream};

use super::*;

/// The number of connections made at a time.
const CONNECTIONS: usize = 50;

/// Makes connections on loopback, one after the other; returns the port that all of them have.
fn connections() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(at).unwrap();
        drop((client, listener.accept().unwrap()));
    }
    at.port()
}

fn of(fired: &Fired, port: u16) -> bool {
    [fired.ports.0, fired.ports.1].contains(&port)
}

#[test]
fn what_happens_without_a_program_is_found_and_nothing_else() {
    if !crate::root::is_root() {
        return;
    }
    let places = places().unwrap();
    let mut programs = Programs::attach(places, true).unwrap();
    let mut events = Events::collect(places.handlers).unwrap();
    let (mut fired, mut ran) = (Vec::new(), Vec::new());
    let covered = connections();
    programs.drain(&mut ran);
    assert_eq!(programs.dropped(), 0);
    drop(programs);
    let uncovered = connections();
    events.drain(&mut fired).unwrap();
    assert_eq!(events.lost().unwrap(), 0);
    let count = |port| fired.iter().filter(|it| it.tracepoint == 0 && of(it, port)).count();
    // Client and server have ten changes together, one of them before the client has a port.
    assert!(count(covered) >= 9 * CONNECTIONS && count(uncovered) >= 9 * CONNECTIONS);
    let found = compare::without_run(&fired, &ran);
    let found = |port| found.iter().filter(|(it, _)| it.tracepoint == 0 && of(it, port)).count();
    assert_eq!(found(uncovered), count(uncovered));
    // A shielded task may have been current now and then.
    assert!(found(covered) < CONNECTIONS, "{} of {}", found(covered), count(covered));
    let timers = |at| ran.iter().filter(|it: &&bpf::Ran| it.tracepoint == at).count();
    assert!(timers(5) >= CONNECTIONS && timers(6) >= CONNECTIONS, "mini-sockets have timers");
}

#[test]
fn the_tally_is_short_of_nothing_while_programs_run() {
    if !crate::root::is_root() {
        return;
    }
    let tally = Tally::start().unwrap();
    connections();
    let start = TRACEPOINTS.iter().position(|it| *it == "timer/timer_start").unwrap();
    let ran = tally.programs.runs()[start] - tally.ran[start];
    let fired = tally.counts.read()[start] - tally.fired[start];
    assert!(ran >= 50 && fired >= 50, "timers of mini-sockets are counted on both roads");
    let uncovered = tally.uncovered()["inet_sock_set_state"];
    assert!(uncovered < 9, "{uncovered} changes without a run");
}

#[test]
fn only_what_was_uncovered_there_and_then_is_a_reason_to_run_again() {
    let fired = Fired {
        at: 50,
        tracepoint: 0,
        object: 1,
        states: (7, 2),
        ports: (1, 2),
        cpu: 0,
        thread: 1,
    };
    let found = Ok(vec![Uncovered { at: 50, netns: Some(7), fired }]);
    let reason = |span, netns: &[u32]| rerun::Reason::uncovered(&found, &span, netns);
    assert!(reason(40..=60, &[6, 7]).is_ok());
    assert!(reason(51..=60, &[7]).is_err(), "before it began");
    assert!(reason(40..=60, &[6]).is_err(), "elsewhere");
    let unknown = Err("no tracefs".to_owned());
    assert!(rerun::Reason::uncovered(&unknown, &(40..=60), &[7]).is_err());
}
