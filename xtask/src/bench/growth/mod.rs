//! More and more live sockets, and more CPUs, come in; what grows with them goes out as two tables.

mod cpus;
mod held;
mod sockets;

use anyhow::Result;

use super::command::Bench;

/// How often each case is measured.
const ROUNDS: u32 = 5;

/// Both tables, one after the other.
pub(super) fn tables(bench: &Bench) -> Result<String> {
    let sockets = sockets::table(bench)?;
    Ok(format!("{sockets}\n{}", cpus::table(bench)?))
}
