//! The life of one connection, gathered from its changes, and reported once, after its last socket is gone.

use std::time::Duration;

use super::{MissedChange, Reason, Subject, queues::QueueEncounter, retry::Retry};
use crate::event::{
    Direction, KernelTime, QueueReading, ResetDirection, ResetEvent, RetransmitEvent, SegmentKind,
    SocketTotals, StateEvent, TcpState, Trigger,
};

/// The longest time from a reset that a socket sends to the end that it goes with.
const RESET_AND_END: Duration = Duration::from_nanos(tcpwatch_common::awaiting::WITHIN_NS);

/// What is gathered while a connection lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// It was there before the first event.
    existed: bool,
    /// When it began, if that was seen.
    opened: Option<KernelTime>,
    /// Time spent in each state so far.
    spent: Spent,
    /// When it left ESTABLISHED or gave up trying to get there.
    closing_since: Option<KernelTime>,
    closed_by: Option<ClosedBy>,
    /// Segments sent again, in the order of [`SegmentKind::ALL`].
    again: [u32; 4],
    /// Attempts to send a segment again that the network below did not take.
    not_sent: u32,
    /// Those among them that the kernel counts as sent again.
    counted_unsent: u16,
    /// How long after SYN_SENT was entered the first SYN was sent.
    syn_delay: Duration,
    /// The retransmission that is under way.
    pub(super) retry: Option<Retry>,
    /// The last reset that was seen.
    pub(super) reset: Option<SeenReset>,
    pub(super) totals: Option<SocketTotals>,
    /// Changes that were inferred.
    pub(super) inferred: Vec<MissedChange>,
    /// What was read of its listener's queues.
    pub(super) met: QueueEncounter,
}

/// What is kept of a reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenReset {
    at: KernelTime,
    pub(super) direction: ResetDirection,
    /// [`ResetEvent::answers_no_syn`].
    pub(super) answers_no_syn: bool,
}

impl From<&ResetEvent> for SeenReset {
    fn from(event: &ResetEvent) -> Self {
        let ResetEvent { at, direction, answers_no_syn, .. } = *event;
        Self { at, direction, answers_no_syn }
    }
}

/// Time spent in each state, in the order of [`TcpState::ALL`]; `None` where it was never seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent([Option<Duration>; 11]);

impl Spent {
    fn add(&mut self, state: TcpState, span: Duration) {
        if let Some((_, spent)) =
            TcpState::ALL.iter().zip(&mut self.0).find(|(known, _)| **known == state)
        {
            *spent = Some(spent.unwrap_or_default() + span);
        }
    }

    /// These times; those of one state add up.
    #[must_use]
    pub fn of(times: &[(TcpState, Duration)]) -> Self {
        let mut spent = Self::default();
        for (state, time) in times {
            spent.add(*state, *time);
        }
        spent
    }

    /// The states that were passed and the time in each, in the order of a connection's life.
    pub fn iter(&self) -> impl Iterator<Item = (TcpState, Duration)> + '_ {
        TcpState::ALL.into_iter().zip(self.0).filter_map(|(state, spent)| Some((state, spent?)))
    }

    /// The time in one state.
    #[must_use]
    pub fn time_in(&self, state: TcpState) -> Option<Duration> {
        self.iter().find(|(known, _)| *known == state).map(|(_, spent)| spent)
    }
}

/// Who closed a connection first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// This end sent the first FIN.
    Local,
    /// The peer sent the first FIN.
    Remote,
    /// Both sent a FIN before they saw the other's.
    Both,
    /// A reset came before any FIN.
    Reset,
}

impl ClosedBy {
    /// Who sent the first FIN of a connection in this state, if all ways there agree: TIME_WAIT is entered after
    /// both FINs.
    const fn before(state: TcpState) -> Option<Self> {
        match state {
            TcpState::FinWait1 | TcpState::FinWait2 => Some(Self::Local),
            TcpState::CloseWait | TcpState::LastAck => Some(Self::Remote),
            TcpState::Closing => Some(Self::Both),
            _ => None,
        }
    }

