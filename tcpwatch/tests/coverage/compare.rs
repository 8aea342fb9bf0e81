//! Finds the events of ftrace without a run of a BPF program. Pure.

use std::collections::HashMap;

use super::{bpf::Ran, ftrace::Fired};

/// ftrace and BPF read the clock one after the other for an event; an interrupt may come between them.
const APART: u64 = 20_000_000;

type Key = (usize, u64, (u32, u32));

/// Events without a run, each with the network namespace of its socket if another run about the same socket has it.
pub(super) fn without_run(fired: &[Fired], ran: &[Ran]) -> Vec<(Fired, Option<u32>)> {
    let mut runs: HashMap<Key, Vec<u64>> = HashMap::new();
    for it in ran {
        runs.entry((it.tracepoint, it.object, it.states)).or_default().push(it.at);
    }
    for times in runs.values_mut() {
        times.sort_unstable();
    }
    let mut sorted: Vec<_> = fired.iter().filter(|it| it.object != 0).collect();
    sorted.sort_unstable_by_key(|it| it.at);
    let mut next: HashMap<Key, usize> = HashMap::new();
    let mut found = Vec::new();
    for it in sorted {
        let key = (it.tracepoint, it.object, it.states);
        let times = runs.get(&key).map_or(&[][..], Vec::as_slice);
        let place = next.entry(key).or_default();
        *place += times[*place..].iter().take_while(|at| **at + APART < it.at).count();
        match times.get(*place) {
            Some(at) if *at <= it.at + APART => *place += 1,
            _ => found.push((*it, netns(it, ran))),
        }
    }
    found
}

/// The network namespace of the run about the same socket that is nearest in time.
fn netns(it: &Fired, ran: &[Ran]) -> Option<u32> {
    let same = ran.iter().filter(|run| run.object == it.object && run.netns != 0);
    same.min_by_key(|run| run.at.abs_diff(it.at)).map(|run| run.netns)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn fired(at: u64, object: u64, states: (u32, u32)) -> Fired {
        Fired { at, tracepoint: 0, object, states, ports: (1, 2), cpu: 0, thread: 1 }
    }

    fn ran(at: u64, object: u64, states: (u32, u32)) -> Ran {
        Ran { at, tracepoint: 0, object, states, netns: 7 }
    }

    #[test]
    fn an_event_with_its_run_is_covered() {
        let events = [fired(5 * MS, 1, (7, 2)), fired(90 * MS, 1, (2, 1))];
        let runs = [ran(6 * MS, 1, (7, 2)), ran(91 * MS, 1, (2, 1))];
        assert_eq!(without_run(&events, &runs), []);
    }

    #[test]
    fn an_event_without_a_run_is_found_with_the_namespace_of_its_socket() {
        let events =
            [fired(5 * MS, 1, (7, 2)), fired(90 * MS, 1, (2, 1)), fired(91 * MS, 2, (2, 1))];
        let runs = [ran(6 * MS, 1, (7, 2))];
        assert_eq!(without_run(&events, &runs), [(events[1], Some(7)), (events[2], None)]);
    }

    #[test]
    fn a_run_long_before_or_after_is_another_events() {
        let events = [fired(100 * MS, 1, (7, 2))];
        for other in [10, 190] {
            let runs = [ran(other * MS, 1, (7, 2))];
            assert_eq!(without_run(&events, &runs).len(), 1, "{other}");
        }
    }

    #[test]
    fn of_equal_events_as_many_are_found_as_there_are_runs_too_few() {
        let events = [10, 11, 12].map(|at| fired(at * MS, 1, (0, 0)));
        let runs = [11, 12].map(|at| ran(at * MS, 1, (0, 0)));
        assert_eq!(without_run(&events, &runs).len(), 1);
    }
}
