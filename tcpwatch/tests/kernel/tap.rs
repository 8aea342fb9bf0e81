//! The tap on the laboratory's links: it reports every segment, and its rules drop only the segments that they match.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use socket2::Socket;
use tcpwatch_core::{
    event::{SegmentEvent, TcpFlags, TcpState, Way},
    loss::Cause,
};
use tcpwatch_kernel::{
    clock,
    probe::{DroppedSegments, ProbeError},
    source::recorder::{Recorder, RecordingTarget},
};
use tcpwatch_lab::host::Host;

use crate::harness::{
    poll,
    program::programs_of,
    sockets,
    tapped::{Family, OnTheWire, Tapped, all_gone, on_the_wire, rule},
};

const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
const FIN_ACK: TcpFlags = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);

fn is_syn(segment: &SegmentEvent) -> bool {
    segment.flags.has(TcpFlags::SYN) && !segment.flags.has(TcpFlags::ACK)
}

/// A rule for segments whose flags are these.
fn only(flags: TcpFlags, rule: DroppedSegments) -> DroppedSegments {
    DroppedSegments { mask: SYN_ACK, value: flags, ..rule }
}

fn start_connect(pair: &Tapped, to: SocketAddr) -> Socket {
    pair.client.netns.inside(|| sockets::start_connect(sockets::unbound(to), to))
}

fn connected(socket: &Socket) {
    poll("the connection", || socket.peer_addr().ok());
    assert!(socket.take_error().unwrap().is_none());
}

fn seconds(from: &SegmentEvent, to: &SegmentEvent) -> f64 {
    to.at.since(from.at).as_secs_f64()
}

#[test]
fn a_syn_ack_that_is_dropped_on_its_way_in_holds_the_client_in_syn_sent() {
    needs_root!();
    for family in [Family::V4, Family::V6] {
        let mut pair = Tapped::new();
        pair.set(Host::Client, 3, &only(SYN_ACK, rule(Way::In)));
        let listener = pair.server.listen(family);
        let client = start_connect(&pair, listener.local_addr().unwrap());
        let lost = pair.await_at((Host::Client, Way::In), 2, "two lost SYN+ACKs", |_| true);
        assert!(lost.iter().all(|lost| lost.flags == SYN_ACK && lost.dropped_by == Some(3)));
        assert_eq!(pair.client.states(), [TcpState::SynSent]);
        assert_eq!(pair.server.states(), [TcpState::SynRecv]);
        let sent = pair.at(Host::Server, Way::Out);
        assert!(sent.iter().all(|sent| sent.flags == SYN_ACK && sent.dropped_by.is_none()));

        pair.tap.release_rule(pair.client.cable, 3).unwrap();
        connected(&client);
        let came = pair.at(Host::Client, Way::In);
        let dropped = came.iter().filter(|segment| segment.dropped_by == Some(3)).count();
        let counted = pair.tap.dropped(pair.client.cable, 3).unwrap();
        assert_eq!(u64::try_from(dropped).unwrap(), counted, "reported and counted");
        // The timers of both hosts may fire in the same tick, and a SYN that came again is answered, too.
        let passed = came.iter().filter(|segment| segment.dropped_by.is_none()).count();
        assert!((1..=2).contains(&passed), "{came:?}");
        drop(client);
        pair.end();
    }
}

#[test]
fn a_rule_with_a_count_drops_so_many_and_no_more() {
    needs_root!();
    let mut pair = Tapped::new();
    let first = DroppedSegments { count: Some(1), ..only(TcpFlags::SYN, rule(Way::In)) };
    pair.set(Host::Server, 0, &first);
    let listener = pair.server.listen(Family::V4);
    drop(pair.connect(&listener));
    let syns = pair.await_at((Host::Server, Way::In), 2, "two SYNs", is_syn);
    let fates: Vec<_> = syns.iter().map(|syn| syn.dropped_by).collect();
    assert_eq!(fates, [Some(0), None]);
    assert_eq!(pair.tap.dropped(pair.server.cable, 0).unwrap(), 1);

    // The slot's count continues; the rule's own begins at zero.
    pair.set(Host::Server, 0, &first);
    drop(pair.connect(&listener));
    assert_eq!(pair.tap.dropped(pair.server.cable, 0).unwrap(), 2);
    pair.end();
}

