//! The kernel side: loaded, attached, detached. A [`Probes`] that lives is attached; dropped, it is
//! detached. Records leave through the ring that [`Probes::attach`] hands out.

pub mod books;
mod copies;
pub mod counts;
pub mod dialect;
pub mod error;
pub mod features;
pub mod filters;
pub mod handlers;
pub mod hooks;
mod kallsyms;
mod kernel_types;
pub mod layout;
pub mod losses;
mod memory;
mod object;
mod refused;
pub mod symbols;
pub mod tap;
pub mod trial;
mod vmlinux;

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf},
    programs::{BtfTracePoint, Program, ProgramError, ProgramFd},
};

use books::BookParts;
pub use books::Books;
pub use counts::{Counting, Counts};
pub use dialect::Dialect;
pub use error::ProbeError;
pub use features::{Facts, RingBuffer};
pub use filters::{Filters, Tells};
pub use handlers::{Handlers, LearnError};
use hooks::{HOOKS, HookSpec, Need, Reads};
use layout::{FieldOffset, KernelLayout, LayoutError, VMLINUX_BTF};
pub use losses::Losses;
pub use refused::RefusedCgroups;
use symbols::Reading;
pub use symbols::SymbolsError;
pub use tap::{DroppedSegments, Tap};
pub use trial::Trial;

use tcpwatch_common::{
    Ending,
    books::MAX_REQUEST_MARKS,
    config::{FIRST_PID_NAMESPACE, MAX_REFUSED_CGROUPS},
    counter,
    mini_closing::{EndingWords, MAX_ENDINGS},
};
use tcpwatch_core::decode::Symbols;

use crate::{clock, pid_namespace, trial::Ground};

/// The attached kernel side. Drop it to detach everything.
pub struct Probes {
    /// Holds the programs and their links.
    ebpf: Arc<Mutex<Ebpf>>,
    /// What the kernel side lost.
    pub losses: Arc<Losses>,
    /// What it counts, if it does.
    pub counts: Option<Counts>,
    /// The sockets that it counts, if it does.
    pub books: Option<Books>,
    /// The kernel it is attached to.
    pub facts: Facts,
    /// Hooks that are attached.
    pub attached: Vec<HookSpec>,
    /// Hooks that are wanted and not attached, and why.
    pub off: Vec<(HookSpec, String)>,
    /// Or why the life of mini-sockets is not watched.
    pub minis: Result<Handlers, MinisOff>,
    /// Names for the kernel functions in records.
    pub symbols: Symbols,
    /// Why there are none, though mini-sockets are watched.
    pub early_ends_off: Option<String>,
    /// What tracepoints report on this kernel.
    pub dialect: Dialect,
    /// Why the last change of a socket does not bring what it has done.
    pub totals_off: Option<String>,
    /// Why records do not name the cgroups of sockets.
    pub cgroups_off: Option<String>,
    /// What the hooks were seen to see, if they were tried.
    pub trial: Trial,
    /// Takes cgroups that are not wanted, if [`Filters::by_cgroup`] is set and sockets point to theirs here.
    pub refused: Option<RefusedCgroups>,
    /// Where the kernel side leaves marks of a trial.
    marks: Array<MapData, u32>,
    /// Where sockets of tcpwatch's own were made, as long as the trial has not used it.
    ground: Option<Ground>,
}

/// Why the life of mini-sockets is not watched.
#[derive(Debug, thiserror::Error)]
pub enum MinisOff {
    /// Their timers cannot be told apart from others.
    #[error("{listed}; and {learned}")]
    Handlers {
        /// Why the kernel's list of symbols does not serve.
        listed: SymbolsError,
        /// Why sockets of one's own do not serve.
        learned: LearnError,
    },
    /// Their memory cannot be read.
    #[error("{0}")]
    Layout(String),
    /// Nothing that is to be reported needs it.
    #[error("not asked for")]
    NotAsked,
    /// A hook was refused.
    #[error("{0}")]
    Hook(String),
}

/// The ring and the word through which its reader asks to be woken.
pub struct Ring {
    /// Records.
    pub records: RingBuf<MapData>,
    /// Element 0 is 1 while the reader sleeps.
    pub reader_sleeps: Array<MapData, u32>,
}

