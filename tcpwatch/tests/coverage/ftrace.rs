//! Reads the events of the tracepoints from ftrace, which uses neither BPF nor `perf`. (`perf` does not help: where the
//! kernel ran no BPF program, it made no sample either.)

use std::{
    collections::HashSet,
    fs,
    fs::File,
    io::{ErrorKind, Read as _},
};

use rustix::fs::OFlags;

use super::{
    TRACEPOINTS, pages,
    tracefs::{Format, Instance},
};

/// Buffer size for each CPU, in kilobytes: to keep all events, and only to count them.
const ROOM: u32 = 8192;
const LEAST_ROOM: u32 = 16;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) at: u64,
    pub(super) tracepoint: usize,
    /// As in [`super::bpf::Ran`]; 0 if the event does not have it.
    pub(super) object: u64,
    pub(super) states: (u32, u32),
    pub(super) ports: (u16, u16),
    pub(super) cpu: usize,
    /// The current thread.
    pub(super) thread: u32,
}

/// Offsets of a tracepoint's fields in an event.
struct Fields {
    id: u16,
    object: Option<usize>,
    states: Option<(usize, usize)>,
    ports: Option<(usize, usize)>,
}

/// Events of all tracepoints on all CPUs.
pub(super) struct Events {
    /// Declared before the instance, which cannot be removed while they are open.
    pipes: Vec<(usize, File)>,
    instance: Instance,
    fields: Vec<Fields>,
}

impl Events {
    /// Of timers, only those with one of these handlers, where the event has the handler.
    pub(super) fn collect(handlers: [u64; 2]) -> Result<Self, String> {
        let instance = Instance::new(ROOM)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let pipe =
            |cpu| Ok((cpu, instance.open(&format!("per_cpu/cpu{cpu}/trace_pipe_raw"), flags)?));
        let pipes = cpus()?.into_iter().map(pipe).collect::<Result<_, String>>()?;
        let collect = |tracepoint: &&str| fields(&instance.collect(tracepoint, handlers)?);
        let fields = TRACEPOINTS.iter().map(collect).collect::<Result<_, _>>()?;
        Ok(Self { pipes, instance, fields })
    }

    /// Stops collecting.
    pub(super) fn stop(&self) -> Result<(), String> {
        self.instance.write("tracing_on", "0")
    }

    /// Events that were overwritten before they were read.
    pub(super) fn lost(&self) -> Result<u64, String> {
        self.pipes.iter().map(|(cpu, _)| Ok(self.instance.collected(*cpu)?.1)).sum()
    }

    /// Appends the new events.
    pub(super) fn drain(&mut self, into: &mut Vec<Fired>) -> Result<(), String> {
        let mut page = vec![0; rustix::param::page_size()];
        for (cpu, pipe) in &mut self.pipes {
            loop {
                let length = match pipe.read(&mut page) {
                    Ok(0) => break,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    read => read.map_err(|error| format!("trace_pipe_raw: {error}"))?,
                };
                let events = pages::events(&page[..length]).into_iter();
                into.extend(events.filter_map(|(at, event)| parsed(&self.fields, at, *cpu, event)));
            }
        }
        Ok(())
    }
}

/// Removes timers other than those of mini-sockets: `timer_cancel` does not have the handler, but that timer was
/// started before.
pub(super) fn of_sockets(mut fired: Vec<Fired>) -> Vec<Fired> {
    let is_cancel = |it: &Fired| TRACEPOINTS[it.tracepoint] == "timer/timer_cancel";
    let known: HashSet<u64> =
        fired.iter().filter(|it| !is_cancel(it)).map(|it| it.object).collect();
    fired.retain(|it| !is_cancel(it) || known.contains(&it.object));
    fired
}

fn parsed(all: &[Fields], at: u64, cpu: usize, event: &[u8]) -> Option<Fired> {
    let id = u16::from_ne_bytes(bytes(event, 0)?);
    let (tracepoint, fields) = all.iter().enumerate().find(|(_, fields)| fields.id == id)?;
    let pair = |places: Option<(usize, usize)>| places.unwrap_or((usize::MAX, usize::MAX));
    let (states, ports) = (pair(fields.states), pair(fields.ports));
    let state = |at| bytes(event, at).map(u32::from_ne_bytes).unwrap_or_default();
    let port = |at| bytes(event, at).map(u16::from_ne_bytes).unwrap_or_default();
    Some(Fired {
        at,
        tracepoint,
        object: fields
            .object
            .and_then(|at| Some(u64::from_ne_bytes(bytes(event, at)?)))
            .unwrap_or(0),
        states: (state(states.0), state(states.1)),
        ports: (port(ports.0), port(ports.1)),
        cpu,
        thread: u32::from_ne_bytes(bytes(event, 4)?),
    })
}

fn bytes<const N: usize>(event: &[u8], at: usize) -> Option<[u8; N]> {
    event.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The number of events of each tracepoint on all CPUs together.
pub(super) struct Counts {
    instances: Vec<Instance>,
    cpus: Vec<usize>,
}

impl Counts {
    /// Of timers that start or expire only those with one of these handlers.
    pub(super) fn open(handlers: [u64; 2]) -> Result<Self, String> {
        let one = |tracepoint: &&str| {
            let instance = Instance::new(LEAST_ROOM)?;
            instance.collect(tracepoint, handlers)?;
            Ok(instance)
        };
        let instances = TRACEPOINTS.iter().map(one).collect::<Result<_, String>>()?;
        Ok(Self { instances, cpus: cpus()? })
    }

    pub(super) fn read(&self) -> [u64; TRACEPOINTS.len()] {
        std::array::from_fn(|slot| {
            let of = |cpu: &usize| self.instances[slot].collected(*cpu).unwrap().0;
            self.cpus.iter().map(of).sum()
        })
    }
}

fn fields(format: &Format) -> Result<Fields, String> {
    let pair = |one, other| format.offset(one).zip(format.offset(other));
    Ok(Fields {
        id: format.id().ok_or("a format without an ID")?,
        object: format.offset("skaddr").or_else(|| format.offset("timer")),
        states: pair("oldstate", "newstate"),
        ports: pair("sport", "dport"),
    })
}

/// `0-1,4` as numbers.
fn cpus() -> Result<Vec<usize>, String> {
    let path = "/sys/devices/system/cpu/online";
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let ranges = text.trim().split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    let ranges: Option<Vec<_>> = ranges.collect();
    Ok(ranges.ok_or_else(|| format!("{path}: {text}"))?.into_iter().flatten().collect())
}
