//! A host's process: executes commands by system calls and reports the calls.
//!
//! `birth.rs` turns a process into a host, `sockets.rs` maps the scenario's names to its sockets, `calls.rs` executes
//! one command, `begun.rs` makes those system calls that may take long.

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

use tcpwatch_kernel::probe::filters::FamilyFilter;

use super::{
    channel::{HostCommand, HostMessage},
    error::room,
};
use crate::host::Host;
use begun::Watcher;
use calls::HostProcess;
use tick::Tick;

/// The arguments of a host's process; only the laboratory uses them.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    host: Host,
    #[arg(short = '6')]
    v6: bool,
    /// The process that it must not outlive.
    #[arg(long)]
    parent: i32,
    /// The index of its processor among those that it may use; counted round.
    #[arg(long)]
    cpu: u32,
}

impl Args {
    /// Becomes a host and executes commands until the laboratory has ended.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let family = if self.v6 { FamilyFilter::V6 } else { FamilyFilter::V4 };
        // Started by hand, it has no channel to report the error to.
        let Ok(control) = birth::control(self.host, self.parent) else { return ExitCode::FAILURE };
        let Ok(reporter) = birth::out_of_the_way(&control).map(|file| Reporter::of(file.into()))
        else {
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
                reporter.send(&HostMessage::NotReady(format!("{error}{}", room(&error))));
                return ExitCode::FAILURE;
            }
        };
        reporter.send(&HostMessage::Ready);
        let mut peer = HostProcess::new(self.host, family, reporter.clone(), tools);
        for line in BufReader::new(control).lines() {
            let Ok(Ok(order)) = line.map(|line| serde_json::from_str(&line)) else {
                return ExitCode::FAILURE;
            };
            let HostCommand { number, call } = order;
            reporter.send(&HostMessage::Done(number, peer.execute(&call)));
        }
        ExitCode::SUCCESS
    }
}

/// Sends messages to the laboratory, from any thread.
#[derive(Clone)]
struct Reporter(Arc<Mutex<UnixStream>>);

impl Reporter {
    fn of(control: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(control)))
    }

    fn send(&self, message: &HostMessage) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let mut control = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that the laboratory has ended: the reading side sees that, too, and ends the process.
        drop(control.write_all(&line));
    }
}

/// A host's address and a port.
fn address(host: Host, family: FamilyFilter, port: u16) -> SocketAddr {
    SocketAddr::new(host.address(family), port)
}