impl Probes {
    /// Loads and attaches every hook. From its return on, every change that passes the filters is
    /// in the ring or counted as lost, and counted for Prometheus if that is asked.
    ///
    /// # Errors
    /// If a privilege, the kernel's type information or a required hook is missing.
    pub fn attach(
        filters: &Filters,
        ring_bytes: u32,
        counting: Counting,
    ) -> Result<(Self, Ring), ProbeError> {
        Self::attach_to(Facts::gather(), filters, ring_bytes, counting)
    }

    /// The same on a machine that was looked at before.
    ///
    /// # Errors
    /// As above.
    pub fn attach_to(
        facts: Facts,
        filters: &Filters,
        ring_bytes: u32,
        counting: Counting,
    ) -> Result<(Self, Ring), ProbeError> {
        let task = Task::new(Some(filters), ring_bytes, counting);
        let probes = Self::load_and_attach(facts, &task)?;
        let mut ebpf = probes.ebpf();
        let ring = Ring {
            records: take_map(&mut ebpf, "EVENTS")?,
            reader_sleeps: take_map(&mut ebpf, "READER_SLEEPS")?,
        };
        drop(ebpf);
        Ok((probes, ring))
    }

    /// The same without records: everything is only counted.
    ///
    /// # Errors
    /// As above.
    pub fn attach_counting(counting: Counting) -> Result<Self, ProbeError> {
        Self::load_and_attach(Facts::gather(), &Task::new(None, NO_RING, counting))
    }

    fn load_and_attach(facts: Facts, task: &Task<'_>) -> Result<Self, ProbeError> {
        let object = object::object()?;
        facts.demand()?;
        // Takes some tens of milliseconds, as all the rest does.
        let mut list = task.needs_minis().then(Reading::begin);
        let loader = loader();
        let mut layout = layout::resolve(Path::new(VMLINUX_BTF), &facts.release)?;

        let counting = std::mem::replace(&mut layout.counting, Ok(Vec::new()));
        layout.counting = Ok(if task.counts() { counting? } else { Vec::new() });
        let mut ebpf = load((loader, object), task, &layout)?;
        if let Some(filters) = task.stream {
            filters.fill_maps(&mut ebpf)?;
        }
        let ground = list.is_some().then(|| Ground::make().ok()).flatten();
        let mut minis = match &mut list {
            Some(list) => find_handlers(&mut ebpf, &layout, ground.as_ref(), list),
            None => Err(MinisOff::NotAsked),
        };
        // What is counted needs the names from the first end on; records wait for them in user space.
        let mut symbols = None;
        if task.counts()
            && let Some(list) = list.take()
        {
            symbols = Some(list.symbols());
        }
        if let Some(Ok(symbols)) = &symbols {
            fill_endings(&mut ebpf, symbols)?;
        }
        let AttachedHooks { hooks: attached, programs, off } =
            attach_hooks(&mut ebpf, task, &layout, &mut minis, &facts)?;
        if let Ok(handlers) = minis {
            fill_handlers(&mut ebpf, handlers)?;
        }
        let counters: PerCpuArray<_, _> = take_map(&mut ebpf, "COUNTERS")?;
        let (counts, books) = (task.take_counts(&mut ebpf)?, task.take_books(&mut ebpf, &layout)?);
        let marks = take_map(&mut ebpf, "TRIAL")?;
        let refused = task.take_refused(&mut ebpf, &layout)?;
        let losses = Arc::new(Losses::new(counters, programs));
        drop(layout.btf);
        // Last: the hooks do not wait for it.
        let symbols = symbols
            .unwrap_or_else(|| list.map_or_else(|| Ok(Symbols::default()), Reading::symbols));
        let early_ends_off = minis.is_ok().then(|| symbols.as_ref().err().map(ToString::to_string));
        memory::give_back();
        let ebpf = Arc::new(Mutex::new(ebpf));
        Ok(Self {
            books: books.map(|parts| Books::new(parts, &ebpf)),
            ebpf,
            losses,
            counts,
            facts,
            attached,
            off,
            minis,
            early_ends_off: early_ends_off.flatten(),
            symbols: symbols.unwrap_or_default(),
            dialect: layout.dialect,
            totals_off: why_not(layout.totals),
            cgroups_off: why_not(layout.cgroups),
            trial: Trial::default(),
            refused,
            marks,
            ground,
        })
    }

    /// The tap on the laboratory's links, which can be had once. Its records come through the same
    /// ring, and its losses count with the others.
    ///
    /// # Errors
    /// If the kernel refuses its programs, or it was handed out before.
    pub fn tap(&mut self) -> Result<Tap, ProbeError> {
        let (tap, programs) = Tap::load(&mut self.ebpf(), &self.facts)?;
        self.losses.add(programs);
        Ok(tap)
    }

