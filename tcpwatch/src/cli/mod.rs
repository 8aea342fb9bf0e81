//! What was typed ([`args`], [`list`], [`lab`], [`filter_words`]) and what it ends with ([`exit`]).

pub mod args;
pub mod color;
pub mod doctor;
pub mod exit;
pub mod filter_words;
pub mod lab;
pub mod list;

pub use args::Cli;
