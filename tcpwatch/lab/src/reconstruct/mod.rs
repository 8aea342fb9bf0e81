//! `tcpwatch lab from`: a scenario that makes the same happen as a recording, as far as the recording says it. Pure.
//!
//! What the recording does not say and the scenario needs is assumed, and stands in the file as a comment that begins with
//! "guess"; what no scenario can make is left out, with a comment that begins with "left out". Where nothing sensible can
//! be assumed there is an error.
//!
//! - [`life`]: the events of each socket, and the ends of each connection put together
//! - [`closing`]: which calls ended them
//! - [`losses`]: which segments must have been lost, by what was sent again; [`unrecorded_losses`]: and by states alone;
//!   [`loss_place`]: the rules that drop them
//! - [`opening`]: who connected, listened and accepted
//! - [`script`]: steps, rules and waits in the order of time
//! - [`text`]: the file

mod closing;
mod life;
mod loss_place;
mod losses;
mod opening;
mod script;
mod text;
mod unrecorded_losses;

use std::collections::HashMap;

use thiserror::Error;

use tcpwatch_core::{
    event::{Cookie, Netns},
    timing::Sysctls,
    track::TrackedEvent,
};

use self::{
    life::{Conversation, conversations},
    script::Script,
};
use crate::scenario::{self, Choices, FileError, MOST_RULES};

/// Connections that one scenario is made of at most.
const MOST: usize = 16;

/// Why no scenario can be written.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReconstructError {
    /// Nothing to begin with.
    #[error(
        "there is no connection in the recording, so there is nothing to make a scenario of; record with tcpwatch --record while it happens"
    )]
    Nothing,
    /// No such socket.
    #[error(
        "no socket of the recording has the cookie {0}; `tcpwatch replay --format json` shows them as \"socket\""
    )]
    Unknown(u64),
    /// More than one scenario can hold.
    #[error(
        "the recording has {count} connections between several hosts, and a scenario has two hosts and at most 16 connections; choose with --socket one of:\n{list}"
    )]
    Choose {
        /// Their number.
        count: usize,
        /// Some of them, a line each.
        list: String,
    },
    /// Changes are missing.
    #[error(
        "records were lost: socket {socket} left {from} for {to} by a way that the recording does not have, and a scenario has to go it"
    )]
    Gap {
        /// The cookie, or the port if it has none.
        socket: String,
        /// The last state that is known.
        from: String,
        /// The next state that is known.
        to: String,
    },
    /// The opening is missing, and more than that.
    #[error(
        "the recording begins when socket {socket} was in {state} already, and a scenario has to bring it there; choose another with --socket"
    )]
    Begun {
        /// The cookie, or the port if it has none.
        socket: String,
        /// The first state that is known.
        state: String,
    },
    /// What was put together is not a scenario.
    #[error(
        "the recording has something in an order that a scenario cannot have; choose fewer connections with --socket, or report it with the recording: {0}"
    )]
    Impossible(FileError),
    /// More losses than rules.
    #[error(
        "the recording has losses of {0} kinds, and a scenario can have {MOST_RULES} rules; choose fewer connections with --socket"
    )]
    Losses(usize),
}

/// What a recording has.
#[derive(Debug)]
pub struct RecordedRun<'a> {
    /// What replaying it yields, in order.
    pub events: &'a [TrackedEvent],
    /// The sysctls of its network namespaces, as far as they were read.
    pub sysctls: &'a HashMap<Netns, Sysctls>,
    /// What it is called: its file's name.
    pub name: &'a str,
    /// Records that were lost.
    pub lost: u64,
}

/// The text of a scenario of the connections of these sockets, or of all if none is named.
///
/// # Errors
/// If the recording does not say enough, or has more than a scenario can hold.
pub fn scenario(
    recorded: &RecordedRun<'_>,
    sockets: &[Cookie],
) -> Result<String, ReconstructError> {
    let all = conversations(recorded.events);
    if let Some(unknown) =
        sockets.iter().find(|socket| !all.iter().any(|conversation| conversation.has(**socket)))
    {
        return Err(ReconstructError::Unknown(unknown.0));
    }
    // A connection brings its listener with it.
    let has_connections = all.iter().any(|conversation| conversation.listener.is_none());
    let is_wanted = |conversation: &&Conversation<'_>| {
        if sockets.is_empty() {
            conversation.listener.is_none() || !has_connections
        } else {
            sockets.iter().any(|socket| conversation.has(*socket))
        }
    };
    let chosen: Vec<&Conversation<'_>> = all.iter().filter(is_wanted).collect();
    let Some(first) = chosen.first() else { return Err(ReconstructError::Nothing) };
    let is_apart = chosen.iter().any(|conversation| !conversation.is_between(first));
    if is_apart || chosen.len() > MOST {
        let lines = chosen.iter().take(20).map(|conversation| conversation.line());
        let list = lines.collect::<Vec<_>>().join("\n");
        return Err(ReconstructError::Choose { count: chosen.len(), list });
    }
    if let Some(gap) = chosen.iter().find_map(|conversation| conversation.gap()) {
        return Err(gap);
    }
    let mut script = Script::new(recorded, &chosen);
    opening::add(&mut script, &chosen);
    closing::add(&mut script, &chosen);
    losses::add(&mut script, &chosen);
    if script.rules.len() > MOST_RULES {
        return Err(ReconstructError::Losses(script.rules.len()));
    }
    let text = text::file(script, recorded.name);
    let read = scenario::read("the scenario", &text, &Choices::default());
    read.map(|_| text).map_err(ReconstructError::Impossible)
}
