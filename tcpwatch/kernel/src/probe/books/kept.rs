//! Lists full sockets of all network namespaces by a program on an iterator, which takes no privilege once that is tied to
//! the program.
//!
//! `bpf_sk_storage_map` (`net/core/bpf_sk_storage.c`, since 5.9) goes through what the kernel side keeps about sockets, so
//! that nothing is left out, not even in a namespace that no process, mount or descriptor holds. A kernel may refuse
//! programs on the values of a map: then `task_file` lists those that a process holds.

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

/// The iterators.
pub(in crate::probe) const LISTERS: [&str; 2] = [STORAGE, FILES];
const STORAGE: &str = "bpf_sk_storage_map";
const FILES: &str = "task_file";

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

/// The iterator, tied to its program.
pub struct KeptSockets {
    link: OwnedFd,
    /// Why only sockets that a process holds are listed; `None` if all are.
    pub held_only: Option<String>,
}

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
    /// Loads the program that this kernel takes.
    pub(in crate::probe) fn open(ebpf: &mut Ebpf, btf: &Btf) -> Result<Self, ListError> {
        match of_storage(ebpf, btf) {
            Ok(link) => Ok(Self { link, held_only: None }),
            Err(why) => Ok(Self { link: of_files(ebpf, btf)?, held_only: Some(why.to_string()) }),
        }
    }

    /// Hands every full socket that is counted to `each`, several times if several descriptors hold it. Takes some 0.1 us for
    /// each, or for each descriptor.
    ///
    /// # Errors
    /// If the kernel does not let the program run.
    pub fn list(&self, mut each: impl FnMut(KeptSocket)) -> io::Result<()> {
        let mut file =
            File::from(bpf(ITER_CREATE, &IterCreate { link: fd(self.link.as_fd()), flags: 0 })?);
        let mut room = vec![0; KEPT_BYTES * 4096];
        let mut filled = 0;
        loop {
            let read = file.read(room.get_mut(filled..).unwrap_or_default())?;
            if read == 0 {
                return Ok(());
            }
            filled += read;
            let (whole, rest) = room.get(..filled).unwrap_or_default().as_chunks::<KEPT_BYTES>();
            for bytes in whole {
                each(KeptSocket::from_bytes(*bytes));
            }
            let rest = rest.len();
            room.copy_within(filled - rest..filled, 0);
            filled = rest;
        }
    }
}

/// The link of the iterator over what is kept about sockets.
fn of_storage(ebpf: &mut Ebpf, btf: &Btf) -> Result<OwnedFd, ListError> {
    let program = load(ebpf, btf, "kept_sockets", STORAGE)?;
    let Some(Map::SkStorage(map)) = ebpf.map("CLOCKS") else { return Err(ListError::NoProgram) };
    // `union bpf_iter_link_info`, as far as it is used: the descriptor of the map.
    let about = fd(map.fd().as_fd());
    let at = u64::try_from((&raw const about).addr()).unwrap_or_default();
    link(program, (at, 4))
}

/// The link of the iterator over the files of processes.
fn of_files(ebpf: &mut Ebpf, btf: &Btf) -> Result<OwnedFd, ListError> {
    link(load(ebpf, btf, "held_sockets", FILES)?, (0, 0))
}

/// Returns the descriptor of the program, which `ebpf` owns.
fn load(ebpf: &mut Ebpf, btf: &Btf, name: &str, iterator: &str) -> Result<u32, ListError> {
    let program = ebpf.program_mut(name).ok_or(ListError::NoProgram)?;
    let program: &mut Iter = program.try_into()?;
    program.load(iterator, btf)?;
    Ok(fd(program.fd()?.as_fd()))
}

fn link(program: u32, (about, about_bytes): (u64, u32)) -> Result<OwnedFd, ListError> {
    let (target, flags, padding) = (0, 0, 0);
    let attach_type = TRACE_ITER;
    let link = LinkCreate { program, target, attach_type, flags, about, about_bytes, padding };
    bpf(LINK_CREATE, &link)
        .map_err(|error| ListError::Refused(format!("bpf_link_create failed: {error}")))
}

fn fd(of: BorrowedFd<'_>) -> u32 {
    // Descriptors are never negative.
    of.as_raw_fd().unsigned_abs()
}

/// A command of bpf(2) that returns a descriptor.
fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are a live value of the size that is given, and what they point to lives as long.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, command, (&raw const *attributes), size_of::<T>()) };
    let fd = libc::c_int::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned it, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
