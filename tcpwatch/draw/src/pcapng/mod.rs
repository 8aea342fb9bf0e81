//! What one host saw of a run, as a pcapng file: its segments as packets, and states, system calls, rules and resets as
//! entries of a journal between them ([`journal`]).
//!
//! A file has one host: with both ends in one, arrivals would look like retransmissions. `mergecap` joins two. The number
//! of a packet (`epb_packetid`) is the same at both hosts.

mod block;
mod journal;
mod packet;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use tcpwatch_core::{
    event::{KernelTime, SegmentEvent, WallClock, Way},
    track::TrackedEvent,
};
use tcpwatch_lab::{
    host::Host,
    report::Document,
    show::{self, DiagramRow, PerHost},
    story::{MomentKind, Run},
};

use self::block::{Body, COMMENT, INTERFACE, NAMES, PACKET, SECTION, STATISTICS};
use crate::sequence;

/// `LINKTYPE_RAW`: a packet begins with its IP header.
const RAW: u16 = 101;
/// Maximal time between an arrival and the change of state that it causes.
const TOGETHER: Duration = Duration::from_millis(2);

/// The file of a host.
#[must_use]
pub fn capture(report: &Document, run: &Run, host: Host) -> Vec<u8> {
    let mut out = Vec::new();
    section(report, run, &mut out);
    let netns = match (host, run.netns) {
        (Host::Client, [client, _]) => client.0,
        (Host::Server, [_, server]) => server.0,
    };
    Body::default()
        .u16(RAW)
        .u16(0)
        .u32(0)
        .option(2, host.name().as_bytes())
        .option(3, format!("netns {netns}, veth").as_bytes())
        // Times are in units of 10^-9 s.
        .option(9, &[9])
        .end()
        .write(INTERFACE, &mut out);
    names(run, &mut out);
    let mut room = PerHost::default();
    for host in Host::ALL {
        *room.of_mut(host) = usize::MAX;
    }
    let rows = show::rows(run, room);
    let arrows = arrows(&rows, host);
    let mut count = 0;
    for (place, event) in run.story.iter().enumerate().filter(|(_, event)| event.host == host) {
        if let MomentKind::Segment(segment) = &event.what {
            let arrow = arrows.get(&(segment.at, segment.seq, segment.flags.0)).copied();
            let comment = comment(run, place, segment, arrow);
            let number = arrow.map(|arrow| arrow.number);
            packet(segment, &comment, number, &report.clock, &mut out);
            count += 1;
        } else {
            journal::write(run, event, &report.clock, &mut out);
        }
    }
    statistics(run, count, &report.clock, &mut out);
    out
}

fn section(report: &Document, run: &Run, out: &mut Vec<u8>) {
    let held = run.verdicts.iter().filter(|verdict| verdict.holds).count();
    let about = format!(
        "{}, {}: {} {held} of {} verdicts hold. Headers are rebuilt from the fields that the laboratory kept: TTL, \
         identification and DSCP are invented, data are left out.",
        run.scenario.name,
        sequence::version(run),
        run.scenario.claim,
        run.verdicts.len()
    );
    let program = format!("tcpwatch {}", report.tcpwatch);
    Body::default()
        .u32(0x1a2b_3c4d)
        .u16(1)
        .u16(0)
        // The length of the section is not given.
        .u32(u32::MAX)
        .u32(u32::MAX)
        .option(COMMENT, about.as_bytes())
        .option(3, format!("Linux {}", report.kernel).as_bytes())
        .option(4, program.as_bytes())
        .end()
        .write(SECTION, out);
}

/// Wireshark resolves the addresses by this block; it has to follow the interfaces, or editcap refuses the file.
fn names(run: &Run, out: &mut Vec<u8>) {
    let mut body = Body::default();
    for host in Host::ALL {
        let (kind, mut record) = match host.address(run.family) {
            IpAddr::V4(address) => (1, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        record.extend_from_slice(host.name().as_bytes());
        record.push(0);
        let length = u16::try_from(record.len()).unwrap_or(u16::MAX);
        body = body.u16(kind).u16(length).padded(&record);
    }
    body.end().write(NAMES, out);
}

/// What the diagram says about a segment.
#[derive(Clone, Copy)]
struct Shown<'a> {
    number: usize,
    /// `SYN retry 1, +1.02 s`
    again: Option<&'a str>,
}

/// By time, sequence number and flags, the segments at a host.
fn arrows(rows: &[DiagramRow], host: Host) -> BTreeMap<(KernelTime, u32, u8), Shown<'_>> {
    let mut arrows = BTreeMap::new();
    for drawn in rows.iter().filter_map(|row| row.arrow.as_ref()) {
        let at = if drawn.from == host { drawn.left } else { drawn.arrived };
        let Some(at) = at else { continue };
        let again = drawn.labels.first().filter(|_| drawn.again).map(String::as_str);
        let key = (at, drawn.segment.seq, drawn.segment.flags.0);
        arrows.entry(key).or_insert(Shown { number: drawn.number, again });
    }
    arrows
}

