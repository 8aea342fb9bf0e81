//! Two hosts joined by a link that is tapped at both ends, as in the laboratory.

use std::{
    collections::BTreeSet,
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
};

use tcpwatch_common::config::RING_BYTES;
use tcpwatch_core::{
    decode::{Names, decode},
    event::{self, Event, SegmentEvent, TcpFlags, TcpState, Way},
    loss::LossTotals,
    track::Reliance,
};
use tcpwatch_kernel::{
    clock,
    probe::{Counting, DroppedSegments, Filters, Probes, Tap},
    source::{
        recording::Header,
        snapshot::{self, FindOwners, SnapshotScope},
    },
};
use tcpwatch_lab::host::Host;

use super::{
    netns::Netns,
    poll,
    program::{loaded_programs, programs_of},
};

/// A host of the pair.
pub(crate) struct Station {
    pub(crate) netns: Netns,
    /// Index of its end of the link.
    pub(crate) cable: u32,
    /// Its addresses.
    pub(crate) v4: &'static str,
    pub(crate) v6: &'static str,
}

/// The pair, and the records of the taps so far.
pub(crate) struct Tapped {
    pub(crate) client: Station,
    pub(crate) server: Station,
    pub(crate) tap: Tap,
    probes: Probes,
    ring: tcpwatch_kernel::probe::Ring,
    /// Records of every kind, in order of arrival.
    pub(crate) records: Vec<Vec<u8>>,
    segments: Vec<SegmentEvent>,
}

/// What is the same at both ends of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnTheWire {
    pub(crate) from: event::Endpoint,
    pub(crate) to: event::Endpoint,
    pub(crate) flags: TcpFlags,
    pub(crate) numbers: (u32, u32, u32),
    pub(crate) window: u16,
    pub(crate) options: event::TcpOptions,
}

impl Station {
    fn new(cable: u32, v4: &'static str, v6: &'static str) -> Self {
        Self { netns: Netns::new(), cable, v4, v6 }
    }

    fn plug_in(&self) {
        self.netns.run(&format!("ip address add {}/24 dev cable", self.v4));
        self.netns.run(&format!("ip address add {}/64 dev cable nodad", self.v6));
        self.netns.run("ip link set cable up");
    }

    pub(crate) fn inode(&self) -> event::Netns {
        event::Netns(self.netns.inode)
    }

    /// Listens on its address of the same family as `like`.
    pub(crate) fn listen(&self, family: Family) -> TcpListener {
        let address = match family {
            Family::V4 => SocketAddr::new(self.v4.parse().unwrap(), 0),
            Family::V6 => SocketAddr::new(self.v6.parse().unwrap(), 0),
        };
        self.netns.inside(|| TcpListener::bind(address).unwrap())
    }

