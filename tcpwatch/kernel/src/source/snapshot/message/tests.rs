//! Claims about the bytes of `sock_diag`, on messages that Linux 6.18 (`x86_64`) sent.

use proptest::prelude::*;

use super::*;

/// `127.0.0.1:47764 -> 127.0.0.1:8080`, `ss -e` showed `ino:43397 sk:2`.
const ESTABLISHED: &str = "\
    7c00000014000200010000007273000002010000ba941f907f0000010000000000000000000000007f000001\
    0000000000000000000000000000000002000000000000000000000000000000000000000000000085a90000\
    050008000000000008000f00000000000c00150001000000000000000600160052000000";
/// `127.0.0.1:47780 -> 127.0.0.1:8080`, 59.9 s left.
const TIME_WAIT: &str = "\
    6000000014000200010000007273000002060300baa41f907f0000010000000000000000000000007f000001\
    0000000000000000000000000000000003000000000000\
    00fce900000000000000000000000000000000000008000f0000000000";
/// `127.0.0.1:47788 -> 127.0.0.1:8080`, closed by its application, 59.904 s left.
const FIN_WAIT_2: &str = "\
    6000000014000200010000007273000002050300baac1f907f0000010000000000000000000000007f000001\
    0000000000000000000000000000000004000000000000\
    0000ea00000000000000000000000000000000000008000f0000000000";
/// `127.0.0.1:33856` to a listener on `127.0.0.1:8081` with `TCP_DEFER_ACCEPT`.
const REQUEST: &str = "\
    60000000140002000100000072730000020301001f9184407f0000010000000000000000000000007f000001\
    0000000000000000000000000000000005000000000000\
    00840300000000000000000000000000000000000008000f0000000000";
/// `[::]:8080`, open to IPv4 too.
const LISTENER: &str = "\
    840000001400020001000000727300000a0a00001f9000000000000000000000000000000000000000000000\
    00000000000000000000000000000000090000000000000000000000000000008000000000000000\
    80a90000050008000000000005000b000000000008000f00000000000c00150001000000000000000600160012000000";
/// `[::1]:57430 -> [::1]:8080`.
const ESTABLISHED_V6: &str = "\
    7c0000001400020001000000727300000a010000e0561f900000000000000000000000000000000100000000\
    00000000000000000000000100000000\
    0a000000000000000000000000000000000000000000000083a90000\
    050008000000000008000f00000000000c00150001000000000000000600160012000000";
/// IPv4 in IPv6: `127.0.0.1:47764` at the listener on `[::]:8080`.
const MAPPED: &str = "\
    7c0000001400020001000000727300000a0100001f90ba9400000000000000000000ffff7f00000100000000\
    000000000000ffff7f00000100000000\
    0c000000000000000000000000000000000000000000000086a90000\
    050008000000000008000f00000000000c00150001000000000000000600160012000000";
/// IPv4 in IPv6: `127.0.0.1:43834` to a listener on `[::]:8082` with `TCP_DEFER_ACCEPT`.
const MAPPED_REQUEST: &str = "\
    600000001400020001000000727300000a0301001f92ab3a00000000000000000000ffff7f00000100000000\
    000000000000ffff7f00000100000000\
    0b00000000000000800300000000000000000000000000000000000008000f0000000000";
const DONE: &str = "1400000003000200010000007273000000000000";

const CONTEXT: Context = Context { netns: Netns(7), seen: KernelTime(1), sequence: 1 };

