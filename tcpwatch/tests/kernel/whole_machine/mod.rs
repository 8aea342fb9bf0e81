//! What changes or needs a whole machine: how its kernel was started, its sysctls, its processors. Runs in
//! the virtual machines of `cargo xtask test vm` and nowhere else.

mod lockdown;
mod orphans;
mod processors;
mod symbols;
mod too_old;

use std::env;

use crate::harness::program::tcpwatch;

/// Fails where the machine belongs to somebody.
fn is_ours() {
    let machine = env::var_os("TCPWATCH_MACHINE");
    assert!(machine.is_some(), "this changes the whole machine; `cargo xtask test vm` runs it");
}

/// How tcpwatch ended, and what it said.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(args: &[&str]) -> Ended {
    let output = tcpwatch().args(args).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    Ended { status: output.status.code(), stdout, stderr }
}