#[test]
fn a_count_is_exact_when_segments_come_on_all_processors_at_once() {
    const THREADS: usize = 8;
    const EACH: usize = 100;
    const DROPPED: u32 = 500;
    needs_root!();
    let mut pair = Tapped::new();
    pair.set(Host::Client, 7, &DroppedSegments { count: Some(DROPPED), ..rule(Way::Out) });
    let to = pair.server.listen(Family::V4).local_addr().unwrap();
    let sockets: Vec<Socket> = pair.client.netns.inside(|| {
        let connects = || (0..EACH).map(|_| sockets::start_connect(sockets::unbound(to), to));
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| connects().collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    });
    let syns = pair.await_at((Host::Client, Way::Out), THREADS * EACH, "all SYNs", is_syn);
    drop(sockets);
    let dropped = syns.iter().filter(|syn| syn.dropped_by == Some(7)).count();
    assert_eq!(dropped, usize::try_from(DROPPED).unwrap());
    assert_eq!(pair.tap.dropped(pair.client.cable, 7).unwrap(), u64::from(DROPPED));
    pair.end();
}

#[test]
fn a_rule_with_a_span_ends_by_itself() {
    needs_root!();
    let mut pair = Tapped::new();
    let span = Duration::from_millis(500);
    let for_ns = Some(u64::try_from(span.as_nanos()).unwrap());
    let before = clock::now();
    pair.set(Host::Server, 0, &DroppedSegments { for_ns, ..rule(Way::In) });
    let after = clock::now();
    let listener = pair.server.listen(Family::V4);
    drop(pair.connect(&listener));
    let syns = pair.await_at((Host::Server, Way::In), 2, "two SYNs", is_syn);
    let fates: Vec<_> = syns.iter().map(|syn| syn.dropped_by).collect();
    assert_eq!(fates, [Some(0), None]);
    assert!(syns[0].at < after.after(span) && syns[1].at >= before.after(span));
    pair.end();
}

#[test]
fn a_rule_looks_at_the_masked_flags_the_ports_and_the_way_only() {
    needs_root!();
    let mut pair = Tapped::new();
    let listener = pair.server.listen(Family::V4);
    let port = listener.local_addr().unwrap().port();
    let acks = only(TcpFlags::ACK, rule(Way::In));
    let never = [
        DroppedSegments { local_port: Some(port ^ 1), ..acks },
        DroppedSegments { remote_port: Some(port), ..acks },
        DroppedSegments { way: Way::Out, remote_port: Some(port), ..acks },
        DroppedSegments { mask: FIN_ACK, value: FIN_ACK, ..acks },
    ];
    for (slot, rule) in never.iter().enumerate() {
        pair.set(Host::Server, slot, rule);
    }
    pair.set(Host::Server, 5, &DroppedSegments { local_port: Some(port), ..acks });
    let client = start_connect(&pair, listener.local_addr().unwrap());
    let acks = pair.await_at((Host::Server, Way::In), 1, "an ACK", |one| !is_syn(one));
    assert_eq!((acks[0].flags, acks[0].dropped_by), (TcpFlags::ACK, Some(5)));
    let syns = pair.at(Host::Server, Way::In);
    assert!(syns.iter().filter(|one| is_syn(one)).all(|syn| syn.dropped_by.is_none()));
    assert_eq!(pair.client.states(), [TcpState::Established]);
    assert_eq!(pair.server.states(), [TcpState::SynRecv]);
    for slot in 0..never.len() {
        assert_eq!(pair.tap.dropped(pair.server.cable, slot).unwrap(), 0, "rule {slot}");
    }
    drop(client);
    pair.end();
}

