//! A made-up recording and a short live run come in; what tcpwatch itself does for each line goes out:
//! instructions, allocations, system calls. Unlike times, the first two are the same on a busy machine.

mod recording;
mod valgrind;
mod writes;

use anyhow::Result;

use self::{recording::Recording, valgrind::Counts};
use super::{command::Bench, table::Table};
use crate::debian::VALGRIND;

/// The connections of the two recordings whose difference is counted.
const CONNECTIONS: (u32, u32) = (500, 1500);

const LEGEND: &str = "\
`tcpwatch replay` of 1,500 recorded connections less that of 500, so that start-up is not in it, counted by
valgrind. The first row reads and decodes all and shows nothing, because its filter lets nothing pass;
the others are what comes on top of it: tracking, and making the line.
";

/// What is counted: its name, and the form or filter.
const CASES: [(&str, &[&str]); 3] = [
    ("reading a record", &["--port", "1"]),
    ("a line of text", &["--format", "text"]),
    ("a line of JSON", &["--format", "json"]),
];

/// The table of what is counted in a replay, and a line about system calls.
pub(super) fn tables(bench: &Bench) -> Result<String> {
    let valgrind = VALGRIND.ensure()?.join("valgrind");
    let recordings = (Recording::write(CONNECTIONS.0)?, Recording::write(CONNECTIONS.1)?);
    let mut table = Table::new(&["", "instructions", "allocations", "bytes allocated"]);
    let mut reading = Counts::default();
    for (name, args) in CASES {
        eprintln!("bench: instructions for {name}");
        let few = valgrind::count(&valgrind, &bench.tcpwatch, &recordings.0, args)?;
        let many = valgrind::count(&valgrind, &bench.tcpwatch, &recordings.1, args)?;
        let each = many.less(few).per(recordings.1.lines() - recordings.0.lines());
        let Counts { instructions, allocations, bytes } = each.less(reading);
        table.push(vec![
            name.to_owned(),
            format!("{instructions:.0}"),
            format!("{allocations:.2}"),
            format!("{bytes:.0}"),
        ]);
        if reading == Counts::default() {
            reading = each;
        }
    }
    let writes = writes::sentence(bench)?;
    Ok(format!("{}\n{LEGEND}\n{writes}\n", table.text(bench.form)))
}
