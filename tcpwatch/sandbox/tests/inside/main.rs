//! What fails and what works after privileges are given up, tried from inside by a process that had all of root's.
//! A program of its own instead of a test harness: privileges are given up by a process with one thread.

#[cfg(test)]
mod cases;

use std::process::ExitCode;

fn main() -> ExitCode {
    cases::run()
}
