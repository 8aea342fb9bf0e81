//! By kind of finding: what it is, what causes it, what to check and what to change. In findings, and behind
//! `tcpwatch explain`.

use crate::finding::Kind;

/// The text of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    /// What happens, and what follows from it.
    pub what: &'static str,
    /// Likely causes, the most frequent first.
    pub causes: &'static [&'static str],
    /// What to look at next.
    pub check: &'static [&'static str],
    /// The call or the sysctl that makes a difference.
    pub change: &'static [&'static str],
    /// When this is found, and when not.
    pub rule: &'static str,
}

impl Kind {
    /// What is said of every finding of this kind.
    #[must_use]
    pub const fn advice(self) -> &'static Advice {
        match self {
            Self::CloseWaitLeak => &CLOSE_WAIT_LEAK,
            Self::HalfClosed => &HALF_CLOSED,
            Self::AcceptQueue => &ACCEPT_QUEUE,
            Self::SynQueue => &SYN_QUEUE,
            Self::ConnectUnanswered => &CONNECT_UNANSWERED,
            Self::ConnectRefused => &CONNECT_REFUSED,
            Self::ConnectRejected => &CONNECT_REJECTED,
            Self::Ports => &PORTS,
            Self::SynAckLost => &SYN_ACK_LOST,
            Self::ZeroWindow => &ZERO_WINDOW,
            Self::NotRead => &NOT_READ,
            Self::ResetUnread => &RESET_UNREAD,
            Self::ResetLinger => &RESET_LINGER,
            Self::ResetLateData => &RESET_LATE_DATA,
            Self::ResetReceived => &RESET_RECEIVED,
            Self::NoListener => &NO_LISTENER,
            Self::IdleForgotten => &IDLE_FORGOTTEN,
            Self::TimeWaitOverflow => &TIME_WAIT_OVERFLOW,
            Self::TupleInUse => &TUPLE_IN_USE,
            Self::UnsafeSysctl => &UNSAFE_SYSCTL,
        }
    }
}