#[test]
fn a_syn_that_is_dropped_on_its_way_out_is_repeated_every_half_second() {
    needs_root!();
    let mut pair = Tapped::new();
    pair.client.netns.set("ipv4.tcp_syn_retries", "3").unwrap();
    match pair.client.netns.set("ipv4.tcp_syn_linear_timeouts", "0") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
    pair.set(Host::Client, 0, &only(TcpFlags::SYN, rule(Way::Out)));
    let listener = pair.server.listen(Family::V4);
    let client = start_connect(&pair, listener.local_addr().unwrap());
    let error = poll("the end", || client.take_error().unwrap());
    assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
    let syns = pair.at(Host::Client, Way::Out);
    assert!(syns.iter().all(|syn| is_syn(syn) && syn.dropped_by == Some(0)), "{syns:?}");
    let gaps: Vec<f64> = syns.windows(2).map(|pair| seconds(&pair[0], &pair[1])).collect();
    println!("measured: gaps {gaps:?}");
    let [first, second, third] = gaps[..] else { panic!("four SYNs: {gaps:?}") };
    assert!(first > 0.99, "the first timeout is the usual one: {gaps:?}");
    for gap in [second, third] {
        assert!((0.49..0.75).contains(&gap), "TCP_RESOURCE_PROBE_INTERVAL: {gaps:?}");
    }
    assert!(pair.at(Host::Server, Way::In).is_empty(), "nothing was sent");
    drop(client);
    pair.end();
}

/// Opens, sends `hello`, and closes, client first; returns the segments of the taps.
fn whole_life(pair: &mut Tapped, family: Family) -> [Vec<SegmentEvent>; 4] {
    let listener = pair.server.listen(family);
    let mut client = pair.connect(&listener);
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the server's FIN");
    // The last ACK, behind the server's FIN.
    let fin = |one: &SegmentEvent| one.flags.has(TcpFlags::FIN);
    let fin = pair.await_at((Host::Server, Way::Out), 1, "the server's FIN", fin)[0].seq;
    let last = |one: &SegmentEvent| one.ack == fin.wrapping_add(1);
    pair.await_at((Host::Server, Way::In), 1, "the last ACK", last);
    [
        pair.at(Host::Client, Way::Out),
        pair.at(Host::Server, Way::In),
        pair.at(Host::Server, Way::Out),
        pair.at(Host::Client, Way::In),
    ]
}

/// Flags, sequence number, acknowledgment number and bytes, with numbers relative to those of the SYNs.
type Numbers = (String, u32, Option<u32>, u32);

fn relative(told: &[OnTheWire], own: u32, other: u32) -> Vec<Numbers> {
    let one = |one: &OnTheWire| {
        let (seq, ack, len) = one.numbers;
        let ack = one.flags.has(TcpFlags::ACK).then(|| ack.wrapping_sub(other));
        (one.flags.to_string(), seq.wrapping_sub(own), ack, len)
    };
    told.iter().map(one).collect()
}

fn numbers_follow_from_what_was_said(sent: &[OnTheWire], answered: &[OnTheWire]) {
    let (client, server) = (sent[0].numbers.0, answered[0].numbers.0);
    let expected = [
        ("SYN", 0, None, 0),
        ("ACK", 1, Some(1), 0),
        ("PSH+ACK", 1, Some(1), 5),
        ("FIN+ACK", 6, Some(1), 0),
        ("ACK", 7, Some(2), 0),
    ];
    let expected = expected.map(|(flags, seq, ack, len)| (flags.to_owned(), seq, ack, len));
    assert_eq!(relative(sent, client, server), expected);
    let told = relative(answered, server, client);
    assert_eq!(told[0], ("SYN+ACK".to_owned(), 0, Some(1), 0));
    assert_eq!(told[1], ("ACK".to_owned(), 1, Some(6), 0));
    assert_eq!(told.last(), Some(&("FIN+ACK".to_owned(), 1, Some(7), 0)));
}

fn options_are_those_of_a_handshake(sent: &[OnTheWire], answered: &[OnTheWire], mss: u16) {
    for one in sent.iter().chain(answered) {
        let options = one.options;
        let is_syn = one.flags.has(TcpFlags::SYN);
        assert_eq!(options.mss, is_syn.then_some(mss), "{one:?}");
        assert_eq!(options.sack_permitted, is_syn, "{one:?}");
        assert_eq!(options.window_scale.is_some(), is_syn, "{one:?}");
        assert!(one.window > 0, "{one:?}");
    }
    // Each answers with the timestamp that it received last.
    let stamp = |one: &OnTheWire| one.options.timestamps.expect("timestamps");
    assert_eq!(stamp(&answered[0]).1, stamp(&sent[0]).0);
    assert_eq!(stamp(&sent[1]).1, stamp(&answered[0]).0);
}

