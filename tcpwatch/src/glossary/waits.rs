//! For what a socket waits that stays in a state (`waits_for` of still lines).

use super::Entry;

pub(super) const WAITS: [Entry; 10] = [
    Entry {
        words: &["syn_ack", "waits for an answer to its SYN"],
        what: "In SYN_SENT: the SYN is sent again until an answer comes or tcp_syn_retries are used up.",
        causes: "the SYN or its answer is dropped, or the peer's accept queue is full",
        look: "tcpdump at the peer; there nstat -az TcpExtListenDrops",
        change: "tcp_syn_retries, TCP_SYNCNT, TCP_USER_TIMEOUT: how long",
    },
    Entry {
        words: &["handshake_ack", "waits for the last ACK of the handshake"],
        what: "In SYN_RECV: the SYN+ACK is sent again until tcp_synack_retries are used up.",
        causes: "the ACK or the SYN+ACK is lost; the accept queue is full; a SYN flood",
        look: "ss -ltn: Recv-Q above Send-Q; nstat -az TcpExtListenOverflows",
        change: "accept() sooner; tcp_synack_retries: how long",
    },
    Entry::short(
        &["first_write", "waits for the application's first write"],
        "In SYN_SENT: with TCP_FASTOPEN_CONNECT the SYN is not sent before the application writes.",
    ),
    Entry {
        words: &[
            "window",
            "peer's window",
            "zero window",
            "zero-window",
            "persist",
            "window probe",
        ],
        what: "What is queued, and a FIN behind it, does not fit into the peer's window. The kernel probes \
               the window, with waits that double up to 2 minutes. A probe that is answered does not count: \
               a socket that its application holds probes for ever, an orphan is given up when its wait has \
               become the longest.",
        causes: "the peer's application does not read",
        look: "at the peer: ss -tn, Recv-Q; here: ss -to, timer:(persist)",
        change: "TCP_USER_TIMEOUT: how long; tcp_orphan_retries for what is closed",
    },
    Entry {
        words: &["acknowledgment", "waits for the ACK", "ACK of its FIN"],
        what: "In FIN_WAIT_1, CLOSING or LAST_ACK: the FIN, perhaps with data before it, was sent and is not \
               acknowledged. It is sent again, with waits that double.",
        causes: "the peer is gone, or segments are lost",
        look: "the retries in the log; ss -tano",
        change: "tcp_orphan_retries (after close()), tcp_retries2 (after shutdown())",
    },
    Entry {
        words: &["peer_fin", "waits for the peer's FIN"],
        what: "In FIN_WAIT_2: the peer has acknowledged the FIN and not sent its own. After close() \
               tcp_fin_timeout ends that; after shutdown() nothing does until the application closes.",
        causes: "the peer's application does not close: there it is CLOSE_WAIT",
        look: "at the peer: ss -tnp state close-wait",
        change: "tcp_fin_timeout, TCP_LINGER2",
    },
    Entry {
        words: &["accept", "waits for accept", "application's accept()", "accept() by owner"],
        what: "The connection is established, or in CLOSE_WAIT the peer has even closed it, and the application \
               has not accepted it. Of a listener: so many such connections wait, of how many at most.",
        causes: "the application does not call accept() often enough; the client lost patience",
        look: "ss -ltn: Recv-Q is the accept queue; what the listening process does",
        change: "accept() sooner",
    },
    Entry {
        words: &["close", "waits for close", "application's close()", "close() by owner"],
        what: "In CLOSE_WAIT: the peer has sent its FIN, and the application has not closed. Nothing in the \
               kernel ends that. bytes_unread is what it has not read; end_read says whether it has read up \
               to the FIN, and so could know of it.",
        causes: "a leaked descriptor; an application that is busy, stopped, or does not read",
        look: "the owner's stack and its open files: ls -l /proc/PID/fd",
        change: "the application: close() after read() has returned 0",
    },
    Entry::short(
        &["connection", "waits for connections"],
        "In LISTEN: connections; none waits to be accepted.",
    ),
    Entry::short(
        &["timer", "its timer"],
        "In TIME_WAIT: its timer, of 60 s. A segment of the peer that comes late can start it anew.",
    ),
];
