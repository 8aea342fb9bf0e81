//! Columns and marks of the text.

use super::Entry;

pub(super) const COLUMNS: [Entry; 18] = [
    Entry::short(
        &["TIME"],
        "When it happened, by the kernel's clock: the local time of day (--time utc, --time \
         elapsed). JSON has time and mono_ns.",
    ),
    Entry::short(
        &["LOCAL"],
        "Address and port of this end, * where there is none, as at a listener. Port 0 in \
         SYN_SENT: the kernel has not chosen it yet. Where a terminal is narrow, the port alone. JSON: local.",
    ),
    Entry::short(
        &["REMOTE", "arrow", "→", "←", "↔"],
        "Address and port of the other end. The arrow before it: → this end connected, ← the \
         peer did, ↔ both at once; none where that is not known. JSON: remote, direction.",
    ),
    Entry::short(
        &["CHANGE"],
        "What happened: the state that was left → the state that was entered, a retry with its \
         number, a reset, an error, or ↻ where a timer began anew. Without a state before the → the terminal has \
         no room for it. JSON: event, from, to, kind.",
    ),
    Entry::short(
        &["AFTER"],
        "How long the state that was left lasted; of a retry, the time since the segment was \
         sent before. - if its beginning was not seen, as of sockets older than tcpwatch. JSON: \
         in_state_s, since_last_s.",
    ),
    Entry::short(
        &["PROCESS"],
        "Who owns the socket: name and process id, then remarks. - where nothing shows it. A \
         process that is known only because it listens is marked (listener). JSON: process.",
    ),
    Entry::short(
        &["AGE"],
        "How long the socket is in its state; the kernel keeps no such time. Alone: by the timer of TIME_WAIT, \
         exactly. Two: so many retransmissions take so long. >: at least so long, because no segment came \
         since. -: nothing shows it. JSON: age_s, age_at_most_s, age_basis.",
    ),
    Entry::short(
        &["WAITS FOR"],
        "What has to happen for the socket to leave its state, or for its data to be acknowledged; \
         (keepalive) if nothing but a keepalive timer runs. JSON: waits_for.",
    ),
    Entry::short(
        &["UNTIL"],
        "When the timer of the socket is due: it ends the state, or something is sent again. Timers may be \
         late. - if none runs. JSON: until, timer, timer_left_s.",
    ),
    Entry::short(
        &["TRY"],
        "How often what is waited for was asked for again without an answer, and after how many the kernel \
         gives up, where sysctls say it. JSON: tries, tries_max.",
    ),
    Entry::short(
        &["OPENED"],
        "When the connection began: SYN_SENT or SYN_RECV was entered. - if it is older than \
         tcpwatch. JSON: opened.",
    ),
    Entry::short(
        &["LASTED"],
        "From there until both ends had closed or it was given up; TIME_WAIT is not counted. \
         JSON: lasted_s.",
    ),
    Entry::short(
        &["HANDSHAKE", "SHAKE"],
        "Time from the first SYN to ESTABLISHED (with TCP_FASTOPEN_CONNECT the SYN is sent with the \
         first write); above 1 s at least one SYN or its answer was \
         lost. - if it was not completed, or not seen. JSON: handshake_s.",
    ),
    Entry::short(
        &["SENT"],
        "Bytes of data that this end sent, each counted once. - where the kernel keeps no full \
         socket, as for a half-open connection. JSON: bytes_sent.",
    ),
    Entry::short(
        &["RECEIVED", "RECV"],
        "Bytes of data that this end received, each counted once. JSON: bytes_received.",
    ),
    Entry::short(
        &["RETRIES", "RETRY"],
        "Segments that were sent again, of every kind. More than a few of a hundred segments \
         mean loss on the path. What the network below did not take is apart, behind END: not \
         sent. JSON: retransmits, retries, not_sent.",
    ),
    Entry::short(
        &["CLOSED BY"],
        "Who sent the first FIN: local, remote, both (they crossed), or reset if there was none. \
         The end that closes first has TIME_WAIT. JSON: closed_by.",
    ),
    Entry::short(
        &["END"],
        "How the connection ended, in words; `tcpwatch explain` has each. Behind it, bytes that the \
         application handed over and the peer did not acknowledge (not delivered). JSON: end, \
         bytes_undelivered.",
    ),
];

pub(super) const MARKS: [Entry; 6] = [
    Entry::short(
        &["(listener)", "listener mark", "?"],
        "The owner is that of the listener that accepted the connection: it may have handed the \
         socket to another process since. The owner of its close() is the process itself.",
    ),
    Entry::short(
        &["inferred mark", "missing change"],
        "`inferred` in a line: the kernel did not report the change when it happened; it follows \
         from what it reported later. Its time is that of the report, and a state in between can \
         be missing.",
    ),
    Entry::short(
        &["asked mark"],
        "`asked` in a line: the kernel made this change in silence (a FIN that moves a timer \
         within its bucket), and was asked by sock_diag. The time is exact to one tick of the \
         kernel (4 ms at 250 a second), and the line comes up to a second late.",
    ),
    Entry::short(
        &["late mark"],
        "`late` behind a line: it stands below one of a later moment. What happened was known \
         only after a while (the end of a half-open connection after 20 ms, what was asked for \
         after up to a second), or its record came late. JSON: late.",
    ),
    Entry::short(
        &["ends", "ends mark"],
        "`ends 12:00:01.5` in a line: when the kernel's timer will end this state, its lateness \
         included, if nothing else does before. JSON: ends_in_s.",
    ),
    Entry::short(
        &["netns mark", "network namespace"],
        "`netns NAME` in a line: in which network namespace, by its name in /run/netns or its \
         inode. Shown in text as soon as the log has lines of more than one. JSON: netns.",
    ),
];
