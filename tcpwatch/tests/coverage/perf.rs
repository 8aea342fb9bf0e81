//! What the kernel's own tracing has of the same tracepoints, through `perf_event_open`: no BPF takes
//! part in it, so that it has events for which no BPF program ran.

use std::{collections::HashSet, ffi::CString, fs, io, os::fd::AsRawFd as _};

use perf_event::{Builder, Counter, SampleFlag, Sampler, data::Record, events::Tracepoint};

use super::{
    TRACEPOINTS,
    tracefs::{Format, Tracefs},
};

/// Bytes of each CPU's ring, for tracepoints that fire often and for others.
const RINGS: (usize, usize) = (1 << 20, 1 << 16);

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) at: u64,
    pub(super) tracepoint: usize,
    /// As in [`super::bpf::Ran`]; 0 if the sample does not say.
    pub(super) object: u64,
    pub(super) states: (u32, u32),
    pub(super) ports: (u16, u16),
    pub(super) cpu: u32,
    /// The task that was current.
    pub(super) task: (u32, u32),
}

/// Where a tracepoint's fields are in a sample.
struct Fields {
    object: Option<usize>,
    states: Option<(usize, usize)>,
    ports: Option<(usize, usize)>,
    function: Option<usize>,
}

/// All tracepoints on all CPUs.
pub(super) struct Samples {
    samplers: Vec<(usize, Sampler)>,
    fields: Vec<Fields>,
    handlers: [u64; 2],
    /// Timers of mini-sockets; `timer_cancel` does not say whose timer it is.
    minis: HashSet<u64>,
    lost: u64,
}

impl Samples {
    pub(super) fn open(handlers: [u64; 2]) -> Result<Self, String> {
        let formats = formats()?;
        let mut samplers = Vec::new();
        for (number, format) in formats.iter().enumerate() {
            let often = number == 0 || TRACEPOINTS[number].starts_with("timer/");
            let size = if often { RINGS.0 } else { RINGS.1 };
            for cpu in cpus()? {
                let opened = builder(format, cpu).build().and_then(|it| it.sampled(size));
                samplers.push((number, opened.map_err(|error| refused(number, &error))?));
            }
        }
        let fields = formats.iter().map(fields).collect();
        let mut samples = Self { samplers, fields, handlers, minis: HashSet::new(), lost: 0 };
        samples.each(Counter::enable)?;
        Ok(samples)
    }

    pub(super) fn close(&mut self) -> Result<(), String> {
        self.each(Counter::disable)
    }

    /// Samples that found no room.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Appends what is new.
    pub(super) fn drain(&mut self, into: &mut Vec<Fired>) {
        for (tracepoint, sampler) in &mut self.samplers {
            while let Some(record) = sampler.next_record() {
                match record.parse_record().unwrap() {
                    Record::Lost(lost) => self.lost += lost.lost,
                    Record::Sample(sample) => {
                        let fields = &self.fields[*tracepoint];
                        let raw = sample.raw().unwrap();
                        let object =
                            fields.object.map_or(0, |at| u64::from_ne_bytes(bytes(raw, at)));
                        if let Some(function) = fields.function {
                            if !self.handlers.contains(&u64::from_ne_bytes(bytes(raw, function))) {
                                continue;
                            }
                            self.minis.insert(object);
                        }
                        into.push(Fired {
                            at: sample.time().unwrap(),
                            tracepoint: *tracepoint,
                            object,
                            states: fields.states.map_or((0, 0), |(old, new)| {
                                let state = |at| u32::from_ne_bytes(bytes(raw, at));
                                (state(old), state(new))
                            }),
                            ports: fields.ports.map_or((0, 0), |(local, remote)| {
                                let port = |at| u16::from_ne_bytes(bytes(raw, at));
                                (port(local), port(remote))
                            }),
                            cpu: sample.cpu().unwrap(),
                            task: (sample.pid().unwrap(), sample.tid().unwrap()),
                        });
                    }
                    _ => {}
                }
            }
        }
    }

