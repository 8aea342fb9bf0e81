//! What was typed ([`args`]) and what it ends with ([`exit`]).

pub mod args;
pub mod exit;

pub use args::Cli;
