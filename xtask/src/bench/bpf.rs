//! The commands of the system call `bpf` that the bench needs, as functions that return descriptors.
//!
//! The layouts are those of `union bpf_attr` in `include/uapi/linux/bpf.h`; the kernel takes every field after those
//! given here as zero.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

const PROG_LOAD: libc::c_int = 5;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const ENABLE_STATS: libc::c_int = 32;
const PROG_TYPE_TRACING: u32 = 26;
const TRACE_RAW_TP: u32 = 23;
const STATS_RUN_TIME: u32 = 0;

/// One BPF instruction as it lies in memory.
pub(crate) type Instruction = [u8; 8];

/// The part of `union bpf_attr` for `BPF_PROG_LOAD` up to `attach_btf_id`.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log: [u32; 4],
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    btf: [u32; 8],
    line_info_cnt: u32,
    attach_btf_id: u32,
}

const _: () = assert!(std::mem::offset_of!(ProgLoad, attach_btf_id) == 108, "as in bpf.h");

/// The part for `BPF_RAW_TRACEPOINT_OPEN`; a tracing program already names its tracepoint.
#[repr(C)]
struct RawTracepointOpen {
    name: u64,
    prog_fd: RawFd,
    padding: u32,
}

/// Loads a program for the tracepoint whose `btf_trace_*` type has this id.
pub(crate) fn load_tracing(instructions: &[Instruction], btf_id: u32) -> io::Result<OwnedFd> {
    let licence = c"Dual MIT/GPL";
    bpf(
        PROG_LOAD,
        &ProgLoad {
            prog_type: PROG_TYPE_TRACING,
            insn_cnt: u32::try_from(instructions.len()).map_err(io::Error::other)?,
            insns: address(instructions.as_ptr())?,
            license: address(licence.as_ptr())?,
            expected_attach_type: TRACE_RAW_TP,
            attach_btf_id: btf_id,
            ..ProgLoad::default()
        },
    )
}

/// Attaches a tracing program; closing the descriptor detaches it.
pub(crate) fn attach_tracing(program: &OwnedFd) -> io::Result<OwnedFd> {
    let open = RawTracepointOpen { name: 0, prog_fd: program.as_raw_fd(), padding: 0 };
    bpf(RAW_TRACEPOINT_OPEN, &open)
}

/// Makes the kernel time every run of every program while the descriptor is open (`BPF_ENABLE_STATS`, since 5.8). The
/// sysctl for the same would stay set if this process were killed.
pub(crate) fn enable_statistics() -> io::Result<OwnedFd> {
    bpf(ENABLE_STATS, &STATS_RUN_TIME)
}

/// The part for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    id: u32,
    rest: [u32; 2],
}

/// The part for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoByFd {
    fd: RawFd,
    length: u32,
    info: u64,
}

/// `struct bpf_prog_info` up to the name.
#[repr(C)]
#[derive(Default)]
struct ProgInfo {
    before: [u64; 8],
    name: [u8; 16],
}

/// The name of a loaded program, at most 15 bytes.
pub(crate) fn program_name(id: u32) -> io::Result<String> {
    let program: OwnedFd = bpf(PROG_GET_FD_BY_ID, &ById { id, rest: [0; 2] })?;
    let mut info = ProgInfo::default();
    let place: *mut ProgInfo = &raw mut info;
    let length = u32::try_from(size_of::<ProgInfo>()).map_err(io::Error::other)?;
    let ask = InfoByFd {
        fd: program.as_raw_fd(),
        length,
        info: u64::try_from(place.addr()).map_err(io::Error::other)?,
    };
    let ask = &raw const ask;
    // SAFETY: the kernel reads the command and writes at most `length` bytes to `info`; both live
    // until the end of this function.
    match unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET_INFO_BY_FD, ask, size_of::<InfoByFd>()) } {
        0 => {
            let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
            Ok(String::from_utf8_lossy(name).into_owned())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

fn address<T>(pointer: *const T) -> io::Result<u64> {
    u64::try_from(pointer.addr()).map_err(io::Error::other)
}

/// Calls `bpf` with a command that returns a new descriptor, as all commands used here do.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    let attributes: *const T = attributes;
    // SAFETY: the kernel reads `size_of::<T>()` bytes of a live value; the pointers inside it are those of slices that
    // the callers hold until this returns.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    match RawFd::try_from(answer) {
        Ok(fd) if fd >= 0 => {
            // SAFETY: the kernel has just made this descriptor, and nothing else uses it.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        }
        _ => Err(io::Error::last_os_error()),
    }
}
