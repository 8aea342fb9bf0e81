//! Gives up what a command does not need any more, and says what is in force.

use std::{
    io,
    process::{Command, ExitCode, Stdio},
};

use anyhow::Result;
use tcpwatch::cli::{
    exit,
    sandbox::{Confine, SandboxArgs},
};
use tcpwatch_kernel::probe::Probes;
use tcpwatch_sandbox::{Demand, InForce, SandboxNeeds, enter};

/// This program, whatever became of its file.
const PROGRAM: &str = "/proc/self/exe";

/// Of a process that counts or logs, when everything is attached.
pub(crate) fn running(args: SandboxArgs, needs: &SandboxNeeds, probes: &Probes) -> Result<InForce> {
    let in_force = enter(args.sandbox.into(), needs, || probes.losses.read().is_ok())?;
    exit::say(&format!("tcpwatch: sandbox: {in_force}\n"));
    for why in &in_force.missing {
        exit::say(&format!("tcpwatch: sandbox: not in force: {why}\n"));
    }
    Ok(in_force)
}

/// Says what a log does not see because it listens, too.
pub(crate) fn say_lost(args: SandboxArgs, probes: &Probes) {
    if args.sandbox != Confine::Off && probes.facts.enters_namespaces() {
        exit::say(
            "tcpwatch: not seen from now on: for what sockets of other network namespaces wait, what was missed \
             there, and the names of new containers: who listens gives up the privileges for it; --sandbox off \
             keeps them\n",
        );
    }
}

/// Says what an exporter does not see because it listens.
pub(crate) fn say_later_namespaces(args: SandboxArgs, probes: &Probes) {
    if args.sandbox != Confine::Off && probes.facts.enters_namespaces() {
        exit::say(
            "tcpwatch: not seen from now on: accept queues and ports of network namespaces that come later, of which \
             only the kernel's counters are read: who listens gives up the privileges for it; --sandbox off keeps them\n",
        );
    }
}

/// What is in force in a process that listens, as one finds that does no more than [`trial`].
pub(crate) fn tried() -> io::Result<String> {
    let output = Command::new(PROGRAM).arg("sandbox-trial").stdin(Stdio::null()).output()?;
    let said = if output.status.success() { output.stdout } else { output.stderr };
    Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
}

/// Gives up what a process that listens gives up, and prints what is in force.
pub(crate) fn trial() -> Result<ExitCode> {
    let in_force = enter(Demand::Auto, &SandboxNeeds::listening([]), || true)?;
    let mut text = in_force.to_string();
    if !in_force.missing.is_empty() {
        text = format!("{text}; not in force: {}", in_force.missing.join("; "));
    }
    exit::print(text + "\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Of a process that only reads what is open already.
pub(crate) fn reading(confine: Confine) -> Result<()> {
    enter(confine.into(), &SandboxNeeds::reading(), || true)?;
    Ok(())
}
