//! The tap on the laboratory's links: rules go in and drop segments; every segment goes out as a record,
//! through the ring that [`Probes::attach`](super::Probes::attach) handed out.
//!
//! Two programs sit on each link, one for each way. The map `LINKS` is what they go by: a link that is
//! not in it is left alone. Where the kernel has tcx (since 6.6) the attachment is a link that we hold:
//! it ends when it is closed, by [`Tap::detach`] or with the process, and before that loses its
//! interface with the namespace. On older kernels it is a filter below a `clsact` qdisc: it belongs to
//! the interface and ends with it. aya would take such a filter away by the interface's number, in the
//! namespace of the thread that drops its handle, so that handle is never dropped. Nothing is pinned.

use std::{collections::HashMap, io, mem::ManuallyDrop, os::fd::BorrowedFd};

use aya::{
    Ebpf, Pod,
    maps::{HashMap as KernelMap, MapData, MapError},
    programs::{
        ProgramError, ProgramFd, SchedClassifier, TcAttachType,
        links::LinkOrder,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError},
    },
    sys::SyscallError,
};
use rustix::io::Errno;
use tcpwatch_common::{
    RuleCount, counter,
    rule::{
        CountWords, MAX_LINKS, RULES_PER_LINK, RuleKey, RuleWords, WAY_IN, WAY_OUT, bpf_spin_lock,
    },
};
use tcpwatch_core::event::{KernelTime, Netns, TcpFlags, Way};

use super::{Facts, ProbeError, error, take_map};
use crate::netns;

/// The programs, the way they watch and their blocks of counters.
const PROGRAMS: [(&str, TcAttachType, counter::Hook); 2] = [
    ("tap_in", TcAttachType::Ingress, counter::Hook::TapIn),
    ("tap_out", TcAttachType::Egress, counter::Hook::TapOut),
];

/// `BPF_F_LOCK`: a value is copied under its own lock.
const LOCKED: u64 = 4;

/// The segments that a rule drops on one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroppedSegments {
    /// Those that come in (a loss on the way, which the sender does not notice), or those that go
    /// out (which the sender's TCP notices and which changes its schedule).
    pub way: Way,
    /// Only if the host's own port is this one.
    pub local_port: Option<u16>,
    /// Only if the peer's port is this one.
    pub remote_port: Option<u16>,
    /// Of the flags, those that are looked at.
    pub mask: TcpFlags,
    /// How they must be set.
    pub value: TcpFlags,
    /// Segments that are dropped at most.
    pub count: Option<u32>,
    /// For how long, in nanoseconds from when it is set.
    pub for_ns: Option<u64>,
}

/// The loaded tap. Drop it to tap nothing any more.
pub struct Tap {
    programs: Vec<(TcAttachType, SchedClassifier)>,
    links: KernelMap<MapData, u32, u32>,
    rules: KernelMap<MapData, RuleKey, RuleWords>,
    counts: KernelMap<MapData, RuleKey, CountWords>,
    /// By the index of the interface, what has to be held.
    held: HashMap<u32, Vec<SchedClassifierLink>>,
}

impl Tap {
    /// Loads the programs; also hands out what their losses are read from.
    pub(super) fn load(
        ebpf: &mut Ebpf,
        facts: &Facts,
    ) -> Result<(Self, Vec<(counter::Hook, ProgramFd)>), ProbeError> {
        let mut programs = Vec::new();
        let mut counted = Vec::new();
        for (name, way, hook) in PROGRAMS {
            let program: &mut SchedClassifier = ebpf
                .program_mut(name)
                .and_then(|program| program.try_into().ok())
                .ok_or(ProbeError::NoProgram { program: name })?;
            let (own, fd) = load(program, name).map_err(|refusal| ProbeError::TapProgram {
                release: facts.release.clone(),
                program: name,
                reason: error::reason(&refusal),
            })?;
            programs.push((way, own));
            counted.push((hook, fd));
        }
        let tap = Self {
            programs,
            links: take_map(ebpf, "LINKS")?,
            rules: take_map(ebpf, "RULES")?,
            counts: take_map(ebpf, "RULE_COUNTS")?,
            held: HashMap::new(),
        };
        Ok((tap, counted))
    }

