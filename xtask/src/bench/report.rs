//! Writes the table of state changes and the lines below it.

use super::{
    case::{NOTHING, TCPSTATES, TEXT},
    measure::{ChangeRound, ChurnLosses, Phase},
    statistics::{Micros, best, median, spread},
    table::{CellForm, Table},
    workload::CHURN_TRANSITIONS,
};

/// All that was measured of a case.
#[derive(Debug)]
pub(crate) struct MeasuredChange {
    pub(crate) label: &'static str,
    pub(crate) rounds: Vec<ChangeRound>,
    pub(crate) run_ns: Option<f64>,
    pub(crate) losses: Option<ChurnLosses>,
}

type PhaseOf = fn(&ChangeRound) -> Phase;
const LISTEN_CLOSE: PhaseOf = |round| round.listen_close;
const CHURN: PhaseOf = |round| round.churn;

const HEADING: [&str; 14] = [
    "attached",
    "listen/close us",
    "added us",
    "\u{b1}",
    "best",
    "by wall clock",
    "churn: added us",
    "\u{b1}",
    "best",
    "ns/run",
    "tool CPU us/event",
    "wakeups/s",
    "lost + missed",
    "tcpstates is",
];

/// What the columns mean.
const LEGEND: &str = "\
All times are per state change, of the fastest tenth of each round, and CPU time of the thread that
makes the changes, the kernel's part included: other programs disturb it less than the wall clock.
`added` is what a change took longer than with nothing attached in the same round: the median round,
half of the distance between the quartiles (\u{b1}), and the best round of each. The last column compares
the medians. `ns/run` is the kernel's own measure of one run of the program. `tool CPU` and `wakeups`
are of the tool's process under churn. `lost` is by the tool's own account, `missed` are runs that the
kernel skipped, both in one long churn.
";

/// The table, its legend and the line about the churn.
pub(crate) fn write(cases: &[MeasuredChange], form: CellForm) -> String {
    let mut table = Table::new(&HEADING);
    for case in cases {
        table.push(row(case, cases));
    }
    let text = table.text(form);
    let churns = cases.iter().filter_map(|case| Some(churn(case.label, &case.losses?)));
    let churns = churns.map(|line| match form {
        CellForm::Plain => line,
        CellForm::Markdown => format!("- {line}"),
    });
    format!("{text}\n{LEGEND}\n{}", churns.collect::<String>())
}

fn row(case: &MeasuredChange, all: &[MeasuredChange]) -> Vec<String> {
    let of = |label| all.iter().find(|other| other.label == label);
    let nothing = of(NOTHING).filter(|nothing| nothing.label != case.label);
    let added = |workload, clock| Some(differences(case, nothing?, workload, clock));
    let listen_close = added(LISTEN_CLOSE, |phase| phase.cpu).unwrap_or_default();
    let wall = added(LISTEN_CLOSE, |phase| phase.wall).unwrap_or_default();
    let churn = added(CHURN, |phase| phase.cpu).unwrap_or_default();
    let best_of = |workload| best_difference(case, nothing?, workload);
    let ratio = || {
        let peer = differences(of(TCPSTATES)?, nothing?, LISTEN_CLOSE, |phase| phase.cpu);
        ratio(median(&peer)?, median(&listen_close)?)
    };
    vec![
        case.label.to_owned(),
        micros(best(&times(case, LISTEN_CLOSE, |phase| Some(phase.cpu)))),
        micros(median(&listen_close)),
        micros(spread(&listen_close)),
        micros(best_of(LISTEN_CLOSE)),
        micros(median(&wall)),
        micros(median(&churn)),
        micros(spread(&churn)),
        micros(best_of(CHURN)),
        cell(case.run_ns, |ns| format!("{ns:.0}")),
        micros(median(&times(case, CHURN, |phase| phase.tool_cpu))),
        cell(median(&times(case, CHURN, |phase| phase.wakeups)), |per_s| format!("{per_s:.0}")),
        cell(case.losses, |losses| {
            format!("{} + {}", cell(losses.lost, |lost| lost.to_string()), losses.missed)
        }),
        cell(ratio(), |text| text),
    ]
}

