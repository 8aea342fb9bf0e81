//! The kernel's reasons for sending a reset.

use super::GlossaryEntry;
use tcpwatch_core::event::reset_reason::MEANINGS;

/// What else there is to say, by reason: what brings it about, and what to change.
const MORE: [(&str, &str, &str); 17] = [
    (
        "not_specified",
        "before Linux 6.12 every reset that an application causes; later a segment for which the kernel \
         has no word",
        "look at the state: `tcpwatch explain reset_sent`",
    ),
    (
        "no_socket",
        "a connect to a closed port; a segment for a connection that this host has forgotten, after a \
         restart or in a failover",
        "start the server; keepalive below the idle timeout of what forgets",
    ),
    (
        "tcp_invalid_ack_sequence",
        "an old connection of the same four-tuple still lives at the peer; a NAT that mixes two up",
        "nothing here: the SYN is sent again at once",
    ),
    (
        "tcp_rfc7323_paws",
        "clients behind one NAT with clocks of their own",
        "the NAT, or tcp_timestamps",
    ),
    ("tcp_too_old_ack", "a segment that was on its way for long, or a made-up one", "nothing"),
    (
        "tcp_ack_unsent_data",
        "a broken or hostile peer; a middlebox that changes sequence numbers",
        "the path",
    ),
    (
        "tcp_flags",
        "the last ACK of a handshake that this host has dropped, as after 63 s in SYN_RECV; a scan",
        "the backlog of the listener, if it was dropped for that",
    ),
    ("tcp_old_ack", "segments out of order during a handshake", "nothing"),
    (
        "tcp_abort_on_data",
        "an application that closes before the answer has come; a client that stops in the middle of a \
         download; TCP_LINGER2 below 0",
        "shutdown(SHUT_WR), read until 0, then close()",
    ),
    (
        "tcp_timewait_socket",
        "data or a SYN for a connection in FIN_WAIT_2 whose application has closed it: the answer came \
         after close()",
        "shutdown(SHUT_WR), read until 0, then close()",
    ),
    (
        "invalid_syn",
        "a SYN with a new sequence number for a half-open connection; tcp_abort_on_overflow=1 and a full \
         accept queue",
        "tcp_abort_on_overflow=0, and a larger backlog",
    ),
    (
        "tcp_abort_on_close",
        "close(), or the end of the process, while received data waits to be read; the peer loses what \
         it has not read either",
        "read until 0 before close(); in HTTP: read the whole request before answering",
    ),
    ("tcp_abort_on_linger", "TCP_LINGER2 is negative: no FIN_WAIT_2 after close()", "TCP_LINGER2"),
    (
        "tcp_abort_on_memory",
        "more orphans than tcp_max_orphans, or TCP's memory above tcp_mem",
        "tcp_max_orphans, tcp_mem, tcp_orphan_retries",
    ),
    (
        "tcp_state",
        "SO_LINGER 0 and close(); connect(AF_UNSPEC); ss -K; a listener that is closed with connections \
         in its accept queue; an orphan whose FIN_WAIT_2 is over",
        "leave SO_LINGER off; accept what waits before closing a listener",
    ),
    (
        "tcp_keepalive_timeout",
        "the peer is gone, or the path has forgotten the connection: TCP_KEEPCNT probes without an answer",
        "TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT",
    ),
    (
        "tcp_disconnect_with_data",
        "SO_LINGER 0 and close(), or connect(AF_UNSPEC), while data waits to be sent",
        "leave SO_LINGER off",
    ),
];

/// One page for each reason.
pub(super) fn pages() -> impl Iterator<Item = GlossaryEntry> {
    MEANINGS.iter().map(|(word, meaning)| {
        let more = MORE.iter().find(|(known, ..)| known == word);
        let what = format!(
            "Why this host sent a reset, in the kernel's word (SK_RST_REASON_{}): {meaning}. It stands in \
             \"RST sent\" lines, and in JSON under \"why\".",
            word.to_ascii_uppercase()
        );
        let parts = more.map(|(_, causes, change)| {
            vec![("causes", (*causes).into()), ("change", (*change).into())]
        });
        let words = vec![(*word).into()];
        GlossaryEntry { kind: "reason of a reset", words, what, parts: parts.unwrap_or_default() }
    })
}