    /// Taps a link: from its return on, every segment on the interface is reported as one of the namespace
    /// `inode`. `netns` leads there and is not needed afterwards; `ifindex` is the interface's number,
    /// which no other interface of the machine may have.
    ///
    /// # Errors
    /// If there is no room for another link, the namespace cannot be entered, or the kernel refuses.
    pub fn attach(
        &mut self,
        netns: BorrowedFd<'_>,
        interface: &str,
        ifindex: u32,
        inode: Netns,
    ) -> Result<(), ProbeError> {
        self.links.insert(ifindex, inode.0, 0).map_err(|error| no_room(error, "link"))?;
        let refused = |reason| ProbeError::Tap { interface: interface.to_owned(), inode, reason };
        let programs = &mut self.programs;
        let entered = netns::enter(&netns, || attach(programs, interface));
        let attached = entered.map_err(|error| refused(error.to_string()));
        match attached.and_then(|held| held.map_err(|error| refused(error.to_string()))) {
            Ok(held) => {
                self.held.insert(ifindex, held);
                Ok(())
            }
            Err(error) => {
                self.links.remove(&ifindex)?;
                Err(error)
            }
        }
    }

    /// Forgets a link, its rules and what they have dropped. Its interface may be gone already.
    ///
    /// # Errors
    /// If the kernel side's maps cannot be written.
    pub fn detach(&mut self, ifindex: u32) -> Result<(), ProbeError> {
        remove(&mut self.links, ifindex)?;
        drop(self.held.remove(&ifindex));
        for slot in 0..RULES_PER_LINK {
            remove(&mut self.rules, [ifindex, slot])?;
            remove(&mut self.counts, [ifindex, slot])?;
        }
        Ok(())
    }

    /// Sets a rule on a link. From its return on it drops segments; if there was one in the slot, that
    /// is replaced. What the slot has dropped before stays counted.
    ///
    /// # Errors
    /// If a link has no such slot, or there is no room for another rule.
    pub fn set_rule(
        &mut self,
        ifindex: u32,
        slot: usize,
        drops: &DroppedSegments,
        now: KernelTime,
    ) -> Result<(), ProbeError> {
        let key = key(ifindex, slot)?;
        // A segment that the old rule drops now would be counted for the new one.
        remove(&mut self.rules, key)?;
        let dropped = self.count(key)?;
        let remaining = drops.count.map_or(u64::MAX, u64::from);
        let count = RuleCount { lock: bpf_spin_lock::default(), reserved: 0, remaining, dropped };
        self.counts
            .insert(key, count.to_words(), LOCKED)
            .map_err(|error| no_room(error, "rule"))?;
        let rule = in_kernel(drops, now).to_words();
        self.rules.insert(key, rule, 0).map_err(|error| no_room(error, "rule"))
    }

    /// Takes a rule away; what it has dropped can still be read. A slot without a rule stays so.
    ///
    /// # Errors
    /// If a link has no such slot, or the kernel side's map cannot be written.
    pub fn release_rule(&mut self, ifindex: u32, slot: usize) -> Result<(), ProbeError> {
        Ok(remove(&mut self.rules, key(ifindex, slot)?)?)
    }

    /// Segments that the rules in this slot have dropped since the link was tapped.
    ///
    /// # Errors
    /// If a link has no such slot, or the kernel side's map cannot be read.
    pub fn dropped(&self, ifindex: u32, slot: usize) -> Result<u64, ProbeError> {
        Ok(self.count(key(ifindex, slot)?)?)
    }

