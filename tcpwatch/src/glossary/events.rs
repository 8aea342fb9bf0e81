//! Lines of the log, and the words in them that are no states, reasons or columns.

use super::Entry;

pub(super) const EVENTS: [Entry; 11] = [
    Entry::short(
        &["state", "state event", "change event"],
        "A socket has changed its state: from, to, how long the first one lasted, and on the way \
         to CLOSED the reason. Mini-sockets are among them: TIME_WAIT, FIN_WAIT_2 after close(), \
         SYN_RECV.",
    ),
    Entry::short(
        &["existing", "existing socket"],
        "A socket that was there before tcpwatch: its state, its owner, and how long it is in that \
         state, or at least how long. --state begins with those that are in one of these states, \
         --existing with all.",
    ),
    Entry::short(
        &["still", "still there", "stays in a state", "and more of"],
        "A socket that stays in a state was asked about, 1 s, 10 s, 1 min, 10 min and 1 h after it had \
         entered it: for what it waits (waits_for), what is in its queues, when the kernel sends again and \
         when it gives up. Of more than 20 sockets of one owner within a second the others are counted: and \
         1,204 more of java 4711.",
    ),
    Entry::short(
        &["restart", "starts anew", "timer starts", "↻"],
        "The kernel started the timer of TIME_WAIT or FIN_WAIT_2 again; the state goes on. It \
         happens when a segment comes that has to be answered, as a FIN that is repeated because \
         the last ACK was lost. Timer starts: after shutdown() a socket waits in FIN_WAIT_2 for \
         ever, and now close() has given it a timer (tcp_fin_timeout).",
    ),
    Entry::short(
        &["retransmit", "retry", "retransmission"],
        "A segment was sent again: a SYN, SYN+ACK, FIN or data. The line has the number of the \
         attempt, the time since the last, what the kernel's timeout was and what comes next. \
         --retries shows these alone.",
    ),
    Entry::short(
        &["reset", "reset event", "RST", "RST sent", "RST received"],
        "A reset was sent or accepted. Sent: with the kernel's reason since Linux 6.10, and also \
         where there is no socket. A reset that is refused, because its sequence number is \
         wrong, makes no line.",
    ),
    Entry::short(
        &["error", "error event", "SO_ERROR"],
        "The kernel reported an error to the application: what the next call on the socket, \
         poll() or SO_ERROR returns. In text only where no line to CLOSED has said it.",
    ),
    Entry::short(
        &["connection"],
        "The life of a connection in one line, when its last trace is gone, TIME_WAIT included: \
         --lives, --failed, and every JSON log without --state.",
    ),
    Entry::short(
        &["segment"],
        "A segment passed a link of the laboratory, or was dropped there by a rule. Lines of \
         `tcpwatch lab run` only.",
    ),
    Entry::short(
        &["loss", "LOST"],
        "Something did not reach the log: how much, and why. Every loss is counted; states that \
         are missing because of it are inferred and marked.",
    ),
    Entry::short(
        &["summary", "totals"],
        "Totals at the end of a run (--summary): changes, records attempted, received and lost, \
         connections seen and still open. attempted is received and lost together.",
    ),
];

pub(super) const SEGMENTS: [Entry; 4] = [
    Entry {
        words: &["syn", "SYN retry"],
        what: "The first segment of connect(). Repeated after 1, 1, 1, 1, 1, 2, 4, 8 … s since Linux 6.5 \
               (tcp_syn_linear_timeouts 4), before after 1, 2, 4 … s.",
        causes: "the SYN or its answer is lost, or the server drops it",
        look: "whether it arrives (tcpdump at the server); there nstat -az TcpExtListenDrops",
        change: "tcp_syn_retries, TCP_SYNCNT: how often; what drops it",
    },
    Entry {
        words: &["syn_ack", "SYN+ACK", "SYN+ACK retry", "synack"],
        what: "The answer to a SYN. Repeated after 1, 2, 4, 8, 16 s (tcp_synack_retries 5), and whenever \
               the SYN comes again.",
        causes: "it or the last ACK is lost; the accept queue is full, so that the ACK is dropped",
        look: "ss -ltn: Recv-Q above Send-Q; nstat -az TcpExtListenOverflows",
        change: "tcp_synack_retries: how often",
    },
    Entry {
        words: &["fin", "FIN retry"],
        what: "The segment that closes one direction, alone or with the last data. Repeated after the \
               retransmission timeout (200 ms and the round trip at least), twice as long each time.",
        causes: "the peer is gone, or segments are lost",
        look: "the state: FIN_WAIT_1, CLOSING or LAST_ACK; ss -tano",
        change: "tcp_orphan_retries (after close()), tcp_retries2 (after shutdown())",
    },
    Entry {
        words: &["data", "data retry"],
        what: "Data was sent again: after the retransmission timeout, or early, as a tail loss probe or \
               because selective acknowledgments show a gap. After tcp_retries2 (15) the connection ends.",
        causes: "loss on the path, or a peer that is gone",
        look: "ss -ti: rto, retrans, lost, reordering; the numbers of the attempts: 1 again and again is \
               loss, 2, 3, 4 … a path that is broken",
        change: "TCP_USER_TIMEOUT: how long an application waits",
    },
];