/// `31x`; `None` if the addition is within the noise.
fn ratio(peer: Micros, own: Micros) -> Option<String> {
    const NOISE: Micros = 0.02;
    (own > NOISE).then(|| format!("{:.0}x", peer / own))
}

fn times(
    case: &MeasuredChange,
    workload: PhaseOf,
    time: impl Fn(&Phase) -> Option<f64>,
) -> Vec<f64> {
    case.rounds.iter().filter_map(|round| time(&workload(round))).collect()
}

/// The difference in each round, so that slow changes of the machine cancel out.
fn differences(
    case: &MeasuredChange,
    nothing: &MeasuredChange,
    workload: PhaseOf,
    clock: fn(&Phase) -> Micros,
) -> Vec<f64> {
    let pairs = case.rounds.iter().zip(&nothing.rounds);
    pairs.map(|(case, nothing)| clock(&workload(case)) - clock(&workload(nothing))).collect()
}

/// The difference of the best rounds: what remains when nothing else disturbs.
fn best_difference(
    case: &MeasuredChange,
    nothing: &MeasuredChange,
    workload: PhaseOf,
) -> Option<Micros> {
    let best_of = |case| best(&times(case, workload, |phase| Some(phase.cpu)));
    Some(best_of(case)? - best_of(nothing)?)
}

fn micros(value: Option<Micros>) -> String {
    cell(value, |value| format!("{value:.2}"))
}

fn cell<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn churn(label: &str, losses: &ChurnLosses) -> String {
    let name = if label == TEXT { String::new() } else { format!(", {label}") };
    format!(
        "churn {:.0} s{name}: {} connections, {} transitions, lost {}, missed {}\n",
        losses.ran.as_secs_f64(),
        losses.transitions / u64::from(CHURN_TRANSITIONS),
        losses.transitions,
        cell(losses.lost, |lost| lost.to_string()),
        losses.missed,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn case(label: &'static str, walls: &[f64], losses: Option<ChurnLosses>) -> MeasuredChange {
        let phase = |wall| Phase { wall, cpu: wall, tool_cpu: Some(0.5), wakeups: Some(300.0) };
        let rounds =
            walls.iter().map(|wall| ChangeRound { listen_close: phase(*wall), churn: phase(9.0) });
        MeasuredChange { label, rounds: rounds.collect(), run_ns: Some(99.6), losses }
    }

    fn text() -> String {
        let losses = ChurnLosses {
            ran: Duration::from_secs(10),
            transitions: 120,
            lost: Some(0),
            missed: 3,
        };
        let cases = [
            case(NOTHING, &[4.0, 5.0, 4.0], None),
            case(TEXT, &[4.25, 5.25, 4.75], Some(losses)),
            case(TCPSTATES, &[14.0, 15.0, 14.0], None),
        ];
        write(&cases, CellForm::Plain)
    }

    #[test]
    fn additions_are_paired_by_round() {
        let text = text();
        let row = text.lines().find(|line| line.starts_with(TEXT)).expect("a row");
        let cells: Vec<_> = row.trim_start_matches(TEXT).split_whitespace().collect();
        let expected = ["4.25", "0.25", "0.12", "0.25"];
        assert_eq!(cells.get(..4), Some(expected.as_slice()), "{row}");
        assert_eq!(cells.last(), Some(&"40x"), "10 by 0.25: {row}");
    }

    #[test]
    fn nothing_is_not_compared_with_itself() {
        let text = text();
        let row = text.lines().find(|line| line.starts_with(NOTHING)).expect("a row");
        assert_eq!(row.matches(" -").count(), 9, "{row}");
    }

    #[test]
    fn the_churn_is_told_in_a_line_of_its_own() {
        let line = "churn 10 s: 12 connections, 120 transitions, lost 0, missed 3";
        assert!(text().contains(line), "{}", text());
    }
}
