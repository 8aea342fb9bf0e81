//! What tcpwatch itself does for each line: instructions and allocations of a replay, system calls of a short live run.
//! Unlike times, the first two do not depend on the load of the machine.

mod recording;
mod valgrind;
mod writes;

use anyhow::Result;

use self::{recording::SyntheticRecording, valgrind::ValgrindCounts};
use super::{command::Bench, table::Table};
use crate::debian::VALGRIND;

/// Numbers of connections in the two recordings whose difference is counted.
const CONNECTIONS: (u32, u32) = (500, 1500);

const LEGEND: &str = "\
`tcpwatch replay` of 1,500 recorded connections minus that of 500, so that start-up is not included, counted
by valgrind. The first row reads and decodes everything and shows nothing, because its filter matches
nothing; the others are what is added to it: tracking, and formatting the line.
";

/// The cases: a name, and the format or the filter.
const CASES: [(&str, &[&str]); 3] = [
    ("reading a record", &["--port", "1"]),
    ("a line of text", &["--format", "text"]),
    ("a line of JSON", &["--format", "json"]),
];

/// The table of what a replay takes, and a line about system calls.
pub(super) fn tables(bench: &Bench) -> Result<String> {
    let valgrind = VALGRIND.ensure()?.join("valgrind");
    let recordings =
        (SyntheticRecording::write(CONNECTIONS.0)?, SyntheticRecording::write(CONNECTIONS.1)?);
    let mut table = Table::new(&["", "instructions", "allocations", "bytes allocated"]);
    let mut reading = ValgrindCounts::default();
    for (name, args) in CASES {
        eprintln!("bench: instructions for {name}");
        let few = valgrind::count(&valgrind, &bench.tcpwatch, &recordings.0, args)?;
        let many = valgrind::count(&valgrind, &bench.tcpwatch, &recordings.1, args)?;
        let each = many.less(few).per(recordings.1.lines() - recordings.0.lines());
        let ValgrindCounts { instructions, allocations, bytes } = each.less(reading);
        table.push(vec![
            name.to_owned(),
            format!("{instructions:.0}"),
            format!("{allocations:.2}"),
            format!("{bytes:.0}"),
        ]);
        if reading == ValgrindCounts::default() {
            reading = each;
        }
    }
    let writes = writes::sentence(bench)?;
    Ok(format!("{}\n{LEGEND}\n{writes}\n", table.text(bench.form)))
}
