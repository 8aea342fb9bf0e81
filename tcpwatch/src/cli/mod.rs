//! What was typed ([`args`], [`list`], [`lab`], [`filter_words`]) and what it ends with ([`exit`]); what is made of the
//! options for shells and for `man` ([`mod@reference`]).

pub mod args;
pub mod color;
pub mod doctor;
pub mod exit;
pub mod filter_words;
pub mod lab;
pub mod list;
pub mod reference;
pub mod sandbox;
pub mod span;

pub use args::Cli;
