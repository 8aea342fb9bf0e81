//! What grows with the number of live sockets and of CPUs.

mod cpus;
mod held;
mod sockets;

use anyhow::Result;

use super::command::Bench;

/// The number of rounds for each case.
const ROUNDS: u32 = 5;

/// Both tables, one after the other.
pub(super) fn tables(bench: &Bench) -> Result<String> {
    let sockets = sockets::table(bench)?;
    Ok(format!("{sockets}\n{}", cpus::table(bench)?))
}
