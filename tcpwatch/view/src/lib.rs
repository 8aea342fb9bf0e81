//! Tracked events become lines: one form per file, behind [`Sink`](tcpwatch_core::sink::Sink).

#![deny(unsafe_code)]

mod dotted;
mod error;
mod grouped;
pub mod json;
pub mod json_lines;
mod line;
mod padded;
pub mod terminal;
pub mod time_of_day;
pub mod timestamp;
pub mod words;

pub use grouped::grouped;
pub(crate) use line::Line;
use tcpwatch_core::{
    event::{About, ErrorEvent, SegmentEvent},
    track::{
        Change, Connection, Existing, Others, Restart, Still, TrackedEvent, TrackedReset,
        TrackedRetransmit,
    },
};

macro_rules! lines {
    ($($variant:ident($event:ty) as $form:ty,)*) => {
        /// How an event is shown.
        pub(crate) fn line_of(tracked: &TrackedEvent) -> &dyn Line {
            match tracked {
                $(TrackedEvent::$variant(event) => {
                    let event: &$event = event;
                    event
                })*
            }
        }

        /// The words that name the events, and the forms of their JSON.
        #[cfg(test)]
        pub(crate) fn forms(
            generator: &mut schemars::SchemaGenerator,
        ) -> Vec<(&'static str, schemars::Schema)> {
            vec![$((
                <$event as tcpwatch_core::event::Shown>::NAME,
                <$form as schemars::JsonSchema>::json_schema(generator),
            )),*]
        }
    };
}
lines! {
    Change(Change) as json_lines::states::StateLine,
    Existing(Existing) as json_lines::states::ExistingLine,
    Still(Box<Still>) as json_lines::still::StillLine,
    Others(Others) as json_lines::still::StillLine,
    Restart(Restart) as json_lines::states::RestartLine,
    Retransmit(TrackedRetransmit) as json_lines::retransmit::RetransmitLine,
    Reset(TrackedReset) as json_lines::reset::ResetLine<'_>,
    Error(About<ErrorEvent>) as error::ErrorLine,
    Connection(Box<Connection>) as json_lines::life::ConnectionLine<'_>,
    Segment(Box<SegmentEvent>) as json_lines::segment::SegmentLine,
}
