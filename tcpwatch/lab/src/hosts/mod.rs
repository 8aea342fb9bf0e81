//! Builds the two hosts of a run: two processes in network namespaces of their own, with the scenario's sysctls, and a
//! link between them.
//!
//! A host *is* a process (`machine.rs` is the laboratory's side of it, `peer/` the process itself): it makes its
//! network namespace itself, and the namespace has no name and no mount. It ends with the last process, open file or
//! socket that holds it, so the kernel removes it however a run ends. Nothing is ever made in the caller's own network
//! namespace.

mod channel;
mod error;
pub mod janitor;
mod links;
mod machine;
mod orphans;
pub mod peer;
mod spawner;
mod sysctls;
mod witness;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tcpwatch_kernel::probe::filters::FamilyFilter;
use tokio::{runtime::Handle, sync::mpsc};

pub use error::HostsError;
pub use links::LINK;
pub use machine::Machine;
pub use orphans::end_orphans;

use super::{host::Host, story::StoryEvent};
use links::LinkEnd;
use spawner::Spawner;
use witness::HostSockDiag;

/// The properties of the hosts.
#[derive(Clone, Debug)]
pub struct HostsPlan<'a> {
    /// The protocol of their addresses.
    pub family: FamilyFilter,
    /// Per host, names below `/proc/sys/net/ipv4` and their values.
    pub sysctls: &'a BTreeMap<Host, BTreeMap<String, String>>,
    /// The interface index of the client; the server's is one more. From 2, and not in use by any other run of this
    /// process. Hosts with neighbouring indexes run on different processors.
    pub ifindex_base: u32,
    /// The program whose command `lab-peer` a host's process executes: tcpwatch.
    pub program: PathBuf,
}

impl HostsPlan<'_> {
    /// The running program, wherever its file is now.
    #[must_use]
    pub fn this_program() -> PathBuf {
        "/proc/self/exe".into()
    }
}

/// Prepares to start hosts of this program, so that missing privileges are reported at once.
///
/// # Errors
/// Without the privilege to make network namespaces.
pub fn prepare_for(program: &Path) -> Result<(), HostsError> {
    Spawner::get(program).map(drop)
}

/// Two hosts joined by a link. Dropping it ends both; the kernel then removes their namespaces.
#[derive(Debug)]
pub struct World {
    client: Machine,
    server: Machine,
}

impl World {
    /// Builds both hosts, and waits until segments pass between them. Their events are sent to `moments`.
    ///
    /// Without the privilege to make network namespaces, if a sysctl does not exist or refuses its value, or if the
    /// kernel has no veth links.
    pub async fn build(
        plan: &HostsPlan<'_>,
        moments: mpsc::UnboundedSender<StoryEvent>,
    ) -> Result<Self, HostsError> {
        let program: &Path = &plan.program;
        let spawner = Spawner::get(program)?;
        let cpu = plan.ifindex_base / 2;
        let start =
            |host| Machine::start(host, plan.family, program, &spawner, cpu, moments.clone());
        let (mut client, mut server) = tokio::try_join!(start(Host::Client), start(Host::Server))?;
        let client_end = prepare(&mut client, plan, plan.ifindex_base, &spawner).await?;
        let number = plan.ifindex_base.saturating_add(1);
        let server_end = prepare(&mut server, plan, number, &spawner).await?;
        links::join(&client_end, &server_end, server.netns_fd(), plan.family).await?;
        Ok(Self { client, server })
    }

    /// One of the hosts.
    #[must_use]
    pub const fn machine(&self, host: Host) -> &Machine {
        match host {
            Host::Client => &self.client,
            Host::Server => &self.server,
        }
    }

    /// One of the hosts, to give it commands.
    pub const fn machine_mut(&mut self, host: Host) -> &mut Machine {
        match host {
            Host::Client => &mut self.client,
            Host::Server => &mut self.server,
        }
    }
}

/// Sets the sysctls and opens the sockets that need to be in the host's network namespace.
async fn prepare(
    machine: &mut Machine,
    plan: &HostsPlan<'_>,
    ifindex: u32,
    spawner: &Spawner,
) -> Result<LinkEnd, HostsError> {
    let (host, netns) = (machine.host(), machine.netns());
    let runtime = Handle::current();
    let names = plan.sysctls.get(&host).into_iter().flatten();
    let names = names.map(|(name, value)| (name.clone(), value.clone()));
    let inherited =
        spawner.inherited.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let (family, pinned) = (plan.family, inherited.chain(names).collect::<Vec<_>>());
    let work = machine.inside(move || {
        let pinned = pinned.iter().map(|(name, value)| (&**name, &**value));
        sysctls::pin(host, family, pinned)?;
        let witness =
            HostSockDiag::new(netns, family).map_err(|source| HostsError::Look { host, source })?;
        let _inside_the_runtime = runtime.enter();
        let (talk, route, _unasked) =
            rtnetlink::new_connection().map_err(|source| HostsError::Netlink { host, source })?;
        Ok((talk, route, witness))
    });
    let (talk, route, witness) = work.await??;
    machine.equip(ifindex, witness);
    // Ends with `route`.
    tokio::spawn(talk);
    Ok(LinkEnd { host, route, ifindex })
}
