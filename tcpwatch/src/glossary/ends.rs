//! Why a socket entered CLOSED (`reason`) and how a connection ended (`end`).

use super::Entry;

pub(super) const ENTRIES: [Entry; 24] = [
    Entry {
        words: &["normal"],
        what: "Both ends have closed, each with a FIN; or a listener was closed. The text has no word for \
               it. A connection that ends in TIME_WAIT is normal when TIME_WAIT begins, whatever ends \
               that.",
        causes: "close() or shutdown() at both ends",
        look: "the CLOSED BY column: who was first has TIME_WAIT",
        change: "",
    },
    Entry {
        words: &["canceled", "cancelled"],
        what: "The application gave up its connect() before there was an answer: it closed the socket in \
               SYN_SENT. No failure of the network.",
        causes: "a short timeout in the application; happy eyeballs, where the other address was faster; \
                 a process that ended",
        look: "LASTED: how long it waited; SYN retry lines: whether anything was lost",
        change: "the application's connect timeout, if it is shorter than the network needs",
    },
    Entry {
        words: &["gave_up"],
        what: "The application gave up its connect() after the SYN had been sent again without an answer: \
               its own timeout was shorter than the kernel's.",
        causes: "a firewall that drops; no such host; a server whose accept queue is full",
        look: "the SYN retry lines; whether SYNs arrive at the server (tcpdump there)",
        change: "what drops the SYN; a longer timeout in the application only hides it",
    },
    Entry {
        words: &["refused", "ECONNREFUSED", "connection refused"],
        what: "The SYN was answered by a reset, or by ICMP port unreachable: connect() fails with \
               ECONNREFUSED. The host is there and nothing listens on this port.",
        causes: "the server does not run, not yet, or on another address (127.0.0.1 only); a wrong port; \
                 a firewall that rejects",
        look: "at the server: ss -ltn; nft list ruleset; here the \"RST received\" line, which ICMP lacks",
        change: "start the server, or its address to listen on; the firewall's rule",
    },
    Entry {
        words: &["unreachable", "EHOSTUNREACH", "ENETUNREACH", "no route to host"],
        what: "The network said that the peer cannot be reached: a router or a host answered by ICMP, or \
               no neighbour answered on the link. Of a half-open connection: its SYN+ACK was answered so.",
        causes: "no route, a host that is down, a firewall that rejects with host or net unreachable",
        look: "ip route get ADDRESS; ip neigh; traceroute; tcpdump icmp",
        change: "the route or the rule; a soft error of a connection that exists does not end it",
    },
    Entry {
        words: &[
            "no_port",
            "EADDRNOTAVAIL",
            "no local port left",
            "cannot assign requested address",
        ],
        what: "connect() found no free local port to this destination and fails with EADDRNOTAVAIL: \
               every port of ip_local_port_range is taken for this address and port, TIME_WAIT included.",
        causes: "many short connections from one address to one destination",
        look: "ss -tan dst ADDRESS | wc -l; sysctl net.ipv4.ip_local_port_range",
        change: "connections that are used again (pools, keep-alive); a wider ip_local_port_range; \
                 tcp_tw_reuse=1; more addresses at either end",
    },
    Entry {
        words: &["tuple_in_use", "four-tuple in use"],
        what: "The application bound a local port before connect(), and a connection with the same two \
               addresses and ports exists: connect() fails with EADDRNOTAVAIL, while other ports are free.",
        causes: "a proxy that connects from its client's port; a fixed source port that is used again too \
                 soon",
        look: "ss -tan sport = :PORT, TIME_WAIT included",
        change: "no bind(), or IP_BIND_ADDRESS_NO_PORT; wait until the old connection is gone",
    },
    Entry {
        words: &["not_sent"],
        what: "connect() failed before any SYN was sent, and not for lack of a port: no route to the \
               destination, a rule of this host's firewall, or no memory.",
        causes: "a missing route, an address family that is off, an output rule that drops",
        look: "the error of connect(); ip route get ADDRESS; nft list ruleset",
        change: "the route or the rule",
    },
    Entry {
        words: &["timed_out", "ETIMEDOUT", "timeout", "TCPAbortOnTimeout", "connection timed out"],
        what: "Nothing was answered for too long: no answer to SYNs, to data, to a FIN or to keepalive \
               probes. The application gets ETIMEDOUT; an orphan ends in silence.",
        causes: "a firewall that drops, or forgot the connection; a peer that lost power; a path that is \
                 broken",
        look: "the retry lines before it: which segment had no answer; ss -tno",
        change: "tcp_syn_retries (SYN), tcp_retries2 and TCP_USER_TIMEOUT (data), tcp_orphan_retries \
                 (FIN), tcp_keepalive_* (idle)",
    },
    Entry {
        words: &[
            "reset_received",
            "reset by peer",
            "ECONNRESET",
            "EPIPE",
            "connection reset by peer",
        ],
        what: "The peer, or something on the path, sent a reset. The application gets ECONNRESET, in \
               CLOSE_WAIT EPIPE; data that was not read is lost.",
        causes: "the peer closed with unread data, or with SO_LINGER 0; its process or host restarted; a \
                 load balancer or NAT forgot an idle connection",
        look: "tcpwatch at the peer: its \"RST sent\" line has the reason; ESTABLISHED's age: idle \
               timeouts are round numbers",
        change: "read everything before close() at the peer; keepalive below the path's idle timeout",
    },
    Entry {
        words: &["reset_sent", "reset"],
        what: "This host ended the connection by a reset instead of a FIN. The peer gets ECONNRESET, and \
               data under way is lost. The \"RST sent\" line has the kernel's reason since Linux 6.10.",
        causes: "close() with unread data; SO_LINGER 0; data that came after close(); a negative \
                 TCP_LINGER2; keepalive without an answer",
        look: "the reason: `tcpwatch explain tcp_abort_on_close`, say; nstat -az 'TcpExtTCPAbort*'",
        change: "read until 0 before close(); shutdown(SHUT_WR), then read, then close()",
    },
    Entry {
        words: &["half_open", "handshake given up"],
        what: "The client's last ACK of the handshake never came: the kernel repeated its SYN+ACK \
               tcp_synack_retries times (5) and dropped the connection after 63 s. The application never \
               saw it.",
        causes: "SYN+ACKs or ACKs are lost on one way; the client is gone; a SYN flood with made-up \
                 addresses",
        look: "SYN+ACK retry lines; from how many addresses they are; nstat -az TcpExtTCPSynRetrans",
        change: "the way back to the client; tcp_synack_retries; tcp_syncookies=1",
    },
    Entry {
        words: &["half_closed", "the peer never closed"],
        what: "This end closed, the peer acknowledged and never closed: FIN_WAIT_2 ended by its timer. At \
               the peer the connection stays in CLOSE_WAIT.",
        causes: "a leak in the peer's application; a peer that uses the connection for longer, while this \
                 end is gone",
        look: "at the peer: ss -tanp state close-wait",
        change: "the peer's application; tcp_fin_timeout changes only how long this end waits",
    },
    Entry {
        words: &["killed", "ECONNABORTED", "destroyed"],
        what: "An administrator, or a program with CAP_NET_ADMIN, destroyed the socket by sock_diag. The \
               application gets ECONNABORTED; the peer gets a reset where there was a connection.",
        causes: "ss -K; a daemon that does the same (SOCK_DESTROY), as when an address goes away",
        look: "who runs ss -K at that moment",
        change: "",
    },
    Entry {
        words: &["timer"],
        what: "The kernel's timer ended the state: TIME_WAIT after 60 s, or FIN_WAIT_2 after \
               tcp_fin_timeout. Timers fire up to 1/8 late by design, and never early.",
        causes: "time has passed: of TIME_WAIT the usual end",
        look: "AFTER: how long it really was",
        change: "",
    },
    Entry {
        words: &["reused", "TWRecycled"],
        what: "A new connection took the two addresses and ports of one in TIME_WAIT or FIN_WAIT_2: a SYN \
               from the peer with a newer sequence number or timestamp, or a connect() from here \
               (tcp_tw_reuse, or a bound port).",
        causes: "normal where local ports are few and used again at once",
        look: "the SYN_RECV or SYN_SENT line at the same moment; nstat -az TcpExtTWRecycled",
        change: "",
    },
    Entry {
        words: &["listener_closed"],
        what: "The listener was closed while the handshake was under way: the kernel drops the half-open \
               connection. What the client sends next is answered by a reset.",
        causes: "a server that is stopped or restarted",
        look: "the LISTEN → CLOSED line at the same moment, and whose it is",
        change: "take the server out of the load balancer first; hand the listener to its successor",
    },
    Entry {
        words: &["never_accepted"],
        what: "The handshake was done, and the listener was closed before the application called \
               accept(): the kernel resets what waits in the accept queue. The client had believed to be \
               connected.",
        causes: "a server that stops while clients connect; a server that accepts too slowly",
        look: "the listener's LISTEN → CLOSED line; before: ss -ltn, Recv-Q",
        change: "accept what waits before closing; net.ipv4.tcp_migrate_req with SO_REUSEPORT",
    },
    Entry {
        words: &["netns_gone"],
        what: "The network namespace of the socket went away, and the kernel cleared what was left in it: \
               TIME_WAIT, orphans, half-open connections. Nothing is sent.",
        causes: "a container or pod has ended; ip netns del",
        look: "the container's end in the runtime's log",
        change: "",
    },
    Entry {
        words: &["time_wait_overflow", "no room for TIME_WAIT", "TCPTimeWaitOverflow"],
        what: "The kernel keeps no more than tcp_max_tw_buckets sockets in TIME_WAIT, or had no memory: \
               this one was closed at once. A FIN that comes again is answered by a reset, and an old \
               segment can reach a new connection.",
        causes: "more closed connections in a minute than the limit allows",
        look: "nstat -az TcpExtTCPTimeWaitOverflow; sysctl net.ipv4.tcp_max_tw_buckets",
        change: "tcp_max_tw_buckets; let the clients close first; use connections again",
    },
    Entry {
        words: &["out_of_memory", "tcp_max_orphans"],
        what: "The kernel dropped the connection because there are more orphans than tcp_max_orphans, or \
               TCP uses more memory than tcp_mem allows. The peer mostly gets a reset.",
        causes: "many connections that were closed while their data could not be delivered",
        look: "cat /proc/net/sockstat: orphan, mem; nstat -az TcpExtTCPAbortOnMemory; dmesg",
        change: "tcp_max_orphans, tcp_mem; tcp_orphan_retries, so that orphans go sooner",
    },
    Entry {
        words: &["repaired", "TCP_REPAIR"],
        what: "A checkpoint took the connection away: a socket in TCP_REPAIR mode was closed. Nothing is \
               sent, and the peer notices nothing: the connection goes on where it is restored.",
        causes: "CRIU; live migration of a container",
        look: "the checkpoint's log; the restored socket, which begins in ESTABLISHED",
        change: "",
    },
    Entry {
        words: &["abandoned"],
        what: "The application gave the socket up without a reset while its last segments were not \
               acknowledged: connect() to AF_UNSPEC after its FIN was sent. What was under way may be \
               lost, and nothing is sent to the peer.",
        causes: "a library that uses a socket again before its connection has ended",
        look: "ss -tan before it: Send-Q",
        change: "close() the socket and make a new one",
    },
    Entry {
        words: &["unknown", "unknown end"],
        what: "Nothing that the kernel reported says why it ended. tcpwatch does not guess.",
        causes: "a record that was lost; a kernel that reports less (`tcpwatch check`); an end that this \
                 version does not know",
        look: "LOST lines; --summary",
        change: "a larger --buffer, if the ring was full",
    },
];