    /// The word used in JSON and in text.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Both => "both",
            Self::Reset => "reset",
        }
    }
}

/// A connection whose last trace is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// When it was gone.
    pub at: KernelTime,
    /// Its socket and owner.
    pub subject: Subject,
    /// It was there before the first event.
    pub existed: bool,
    /// When it began: SYN_SENT or SYN_RECV was entered. `None` if it existed before.
    pub opened: Option<KernelTime>,
    /// From there until it was closed on both sides or given up; TIME_WAIT is not counted.
    pub lasted: Option<Duration>,
    /// Time spent in each state.
    pub spent: Spent,
    /// Time from the first SYN to ESTABLISHED, if it came so far.
    pub handshake: Option<Duration>,
    /// Segments seen to be sent again: how many of each kind.
    pub again: [(SegmentKind, u32); 4],
    /// Attempts to send a segment again that the network below did not take.
    pub not_sent: u32,
    /// What the socket has done; `None` without a full socket, or if its end was missed.
    pub totals: Option<SocketTotals>,
    /// Who closed first.
    pub closed_by: Option<ClosedBy>,
    /// How it ended.
    pub end: Reason,
    /// It is still in TIME_WAIT, until then: the run ended before.
    pub ends_at: Option<KernelTime>,
    /// The changes that were not reported but inferred, in order; how long such a state lasted is not
    /// known.
    pub inferred: Vec<MissedChange>,
    /// The queues of its listener when the accept queue was fullest, where there was something to be said of
    /// them.
    pub queue: Option<Box<QueueReading>>,
}

impl Connection {
    /// Segments sent again: the kernel's count, or what was seen. What the network below did not take
    /// is not among them (the kernel counts it up to 6.16).
    #[must_use]
    pub fn retransmits(&self) -> u32 {
        let seen = self.again.iter().map(|(_, count)| count).sum();
        self.totals.map_or(0, |totals| totals.retransmits).max(seen)
    }

    /// SYNs that were sent, if this end connected.
    #[must_use]
    pub fn syns(&self) -> Option<u32> {
        let again = self.again.iter().find(|(segment, _)| *segment == SegmentKind::Syn)?.1;
        (self.subject.direction == Some(Direction::Outgoing)).then_some(again + 1)
    }
}

impl Life {
    /// A connection that begins now.
    pub(super) fn begun(at: KernelTime) -> Self {
        Self { opened: Some(at), ..Self::default() }
    }

    /// It was there before the first event.
    pub(super) const fn existed(&mut self) {
        self.existed = true;
    }

    /// The connection leaves a state that it entered at `since`, for another.
    pub(super) fn moves(
        &mut self,
        at: KernelTime,
        (from, since): (TcpState, Option<KernelTime>),
        to: TcpState,
    ) {
        if let Some(since) = since {
            self.spent.add(from, at.since(since));
        }
        let by = match (from, to) {
            (TcpState::FinWait1, TcpState::Closing) => Some(ClosedBy::Both),
            (_, TcpState::FinWait1) => Some(ClosedBy::Local),
            (_, TcpState::CloseWait) => Some(ClosedBy::Remote),
            // How it came to the state that it leaves was not seen.
            (from, _) => self.closed_by.or_else(|| ClosedBy::before(from)),
        };
        self.closed_by = by;
        if matches!(to, TcpState::TimeWait | TcpState::Closed) {
            self.closing_since.get_or_insert(at);
        }
    }

    /// A reset that can be why the connection ends now: one that was accepted, or sent a moment ago. A
    /// socket may send one and live on, for an acknowledgment that does not belong to its handshake.
    pub(super) fn reset_at_end(&self, at: KernelTime) -> Option<SeenReset> {
        self.reset.filter(|reset| {
            reset.direction == ResetDirection::Received || at.since(reset.at) <= RESET_AND_END
        })
    }

