//! The line about an error for the application.

#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use tcpwatch_core::event::{About, ErrorEvent, WallClock};

use crate::{
    Line,
    json_lines::{Members, values::StateJson},
    terminal::Terminal,
    words,
};

/// The application will see an error.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(crate) struct ErrorLine {
    state: StateJson,
    /// The system's number.
    #[cfg_attr(test, schemars(range(min = 1)))]
    errno: u16,
    /// The system's words.
    #[cfg_attr(test, schemars(length(min = 1)))]
    error: String,
}

impl Line for About<ErrorEvent> {
    /// `error, ESTABLISHED   -  nc 2410 · No route to host`
    fn text(&self, log: &mut Terminal, clock: &WallClock, out: &mut Vec<u8>) {
        let what = format!("error, {}", self.event.state);
        log.failure(
            self.event.at,
            &self.subject,
            (&what, &words::error(self.event.error)),
            clock,
            out,
        );
    }

    fn json(&self, line: &mut Members<'_, '_>) {
        let ErrorEvent { state, error, .. } = self.event;
        line.socket(&self.subject);
        line.add(&ErrorLine { state: StateJson(state), errno: error, error: words::error(error) });
    }
}