#[test]
fn every_segment_of_a_life_is_told_at_both_ends_as_it_was_on_the_wire() {
    needs_root!();
    for (family, mss) in [(Family::V4, 1460), (Family::V6, 1440)] {
        let mut pair = Tapped::new();
        let told = whole_life(&mut pair, family);
        let [sent, came, answered, back] =
            told.each_ref().map(|told| told.iter().map(on_the_wire).collect::<Vec<_>>());
        assert_eq!(sent, came, "from client to server");
        assert_eq!(answered, back, "from server to client");
        numbers_follow_from_what_was_said(&sent, &answered);
        options_are_those_of_a_handshake(&sent, &answered, mss);

        let [client, _, server, _] = told.map(|told| told[0].ends);
        assert_eq!((client.local, client.remote), (server.remote, server.local));
        assert_eq!(client.local.address.is_ipv4(), matches!(family, Family::V4));
        pair.end();
    }
}

#[test]
fn every_byte_of_data_is_counted_once_however_large_the_segments_are() {
    const BYTES: usize = 400_000;
    needs_root!();
    let mut pair = Tapped::new();
    let listener = pair.server.listen(Family::V4);
    let mut client = pair.connect(&listener);
    let (mut server, _) = listener.accept().unwrap();
    let reader = thread::spawn(move || {
        server.read_exact(&mut vec![0; BYTES]).unwrap();
        server
    });
    client.write_all(&vec![7; BYTES]).unwrap();
    drop(reader.join().unwrap());
    let came = pair.at(Host::Server, Way::In);
    let first = came.iter().find(|one| is_syn(one)).unwrap().seq.wrapping_add(1);
    let mut covered: Vec<(u32, u32)> = came
        .iter()
        .filter(|one| one.len > 0)
        .map(|one| (one.seq.wrapping_sub(first), one.len))
        .collect();
    covered.sort_unstable();
    covered.dedup();
    let mut end = 0;
    for (seq, len) in &covered {
        assert_eq!(*seq, end, "no gap and no overlap: {covered:?}");
        end += len;
    }
    assert_eq!(usize::try_from(end).unwrap(), BYTES);
    assert!(covered.iter().any(|(_, len)| *len > 1460), "one for the network to cut");
    drop(client);
    pair.end();
}

#[test]
fn holes_in_the_data_are_told_as_blocks_of_selective_acknowledgments() {
    needs_root!();
    let mut pair = Tapped::new();
    let listener = pair.server.listen(Family::V4);
    let mut client = pair.connect(&listener);
    let (server, _) = listener.accept().unwrap();
    client.set_nodelay(true).unwrap();
    pair.set(
        Host::Server,
        0,
        &DroppedSegments {
            count: Some(1),
            mask: TcpFlags::PSH,
            value: TcpFlags::PSH,
            ..rule(Way::In)
        },
    );
    client.write_all(b"lost").unwrap();
    client.write_all(b"heard").unwrap();
    let out = (Host::Server, Way::Out);
    let acks = pair.await_at(out, 1, "a block", |one| one.options.sack_blocks > 0);
    assert_eq!(acks[0].options.sack_blocks, 1);
    drop((client, server));
    pair.end();
}

#[test]
fn a_link_that_is_detached_tells_nothing_and_drops_nothing_any_more() {
    needs_root!();
    let mut pair = Tapped::new();
    let listener = pair.server.listen(Family::V4);
    pair.set(Host::Client, 0, &only(SYN_ACK, rule(Way::In)));
    let cable = pair.client.cable;
    pair.tap.detach(cable).unwrap();
    drop(pair.connect(&listener));
    pair.await_at((Host::Server, Way::In), 1, "the client's FIN", |one| {
        one.flags.has(TcpFlags::FIN)
    });
    let netns = pair.client.inode();
    assert!(pair.told().iter().all(|segment| segment.netns != netns));
    assert_eq!(pair.tap.dropped(cable, 0).unwrap(), 0, "forgotten");
    pair.tap.detach(cable).unwrap();
    pair.end();
}

