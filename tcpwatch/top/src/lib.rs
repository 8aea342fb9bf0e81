//! What is now: a live table of sockets, the state machine with its counts, and the life of one connection.
//!
//! - [`sockets`]: the sockets there are, from what a run yields; pure
//! - [`row`]: what is known of one of them
//! - [`findings`]: what is wrong, and which sockets that is about
//! - `judging`: that in a live run
//! - `verdicts`: that in a recording
//! - [`life`]: what has happened to it
//! - [`future`]: what will happen to it if nothing comes
//! - [`measured`]: what the kernel says of the selected one
//! - `measuring`: asks it
//! - [`copies`]: what can be copied about a socket
//! - [`counts`]: how many are in each state, and how many enter it in a second
//! - [`filter`]: the words of the filter line
//! - [`messages`]: warnings while the screen is up
//! - [`order`]: which of them are in the view, and in which order
//! - [`owners`]: the same by owner
//! - [`ownership`]: whose one is, in words
//! - [`written`]: rows as those of `tcpwatch list`; `writing`: in a file
//! - [`keys`]: the keys and what they do
//! - [`screen`]: what is shown, and what keys do to it; pure
//! - [`draw`]: that in cells
//! - [`timeline`]: steps through a recording
//! - [`tty`]: the terminal, and how it is left as it was
//! - [`session`]: the loop

#![deny(unsafe_code)]

pub mod copies;
pub mod counts;
pub mod draw;
pub mod filter;
pub mod findings;
pub mod future;
mod judging;
pub mod keys;
pub mod life;
pub mod measured;
mod measuring;
pub mod messages;
pub mod order;
pub mod owners;
pub mod ownership;
pub mod row;
pub mod screen;
pub mod session;
pub mod sockets;
pub mod timeline;
pub mod tty;
mod verdicts;
mod writing;
pub mod written;
