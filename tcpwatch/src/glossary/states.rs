//! The states of a connection (RFC 9293, section 3.3.2) as Linux has them.

use super::Entry;

pub(super) const ENTRIES: [Entry; 11] = [
    Entry {
        words: &["CLOSED", "close", "unconn"],
        what: "No connection: the state before the first and after the last one. The line that enters it \
               says why. ss shows sockets in it as UNCONN: bound or ended, but not closed by their \
               application.",
        causes: "an end of any kind; `tcpwatch explain REASON` has each",
        look: "the reason at the end of the line; with --lives the END column",
        change: "",
    },
    Entry {
        words: &[
            "LISTEN",
            "listening",
            "ListenOverflows",
            "ListenDrops",
            "backlog",
            "accept queue",
        ],
        what: "Waits for connections. Those whose handshake is done wait in the accept queue, which holds \
               one more than the smaller of listen()'s argument and somaxconn. If it is full, SYNs and \
               last ACKs are dropped, and clients retry.",
        causes: "a queue that is full: the application does not call accept() often enough",
        look: "ss -ltn: Recv-Q is the queue, Send-Q its limit; nstat -az TcpExtListenOverflows",
        change: "accept() sooner; listen(backlog) and net.core.somaxconn",
    },
    Entry {
        words: &["SYN_SENT"],
        what: "connect() has sent a SYN, and nothing has answered. The kernel repeats it tcp_syn_retries \
               times (6), since Linux 6.5 after tcp_syn_linear_timeouts more (4) a second apart; then \
               connect() fails with ETIMEDOUT, by default after 131 s, before 6.5 after 127 s.",
        causes: "a firewall that drops; no such host; the server's accept queue is full",
        look: "the SYN retry lines; whether the SYN arrives (tcpdump at the server); there nstat -az \
               TcpExtListenOverflows",
        change: "the application's connect timeout; TCP_SYNCNT, TCP_USER_TIMEOUT; tcp_syn_retries",
    },
    Entry {
        words: &["SYN_RECV", "SYN_RCVD", "SYN_RECEIVED", "NEW_SYN_RECV"],
        what: "Half-open: a SYN was answered by SYN+ACK, and the last ACK of the handshake is missing. The \
               kernel repeats the SYN+ACK tcp_synack_retries times (5) and drops the connection after \
               63 s.",
        causes: "the ACK or the SYN+ACK is lost; the accept queue is full; TCP_DEFER_ACCEPT waits for \
                 data; a SYN flood with made-up addresses",
        look: "ss -tan state syn-recv; nstat -az TcpExtListenOverflows TcpExtTCPReqQFullDoCookies",
        change: "tcp_synack_retries, the backlog of listen(); leave tcp_syncookies at 1",
    },
    Entry {
        words: &["ESTABLISHED", "ESTAB"],
        what: "Data can flow both ways. A connection on which nothing is sent stays like this for ever, \
               also if the peer has gone: no timer runs. Data without an acknowledgment is repeated \
               tcp_retries2 times (15), some 15 minutes.",
        causes: "normal; connections that never end: a peer that went away without a FIN, a pool without \
                 a limit",
        look: "ss -tnoi: timer, lastsnd, lastrcv, unacked, retrans",
        change: "SO_KEEPALIVE with TCP_KEEPIDLE (tcp_keepalive_time is 2 h); TCP_USER_TIMEOUT",
    },
    Entry {
        words: &["FIN_WAIT_1"],
        what: "This end has closed, and its FIN is not acknowledged; data before it may still wait to be \
               sent. After close() nothing but the kernel holds the socket (an orphan): it repeats the \
               FIN 8 times (tcp_orphan_retries 0 means that), some 105 s, and then drops it in silence. \
               After shutdown() it is tcp_retries2.",
        causes: "normal for one round trip; longer: the peer is gone, segments are lost, or its window is \
                 closed",
        look: "FIN and data retry lines; ss -tano state fin-wait-1: Send-Q and the timer",
        change: "tcp_orphan_retries, TCP_USER_TIMEOUT; read everything at the peer",
    },
    Entry {
        words: &["FIN_WAIT_2"],
        what: "This end has closed and the peer knows it, but the peer has not closed. After close() it \
               lasts tcp_fin_timeout (60 s; above 60 twice what it exceeds 60 by); after shutdown() there \
               is no limit. tcpwatch says when it ends.",
        causes: "the peer's application does not close: there the connection is in CLOSE_WAIT",
        look: "the peer: ss -tanp state close-wait; here \"the peer never closed\" in --lives",
        change: "the peer's application; tcp_fin_timeout, TCP_LINGER2; close() instead of shutdown()",
    },
    Entry {
        words: &["CLOSE_WAIT"],
        what: "The peer has closed, the application here has not. No timer ends this: it lasts until the \
               application calls close(), or its process ends. Many that grow older are a leak of \
               descriptors.",
        causes: "read() that returned 0 and was not followed by close(); an error path or a pool that \
                 forgets sockets; a thread that hangs; a child that holds the descriptor",
        look: "ss -tanp state close-wait; tcpwatch --state CLOSE_WAIT; /proc/PID/fd",
        change: "the application: no sysctl shortens it. Keepalive ends it only if the peer is gone",
    },
    Entry {
        words: &["CLOSING"],
        what: "Both ends have closed at once: the FINs have crossed, and this end's is not acknowledged. \
               The acknowledgment leads to TIME_WAIT; without one the FIN is repeated as in FIN_WAIT_1.",
        causes: "normal for one round trip; longer: the peer's last segments are lost",
        look: "FIN retry lines; ss -tano state closing",
        change: "tcp_orphan_retries; nothing has to be changed if it is short",
    },
    Entry {
        words: &["LAST_ACK"],
        what: "The peer closed first, then this end: only the acknowledgment of this end's FIN is missing. \
               It leads to CLOSED, without TIME_WAIT. The FIN is repeated as in FIN_WAIT_1, some 105 s \
               after close().",
        causes: "normal for one round trip; longer: the peer is gone, or a firewall has forgotten the \
                 connection",
        look: "FIN retry lines; ss -tano state last-ack",
        change: "tcp_orphan_retries",
    },
    Entry {
        words: &["TIME_WAIT", "TW"],
        what: "Both ends have closed, and this one was first: for 60 s (a constant of the kernel, fired up \
               to 2 s late at 250 ticks a second) it answers a FIN that comes again and keeps old \
               segments away from a new connection. No socket and no descriptor is held.",
        causes: "normal, at the end that closes first; a problem only if local ports to one destination \
                 run out (no_port)",
        look: "ss -tan state time-wait | wc -l; sysctl net.ipv4.ip_local_port_range",
        change: "keep connections and use them again; tcp_tw_reuse for clients; SO_REUSEADDR to bind a \
                 server. tcp_fin_timeout does not change it",
    },
];
