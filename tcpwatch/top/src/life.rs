//! What has happened to a socket.

use tcpwatch_core::{
    event::{KernelTime, ResetDirection, SegmentKind, TcpState},
    track::{Reason, WaitsFor},
};
use tcpwatch_view::{
    terminal::{Humane, reason_words},
    words,
};

/// Something that happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeEvent {
    /// When, by the kernel's clock.
    pub at: KernelTime,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It existed when tcpwatch started.
    Existed(TcpState),
    /// It entered a state.
    Entered {
        /// Which one.
        state: TcpState,
        /// That follows from what was reported later.
        inferred: bool,
    },
    /// The timer of its state started anew.
    TimerStarted,
    /// A segment was sent again.
    SentAgain {
        /// Which one.
        segment: SegmentKind,
        /// Which time in a row.
        attempt: u32,
        /// The time since it was sent before, in microseconds, if that was seen.
        gap_us: Option<u64>,
    },
    /// A reset was sent or received.
    Reset(ResetDirection),
    /// The application will see an error: a positive errno.
    Error(u16),
    /// It stayed in its state, and the kernel was asked for what it waits.
    Stayed(Option<WaitsFor>),
    /// It ended.
    Closed(Option<Reason>),
}

impl Happening {
    /// It is what an eye should find.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        match self {
            Self::SentAgain { .. } | Self::Reset(_) | Self::Error(_) => true,
            Self::Entered { inferred, .. } => *inferred,
            Self::Closed(reason) => reason.is_some_and(Reason::is_failure),
            Self::Existed(_) | Self::TimerStarted | Self::Stayed(_) => false,
        }
    }

    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        match *self {
            Self::Existed(state) => format!("{state}, existed already"),
            Self::Entered { state, inferred: false } => state.to_string(),
            Self::Entered { state, inferred: true } => format!("{state} (inferred)"),
            Self::TimerStarted => "its timer starts anew".to_owned(),
            Self::SentAgain { segment, attempt, gap_us } => {
                let gap = gap_us.map(std::time::Duration::from_micros);
                let gap = gap.map_or(String::new(), |gap| format!(", +{}", Humane(Some(gap))));
                format!("{} retry {attempt}{gap}", segment_words(segment))
            }
            Self::Reset(ResetDirection::Sent) => "RST sent".to_owned(),
            Self::Reset(ResetDirection::Received) => "RST received".to_owned(),
            Self::Error(errno) => format!("error: {}", words::error(errno)),
            Self::Stayed(waits_for) => {
                format!(
                    "still, waits for {}",
                    waits_for.map_or("what is not known", words::wait_words)
                )
            }
            Self::Closed(reason) => match reason.and_then(reason_words) {
                Some(words) => format!("CLOSED, {words}"),
                None => "CLOSED".to_owned(),
            },
        }
    }
}

/// What a segment is called.
#[must_use]
pub const fn segment_words(segment: SegmentKind) -> &'static str {
    match segment {
        SegmentKind::Syn => "SYN",
        SegmentKind::SynAck => "SYN+ACK",
        SegmentKind::Fin => "FIN",
        SegmentKind::Data => "data",
    }
}