    /// States of its sockets, listeners left out.
    pub(crate) fn states(&self) -> Vec<TcpState> {
        let own = self.inode();
        let seen = self
            .netns
            .inside(|| snapshot::take(SnapshotScope::Only(own), FindOwners::Skip).unwrap());
        let states = seen.sockets.iter().map(|known| known.state);
        states.filter(|state| *state != TcpState::Listen).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Tapped {
    pub(crate) fn new() -> Self {
        Self::with_ring(RING_BYTES)
    }

    /// The same, with a ring of this size in bytes.
    pub(crate) fn with_ring(bytes: u32) -> Self {
        let client = Station::new(101, "10.9.0.1", "fd00:9::1");
        let server = Station::new(102, "10.9.0.2", "fd00:9::2");
        let holder = server.netns.holder;
        client.netns.run(&format!(
            "ip link add cable index 101 type veth peer name cable index 102 netns {holder}"
        ));
        client.plug_in();
        server.plug_in();
        let filters = Filters { netns: Some(client.inode()), ..Filters::default() };
        let (mut probes, ring) = Probes::attach(&filters, bytes, Counting::Off).unwrap();
        let mut tap = probes.tap().unwrap();
        for host in [&client, &server] {
            attach(&mut tap, host);
        }
        Self { client, server, tap, probes, ring, records: Vec::new(), segments: Vec::new() }
    }

    /// Sets a rule on a host's end of the link.
    pub(crate) fn set(&mut self, host: Host, slot: usize, rule: &DroppedSegments) {
        let cable = self.host(host).cable;
        self.tap.set_rule(cable, slot, rule, clock::now()).unwrap();
    }

    pub(crate) fn host(&self, host: Host) -> &Station {
        match host {
            Host::Client => &self.client,
            Host::Server => &self.server,
        }
    }

    /// The header of a recording of this pair.
    pub(crate) fn header(&self) -> Header {
        Header {
            version: Header::VERSION,
            clock: clock::read(),
            reliance: Reliance {
                gapless: true,
                minis: self.probes.minis.is_ok(),
                lives: false,
                selective: false,
                rate: clock::tick_rate(),
            },
            symbols: self.probes.symbols.clone(),
            reset_reasons: self.probes.dialect.reset_reasons.clone(),
            part: 0,
        }
    }

    /// Connects from the client.
    pub(crate) fn connect(&self, listener: &TcpListener) -> TcpStream {
        let to = listener.local_addr().unwrap();
        self.client.netns.inside(|| TcpStream::connect(to).unwrap())
    }

    /// The segments of both taps so far, in the order of the kernel's clock.
    pub(crate) fn told(&mut self) -> &[SegmentEvent] {
        let names = Names::default();
        while let Some(record) = self.ring.records.next() {
            self.records.push(record.to_vec());
            if let Event::Segment(segment) = decode(&record, &names).unwrap() {
                self.segments.push(segment);
            }
        }
        self.segments.sort_by_key(|segment| segment.at);
        &self.segments
    }

    /// The segments so far in this direction on this host's end of the link.
    pub(crate) fn at(&mut self, host: Host, way: Way) -> Vec<SegmentEvent> {
        let netns = self.host(host).inode();
        let told = self.told().iter();
        told.filter(|segment| segment.netns == netns && segment.way == way).cloned().collect()
    }

    /// Waits until this many of them match, and returns those.
    pub(crate) fn await_at(
        &mut self,
        (host, way): (Host, Way),
        count: usize,
        what: &str,
        fits: impl Fn(&SegmentEvent) -> bool,
    ) -> Vec<SegmentEvent> {
        poll(what, || {
            let fitting: Vec<_> =
                self.at(host, way).into_iter().filter(|segment| fits(segment)).collect();
            (fitting.len() >= count).then_some(fitting)
        })
    }

    /// Takes everything off; every record was received or counted as lost, and no program is left once the hosts, with
    /// which filters end, have ended.
    pub(crate) fn end(mut self) -> LossTotals {
        let own = programs_of(std::process::id());
        assert!(own.is_subset(&loaded_programs()) && own.len() > 2, "{own:?}");
        drop(self.tap);
        self.probes.detach();
        let mut received = u64::try_from(self.records.len()).unwrap();
        while self.ring.records.next().is_some() {
            received += 1;
        }
        let totals = self.probes.losses.read().unwrap();
        let lost: u64 = totals.lost.values().sum();
        let skipped = totals.lost.get(&tcpwatch_core::loss::Cause::Recursion).copied().unwrap_or(0);
        assert_eq!(totals.attempted, received + lost - skipped, "{totals:?}");
        drop((self.probes, self.client, self.server));
        all_gone(&own);
        totals
    }
}

/// The kernel frees a program a moment after its last user has gone.
pub(crate) fn all_gone(programs: &BTreeSet<u32>) {
    poll("the kernel drops the programs", || {
        programs.is_disjoint(&loaded_programs()).then_some(())
    });
}

fn attach(tap: &mut Tap, host: &Station) {
    let netns = File::open(format!("/proc/{}/ns/net", host.netns.holder)).unwrap();
    tap.attach(netns.as_fd(), "cable", host.cable, host.inode()).unwrap();
}

/// A rule for everything in this direction.
pub(crate) fn rule(way: Way) -> DroppedSegments {
    DroppedSegments {
        way,
        local_port: None,
        remote_port: None,
        mask: TcpFlags(0),
        value: TcpFlags(0),
        count: None,
        for_ns: None,
    }
}

/// The segment as it is on the wire, independent of the end that reported it.
pub(crate) fn on_the_wire(segment: &SegmentEvent) -> OnTheWire {
    let (local, remote) = (segment.ends.local, segment.ends.remote);
    let (from, to) = match segment.way {
        Way::Out => (local, remote),
        Way::In => (remote, local),
    };
    OnTheWire {
        from,
        to,
        flags: segment.flags,
        numbers: (segment.seq, segment.ack, segment.len),
        window: segment.window,
        options: segment.options,
    }
}