fn bytes(messages: &[&str]) -> Vec<u8> {
    let digits = messages.concat();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn read_all(datagram: &[u8]) -> Result<(AnswerProgress, Vec<KnownSocket>), MessageError> {
    let mut sockets = Vec::new();
    read(datagram, CONTEXT, &mut sockets).map(|progress| (progress, sockets))
}

fn only(message: &str) -> KnownSocket {
    let (_, sockets) = read_all(&bytes(&[message])).unwrap();
    let [socket] = sockets[..] else { panic!("one socket, not {sockets:?}") };
    socket
}

/// `ss`-like: state, ends, cookie, inode.
fn line(known: &KnownSocket) -> String {
    let Endpoints { local, remote } = known.ends;
    format!("{} {local} {remote} sk:{:x} ino:{}", known.state, known.socket.0, known.inode)
}

#[test]
fn every_kind_of_socket_is_read_as_ss_shows_it() {
    for (message, kind, shown) in [
        (ESTABLISHED, KnownKind::Full, "ESTABLISHED 127.0.0.1:47764 127.0.0.1:8080 sk:2 ino:43397"),
        (TIME_WAIT, KnownKind::TimeWait, "TIME_WAIT 127.0.0.1:47780 127.0.0.1:8080 sk:3 ino:0"),
        (FIN_WAIT_2, KnownKind::TimeWait, "FIN_WAIT_2 127.0.0.1:47788 127.0.0.1:8080 sk:4 ino:0"),
        (REQUEST, KnownKind::Request, "SYN_RECV 127.0.0.1:8081 127.0.0.1:33856 sk:5 ino:0"),
        (LISTENER, KnownKind::Full, "LISTEN [::]:8080 * sk:9 ino:43392"),
        (ESTABLISHED_V6, KnownKind::Full, "ESTABLISHED [::1]:57430 [::1]:8080 sk:a ino:43395"),
    ] {
        let known = only(message);
        assert_eq!(line(&known), shown);
        assert_eq!(known.kind, kind, "{shown}");
        assert_eq!(known.netns, CONTEXT.netns);
    }
}

#[test]
fn ipv4_in_ipv6_is_told_as_ipv4() {
    assert_eq!(line(&only(MAPPED)), "ESTABLISHED 127.0.0.1:8080 127.0.0.1:47764 sk:c ino:43398");
    assert_eq!(line(&only(MAPPED_REQUEST)), "SYN_RECV 127.0.0.1:8082 127.0.0.1:43834 sk:b ino:0");
}

#[test]
fn only_timewait_mini_sockets_have_time_left() {
    assert_eq!(only(TIME_WAIT).timer_left, Some(Duration::from_millis(59_900)));
    assert_eq!(only(FIN_WAIT_2).timer_left, Some(Duration::from_millis(59_904)));
    assert_eq!(only(REQUEST).timer_left, None, "that timer repeats the SYN+ACK");
    assert_eq!(only(ESTABLISHED).timer_left, None);
}

fn surveyed_only(message: &[u8]) -> Result<Surveyed, MessageError> {
    let mut found = Vec::new();
    each(message, 1, |payload| {
        found.push(surveyed(payload)?);
        Ok(())
    })?;
    let [socket] = found[..] else { panic!("one socket, not {found:?}") };
    Ok(socket)
}

#[test]
fn a_survey_sees_the_same_socket_with_its_queues_and_its_cgroup() {
    for (message, kind, queues, cgroup) in [
        (LISTENER, KnownKind::Full, (0, 128), Some(1)),
        (ESTABLISHED, KnownKind::Full, (0, 0), Some(1)),
        (REQUEST, KnownKind::Request, (0, 0), None),
        (FIN_WAIT_2, KnownKind::TimeWait, (0, 0), None),
    ] {
        let (known, seen) = (only(message), surveyed_only(&bytes(&[message])).unwrap());
        assert_eq!((seen.socket, seen.ends, seen.state), (known.socket, known.ends, known.state));
        assert_eq!(seen.kind, kind, "{known:?}");
        assert_eq!((seen.receive_queue, seen.send_queue), queues, "{known:?}");
        assert_eq!((seen.cgroup, seen.last_ack_received), (cgroup, None), "{known:?}");
    }
}

#[test]
fn the_last_acknowledgment_is_the_thirteenth_word_of_tcp_info() {
    let with_info = |words: u16| {
        let mut message = bytes(&[ESTABLISHED]);
        let length = 4 + 8 + 4 * words;
        message.extend(length.to_ne_bytes());
        message.extend(INET_DIAG_INFO.to_ne_bytes());
        message.extend([0xff; 8]);
        message.extend((1..=u32::from(words)).flat_map(|word| (word * 1000).to_ne_bytes()));
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_ne_bytes());
        surveyed_only(&message)
    };
    assert_eq!(with_info(13).unwrap().last_ack_received, Some(Duration::from_secs(13)));
    assert!(matches!(with_info(12), Err(MessageError::Malformed(_))), "cut short");
}

#[test]
fn a_full_socket_in_syn_recv_is_no_request() {
    let mut message = bytes(&[ESTABLISHED]);
    message[17] = TcpState::SynRecv.to_kernel();
    let (_, sockets) = read_all(&message).unwrap();
    assert_eq!((sockets[0].state, sockets[0].kind), (TcpState::SynRecv, KnownKind::Full));
}

#[test]
fn a_cookie_has_its_low_word_first() {
    let mut message = bytes(&[ESTABLISHED]);
    message[60..64].copy_from_slice(&0x1122_3344_u32.to_ne_bytes());
    message[64..68].copy_from_slice(&0x5566_7788_u32.to_ne_bytes());
    assert_eq!(read_all(&message).unwrap().1[0].socket, Cookie(0x5566_7788_1122_3344));
}

