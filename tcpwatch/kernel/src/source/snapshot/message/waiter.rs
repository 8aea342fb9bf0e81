//! What a single socket waits for: its timer, its queues and a part of `struct tcp_info`.

use std::time::Duration;

use netlink_packet_core::{DecodeError, Parseable};
use netlink_packet_sock_diag::inet::{InetResponseHeader, Timer};
use tcpwatch_core::event::{SocketTimer, SocketTimerKind, TcpInfo, Waiter};

use super::{
    AnswerProgress, Context, EXPIRES, MessageError, attributes, each, known, milliseconds, word,
};

/// Where members of `struct tcp_info` begin (`include/uapi/linux/tcp.h`): eight bytes, then words up to
/// `tcpi_total_retrans` at 100, four double words, words up to `tcpi_data_segs_out`, four double words, two words,
/// two double words, words.
const BACKOFF: usize = 4;
const RTO: usize = 8;
const UNACKED: usize = 24;
const RTT: usize = 68;
const BYTES_RECEIVED: usize = 128;
const NOTSENT_BYTES: usize = 144;
const BYTES_SENT: usize = 200;
const BYTES_RETRANS: usize = 208;
const SND_WND: usize = 228;

/// `idiag_retrans`, behind family, state and timer in `struct inet_diag_msg` (`include/uapi/linux/inet_diag.h`).
const TRIES: usize = 3;

/// Reads one datagram of sockets.
pub(in super::super) fn read(
    datagram: &[u8],
    context: Context,
    into: &mut Vec<Waiter>,
) -> Result<AnswerProgress, MessageError> {
    each(datagram, context.sequence, |payload| {
        into.push(waiter(payload, context)?);
        Ok(())
    })
}

fn waiter(payload: &[u8], context: Context) -> Result<Waiter, MessageError> {
    let header = InetResponseHeader::parse(payload)?;
    let attributes = attributes(payload)?;
    let kind = header.timer.as_ref().map(|timer| match timer {
        Timer::Retransmit(..) => SocketTimerKind::Retransmit,
        Timer::KeepAlive(_) => SocketTimerKind::Keepalive,
        Timer::TimeWait => SocketTimerKind::TimeWait,
        Timer::Probe(_) => SocketTimerKind::WindowProbe,
    });
    let timer = |kind| -> Result<_, DecodeError> {
        let tries = payload.get(TRIES).copied().unwrap_or_default();
        Ok(SocketTimer { kind, left: milliseconds(payload, EXPIRES)?, tries })
    };
    Ok(Waiter {
        known: known(payload, &header, &attributes, context)?,
        timer: kind.map(timer).transpose()?,
        receive_queue: header.recv_queue,
        send_queue: header.send_queue,
        tcp: attributes.tcp,
    })
}

/// Of `struct tcp_info`, of which older kernels have less.
pub(super) fn tcp_info(info: &[u8]) -> Result<TcpInfo, DecodeError> {
    let short = || DecodeError::from(format!("struct tcp_info of {} bytes", info.len()));
    Ok(TcpInfo {
        rto: Duration::from_micros(word(info, RTO)?.into()),
        backoff: *info.get(BACKOFF).ok_or_else(short)?,
        in_flight: word(info, UNACKED)?,
        unsent: word(info, NOTSENT_BYTES).ok(),
        window: word(info, SND_WND).ok(),
        bytes_received: double_word(info, BYTES_RECEIVED),
        bytes_sent: double_word(info, BYTES_SENT)
            .zip(double_word(info, BYTES_RETRANS))
            .map(|(all, again)| all.saturating_sub(again)),
        rtt: Some(word(info, RTT)?)
            .filter(|rtt| *rtt > 0)
            .map(|us| Duration::from_micros(us.into())),
    })
}

/// Eight bytes in host order that begin at `at`, if there are as many.
fn double_word(info: &[u8], at: usize) -> Option<u64> {
    info.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}
