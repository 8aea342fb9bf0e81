//! TCP states: the kernel's numbers and everybody's names, in; tcpwatch's names, out.

use serde::{Deserialize, Serialize};

use std::{fmt, str::FromStr};

/// A state of a TCP connection (RFC 9293, section 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum TcpState {
    /// No connection.
    Closed,
    /// Waits for connection requests.
    Listen,
    /// Has sent a SYN.
    SynSent,
    /// Has received a SYN and answered it.
    SynRecv,
    /// Data can flow.
    Established,
    /// Has sent a FIN that is not acknowledged yet.
    FinWait1,
    /// The FIN is acknowledged, the peer's is missing.
    FinWait2,
    /// The peer has sent its FIN, the application has not closed yet.
    CloseWait,
    /// Both sides have sent a FIN, ours is not acknowledged yet.
    Closing,
    /// Waits for the acknowledgment of the last FIN.
    LastAck,
    /// Waits for stray segments to die out.
    TimeWait,
    /// A number this version does not know, kept as it is.
    Unknown(u8),
}

impl TcpState {
    /// All eleven states, in the order of a connection's life.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynRecv,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The state with this number in `include/net/tcp_states.h`. Request sockets
    /// (`TCP_NEW_SYN_RECV`, since 4.4) are in SYN_RECV.
    #[must_use]
    pub const fn from_kernel(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Unknown(other),
        }
    }

    /// The state's number in `include/net/tcp_states.h`.
    #[must_use]
    pub const fn to_kernel(self) -> u8 {
        match self {
            Self::Established => 1,
            Self::SynSent => 2,
            Self::SynRecv => 3,
            Self::FinWait1 => 4,
            Self::FinWait2 => 5,
            Self::TimeWait => 6,
            Self::Closed => 7,
            Self::CloseWait => 8,
            Self::LastAck => 9,
            Self::Listen => 10,
            Self::Closing => 11,
            Self::Unknown(number) => number,
        }
    }

    /// The name, for every state that has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN_WAIT_1",
            Self::FinWait2 => "FIN_WAIT_2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
            Self::Unknown(_) => return None,
        })
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("state#{}", self.to_kernel())),
        }
    }
}

impl From<TcpState> for String {
    fn from(state: TcpState) -> Self {
        state.to_string()
    }
}

impl TryFrom<String> for TcpState {
    type Error = UnknownState;

    fn try_from(word: String) -> Result<Self, UnknownState> {
        word.parse()
    }
}

/// A word that names no TCP state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a TCP state; the states are CLOSED LISTEN SYN_SENT SYN_RECV ESTABLISHED \
     FIN_WAIT_1 FIN_WAIT_2 CLOSE_WAIT CLOSING LAST_ACK TIME_WAIT"
)]
pub struct UnknownState(String);

impl FromStr for TcpState {
    type Err = UnknownState;

    /// Understands the spellings of `ss`, `netstat`, the kernel and RFC 9293, in any case.
    fn from_str(word: &str) -> Result<Self, UnknownState> {
        let letters: String = word
            .chars()
            .filter(|c| !matches!(c, '-' | '_' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let name = letters.strip_prefix("TCP").unwrap_or(&letters);
        Ok(match name {
            "CLOSED" | "CLOSE" | "UNCONN" => Self::Closed,
            "LISTEN" | "LISTENING" => Self::Listen,
            "SYNSENT" => Self::SynSent,
            "SYNRECV" | "SYNRECEIVED" | "SYNRCVD" | "NEWSYNRECV" => Self::SynRecv,
            "ESTABLISHED" | "ESTAB" => Self::Established,
            "FINWAIT1" => Self::FinWait1,
            "FINWAIT2" => Self::FinWait2,
            "CLOSEWAIT" => Self::CloseWait,
            "CLOSING" => Self::Closing,
            "LASTACK" => Self::LastAck,
            "TIMEWAIT" => Self::TimeWait,
            other => match other.strip_prefix("STATE#").and_then(|number| number.parse().ok()) {
                Some(number) => Self::from_kernel(number),
                None => return Err(UnknownState(word.to_owned())),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_in_use_names_its_state() {
        for (word, state) in [
            ("FIN-WAIT-1", TcpState::FinWait1),
            ("finwait1", TcpState::FinWait1),
            ("FIN_WAIT1", TcpState::FinWait1),
            ("TCP_FIN_WAIT2", TcpState::FinWait2),
            ("ESTAB", TcpState::Established),
            ("SYN-RECEIVED", TcpState::SynRecv),
            ("syn_recv", TcpState::SynRecv),
            ("Close-Wait", TcpState::CloseWait),
            ("time-wait", TcpState::TimeWait),
            ("unconn", TcpState::Closed),
        ] {
            assert_eq!(word.parse(), Ok(state), "{word}");
        }
        for state in TcpState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state), "its own name");
        }
    }

    #[test]
    fn a_word_that_names_no_state_is_refused_with_the_list_of_states() {
        let error = "FIN_WAIT_3".parse::<TcpState>().unwrap_err();
        assert!(error.to_string().contains("\"FIN_WAIT_3\" is not a TCP state"));
        assert!(error.to_string().contains("FIN_WAIT_2"));
    }

    #[test]
    fn an_unknown_number_is_kept_and_shown() {
        assert_eq!(TcpState::from_kernel(99).to_string(), "state#99");
        assert_eq!(TcpState::from_kernel(99).to_kernel(), 99);
    }

    #[test]
    fn kernel_numbers_survive_the_round_trip() {
        for number in 1..=11 {
            assert_eq!(TcpState::from_kernel(number).to_kernel(), number);
        }
    }
}
