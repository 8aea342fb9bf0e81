//! Lists full sockets by what is kept about them: a program on the iterator `bpf_sk_storage_map`
//! (`net/core/bpf_sk_storage.c`, since 5.9) goes through the kernel side's map, so that the list has the sockets of all
//! network namespaces, also of those that no process, mount or descriptor holds, and takes no privilege once the
//! iterator is open.

#![expect(unsafe_code, reason = "aya opens no iterator over a map")]

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya::{
    Btf, Ebpf,
    maps::{Map, MapError},
    programs::{Iter, ProgramError},
};
use tcpwatch_common::{KeptSocket, kept_socket::KEPT_BYTES};

use crate::probe::error::reason;

/// The iterator.
pub(in crate::probe) const PROGRAM: &str = "bpf_sk_storage_map";

/// `BPF_LINK_CREATE` (`include/uapi/linux/bpf.h`).
const LINK_CREATE: libc::c_int = 28;
/// `BPF_ITER_CREATE`.
const ITER_CREATE: libc::c_int = 33;
/// `BPF_TRACE_ITER`.
const TRACE_ITER: u32 = 28;

/// Full sockets cannot be listed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ListError {
    /// The object file has no such program or map.
    #[error("the built-in object file has no iterator over counted sockets; this build is broken")]
    NoProgram,
    /// The kernel refuses the program.
    #[error("the kernel refuses the program that lists counted sockets: {0}")]
    Refused(String),
}

impl From<ProgramError> for ListError {
    fn from(error: ProgramError) -> Self {
        Self::Refused(reason(&error))
    }
}

impl From<MapError> for ListError {
    fn from(error: MapError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// The iterator, open.
pub struct KeptSockets(OwnedFd);

/// The part of `union bpf_attr` that makes a link of an iterator over a map.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    about: u64,
    about_bytes: u32,
    padding: u32,
}

/// The part of `union bpf_attr` that opens an iterator.
#[repr(C)]
struct IterCreate {
    link: u32,
    flags: u32,
}

impl KeptSockets {
    /// Loads the program and ties it to its map.
    pub(in crate::probe) fn open(ebpf: &mut Ebpf, btf: &Btf) -> Result<Self, ListError> {
        let program = ebpf.program_mut("kept_sockets").ok_or(ListError::NoProgram)?;
        let program: &mut Iter = program.try_into()?;
        program.load(PROGRAM, btf)?;
        let program = program.fd()?.as_fd().as_raw_fd();
        let Some(Map::SkStorage(map)) = ebpf.map("CLOCKS") else { return Err(ListError::NoProgram) };
        // `union bpf_iter_link_info`, as far as it is used: the descriptor of the map.
        let about: u32 = number(map.fd().as_fd().as_raw_fd());
        let link = LinkCreate {
            program: number(program),
            target: 0,
            attach_type: TRACE_ITER,
            flags: 0,
            about: u64::try_from((&raw const about).addr()).unwrap_or_default(),
            about_bytes: 4,
            padding: 0,
        };
        let link = bpf(LINK_CREATE, &link)
            .map_err(|error| ListError::Refused(format!("bpf_link_create failed: {error}")))?;
        Ok(Self(link))
    }

    /// Hands every full socket that is counted to `each`. Takes some 0.1 us for each.
    ///
    /// # Errors
    /// If the kernel does not let the program run.
    pub fn list(&self, mut each: impl FnMut(KeptSocket)) -> io::Result<()> {
        let mut file = File::from(bpf(ITER_CREATE, &IterCreate { link: fd(self.0.as_fd()), flags: 0 })?);
        let mut room = vec![0; KEPT_BYTES * 4096];
        let mut filled = 0;
        loop {
            let read = file.read(room.get_mut(filled..).unwrap_or_default())?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            let (whole, rest) = room.get(..filled).unwrap_or_default().as_chunks::<KEPT_BYTES>();
            whole.iter().for_each(|bytes| each(KeptSocket::from_bytes(*bytes)));
            let rest = rest.len();
            room.copy_within(filled - rest..filled, 0);
            filled = rest;
        }
    }
}

fn fd(of: BorrowedFd<'_>) -> u32 {
    number(of.as_raw_fd())
}

/// Descriptors are never negative.
fn number(fd: i32) -> u32 {
    fd.unsigned_abs()
}

/// A command of bpf(2) that returns a descriptor.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are a live value of the size that is given, and what they point to lives as long.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command, (&raw const *attributes), size_of::<T>())
    };
    let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned it, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
