//! Checks whether the laboratory works here: builds two hosts, taps their links, and removes both.

use std::collections::BTreeMap;

use anyhow::Result;
use tcpwatch_kernel::probe::{ProbeError, Tap, filters::FamilyFilter};
use tokio::sync::mpsc;

use super::{
    host::Host,
    hosts::{HostsPlan, LINK, World},
    run::FIRST_INDEX,
};

/// Tries namespaces, veth and tc; `tap` has not tapped a link yet.
///
/// # Errors
/// The first of them that does not work, and what it needs.
pub async fn rehearse(tap: Result<Tap, ProbeError>) -> Result<()> {
    let plan = HostsPlan {
        family: FamilyFilter::V4,
        sysctls: &BTreeMap::new(),
        ifindex_base: FIRST_INDEX,
        program: HostsPlan::this_program(),
    };
    let (story, _heard) = mpsc::unbounded_channel();
    let world = World::build(&plan, story).await?;
    let mut tap = tap?;
    for host in Host::ALL {
        let machine = world.machine(host);
        tap.attach(machine.netns_fd(), LINK, machine.ifindex(), machine.netns())?;
    }
    Ok(())
}