#[test]
fn a_datagram_holds_many_sockets_and_ends_with_done() {
    let (progress, sockets) = read_all(&bytes(&[LISTENER, TIME_WAIT, MAPPED, DONE])).unwrap();
    assert_eq!(sockets.len(), 3);
    assert_eq!(progress, AnswerProgress { done: true, interrupted: false });
}

#[test]
fn a_list_that_changed_under_the_kernels_hands_says_so() {
    let mut message = bytes(&[DONE]);
    message[6] |= 0x10; // NLM_F_DUMP_INTR
    assert_eq!(read_all(&message).unwrap().0, AnswerProgress { done: true, interrupted: true });
}

#[test]
fn answers_to_other_questions_are_passed_over() {
    let mut message = bytes(&[ESTABLISHED]);
    message[8] = 2;
    assert!(read_all(&message).unwrap().1.is_empty());
}

#[test]
fn a_refusal_carries_the_kernels_errno() {
    for kind in [2_u8, 3] {
        let mut message = bytes(&[DONE]);
        message[4] = kind; // NLMSG_ERROR, NLMSG_DONE
        message[16..].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        let refused = read_all(&message).unwrap_err().to_string();
        assert!(refused.contains("No such file or directory"), "{kind}: {refused}");
    }
}

#[test]
fn a_message_cut_anywhere_is_an_error_and_no_socket() {
    let whole = bytes(&[TIME_WAIT]);
    for length in 1..whole.len() {
        let error = read_all(&whole[..length]).unwrap_err().to_string();
        assert!(error.contains("makes no sense"), "{length}: {error}");
    }
}

#[test]
fn a_family_other_than_ipv4_and_ipv6_is_an_error() {
    let mut message = bytes(&[ESTABLISHED]);
    message[16] = 1;
    assert!(matches!(read_all(&message), Err(MessageError::Malformed(_))));
}

proptest! {
    #[test]
    fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 0..512)) {
        drop(read_all(&garbage));
    }

    #[test]
    fn damaged_messages_never_panic(
        at in prop::collection::vec((0_usize..480, any::<u8>()), 0..8),
        length in 0_usize..480,
    ) {
        let mut message = bytes(&[REQUEST, MAPPED, TIME_WAIT, LISTENER, DONE]);
        for (at, value) in at {
            if let Some(byte) = message.get_mut(at) {
                *byte = value;
            }
        }
        message.truncate(length);
        drop(read_all(&message));
    }
}

fn only_waiter(message: &[u8]) -> Result<tcpwatch_core::event::Waiter, MessageError> {
    let mut found = Vec::new();
    read_waiters(message, CONTEXT, &mut found)?;
    let [waiter] = found[..] else { panic!("one socket, not {found:?}") };
    Ok(waiter)
}

#[test]
fn a_waiter_is_the_same_socket_with_its_timer() {
    use tcpwatch_core::event::SocketTimerKind::{Retransmit, TimeWait};
    for (message, timer) in [
        (REQUEST, Some((Retransmit, 900))),
        (TIME_WAIT, Some((TimeWait, 59_900))),
        (ESTABLISHED, None),
    ] {
        let waiter = only_waiter(&bytes(&[message])).unwrap();
        assert_eq!(waiter.known, only(message));
        let left = |left| Duration::from_millis(left);
        let shown = waiter.timer.map(|timer| (timer.kind, timer.left, timer.tries));
        assert_eq!(shown, timer.map(|(kind, ms)| (kind, left(ms), 0)));
        assert_eq!(waiter.tcp, None, "it was not asked for");
    }
}

#[test]
fn what_a_kernels_tcp_info_lacks_is_not_known() {
    let with_info = |length: u16| {
        let mut message = bytes(&[ESTABLISHED]);
        message.extend((4 + length).to_ne_bytes());
        message.extend(INET_DIAG_INFO.to_ne_bytes());
        message.extend((0..length).map(|at| u8::try_from(at % 256).unwrap()));
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_ne_bytes());
        only_waiter(&message)
    };
    let word = |at: u8| Some(u32::from_ne_bytes([at, at + 1, at + 2, at + 3]));
    let now = with_info(248).unwrap().tcp.unwrap();
    assert_eq!((now.backoff, now.unsent, now.window), (4, word(144), word(228)));
    assert_eq!(Some(now.in_flight), word(24));
    let old = with_info(144).unwrap().tcp.unwrap();
    assert_eq!((old.backoff, old.unsent, old.window), (4, None, None));
    assert!(with_info(40).is_err(), "no kernel has less than tcpi_last_ack_recv");
}