const CLOSE_WAIT_LEAK: Advice = Advice {
    what: "The peer has closed its side, and the application has not called close(). No timer ends CLOSE_WAIT: each \
           such socket holds a file descriptor and memory until the process ends.",
    causes: &[
        "an error path of the application returns without close()",
        "a connection pool keeps connections that the peer has closed, and does not test them",
        "the thread that should read and see the end of data is blocked elsewhere",
    ],
    check: &[
        "tcpwatch list --state CLOSE_WAIT --pid PID, and again later: do they become more?",
        "how far it is from its limit of open files: ls /proc/PID/fd | wc -l; grep 'open files' /proc/PID/limits",
        "what its threads do: gdb -p PID -batch -ex 'thread apply all bt', jstack PID, py-spy dump --pid PID",
    ],
    change: &[
        "the program: close() when read() returns 0 or an error, on every path",
        "a pool: an idle time shorter than the peer's, and a test before a connection is used",
        "until then: restart it before it reaches its limit of open files; no sysctl ends CLOSE_WAIT",
    ],
    rule: "A socket in CLOSE_WAIT for 10 s with nothing left to send; or five of one owner for 1 s, none of which it \
           has closed. While data is sent and acknowledged it is a half-close in use, and not counted.",
};
const HALF_CLOSED: Advice = Advice {
    what: "The application has called shutdown(SHUT_WR) and keeps the socket; the peer has acknowledged the FIN and sends \
           nothing. After close() tcp_fin_timeout would end FIN_WAIT_2; before it nothing does.",
    causes: &[
        "the peer's application does not notice the end of data: there it is CLOSE_WAIT",
        "this application waits for an answer that never comes, without a timeout",
    ],
    check: &[
        "at the peer: tcpwatch list --state CLOSE_WAIT, or ss -tnp state close-wait",
        "here: tcpwatch list --state FIN_WAIT_2 --pid PID",
    ],
    change: &[
        "after shutdown(): read with a time limit (SO_RCVTIMEO), then close()",
        "SO_KEEPALIVE finds a peer that is gone",
    ],
    rule: "10 s in FIN_WAIT_2, held by a process, and nothing came from the peer for 10 s.",
};
const ACCEPT_QUEUE: Advice = Advice {
    what: "Connections whose handshake is done wait in the listener's queue for accept(). When it is full the kernel drops \
           the last ACK and new SYNs: clients see slow or failed connects.",
    causes: &[
        "the application is blocked, or has too few threads or processes, or too few file descriptors (accept(): EMFILE)",
        "the backlog is too small for the rate of new connections",
        "the process is stopped (SIGSTOP, a debugger, a frozen cgroup)",
    ],
    check: &[
        "ss -ltnp: Recv-Q is what waits, Send-Q the limit",
        "what it does: grep State /proc/PID/status; cat /proc/PID/stack; strace -f -p PID",
        "how far it is from its limit of open files: ls /proc/PID/fd | wc -l; grep 'open files' /proc/PID/limits",
        "nstat -az TcpExtListenOverflows TcpExtListenDrops, twice",
    ],
    change: &[
        "the program: accept() in a loop that does nothing else, and more threads or processes",
    ],
    rule: "A connection met a full queue and was dropped; or the queue was full in two looks, or once while \
           ListenOverflows grew; or a connection has waited for accept() for 5 s, or for 1 s in each look of 4 s.",
};
const SYN_QUEUE: Advice = Advice {
    what: "A listener has more half-open connections than its backlog lets be. With SYN cookies the kernel keeps no state \
           and lets clients in without window scaling or SACK where timestamps are off; without them it drops the SYN.",
    causes: &[
        "a SYN flood: SYNs from forged addresses",
        "the backlog is too small for the rate and the round-trip time of clients",
        "SYN+ACKs or ACKs are lost on the way",
    ],
    check: &[
        "which listener: ss -Htn state syn-recv | awk '{print $3}' | sort | uniq -c | sort -rn",
        "nstat -az TcpExtTCPReqQFullDoCookies TcpExtTCPReqQFullDrop TcpExtSyncookiesRecv",
    ],
    change: &[
        "against a flood: a filter before this host; SYN cookies keep the port open meanwhile",
    ],
    rule: "TCPReqQFullDoCookies or TCPReqQFullDrop grew; where counters were not read: a connection was opened by a SYN \
           cookie. Not where tcp_syncookies is 2, which sends cookies always.",
};
const CONNECT_UNANSWERED: Advice = Advice {
    what: "SYNs are sent again and again without any answer; the application waits until ETIMEDOUT, with the kernel's \
           defaults for more than two minutes.",
    causes: &[
        "a firewall drops the SYN or its answer",
        "the host is down or the address is wrong",
        "the server's accept queue is full: it drops SYNs",
    ],
    check: &[
        "at the server, does the SYN arrive: tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0'",
        "at the server, is it dropped: nstat -az TcpExtListenDrops; ss -ltn",
        "here: ip route get ADDRESS; ip neigh show ADDRESS; nft list ruleset",
    ],
    change: &[
        "the firewall or the address",
        "so that it fails sooner: a time limit of the application, TCP_SYNCNT or TCP_USER_TIMEOUT on the socket, sysctl -w \
         net.ipv4.tcp_syn_retries=3 (15 s) for all",
    ],
    rule: "A SYN that was sent three times without an answer, or given up, with no success to the destination after it; \
           or three, and a tenth of all connects.",
};
const CONNECT_REFUSED: Advice = Advice {
    what: "The destination answers the SYN with a reset: ECONNREFUSED.",
    causes: &[
        "nothing listens on the port: the server is down, or still starting",
        "it listens on another address, as 127.0.0.1 only",
        "a firewall rejects with a reset",
    ],
    check: &[
        "at ADDRESS, does it listen, and on which address: ss -ltnp",
        "at ADDRESS: the server's own log, systemctl status",
    ],
    change: &[
        "start the server",
        "the address that it binds (0.0.0.0 or :: is every one), or the one that is connected to",
    ],
    rule: "Two refusals in a row with no success after them; or three, and a tenth of all connects. A program that then \
           reaches the same port at another address within 1 s has fallen back, as localhost does, and is not counted.",
};
const CONNECT_REJECTED: Advice = Advice {
    what: "ICMP says that the destination cannot be reached: EHOSTUNREACH or ENETUNREACH.",
    causes: &[
        "a firewall rejects the connection",
        "a router has no route, or the host does not answer ARP",
    ],
    check: &[
        "here: ip route get ADDRESS; ip neigh show ADDRESS",
        "who rejects: tcpdump -ni any icmp or icmp6, and its source",
        "nft list ruleset, at the routers as well",
    ],
    change: &["the route or the rule"],
    rule: "A connect that ended so, with no success to the destination after it.",
};
const PORTS: Advice = Advice {
    what: "Each connection to one destination needs a local port of its own, and keeps it for 60 s in TIME_WAIT where \
           this host closes first. When none is left, connect() fails with EADDRNOTAVAIL.",
    causes: &[
        "a new connection for each request, without keep-alive or a pool",
        "a leak: connections are opened and not closed",
        "a range of ports that is too small",
    ],
    check: &[
        "what has the ports: ss -tanp dst ADDRESS | awk '{print $1}' | sort | uniq -c",
        "sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports net.ipv4.tcp_tw_reuse",
    ],
    change: &[
        "sysctl -w net.ipv4.ip_local_port_range='1024 65535' (reserve the ports of servers by \
         net.ipv4.ip_local_reserved_ports)",
        "more source or destination addresses: the range counts for each pair of them; IP_BIND_ADDRESS_NO_PORT where an \
         address is bound before connect()",
    ],
    rule: "A connect without a port; or 80% of the ports in use to one destination; or half of them, and none left \
           within 10 minutes at the present rate. Ports in TIME_WAIT that tcp_tw_reuse frees are not counted.",
};
const SYN_ACK_LOST: Advice = Advice {
    what: "SYNs arrive and are answered, and the last ACK of the handshake does not come: the SYN+ACK, or the ACK, is lost.",
    causes: &[
        "the way back differs from the way in, and a firewall drops what it has not seen begin",
        "rp_filter or a missing route for the answer",
        "SYNs with forged addresses",
    ],
    check: &[
        "tcpdump -ni any at both ends",
        "ip route get ADDRESS; sysctl net.ipv4.conf.all.rp_filter",
    ],
    change: &["the route or the rule; net.ipv4.tcp_synack_retries: how long"],
    rule: "A client that sent its SYN again twice; or three half-open connections whose SYN+ACK was sent again twice; and \
           a tenth of the port's handshakes. Not while a SYN queue is full.",
};
const ZERO_WINDOW: Advice = Advice {
    what: "The peer's receive buffer is full because its application does not read. This host keeps the data and probes \
           the window; a peer that answers probes is waited for without end.",
    causes: &[
        "the peer's application is blocked or too slow",
        "two applications that both write and do not read: a deadlock",
    ],
    check: &["at the peer: ss -tnp, Recv-Q", "here: ss -tno, timer:(persist)"],
    change: &["the reader", "TCP_USER_TIMEOUT or a write time limit, if the sender should give up"],
    rule: "The window was 0 for 4 s, for 6 s of a client that has connected to this host, and was not opened meanwhile.",
};
const NOT_READ: Advice = Advice {
    what: "Data has come, and the application does not read it. When the buffer is full the window closes and the peer has \
           to wait.",
    causes: &[
        "the application is blocked: a lock, a slow disk or database",
        "its event loop does not ask for this socket",
        "the process is stopped",
    ],
    check: &[
        "ss -tnp: Recv-Q",
        "what it does: grep State /proc/PID/status; cat /proc/PID/stack; strace -f -p PID",
    ],
    change: &["the program: read, or close the connection"],
    rule: "32 KiB or more that stay unread for 4 s. Not while another peer of the same program does not read: a proxy then \
           cannot pass on what comes.",
};
const RESET_UNREAD: Advice = Advice {
    what: "close() with data in the receive queue sends a reset instead of a FIN: the peer may lose what was sent to it \
           before, too.",
    causes: &[
        "a server answers and closes before it has read the whole request (413, 400)",
        "a client closes before it has read the whole answer",
    ],
    check: &["tcpwatch --failed --comm NAME"],
    change: &["read until the end of data, then close(): shutdown(SHUT_WR), read until 0, close()"],
    rule: "Three resets with this reason, a twentieth of the owner's connections, and it opened one after the first: a \
           process that ends closes all at once and is not counted. Takes Linux 6.10, which names reasons.",
};
const RESET_LINGER: Advice = Advice {
    what: "close() with SO_LINGER 0 sends a reset and throws away what was not sent or not acknowledged.",
    causes: &["SO_LINGER 0 was set to avoid TIME_WAIT", "connect() to AF_UNSPEC"],
    check: &[
        "who sets it: strace -f -e trace=setsockopt -p PID, and `nolinger`, `SO_LINGER`, `setSoLinger` in its configuration \
         and code",
    ],
    change: &[
        "no SO_LINGER 0: TIME_WAIT costs no more than some hundred bytes, and sysctl -w net.ipv4.tcp_tw_reuse=1 has its \
         ports used again",
    ],
    rule: "As for reset_unread_data. Connections that carried no data, as those of health checks, are not counted.",
};
const RESET_LATE_DATA: Advice = Advice {
    what: "Data came after the application had called close(): the kernel answers with a reset, and the peer gets EPIPE or \
           ECONNRESET.",
    causes: &[
        "this application closes while the peer still sends",
        "both sides take a connection for idle at the same time: the server's keep-alive is shorter than the client's",
    ],
    check: &["tcpwatch --failed --comm NAME"],
    change: &[
        "the idle time of the client shorter than that of the server",
        "shutdown(SHUT_WR), read until 0, close()",
    ],
    rule: "As for reset_unread_data.",
};
const RESET_RECEIVED: Advice = Advice {
    what: "The peers end connections by a reset.",
    causes: &[
        "the peer closes with unread data or with SO_LINGER 0",
        "the peer was restarted",
        "a middlebox resets",
    ],
    check: &[
        "the same time at the peer: tcpwatch --failed",
        "tcpdump: the TTL of the reset differs from that of data if a middlebox sent it",
    ],
    change: &["the peer"],
    rule: "Five resets from peers outside of this host, a tenth of the owner's connections, and more were opened after \
           the first.",
};
const NO_LISTENER: Advice = Advice {
    what: "SYNs come for a port on which nothing listens; the kernel answers each with a reset.",
    causes: &[
        "the server is down or listens on another address",
        "the peer has an old address or port",
        "a health check of a service that was moved",
    ],
    check: &["ss -ltn", "who the peer is"],
    change: &["start the server, or the peer's configuration"],
    rule: "Three connects of one host, from different ports, to a port without a listener.",
};
const IDLE_FORGOTTEN: Advice = Advice {
    what: "A connection was idle, and when it is used nothing answers, or a reset comes: a firewall, a NAT or a load \
           balancer between the ends has forgotten it. Without an answer it takes about 15 minutes until ETIMEDOUT \
           (tcp_retries2).",
    causes: &[
        "a middlebox drops state of idle connections, after 350 s (AWS NLB), 4 minutes (Azure), 1 hour, or what it is set to",
        "the peer was restarted or has gone",
    ],
    check: &["ss -tno: timer:(keepalive,…) or none", "sysctl net.ipv4.tcp_keepalive_time"],
    change: &[
        "the pool: an idle time below that of the middlebox",
        "so that it shows sooner: TCP_USER_TIMEOUT on the socket, how long data may stay unanswered",
    ],
    rule: "An ESTABLISHED connection that was idle for 10 s or more and then got no answer to four retransmissions; or \
           two that were reset while they were idle. One or two clients that have connected to this host and are gone are not \
           counted, unless the same host connects again.",
};
const TIME_WAIT_OVERFLOW: Advice = Advice {
    what: "There is no room for another connection in TIME_WAIT: the kernel closes at once, and late segments of the old \
           connection can reach a new one between the same ends.",
    causes: &[
        "tcp_max_tw_buckets was set too low",
        "very many short connections that this host closes first",
    ],
    check: &[
        "nstat -az TcpExtTCPTimeWaitOverflow",
        "sysctl net.ipv4.tcp_max_tw_buckets; ss -tan state time-wait | wc -l",
    ],
    change: &["connections that are used more than once; let the client close first"],
    rule: "The kernel's reason of a connection's end, or TCPTimeWaitOverflow grew.",
};
const TUPLE_IN_USE: Advice = Advice {
    what: "The application binds a local port and connects to a destination to which that port has a connection already, \
           open or in TIME_WAIT: connect() fails with EADDRNOTAVAIL.",
    causes: &[
        "a source port that is fixed in a configuration",
        "bind() to an address with port 0 far ahead of connect()",
    ],
    check: &["what has it: ss -tanpo 'sport = :PORT'"],
    change: &["no bind(), or port 0 with IP_BIND_ADDRESS_NO_PORT"],
    rule: "A connect that ended so.",
};
const UNSAFE_SYSCTL: Advice = Advice {
    what: "The value of a sysctl makes another finding worse.",
    causes: &["it was set for another purpose, or by advice for another kernel"],
    check: &["grep -r NAME /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d"],
    change: &[],
    rule: "Only together with the finding that it makes worse: tcp_syncookies=0, tcp_abort_on_overflow=1, \
           tcp_tw_reuse=0, tcp_timestamps=0, tcp_max_tw_buckets or tcp_max_syn_backlog that are very small.",
};
