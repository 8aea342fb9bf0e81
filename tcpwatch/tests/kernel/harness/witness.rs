//! An independent witness: runs `ss` repeatedly for all sockets of a namespace, and compares its output with what
//! tcpwatch reported.

use std::{
    collections::HashMap,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tcpwatch_kernel::clock;

use super::{
    line::End,
    lives::{Life, transcript},
    netns::Netns,
};
use crate::ss;

/// A change and a run of `ss` that are closer than this do not contradict each other.
const SLACK: u64 = 5_000_000;

type Ends = (End, End);

/// Runs `ss` until it is stopped.
pub(crate) struct Witness {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Vec<Look>>,
}

/// The sockets that existed between two moments.
#[derive(Debug)]
pub(crate) struct Look {
    from_ns: u64,
    to_ns: u64,
    sockets: HashMap<Ends, String>,
}

impl Witness {
    /// `pause` is the time between two runs.
    pub(crate) fn start(netns: &Netns, pause: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = netns.inside(move || {
            // A thread starts in the namespace of the thread that starts it.
            thread::spawn(move || {
                let mut looks = vec![look()];
                tell.send(()).unwrap();
                while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    looks.push(look());
                }
                looks
            })
        });
        told.recv().unwrap();
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Vec<Look> {
        drop(self.stop);
        self.thread.join().unwrap()
    }
}

fn look() -> Look {
    let from_ns = clock::now().0;
    let seen = ss::look();
    let to_ns = clock::now().0;
    let sockets = seen
        .into_iter()
        .filter(|it| it.state != "LISTEN")
        .map(|it| ((End::from(it.local), End::from(it.remote)), it.state))
        .collect();
    Look { from_ns, to_ns, sockets }
}

/// A state that tcpwatch reported, and when it was entered and left.
#[derive(Debug)]
struct Stay<'a> {
    ends: Ends,
    state: &'a str,
    from_ns: u64,
    to_ns: u64,
}

fn stays(lives: &[Life]) -> Vec<Stay<'_>> {
    let mut stays = Vec::new();
    for life in lives {
        let ends = life.lines.last().unwrap().ends();
        for (number, line) in life.lines.iter().enumerate() {
            let to_ns = life.lines.get(number + 1).map_or(u64::MAX - SLACK, |next| next.mono_ns);
            if line.to != "CLOSED" && line.to != "LISTEN" {
                stays.push(Stay { ends, state: &line.to, from_ns: line.mono_ns, to_ns });
            }
        }
    }
    stays
}

/// Every state that `ss` showed was reported at that time, and every state that was reported as long enough was shown.
/// Returns the number of states that were shown.
pub(crate) fn agree(looks: &[Look], lives: &[Life]) -> usize {
    let stays = stays(lives);
    for look in looks {
        for (ends, state) in &look.sockets {
            let told = stays.iter().any(|stay| {
                stay.ends == *ends
                    && stay.state == state
                    && stay.from_ns <= look.to_ns + SLACK
                    && look.from_ns <= stay.to_ns + SLACK
            });
            let at = look.from_ns;
            assert!(
                told,
                "{ends:?} was seen in {state} at {at}, reported was\n{}",
                transcript(lives)
            );
        }
    }
    let mut seen = 0;
    for stay in &stays {
        let within = looks.iter().filter(|look| {
            stay.from_ns + SLACK <= look.from_ns && look.to_ns + SLACK <= stay.to_ns
        });
        for look in within {
            let state = look.sockets.get(&stay.ends).map(String::as_str);
            let at = look.from_ns;
            assert_eq!(state, Some(stay.state), "{stay:?} at {at}\n{}", transcript(lives));
            seen += 1;
        }
    }
    seen
}