    /// What cannot be reported on this kernel and why, once for hooks that report the same.
    pub fn missing(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let mut told = HashSet::new();
        self.off
            .iter()
            .filter(move |(hook, _)| told.insert(hook.tells))
            .map(|(hook, why)| (hook.tells, why.as_str()))
            .chain(self.early_ends_off.iter().map(|why| (EARLY_ENDS, why.as_str())))
    }

    /// Detaches all hooks; what was lost can still be read.
    pub fn detach(&mut self) {
        for (_, program) in self.ebpf().programs_mut() {
            if let Program::BtfTracePoint(hook) = program {
                // One that was never loaded has nothing to detach.
                let _detached = hook.unload().is_ok();
            }
        }
    }

    /// The kernel side's own complaints, as `log` records.
    ///
    /// # Errors
    /// If the object has no map for them.
    pub fn complaints(
        &mut self,
    ) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>, aya_log::Error> {
        aya_log::EbpfLogger::init(&mut self.ebpf())
    }

    fn ebpf(&self) -> MutexGuard<'_, Ebpf> {
        self.ebpf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the names of functions say.
pub const EARLY_ENDS: &str = "why TIME_WAIT, FIN_WAIT_2 and SYN_RECV end early";

/// A ring that nothing is written to; the smallest there can be.
const NO_RING: u32 = 4096;

/// What the kernel side is to do.
struct Task<'a> {
    /// Records of what passes these go into the ring.
    stream: Option<&'a Filters>,
    ring_bytes: u32,
    counting: Counting,
    /// Entries of the table of mini-sockets.
    room: u32,
    /// Entries of the table of marks.
    marks_room: u32,
}

impl<'a> Task<'a> {
    fn new(stream: Option<&'a Filters>, ring_bytes: u32, counting: Counting) -> Self {
        let (room, marks_room) = if counting == Counting::Off {
            (1, 1)
        } else {
            let most = counts::most_time_wait();
            (counts::room(most), books::marks_room(most))
        };
        Self { stream, ring_bytes, counting, room, marks_room }
    }
}

impl Task<'_> {
    fn counts(&self) -> bool {
        self.counting != Counting::Off
    }

    /// What is counted, if anything is.
    fn take_counts(&self, ebpf: &mut Ebpf) -> Result<Option<Counts>, MapError> {
        if !self.counts() {
            return Ok(None);
        }
        let blocks = take_map(ebpf, "COUNTS")?;
        let cells = books::BookCells::new(take_map(ebpf, "CELLS")?)?;
        let open = (take_map(ebpf, "PENDING")?, take_map(ebpf, "AWAITING")?);
        Ok(Some(Counts::new(blocks, cells, open, self.room)))
    }

    /// The books about sockets, and the programs that list them and walk through them.
    fn take_books(
        &self,
        ebpf: &mut Ebpf,
        layout: &KernelLayout,
    ) -> Result<Option<BookParts>, ProbeError> {
        if !self.counts() {
            return Ok(None);
        }
        if let Err(error) = books::load(ebpf, &layout.btf) {
            tracing::warn!("sockets from before the start are not counted: {error}");
        }
        let kept = books::KeptSockets::open(ebpf, &layout.btf);
        let marks = [take_map(ebpf, "MARKS")?, take_map(ebpf, "REQUEST_MARKS")?];
        Ok(Some(BookParts { marks, marks_room: self.marks_room, kept }))
    }

    fn take_refused(
        &self,
        ebpf: &mut Ebpf,
        layout: &KernelLayout,
    ) -> Result<Option<RefusedCgroups>, MapError> {
        let map = self.refuses_cgroups(layout).then(|| take_map(ebpf, "REFUSED_CGROUPS"));
        Ok(map.transpose()?.map(RefusedCgroups::new))
    }

    fn needs_minis(&self) -> bool {
        self.stream.is_some() || self.counts()
    }

    fn refuses_cgroups(&self, layout: &KernelLayout) -> bool {
        self.stream.is_some_and(|filters| filters.by_cgroup) && layout.cgroups.is_ok()
    }

    fn needs(&self, hook: HookSpec) -> bool {
        let counted = self.counts() && hook.counts;
        let asked = |filters: &Filters| filters.holders || hook.need != Need::Holders;
        counted || self.stream.is_some_and(asked)
    }
}