    /// Without timers that are no mini-socket's.
    pub(super) fn of_sockets(&self, mut fired: Vec<Fired>) -> Vec<Fired> {
        fired.retain(|it| {
            let is_timer = TRACEPOINTS[it.tracepoint].starts_with("timer/");
            !is_timer || self.minis.contains(&it.object)
        });
        fired
    }

    fn each(&mut self, act: impl Fn(&mut Counter) -> io::Result<()>) -> Result<(), String> {
        self.samplers.iter_mut().try_for_each(|(number, sampler)| {
            act(sampler.as_counter_mut()).map_err(|error| refused(*number, &error))
        })
    }
}

/// How often each tracepoint fired, all CPUs together.
pub(super) struct Counts(Vec<(usize, Counter)>);

impl Counts {
    /// Of timers that start or expire only those with one of these handlers.
    pub(super) fn open(handlers: [u64; 2]) -> Result<Self, String> {
        let mut counters = Vec::new();
        for (number, format) in formats()?.iter().enumerate() {
            for cpu in cpus()? {
                let mut builder = Builder::new(Tracepoint::with_id(format.id));
                builder.any_pid().one_cpu(cpu).include_kernel();
                let opened = builder.build().and_then(|mut it| {
                    if format.offset("function").is_some() {
                        filter(&it, handlers)?;
                    }
                    it.enable().map(|()| it)
                });
                counters.push((number, opened.map_err(|error| refused(number, &error))?));
            }
        }
        Ok(Self(counters))
    }

    pub(super) fn read(&mut self) -> [u64; TRACEPOINTS.len()] {
        let mut sums = [0; TRACEPOINTS.len()];
        for (number, counter) in &mut self.0 {
            sums[*number] += counter.read().unwrap();
        }
        sums
    }
}

/// Lets only events with one of these functions count (`perf_event_set_filter`, `kernel/events/core.c`).
fn filter(counter: &Counter, [one, other]: [u64; 2]) -> io::Result<()> {
    /// `PERF_EVENT_IOC_SET_FILTER`, `_IOW('$', 6, char *)`.
    const SET_FILTER: libc::c_ulong = 0x4008_2406;
    let text = CString::new(format!("function == {one:#x} || function == {other:#x}"))?;
    // SAFETY: this request of a perf event reads the string, which outlives the call.
    let result = unsafe { libc::ioctl(counter.as_raw_fd(), SET_FILTER, text.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn formats() -> Result<Vec<Format>, String> {
    let tracefs = Tracefs::open()?;
    TRACEPOINTS.iter().map(|tracepoint| tracefs.format(tracepoint)).collect()
}

fn fields(format: &Format) -> Fields {
    let pair = |one, other| format.offset(one).zip(format.offset(other));
    Fields {
        object: format.offset("skaddr").or_else(|| format.offset("timer")),
        states: pair("oldstate", "newstate"),
        ports: pair("sport", "dport"),
        function: format.offset("function"),
    }
}

fn builder(format: &Format, cpu: usize) -> Builder<'static> {
    let mut builder = Builder::new(Tracepoint::with_id(format.id));
    builder
        .any_pid()
        .one_cpu(cpu)
        .include_kernel()
        .sample_period(1)
        .sample(SampleFlag::RAW | SampleFlag::TIME | SampleFlag::TID | SampleFlag::CPU)
        .clockid(perf_event::Clock::MONOTONIC)
        // The ring is looked at from time to time; no one waits for it.
        .wakeup_watermark(usize::try_from(u32::MAX).unwrap());
    builder
}

fn refused(number: usize, error: &io::Error) -> String {
    format!("perf on {}: {error}", TRACEPOINTS[number])
}

/// `0-1,4`, as numbers.
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

fn bytes<const N: usize>(raw: &[u8], at: usize) -> [u8; N] {
    raw[at..at + N].try_into().unwrap()
}