/// What a segment was and what came of it: the rule that dropped it, which retransmission it is, the change of state that
/// followed its arrival.
fn comment(
    run: &Run,
    place: usize,
    segment: &SegmentEvent,
    arrow: Option<Shown<'_>>,
) -> Vec<String> {
    let mut comment = Vec::new();
    comment.extend(arrow.and_then(|arrow| arrow.again).map(ToOwned::to_owned));
    if let Some(slot) = segment.dropped_by {
        let rule = run.scenario.rules.get(usize::from(slot));
        let rule = rule.map_or("?", |rule| rule.name.as_str());
        comment.push(format!("dropped by rule {rule}"));
        return comment;
    }
    let Some(host) = run.story.get(place).map(|event| event.host) else { return comment };
    let later = run.story.iter().skip(place + 1).filter(|later| later.host == host);
    let later = later.take_while(|later| later.at.since(segment.at) < TOGETHER);
    for later in later.filter(|_| segment.way == Way::In) {
        match &later.what {
            MomentKind::Segment(next) if next.way == Way::In => break,
            MomentKind::TrackedEvent(tracked) => {
                if let TrackedEvent::Change(change) = &**tracked
                    && change.subject.ends == segment.ends
                {
                    let after = change.in_state.map(|time| format!(" after {time:.3?}"));
                    let after = after.unwrap_or_default();
                    comment.push(format!("{host} {} -> {}{after}", change.from, change.to));
                }
            }
            _ => {}
        }
    }
    comment
}

fn packet(
    segment: &SegmentEvent,
    comment: &[String],
    number: Option<usize>,
    clock: &WallClock,
    out: &mut Vec<u8>,
) {
    let (bytes, length) = packet::headers(segment);
    let direction: u32 = if segment.way == Way::In { 1 } else { 2 };
    let mut body = Body::default()
        .u32(0)
        .time(unix_ns(clock, segment.at))
        .u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
        .u32(length)
        .padded(&bytes);
    for comment in comment {
        body = body.option(COMMENT, comment.as_bytes());
    }
    body = body.option(2, &direction.to_le_bytes());
    if let Some(number) = number.and_then(|number| u64::try_from(number).ok()) {
        body = body.option(5, &number.to_le_bytes());
    }
    body.end().write(PACKET, out);
}

fn unix_ns(clock: &WallClock, at: KernelTime) -> u64 {
    u64::try_from(clock.unix_ns(at)).unwrap_or(0)
}

/// The end: how many packets there are, and how many records were lost.
fn statistics(run: &Run, count: u64, clock: &WallClock, out: &mut Vec<u8>) {
    let halves = |at| Body::default().time(unix_ns(clock, at));
    let time = |code: u16, at: KernelTime, body: Body| {
        let bytes = halves(at).bytes();
        body.option(code, &bytes)
    };
    let body = Body::default().u32(0).time(unix_ns(clock, run.ended));
    let body = time(2, run.started, body);
    let body = time(3, run.ended, body);
    body.option(4, &count.to_le_bytes())
        .option(5, &run.lost.to_le_bytes())
        .end()
        .write(STATISTICS, out);
}

#[cfg(test)]
mod tests {
    use tcpwatch_lab::report;

    use super::*;

    const REPORT: &str = include_str!("../../../tests/data/lab/report.json");