    pub(super) fn count(&mut self, event: &RetransmitEvent) {
        if !event.sent {
            self.not_sent += 1;
            self.counted_unsent = self.counted_unsent.saturating_add(event.counted.into());
        } else if let Some((_, count)) =
            SegmentKind::ALL.iter().zip(&mut self.again).find(|(known, _)| **known == event.segment)
        {
            *count += 1;
        }
    }

    /// The first SYN that is sent again says when it was sent. With `TCP_FASTOPEN_CONNECT` that is when
    /// the application writes, long after SYN_SENT was entered (`tcp_fastopen_defer_connect` in
    /// `net/ipv4/tcp_fastopen.c`).
    pub(super) fn note_first_syn(&mut self, event: &RetransmitEvent, since: Option<KernelTime>) {
        let first = matches!(event.trigger, Trigger::Timeout { in_a_row: 1, .. });
        let sent = event.times.and_then(|times| times.sent_before);
        if event.segment == SegmentKind::Syn
            && first
            && let Some((sent, since)) = sent.zip(since)
        {
            self.delay_syn(sent.since(since));
        }
    }

    /// The same when the answer to the first SYN comes.
    pub(super) fn note_round_trip(&mut self, event: &StateEvent, since: Option<KernelTime>) {
        if let Some((round_trip, since)) = event.round_trip.zip(since) {
            self.delay_syn(event.at.since(since).saturating_sub(round_trip));
        }
    }

    /// Less than this is the kernel's own work.
    fn delay_syn(&mut self, delay: Duration) {
        if delay > Duration::from_millis(1) {
            self.syn_delay = delay;
        }
    }

    /// The last trace is gone.
    pub(super) fn end(
        self,
        at: KernelTime,
        subject: Subject,
        (left, reason): (TcpState, Reason),
    ) -> Connection {
        let Self {
            existed,
            opened,
            spent,
            closing_since,
            closed_by,
            again,
            not_sent,
            counted_unsent,
            syn_delay,
            totals,
            inferred,
            met,
            retry: _,
            reset,
        } = self;
        let [syn, syn_ack, fin, data] = again;
        let until = closing_since.unwrap_or(at);
        let came_up = spent.time_in(TcpState::Established).is_some();
        let by_reset = match reason {
            Reason::ResetReceived | Reason::ResetSent | Reason::NeverAccepted => true,
            // By a reset, or by ICMP; a socket that is destroyed or given up may send one.
            Reason::Refused | Reason::Killed | Reason::OutOfMemory => reset.is_some(),
            Reason::TimedOut => came_up && reset.is_some(),
            _ => false,
        };
        let setup = [TcpState::SynSent, TcpState::SynRecv];
        Connection {
            at,
            subject,
            existed,
            opened,
            lasted: opened.map(|opened| until.since(opened)),
            spent,
            // With a SYN cookie nobody knows when it began.
            handshake: setup
                .iter()
                .filter_map(|state| spent.time_in(*state))
                .reduce(|one, other| one + other)
                .filter(|_| came_up && opened.is_some())
                .map(|setup| setup.saturating_sub(syn_delay)),
            again: [
                (SegmentKind::Syn, syn),
                (SegmentKind::SynAck, syn_ack),
                (SegmentKind::Fin, fin),
                (SegmentKind::Data, data),
            ],
            not_sent,
            totals: totals.map(|totals| SocketTotals {
                retransmits: totals.retransmits.saturating_sub(counted_unsent.into()),
                ..totals.without_syn(subject.direction)
            }),
            closed_by: closed_by.or_else(|| by_reset.then_some(ClosedBy::Reset)),
            end: reason.of_life(left.to_kernel()),
            ends_at: None,
            inferred,
            queue: met.worst(),
        }
    }
}
