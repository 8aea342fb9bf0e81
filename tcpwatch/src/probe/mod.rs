//! The kernel side: loaded, attached, detached. A [`Probes`] that lives is attached; dropped, it is
//! detached. Records leave through the ring that [`Probes::attach`] hands out.

pub mod error;
pub mod features;
pub mod filters;
pub mod hooks;
pub mod layout;
pub mod losses;

use std::path::Path;

use aya::{
    Btf, Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf},
    programs::BtfTracePoint,
};

pub use error::ProbeError;
pub use features::Facts;
pub use filters::Filters;
use hooks::{HOOKS, Hook};
use layout::VMLINUX_BTF;
pub use losses::{Cause, Losses, Totals};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tcpwatch.bpf.o"));

/// The attached kernel side. Drop it to detach everything.
pub struct Probes {
    /// Holds the programs and their links.
    ebpf: Ebpf,
    /// What the kernel side lost.
    pub losses: Losses,
    /// Hooks that are attached.
    pub attached: Vec<Hook>,
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
    /// in the ring or counted.
    ///
    /// # Errors
    /// If a privilege, the kernel's type information or a hook is missing.
    pub fn attach(filters: &Filters, ring_bytes: u32) -> Result<(Self, Ring), ProbeError> {
        let facts = Facts::gather();
        facts.demand()?;
        let offsets = layout::resolve(Path::new(VMLINUX_BTF), &facts.release)?;
        let btf = Btf::from_sys_fs()?;

        let globals = filters.globals();
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&btf)).map_max_entries("EVENTS", ring_bytes);
        globals.apply(&mut loader);
        for offset in &offsets {
            loader.override_global(offset.field.global, &offset.bytes, true);
        }
        let mut ebpf = loader.load(OBJECT)?;
        filters.fill_maps(&mut ebpf)?;

        let mut programs = Vec::new();
        for hook in HOOKS {
            let program: &mut BtfTracePoint = ebpf
                .program_mut(hook.program)
                .and_then(|program| program.try_into().ok())
                .ok_or(ProbeError::NoProgram { program: hook.program })?;
            let refused = |error| ProbeError::Hook {
                release: facts.release.clone(),
                tracepoint: hook.tracepoint,
                reason: error::reason(&error),
            };
            program.load(hook.tracepoint, &btf).map_err(refused)?;
            program.attach().map_err(refused)?;
            let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(refused)?;
            programs.push((hook, fd));
        }
        let ring = Ring {
            records: take_map(&mut ebpf, "EVENTS")?,
            reader_sleeps: take_map(&mut ebpf, "READER_SLEEPS")?,
        };
        let counters: PerCpuArray<_, _> = take_map(&mut ebpf, "COUNTERS")?;
        let losses = Losses::new(counters, programs);
        Ok((Self { ebpf, losses, attached: HOOKS.to_vec() }, ring))
    }

    /// Detaches everything; what was lost can still be read.
    #[must_use]
    pub fn detach(self) -> Losses {
        let Self { ebpf, losses, attached: _ } = self;
        drop(ebpf);
        losses
    }

    /// The kernel side's own complaints, as `log` records.
    ///
    /// # Errors
    /// If the object has no map for them.
    pub fn complaints(
        &mut self,
    ) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>, aya_log::Error> {
        aya_log::EbpfLogger::init(&mut self.ebpf)
    }
}

fn take_map<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> Result<T, MapError> {
    ebpf.take_map(name)
        .ok_or_else(|| MapError::InvalidName { name: name.to_owned() })
        .and_then(TryInto::try_into)
}