/// What is in the way of a hook before the kernel is asked.
fn obstacle(
    hook: HookSpec,
    minis: &Result<Handlers, MinisOff>,
    layout: &KernelLayout,
) -> Option<String> {
    let of_layout = |group: &Result<_, LayoutError>| group.as_ref().err().map(ToString::to_string);
    match hook.need {
        Need::MiniSockets => minis.as_ref().err().map(ToString::to_string),
        Need::Optional(Reads::Retransmits) => of_layout(&layout.retransmits),
        Need::Optional(Reads::Segments) => of_layout(&layout.resets),
        Need::Required | Need::Holders | Need::Optional(Reads::Nothing) => None,
    }
}

/// Why fields cannot be read, if they cannot.
fn why_not(group: Result<Vec<FieldOffset>, LayoutError>) -> Option<String> {
    group.err().map(|error| error.to_string())
}

/// By the kernel itself, or by its list where that is not possible.
fn find_handlers(
    ebpf: &mut Ebpf,
    layout: &KernelLayout,
    ground: Option<&Ground>,
    list: &mut Reading,
) -> Result<Handlers, MinisOff> {
    if let Err(error) = &layout.minis {
        return Err(MinisOff::Layout(error.to_string()));
    }
    handlers::learn(ebpf, &layout.btf, ground)
        .or_else(|learned| list.handlers().map_err(|listed| MinisOff::Handlers { listed, learned }))
}

/// From then on the kernel side handles the timers of mini-sockets.
fn fill_handlers(ebpf: &mut Ebpf, handlers: Handlers) -> Result<(), MapError> {
    let mut slot: Array<_, [u64; 2]> = take_map(ebpf, "HANDLERS")?;
    slot.set(0, [handlers.timewait, handlers.request], 0)
}

/// Tells the kernel side the functions that end mini-sockets.
fn fill_endings(ebpf: &mut Ebpf, symbols: &Symbols) -> Result<(), MapError> {
    let mut map: Array<_, EndingWords> = filters::map(ebpf, "ENDINGS")?;
    for (place, Ending { start, end, what }) in (0..map.len()).zip(symbols.endings()) {
        map.set(place, [start, end, what], 0)?;
    }
    let left_out = symbols.endings().skip(MAX_ENDINGS).count();
    if left_out > 0 {
        tracing::warn!("early ends by {left_out} parts of kernel functions are counted as unknown");
    }
    Ok(())
}

/// aya reads the kernel's type information for whoever makes a loader. The object has no relocations
/// that need it.
fn loader() -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    loader
}

