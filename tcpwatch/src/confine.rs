//! Gives up what a command does not need any more, and says what is in force.

use anyhow::Result;
use tcpwatch::cli::{exit, sandbox::SandboxArgs};
use tcpwatch_kernel::probe::Probes;
use tcpwatch_sandbox::{InForce, Needs, enter};

/// Of a process that counts or logs, when everything is attached.
pub(crate) fn running(args: SandboxArgs, needs: &Needs, probes: &Probes) -> Result<InForce> {
    let saw_others = probes.facts.enters_namespaces();
    let in_force = enter(args.sandbox.into(), needs, || probes.losses.read().is_ok())?;
    exit::say(&format!("tcpwatch: sandbox: {in_force}\n"));
    for why in &in_force.missing {
        exit::say(&format!("tcpwatch: sandbox: not in force: {why}\n"));
    }
    if saw_others && !in_force.enters_namespaces() {
        exit::say(
            "tcpwatch: not seen from now on: other network namespaces through lists of sockets, and names of \
             containers that are still to come: who listens gives up the privileges for it; --sandbox off keeps \
             them\n",
        );
    }
    Ok(in_force)
}

/// Of a process that only reads what is open already.
pub(crate) fn reading(args: SandboxArgs) -> Result<()> {
    enter(args.sandbox.into(), &Needs::reading(), || true)?;
    Ok(())
}
