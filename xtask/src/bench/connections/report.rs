//! Writes the table of tools that watch connections, and its legend.

use super::{ConnectionRound, MeasuredConnection};
use crate::bench::{
    statistics::{median, spread},
    table::{CellForm, Table},
};

const LEGEND: &str = "\
All times are for one connection over loopback, both of its sockets included. `added` is CPU time of the
thread that connects and closes as fast as it can, and so what the connection itself takes longer: the
median round and half of the distance between the quartiles (\u{b1}). `lost` is by the tool's own account,
records or packets for each of these connections. The tool's own CPU time is measured with 1,000
connections a second, its output read by another process. `shown` are lines for each connection then;
of ss, how many of the 8 short stays in a state are in any of its answers.
";

/// The table and its legend; all others are compared with the first case.
pub(super) fn write(measured: &[MeasuredConnection], form: CellForm) -> String {
    let heading =
        ["watched by", "connection us", "added us", "\u{b1}", "lost", "tool CPU us", "shown"];
    let mut table = Table::new(&heading);
    for case in measured {
        table.push(row(case, measured.first().filter(|first| first.label != case.label)));
    }
    format!("{}\n{LEGEND}", table.text(form))
}

fn row(case: &MeasuredConnection, nothing: Option<&MeasuredConnection>) -> Vec<String> {
    let pairs = case.rounds.iter().zip(nothing.map_or(&[][..], |nothing| &nothing.rounds));
    let added: Vec<_> = pairs.map(|(case, nothing)| case.connection - nothing.connection).collect();
    let of = |value: fn(&ConnectionRound) -> Option<f64>| {
        median(&case.rounds.iter().filter_map(value).collect::<Vec<_>>())
    };
    vec![
        case.label.to_owned(),
        cell(of(|round| Some(round.connection)), 1),
        cell(median(&added), 1),
        cell(spread(&added), 1),
        cell(of(|round| round.lost), 2),
        cell(of(|round| round.tool), 1),
        cell(of(|round| round.shown), 3),
    ]
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_paired_by_round() {
        let rounds = |times: [f64; 3], shown| {
            let round =
                |connection| ConnectionRound { connection, lost: shown, tool: shown, shown };
            times.map(round).to_vec()
        };
        let measured = [
            MeasuredConnection { label: "nothing", rounds: rounds([10.0, 20.0, 30.0], None) },
            MeasuredConnection { label: "ss", rounds: rounds([13.0, 22.0, 33.0], Some(0.5)) },
        ];
        let text = write(&measured, CellForm::Plain);
        let words = |line: Option<&str>| {
            line.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let mut lines = text.lines().skip(1);
        let nothing = ["nothing", "20.0", "-", "-", "-", "-", "-"].map(str::to_owned).to_vec();
        assert_eq!(words(lines.next()), Some(nothing), "{text}");
        let ss = ["ss", "22.0", "3.0", "0.2", "0.50", "0.5", "0.500"].map(str::to_owned).to_vec();
        assert_eq!(words(lines.next()), Some(ss), "{text}");
    }
}
