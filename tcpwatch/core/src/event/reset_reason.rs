//! The kernel's reasons for sending a reset, in plain words.
//!
//! The kernel's own words are those of `enum sk_rst_reason` (`include/net/rstreason.h`, since 6.10), in
//! lower case and without `SK_RST_REASON_`. What each means is read at the places that send a reset with
//! it: `net/ipv4/tcp.c`, `tcp_input.c`, `tcp_ipv4.c`, `tcp_minisocks.c`, `tcp_timer.c`, `net/mptcp`.

/// Letters of a reason at most; the kernel's longest has 24.
const LONGEST: usize = 64;

/// Every reason of the kernels up to 7.3, and what it means.
pub const MEANINGS: [(&str, &str); 25] = [
    ("not_specified", "the kernel names none"),
    ("no_socket", "the port is closed, or the connection is gone"),
    ("tcp_invalid_ack_sequence", "it was sent an ACK of something it never sent"),
    ("tcp_rfc7323_paws", "the peer's timestamp ran backwards"),
    ("tcp_too_old_ack", "the peer's ACK is far too old"),
    ("tcp_ack_unsent_data", "the peer acknowledged data that was never sent"),
    ("tcp_flags", "flags that do not fit the state, as an ACK for a listener"),
    ("tcp_old_ack", "the peer's ACK is older than the last one"),
    ("tcp_abort_on_data", "data came after close(), or TCP_LINGER2 is below 0"),
    ("tcp_timewait_socket", "data or a SYN came after both the FIN and the application were gone"),
    ("invalid_syn", "a SYN within a handshake, or accept queue full and tcp_abort_on_overflow=1"),
    ("tcp_abort_on_close", "closed with unread data"),
    ("tcp_abort_on_linger", "closed with TCP_LINGER2 below 0"),
    ("tcp_abort_on_memory", "too many orphaned sockets, or too much memory for TCP"),
    ("tcp_state", "reset by SO_LINGER 0, connect(AF_UNSPEC), ss -K, or its listener was closed"),
    ("tcp_keepalive_timeout", "no answer to keepalive probes"),
    ("tcp_disconnect_with_data", "reset by SO_LINGER 0 or connect(AF_UNSPEC) with data not sent"),
    ("mptcp_rst_eunspec", "MPTCP: the subflow is gone, for no stated cause"),
    ("mptcp_rst_emptcp", "MPTCP: its options are not as they should be"),
    ("mptcp_rst_eresource", "MPTCP: no resources for this subflow"),
    ("mptcp_rst_eprohibit", "MPTCP: this subflow is not permitted"),
    ("mptcp_rst_ewq2big", "MPTCP: too much data is outstanding on this subflow"),
    ("mptcp_rst_ebadperf", "MPTCP: this subflow is too slow"),
    ("mptcp_rst_emiddlebox", "MPTCP: something on the path changes its segments"),
    ("error", "an error within the kernel"),
];

/// What a reason means; nothing for one that this version does not know.
#[must_use]
pub fn meaning(word: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

/// A word that claims to be a reason, as one: a recording is not to be trusted, and what it calls a
/// reason is shown on terminals. Characters that no reason of the kernel has become question marks.
#[must_use]
pub fn clean(word: &str) -> String {
    let letter =
        |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '?' };
    word.chars().take(LONGEST).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_meaning_that_is_more_than_its_word_and_short() {
        for (at, (word, meaning)) in MEANINGS.iter().enumerate() {
            assert_eq!(clean(word), *word);
            assert!(MEANINGS[..at].iter().all(|(other, _)| other != word), "{word} twice");
            assert_ne!(word.replace('_', " "), *meaning);
            assert!((10..=76).contains(&meaning.len()), "{word}: {}", meaning.len());
            assert!(meaning.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{word}");
            assert!(!meaning.contains(['"', '\\']), "{word}: JSON takes it as it is");
        }
    }

    #[test]
    fn a_reason_of_a_recording_reaches_no_terminal_with_control_characters() {
        assert_eq!(clean("tcp_ab\u{0}ort\u{1b}[31m\u{9b}\"\u{202e}"), "tcp_ab?ort??31m???");
        assert_eq!(clean(&"a".repeat(1000)).len(), LONGEST);
        assert_eq!(meaning("tcp_ab?ort"), None);
    }
}
