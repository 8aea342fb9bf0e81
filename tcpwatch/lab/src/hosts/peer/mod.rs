//! A host's process: orders come in, system calls are made, and what was called goes back.
//!
//! `birth.rs` makes a host of it, `sockets.rs` knows its sockets by the scenario's names, `calls.rs`
//! does one order, `begun.rs` makes those system calls that may take long.

mod begun;
mod birth;
mod calls;
mod option;
mod sockets;
mod tick;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    os::unix::net::UnixStream,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use tcpwatch_kernel::probe::filters::Family;

use super::{
    channel::{Order, Told},
    error::room,
};
use crate::host::Host;
use begun::Watcher;
use calls::Peer;
use tick::Tick;

/// What makes a program a host's process; said by the laboratory alone.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    host: Host,
    #[arg(short = '6')]
    v6: bool,
    /// The process that it must not survive.
    #[arg(long)]
    parent: i32,
    /// Which of the processors that it may use; counted on from the first after the last.
    #[arg(long)]
    cpu: u32,
}

impl Args {
    /// Becomes a host and does as it is told, until whoever tells it has gone.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let family = if self.v6 { Family::V6 } else { Family::V4 };
        // Started by hand, it has nobody to tell what is wrong.
        let Ok(control) = birth::control(self.host, self.parent) else { return ExitCode::FAILURE };
        let Ok(mouth) = birth::out_of_the_way(&control).map(|file| Mouth::of(file.into())) else {
            return ExitCode::FAILURE;
        };
        let tools = || {
            birth::go_first();
            birth::share_one_cpu(self.cpu)?;
            birth::leave_network()?;
            Ok((Watcher::start()?, Tick::new(|file| birth::out_of_the_way(file))?))
        };
        let tools = match tools() {
            Ok(tools) => tools,
            Err(error) => {
                let error: std::io::Error = error;
                mouth.tell(&Told::NotReady(format!("{error}{}", room(&error))));
                return ExitCode::FAILURE;
            }
        };
        mouth.tell(&Told::Ready);
        let mut peer = Peer::new(self.host, family, mouth.clone(), tools);
        for line in BufReader::new(control).lines() {
            let Ok(Ok(order)) = line.map(|line| serde_json::from_str(&line)) else {
                return ExitCode::FAILURE;
            };
            let Order { number, call } = order;
            mouth.tell(&Told::Done(number, peer.obey(&call)));
        }
        ExitCode::SUCCESS
    }
}

/// Tells what happens, from whichever thread.
#[derive(Clone)]
struct Mouth(Arc<Mutex<UnixStream>>);

impl Mouth {
    fn of(control: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(control)))
    }

    fn tell(&self, told: &Told) {
        let Ok(mut line) = serde_json::to_vec(told) else { return };
        line.push(b'\n');
        let mut control = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more: the reading side sees that too, and ends the process.
        let _told = control.write_all(&line).is_ok();
    }
}

/// A host's address and a port.
fn address(host: Host, family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(host.address(family), port)
}
