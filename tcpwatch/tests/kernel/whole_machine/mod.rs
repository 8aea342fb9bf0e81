//! Tests that change or need a whole machine: how its kernel was started, its sysctls, its processors. They run only in
//! the virtual machines of `cargo xtask test vm`.

mod lockdown;
mod orphans;
mod processors;
mod symbols;
mod too_old;

use std::env;

use crate::harness::program::tcpwatch;

/// Fails on a machine that is used for anything else.
fn is_ours() {
    let machine = env::var_os("TCPWATCH_MACHINE");
    assert!(machine.is_some(), "this changes the whole machine; `cargo xtask test vm` runs it");
}

/// The exit status of tcpwatch, and its messages.
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
