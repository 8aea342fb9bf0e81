//! What was typed ([`args`], [`lab`]) and what it ends with ([`exit`]).

pub mod args;
pub mod color;
pub mod doctor;
pub mod exit;
pub mod lab;

pub use args::Cli;
