//! Asks what sockets wait for, in a thread beside the one that reads records.

use std::mem;

use tcpwatch_core::{event::Netns, track::StayQuestion};

use super::snapshot::{Lookup, Lookups};

/// Asks the kernel about sockets that stay in a state. It holds what [`Lookup`] holds.
#[derive(Debug, Default)]
pub struct Inquirer(InquirerState);

#[derive(Debug, Default)]
enum InquirerState {
    /// Nothing has been asked yet.
    #[default]
    Unused,
    Ready(Box<Lookup>),
    /// This kernel does not answer.
    Mute,
}

impl Inquirer {
    /// Asks about each socket once, and for the sysctls of the namespaces in `lacks_sysctls`. Waits for the
    /// kernel, for some microseconds a socket, and for some milliseconds if a namespace has to be found.
    pub fn ask(&mut self, questions: &[StayQuestion], lacks_sysctls: &[Netns]) -> Lookups {
        self.0 = match mem::take(&mut self.0) {
            InquirerState::Unused => match Lookup::new() {
                Ok(lookup) => InquirerState::Ready(Box::new(lookup)),
                Err(error) => {
                    tracing::warn!("it is not known for what sockets wait: {error}");
                    InquirerState::Mute
                }
            },
            state => state,
        };
        match &mut self.0 {
            InquirerState::Ready(lookup) => lookup.ask_in_detail(questions, lacks_sysctls),
            InquirerState::Unused | InquirerState::Mute => Lookups::default(),
        }
    }

    /// Whether asking has any use.
    #[must_use]
    pub const fn is_mute(&self) -> bool {
        matches!(self.0, InquirerState::Mute)
    }
}