pub(super) const HANDSHAKES: [Entry; 2] = [
    Entry::short(
        &["fast_open", "TFO"],
        "The SYN brought data, and the server took it at once (TCP Fast Open, RFC 7413): \
         ESTABLISHED without waiting for the last ACK. sysctl tcp_fastopen: 1 client, 2 server.",
    ),
    Entry::short(
        &["syn_cookie", "TCPReqQFullDoCookies", "syncookies"],
        "The queue of half-open connections was full (or tcp_syncookies is 2), and the kernel \
         kept no state until the last ACK: there was no SYN_RECV to be seen, and how long the \
         handshake took is not known. Said only where the socket itself shows it. Look at ss -tan state syn-recv; a larger backlog, if it is \
         no SYN flood.",
    ),
];

pub(super) const LOSSES: [Entry; 7] = [
    Entry::short(
        &["ring_full"],
        "The ring between kernel and tcpwatch was full: the thread that empties it got no processor \
         in time, or was stopped. A larger --buffer or narrower filters help.",
    ),
    Entry::short(
        &["output_slow", "output is slow"],
        "More happened than could be shown: records waited until there were sixteen times as many as \
         --buffer holds, and the next ones were passed over. A reader of the output that does not wait, --lives \
         instead of every change, narrower filters or a larger --buffer help. A recording has \
         these records, up to four times as many.",
    ),
    Entry::short(
        &["recursion"],
        "The kernel skipped a program because an interrupt hit while the same one ran on that \
         processor. States that are missing are inferred. Nothing can be set.",
    ),
    Entry::short(
        &["unreadable"],
        "A socket's fields could not be read by the kernel side. Not expected: `tcpwatch check` \
         and a report help.",
    ),
    Entry::short(
        &["undecodable"],
        "A record could not be understood. In a replay: a line that is damaged or cut short. \
         Live it is not expected.",
    ),
    Entry::short(
        &["table_full"],
        "More sockets live than tcpwatch keeps: lines of the others have no durations and no \
         owners. Filters (--port, --netns) make it fewer.",
    ),
    Entry::short(
        &["undecided"],
        "Too many connects waited for their local port to be known, which a filter asks for \
         (--local-port, --port). Filter by --remote-port or --addr instead.",
    ),
];

pub(super) const OWNERS: [Entry; 8] = [
    Entry::short(
        &["via connect", "connect"],
        "The owner is the process that called connect() on the socket. (`via`)",
    ),
    Entry::short(
        &["via listen", "listen"],
        "The owner is the process that called listen() on the socket, or on the listener that \
         accepted it: a guess for the accepted socket, marked (listener) in text, until its own process \
         receives, sends or closes. (`via`)",
    ),
    Entry::short(
        &["via close"],
        "The owner is the process that called close() or shutdown() on the socket: it held it. \
         (`via`)",
    ),
    Entry::short(
        &["via fd", "fd", "via procfs", "procfs"],
        "The owner had the socket open when tcpwatch started, as /proc shows. (`via`)",
    ),
    Entry::short(
        &["via io", "io"],
        "The owner is the process that sent or received on the socket; --no-io does without. (`via`)",
    ),
    Entry::short(
        &["closed by local"],
        "This end sent the first FIN, and so has TIME_WAIT. (`closed_by`)",
    ),
    Entry::short(&["closed by remote"], "The peer sent the first FIN. (`closed_by`)"),
    Entry::short(
        &["closed by both"],
        "Both ends sent their FIN before they saw the other's: both pass CLOSING or have \
         TIME_WAIT. (`closed_by`)",
    ),
];

/// Words of the text that a field of JSON has under another name.
pub(super) const AS_IN_JSON: [(&str, &str); 14] = [
    ("expected", "expected_s"),
    ("next in", "next_in_s"),
    ("gives up in", "gives_up_in_s"),
    ("before its timeout", "early"),
    ("the SYN came again", "early"),
    ("tail loss probe", "early"),
    ("refused below TCP", "not_sent"),
    ("cookie", "socket"),
    ("unsent", "bytes_unsent"),
    ("unacknowledged", "bytes_unacknowledged"),
    ("unread", "bytes_unread"),
    ("timeouts", "sent_again"),
    ("its ACK was dropped", "ack_dropped"),
    ("its listener dropped", "listener_dropped"),
];

pub(super) const QUEUES: [Entry; 2] = [
    Entry {
        words: &["accept queue full", "last place in the accept queue"],
        what: "More connections wait for accept() than listen() allows, or with this one they do: the kernel \
               drops SYNs and last ACKs, and clients retry. The numbers were read when the line's moment was.",
        causes: "the application does not call accept(), or too slowly: blocked, out of threads or file \
                 descriptors, stopped; a backlog too small for a burst",
        look: "what the process of the listener does; ss -ltn: Recv-Q above Send-Q; nstat -az \
               TcpExtListenOverflows",
        change: "accept() sooner; listen(backlog) and net.core.somaxconn",
    },
    Entry {
        words: &["SYN queue", "SYN queue full"],
        what: "As many half-open connections as the listener's backlog. One more SYN is answered by a SYN \
               cookie (tcp_syncookies 1) or dropped (0).",
        causes: "last ACKs that do not come: a SYN flood, loss, one-way routing; a small backlog",
        look: "ss -tan state syn-recv: whose addresses; nstat -az TcpExtTCPReqQFullDrop \
               TcpExtTCPReqQFullDoCookies",
        change: "tcp_syncookies=1; listen(backlog), net.core.somaxconn",
    },
];