    fn report() -> Document {
        report::read("r.json", REPORT.as_bytes()).unwrap()
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    /// The types and bodies of all blocks; both lengths of each agree, and nothing is left over.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
        let mut blocks = Vec::new();
        while !bytes.is_empty() {
            let length = usize::try_from(u32_at(bytes, 4)).unwrap();
            assert_eq!(length % 4, 0);
            assert_eq!(u32_at(bytes, length - 4), u32_at(bytes, 4));
            blocks.push((u32_at(bytes, 0), &bytes[8..length - 4]));
            bytes = &bytes[length..];
        }
        blocks
    }

    /// The options of a packet, by code.
    fn options(body: &[u8]) -> BTreeMap<u32, Vec<&[u8]>> {
        let captured = usize::try_from(u32_at(body, 12)).unwrap();
        let mut rest = &body[20 + captured.next_multiple_of(4)..];
        let mut options: BTreeMap<u32, Vec<&[u8]>> = BTreeMap::new();
        while u32_at(rest, 0) != 0 {
            let (code, length) = (u32_at(rest, 0) & 0xffff, u32_at(rest, 0) >> 16);
            let length = usize::try_from(length).unwrap();
            options.entry(code).or_default().push(&rest[4..4 + length]);
            rest = &rest[4 + length.next_multiple_of(4)..];
        }
        assert_eq!(rest.len(), 4, "the end of the options is the end of the block");
        options
    }

    #[test]
    fn every_segment_of_a_host_is_a_packet_and_every_other_event_an_entry() {
        let report = report();
        for run in &report.runs {
            for host in Host::ALL {
                let file = capture(&report, run, host);
                let blocks = blocks(&file);
                let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
                assert_eq!(kinds[..3], [SECTION, INTERFACE, NAMES]);
                assert_eq!(kinds.last(), Some(&STATISTICS));
                let count = |kind| kinds.iter().filter(|known| **known == kind).count();
                let is_segment = |what: &MomentKind| matches!(what, MomentKind::Segment(_));
                let mine = || run.story.iter().filter(|event| event.host == host);
                let segments = mine().filter(|event| is_segment(&event.what)).count();
                let queries = mine().filter(|event| matches!(event.what, MomentKind::Witness(_)));
                assert_eq!(count(PACKET), segments, "{}", run.scenario.name);
                assert_eq!(count(block::JOURNAL), mine().count() - segments - queries.count());
            }
        }
    }

    #[test]
    fn a_segment_has_one_number_at_both_hosts_and_the_change_of_state_that_it_caused() {
        let report = report();
        let run = &report.runs[0];
        let numbers = |host| -> Vec<Vec<u8>> {
            let file = capture(&report, run, host);
            let blocks = blocks(&file);
            let packets = blocks.iter().filter(|(kind, _)| *kind == PACKET);
            packets.map(|(_, body)| options(body)[&5][0].to_vec()).collect()
        };
        assert_eq!(numbers(Host::Client), numbers(Host::Server));
        let file = capture(&report, run, Host::Client);
        let blocks = blocks(&file);
        let comments = blocks.iter().filter(|(kind, _)| *kind == PACKET).flat_map(|(_, body)| {
            let comments = options(body).remove(&1).unwrap_or_default();
            comments.into_iter().map(|comment| String::from_utf8_lossy(comment).into_owned())
        });
        let comments: Vec<String> = comments.collect();
        assert!(comments[0].starts_with("client SYN_SENT -> ESTABLISHED after "), "{comments:?}");
    }

    #[test]
    fn headers_are_rebuilt_and_the_length_says_that_data_are_missing() {
        let report = report();
        let run = report.runs.iter().find(|run| run.scenario.name.starts_with("reset")).unwrap();
        let file = capture(&report, run, Host::Server);
        let packets: Vec<&[u8]> = blocks(&file)
            .into_iter()
            .filter(|(kind, _)| *kind == PACKET)
            .map(|(_, body)| body)
            .collect();
        let ip = &packets[0][20..];
        assert_eq!((ip[0], ip[8], ip[9]), (0x45, 64, 6), "IPv4, TTL, TCP");
        assert_eq!(ip[20 + 13], 0x02, "SYN");
        let cut = packets.iter().filter(|body| u32_at(body, 12) < u32_at(body, 16));
        let with_data = run.story.iter().filter(|event| {
            let segment =
                |what: &MomentKind| matches!(what, MomentKind::Segment(segment) if segment.len > 0);
            event.host == Host::Server && segment(&event.what)
        });
        assert_eq!(cut.count(), with_data.count());
    }
}
