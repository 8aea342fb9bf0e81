//! The option `--sandbox`.

use clap::{Args, ValueEnum};
use tcpwatch_sandbox::Demand;

/// Privileges of the running process.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Privileges")]
pub struct SandboxArgs {
    /// Give up the privileges that are not needed any more: as far as this machine can, all of it or exit with 3, or
    /// none
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Confine::Auto)]
    pub sandbox: Confine,
}

/// Whether privileges are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Confine {
    /// As far as this machine can; what is missing is said.
    Auto,
    /// All of it, or the exit status is 3.
    Strict,
    /// None.
    Off,
}

impl From<Confine> for Demand {
    fn from(confine: Confine) -> Self {
        match confine {
            Confine::Auto => Self::Auto,
            Confine::Strict => Self::Strict,
            Confine::Off => Self::Off,
        }
    }
}
