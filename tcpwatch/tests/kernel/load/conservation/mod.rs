//! No loss without a counter: under any load, what the kernel side attempted is what arrived plus what was counted as
//! lost. Every number comes from at least two independent sources.

mod books;
mod due;
mod instruments;
mod killed;
mod long;
mod paced;
mod paths;
mod reader;
mod recording;
mod snmp;
mod summary;
mod tap;
mod workload;

use std::{thread, time::Duration};

use rustix::process::setpriority_process;

use self::{
    books::{Row, table},
    paths::{JSON, LIVES, TEXT},
};

/// How long the churn runs on each of the other paths.
const SPAN: Duration = Duration::from_secs(4);

/// The highest priority.
const FIRST: i32 = -20;

const NOTE: &str = "\
due is what the workload must have caused: due = attempted + missed + not told, attempted = received + lost.
not told is negative where a timer was started once more, because a FIN was acknowledged alone.
";

#[test]
fn what_is_attempted_is_printed_or_counted_as_lost_on_every_path() {
    needs_root!();
    // Threads inherit the priority: other programs have to wait.
    let (rows, hooks) = thread::scope(|scope| {
        let all = scope.spawn(|| {
            setpriority_process(None, FIRST).unwrap();
            all()
        });
        all.join().unwrap()
    });
    println!("\n{hooks}\n{}\n{NOTE}", table(&rows));
    let faults: Vec<_> = rows
        .iter()
        .filter(|row| !row.faults.is_empty())
        .map(|row| (&row.path, &row.faults))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The rows of all paths, and the table of the hooks of one of them.
fn all() -> (Vec<Row>, String) {
    let mut rows: Vec<Row> = long::run().into();
    let (row, hooks) = paths::run_counted(&JSON, SPAN);
    rows.push(row);
    rows.extend([&TEXT, &LIVES].map(|path| paths::run(path, SPAN)));
    rows.extend([paths::filtered(SPAN), paths::recorded(SPAN), paths::retries(), tap::run()]);
    rows.extend([&TEXT, &JSON].map(paced::run));
    (rows, hooks)
}
