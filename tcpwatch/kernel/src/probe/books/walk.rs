//! Sends the program on the iterator `tcp` through the sockets of network namespaces.

use std::{
    fs::File,
    io::{self, Read as _},
    sync::{Mutex, PoisonError, Weak},
};

use aya::{
    Btf, Ebpf,
    programs::{Iter, ProgramError},
};
use tcpwatch_core::event::Netns;

use crate::{
    probe::{
        error::reason,
        handlers::{ITERATOR, LearnError},
    },
    source::snapshot::{DumpError, SnapshotError, SnapshotScope, Visited, visit},
};

/// The sockets could not be walked through.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The hooks are detached.
    #[error("the hooks are detached")]
    Detached,
    /// Not even those of the caller's own namespace.
    #[error(transparent)]
    Namespaces(#[from] SnapshotError),
}

/// Loads the program.
pub(in crate::probe) fn load(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), LearnError> {
    Ok(program(ebpf)?.load(ITERATOR, btf)?)
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter, LearnError> {
    let program = ebpf.program_mut("meet_sockets").and_then(|program| program.try_into().ok());
    program.ok_or(LearnError::NoProgram)
}

/// Walks through the sockets.
#[derive(Clone)]
pub struct Walker(Weak<Mutex<Ebpf>>);

impl Walker {
    /// With these programs, as long as they are attached.
    pub(super) const fn new(ebpf: Weak<Mutex<Ebpf>>) -> Self {
        Self(ebpf)
    }

    /// Comes to every socket in the scope: one that is not counted is counted from then on. Takes some 0.3 us for each
    /// socket, and as long as it takes to enter the namespaces.
    ///
    /// # Errors
    /// If the hooks are detached, or not even the sockets of the caller's own namespace can be read.
    pub fn walk(&self, scope: SnapshotScope) -> Result<Visited, WalkError> {
        let ebpf = self.0.upgrade().ok_or(WalkError::Detached)?;
        Ok(visit(scope, |_: Netns| {
            let file = open(&ebpf).map_err(|why| DumpError::Receive(io::Error::other(why)))?;
            through(file).map_err(DumpError::Receive)
        })?)
    }
}

/// A walk through the sockets of the calling thread's namespace.
fn open(ebpf: &Mutex<Ebpf>) -> Result<File, String> {
    let mut ebpf = ebpf.lock().unwrap_or_else(PoisonError::into_inner);
    let program = program(&mut ebpf).map_err(|error| error.to_string())?;
    let as_text = |error: ProgramError| reason(&error);
    let link = program.attach().map_err(as_text)?;
    let link = program.take_link(link).map_err(as_text)?;
    drop(ebpf);
    link.into_file().map_err(|error| error.to_string())
}

/// The program writes nothing: reading runs it.
fn through(mut file: File) -> io::Result<()> {
    file.read_to_end(&mut Vec::new()).map(drop)
}