    fn count(&self, key: RuleKey) -> Result<u64, MapError> {
        match self.counts.get(&key, LOCKED) {
            Ok(words) => Ok(RuleCount::from_words(words).dropped),
            Err(MapError::KeyNotFound) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Tap {
    /// Filters that outlive it find no link of theirs any more.
    fn drop(&mut self) {
        for ifindex in std::mem::take(&mut self.held).into_keys() {
            if let Err(error) = remove(&mut self.links, ifindex) {
                tracing::warn!("the tap on interface {ifindex} goes on: {error}");
            }
        }
    }
}

/// Loads a program and gives up the object's hold on it: it now lives with what is returned.
fn load(
    program: &mut SchedClassifier,
    name: &'static str,
) -> Result<(SchedClassifier, ProgramFd), ProgramError> {
    program.load()?;
    let own = SchedClassifier::from_program_info(program.info()?, name.into())?;
    let fd = program.fd()?.try_clone()?;
    program.unload()?;
    Ok((own, fd))
}

/// Attaches both programs to an interface of the calling thread's namespace.
fn attach(
    programs: &mut [(TcAttachType, SchedClassifier)],
    interface: &str,
) -> Result<Vec<SchedClassifierLink>, ProgramError> {
    let mut held = Vec::new();
    for (way, program) in programs {
        let tcx = TcAttachOptions::TcxOrder(LinkOrder::default());
        match program.attach_with_options(interface, *way, tcx) {
            Ok(id) => held.push(program.take_link(id)?),
            Err(ProgramError::SyscallError(error)) if has_no_tcx(&error) => {
                attach_filter(program, interface, *way)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(held)
}

/// `link_create` in `kernel/bpf/syscall.c` does not know the kind of link.
fn has_no_tcx(error: &SyscallError) -> bool {
    error.io_error.kind() == io::ErrorKind::InvalidInput
}

fn attach_filter(
    program: &mut SchedClassifier,
    interface: &str,
    way: TcAttachType,
) -> Result<(), ProgramError> {
    // The first of the two programs has added it for both.
    if let Err(error) = tc::qdisc_add_clsact(interface)
        && !exists(&error)
    {
        return Err(error.into());
    }
    let filter = TcAttachOptions::Netlink(NlOptions::default());
    let id = program.attach_with_options(interface, way, filter)?;
    // Nothing but numbers, see above.
    let _numbers = ManuallyDrop::new(program.take_link(id)?);
    Ok(())
}

fn exists(error: &TcError) -> bool {
    matches!(error, TcError::NetlinkError(error)
        if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()))
}

fn key(ifindex: u32, slot: usize) -> Result<RuleKey, ProbeError> {
    u32::try_from(slot)
        .ok()
        .filter(|slot| *slot < RULES_PER_LINK)
        .map(|slot| [ifindex, slot])
        .ok_or(ProbeError::NoSlot { slot, most: RULES_PER_LINK })
}

/// The kernel's word for a full map is E2BIG (`alloc_htab_elem` in `kernel/bpf/hashtab.c`).
fn no_room(error: MapError, what: &'static str) -> ProbeError {
    match &error {
        MapError::SyscallError(refused)
            if refused.io_error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()) =>
        {
            ProbeError::TapFull { what, most: MAX_LINKS }
        }
        _ => error.into(),
    }
}

/// Removes what may not be there.
fn remove<K: Pod, V: Pod>(map: &mut KernelMap<MapData, K, V>, key: K) -> Result<(), MapError> {
    match map.remove(&key) {
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        done => done,
    }
}

fn in_kernel(drops: &DroppedSegments, now: KernelTime) -> tcpwatch_common::Rule {
    tcpwatch_common::Rule {
        until_ns: drops.for_ns.map_or(u64::MAX, |span| now.0.saturating_add(span)),
        local_port: drops.local_port.unwrap_or(0),
        remote_port: drops.remote_port.unwrap_or(0),
        way: match drops.way {
            Way::In => WAY_IN,
            Way::Out => WAY_OUT,
        },
        mask: drops.mask.0,
        value: drops.value.0,
        reserved: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn drops() -> DroppedSegments {
        DroppedSegments {
            way: Way::Out,
            local_port: Some(80),
            remote_port: None,
            mask: TcpFlags(0x12),
            value: TcpFlags::ACK,
            count: None,
            for_ns: None,
        }
    }

    #[test]
    fn a_rule_without_a_limit_holds_for_ever() {
        let rule = in_kernel(&drops(), KernelTime(5));
        assert_eq!(rule.until_ns, u64::MAX);
        assert_eq!((rule.local_port, rule.remote_port), (80, 0));
        assert_eq!((rule.way, rule.mask, rule.value), (WAY_OUT, 0x12, 0x10));
    }

    #[test]
    fn a_span_counts_from_when_the_rule_is_set_and_does_not_wrap() {
        let until =
            |span| in_kernel(&DroppedSegments { for_ns: Some(span), ..drops() }, KernelTime(5));
        assert_eq!(until(7).until_ns, 12);
        assert_eq!(until(u64::MAX).until_ns, u64::MAX);
    }

    #[test]
    fn a_slot_too_many_is_an_error_that_says_how_many_there_are() {
        assert_eq!(key(3, 7).unwrap(), [3, 7]);
        let error = key(3, 8).unwrap_err().to_string();
        assert!(error.contains("slot 8") && error.contains("8 rules"), "{error}");
    }
}
