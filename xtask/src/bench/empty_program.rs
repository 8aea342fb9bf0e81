//! The lower bound: a program of two instructions, `r0 = 0; exit`, attached where tcpwatch attaches.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use btf_rs::Btf;

use super::bpf::{self, Instruction};

/// Where the kernel exports its type information.
const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";
/// The type of the tracepoint `sock:inet_sock_set_state`.
const TRACEPOINT_TYPE: &str = "btf_trace_inet_sock_set_state";
/// `mov64 r0, 0` and `exit`.
const RETURN_ZERO: [Instruction; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// The attached program; dropping it detaches it.
#[derive(Debug)]
pub(crate) struct EmptyProgram {
    /// Closing it detaches the program.
    _link: OwnedFd,
    /// Kept open so that its statistics can be read in `/proc/self/fdinfo`.
    _program: OwnedFd,
}

/// The BTF id of the tracepoint's type; finding it takes a while.
pub(crate) fn tracepoint() -> Result<u32> {
    let types =
        Btf::from_file(VMLINUX_BTF).with_context(|| format!("cannot read {VMLINUX_BTF}"))?;
    let ids = types
        .resolve_ids_by_name(TRACEPOINT_TYPE)
        .with_context(|| format!("this kernel has no type {TRACEPOINT_TYPE}"))?;
    ids.first().copied().with_context(|| format!("no type {TRACEPOINT_TYPE}"))
}

impl EmptyProgram {
    /// Loads and attaches the program.
    pub(crate) fn attach(tracepoint: u32) -> Result<Self> {
        let program =
            bpf::load_tracing(&RETURN_ZERO, tracepoint).context("cannot load the empty program")?;
        let link = bpf::attach_tracing(&program).context("cannot attach the empty program")?;
        Ok(Self { _link: link, _program: program })
    }
}