/// Loads the object with its globals set; nothing is attached yet.
fn load(
    (mut loader, object): (EbpfLoader<'static>, &[u8]),
    task: &Task<'_>,
    layout: &KernelLayout,
) -> Result<Ebpf, ProbeError> {
    let everything = Filters::default();
    let mut globals = task.stream.unwrap_or(&everything).globals();
    if layout.totals.is_err() {
        globals.drop_totals();
    }
    let refuses = task.refuses_cgroups(layout);
    if !refuses {
        globals.drop_cgroups();
    }
    let dialect = &layout.dialect;
    let has_error = u32::from(dialect.retransmit_has_error);
    let has_reason = u32::from(dialect.reset_has_reason);
    let preemptible = u32::from(layout.preemptible);
    let sent_before = [&layout.minis, &layout.retransmits, &layout.sent_before];
    let with_sent_before = u32::from(sent_before.iter().all(|group| group.is_ok()));
    let streams = u32::from(task.stream.is_some());
    let (counts, count_netns) = match task.counting {
        Counting::Off => (0, 0),
        Counting::All => (1, 0),
        Counting::Of(netns) => (1, netns.0),
    };
    let has_mptcp = u32::from(layout.mptcp.is_ok() && !features::hides_memory());
    let has_cgroup = u32::from(layout.cgroups.is_ok());
    let pid_namespace = pid_namespace::own().unwrap_or(FIRST_PID_NAMESPACE);
    let tick_ns = 1_000_000_000 / clock::tick_rate().0.max(1);
    loader.map_max_entries("EVENTS", task.ring_bytes);
    loader.map_max_entries("MINIS", task.room);
    loader.map_max_entries("CELLS", if task.counts() { books::CELLS_ROOM } else { 1 });
    loader.map_max_entries("MARKS", task.marks_room);
    loader.map_max_entries("REQUEST_MARKS", if task.counts() { MAX_REQUEST_MARKS } else { 1 });
    loader.map_max_entries("REFUSED_CGROUPS", if refuses { MAX_REFUSED_CGROUPS } else { 1 });
    globals.apply(&mut loader);
    for (global, value) in [
        ("RETRANSMIT_HAS_ERROR", &has_error),
        ("RESET_HAS_REASON", &has_reason),
        ("WITH_SENT_BEFORE", &with_sent_before),
        ("STREAM", &streams),
        ("COUNT", &counts),
        ("COUNT_NETNS", &count_netns),
        ("PREEMPTIBLE", &preemptible),
        ("PID_NAMESPACE", &pid_namespace),
        ("HAS_MPTCP", &has_mptcp),
        ("HAS_CGROUP", &has_cgroup),
    ] {
        loader.override_global(global, value, true);
    }
    loader.override_global("TICK_NS", &tick_ns, true);
    let (repair, repair_mask) = layout.repair.unwrap_or_default();
    loader.override_global("TCP_REPAIR", &repair, true);
    loader.override_global("TCP_REPAIR_MASK", &repair_mask, true);
    let (acked, acked_mask) = layout.acked.unwrap_or_default();
    loader.override_global("REQUEST_ACKED", &acked, true);
    loader.override_global("REQUEST_ACKED_MASK", &acked_mask, true);
    for FieldOffset { field, bytes } in layout.fields() {
        loader.override_global(field.global, bytes, true);
    }
    Ok(loader.load(object)?)
}

/// Hooks that are attached, and those that are wanted and are not.
#[derive(Default)]
struct AttachedHooks {
    hooks: Vec<HookSpec>,
    /// With their blocks of counters.
    programs: Vec<(counter::Hook, ProgramFd)>,
    off: Vec<(HookSpec, String)>,
}

fn attach_hooks(
    ebpf: &mut Ebpf,
    task: &Task<'_>,
    layout: &KernelLayout,
    minis: &mut Result<Handlers, MinisOff>,
    facts: &Facts,
) -> Result<AttachedHooks, ProbeError> {
    let mut attached = AttachedHooks::default();
    for hook in HOOKS.iter().copied().filter(|hook| task.needs(*hook)) {
        if let Some(why) = obstacle(hook, minis, layout) {
            attached.off.push((hook, why));
            continue;
        }
        let programs = if hook.counters == counter::Hook::SetState && layout.preemptible {
            copies::attach_with_copies(ebpf, hook, &layout.btf)
        } else {
            attach(ebpf, hook, &layout.btf).map(|fd| vec![(hook.counters, fd)])
        };
        match programs {
            Ok(programs) => {
                attached.programs.extend(programs);
                attached.hooks.push(hook);
            }
            Err(refusal) => {
                let error = refusal.into_error(hook, facts);
                match hook.need {
                    Need::Required => return Err(error),
                    Need::MiniSockets => *minis = Err(MinisOff::Hook(error.to_string())),
                    Need::Holders | Need::Optional(_) => {}
                }
                attached.off.push((hook, error.to_string()));
            }
        }
    }
    Ok(attached)
}

/// Why a hook is not attached.
enum Refusal {
    NoProgram,
    Kernel(ProgramError),
}

impl Refusal {
    fn into_error(self, hook: HookSpec, facts: &Facts) -> ProbeError {
        match self {
            Self::NoProgram => ProbeError::NoProgram { program: hook.program },
            Self::Kernel(error) => ProbeError::of_hook(hook.tracepoint, facts, &error),
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::NoProgram => "it is not in the object file".to_owned(),
            Self::Kernel(error) => error::reason(error),
        }
    }
}

fn attach(ebpf: &mut Ebpf, hook: HookSpec, btf: &Btf) -> Result<ProgramFd, Refusal> {
    let program: &mut BtfTracePoint = ebpf
        .program_mut(hook.program)
        .and_then(|program| program.try_into().ok())
        .ok_or(Refusal::NoProgram)?;
    program.load(hook.tracepoint, btf).map_err(Refusal::Kernel)?;
    program.attach().map_err(Refusal::Kernel)?;
    let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?));
    fd.map_err(Refusal::Kernel)
}

fn take_map<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<T, MapError> {
    ebpf.take_map(name)
        .ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
        .and_then(TryInto::try_into)
}