#[test]
fn what_cannot_be_tapped_is_an_error_that_names_it() {
    needs_root!();
    let mut pair = Tapped::new();
    let own = std::fs::File::open("/proc/self/ns/net").unwrap();
    let here = tcpwatch_core::event::Netns(1);
    let attached = pair.tap.attach(std::os::fd::AsFd::as_fd(&own), "no-such-link", 9, here);
    let error = attached.unwrap_err();
    assert!(matches!(error, ProbeError::Tap { .. }), "{error:?}");
    assert!(error.to_string().contains("`no-such-link`"), "{error}");
    pair.end();
}

#[test]
fn links_and_rules_that_find_no_room_are_errors_that_say_how_many_there_may_be() {
    needs_root!();
    let mut pair = Tapped::new();
    let one = rule(Way::In);
    let now = clock::now();
    let mut rules = 0_u32..10_000;
    let error = rules.find_map(|n| {
        pair.tap.set_rule(1000 + n / 8, usize::try_from(n % 8).unwrap(), &one, now).err()
    });
    let error = error.expect("the table is full one day");
    assert!(matches!(error, ProbeError::TapFull { most: 512, .. }), "{error:?}");
    assert_eq!(rules.start, 512 * 8 + 1, "all of them and one");
    assert!(error.to_string().contains("512 links"), "{error}");
    let slot = pair.tap.set_rule(1, 8, &one, now).unwrap_err();
    assert!(matches!(slot, ProbeError::NoSlot { slot: 8, most: 8 }), "{slot:?}");
    pair.end();
}

#[test]
fn segments_that_find_the_ring_full_are_counted_and_still_dropped() {
    needs_root!();
    let mut pair = Tapped::with_ring(4096);
    let listener = pair.server.listen(Family::V4);
    pair.set(Host::Client, 0, &DroppedSegments { local_port: Some(1), ..rule(Way::In) });
    for _ in 0..40 {
        drop(pair.connect(&listener));
    }
    pair.set(Host::Client, 0, &only(SYN_ACK, rule(Way::In)));
    let client = start_connect(&pair, listener.local_addr().unwrap());
    poll("a drop", || (pair.tap.dropped(pair.client.cable, 0).unwrap() > 0).then_some(()));
    drop(client);
    let totals = pair.end();
    assert!(totals.lost[&Cause::RingFull] > 0, "{totals:?}");
}

/// For the replay tests: the first SYN+ACK is lost, the second one answers.
#[test]
#[ignore = "makes tests/data/syn_ack_is_lost_on_a_link.jsonl anew"]
fn a_recording_of_a_lost_syn_ack_is_made() {
    needs_root!();
    let mut pair = Tapped::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/syn_ack_is_lost_on_a_link.jsonl");
    let target = RecordingTarget { path: path.into(), most: None };
    let mut recorder = Recorder::create(&target, &pair.header()).unwrap();
    pair.set(Host::Client, 0, &DroppedSegments { count: Some(1), ..only(SYN_ACK, rule(Way::In)) });
    whole_life(&mut pair, Family::V4);
    for record in &pair.records {
        recorder.record(record);
    }
    recorder.finish().unwrap();
    pair.end();
}

const CHILD: &str = "TCPWATCH_TAPS";

#[test]
#[ignore = "runs in the child process of another test"]
fn a_child_taps_until_it_is_killed() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let pair = Tapped::new();
    let numbers: Vec<String> =
        programs_of(std::process::id()).iter().map(ToString::to_string).collect();
    println!("programs> {}", numbers.join(" "));
    let mut end = String::new();
    io::stdin().read_line(&mut end).unwrap();
    pair.end();
}

#[test]
fn nothing_is_left_of_a_process_that_was_killed_while_it_tapped() {
    needs_root!();
    let script = "tap::a_child_taps_until_it_is_killed";
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", script, "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let numbers = lines.find_map(|line| {
        let line = line.unwrap();
        line.split_once("programs> ").map(|(_, numbers)| numbers.to_owned())
    });
    let programs = numbers.unwrap().split(' ').map(|number| number.parse().unwrap()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    all_gone(&programs);
}
