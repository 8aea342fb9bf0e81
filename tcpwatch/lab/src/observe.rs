//! One live log for all runs of the laboratory.

use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use tcpwatch_kernel::{
    clock,
    probe::{Filters, filters::FamilyFilter},
};
use tcpwatch_stream::{pipeline::Live, plan::Plan};

use super::{audience::Audience, host::Host, run::Laboratory};
use tokio::sync::Semaphore;

/// Pairs of hosts that are built at the same time.
const BUILT_AT_ONCE: usize = 2;

/// What to observe: the laboratory's addresses.
#[must_use]
pub fn plan() -> Plan {
    let addresses = [FamilyFilter::V4, FamilyFilter::V6]
        .into_iter()
        .flat_map(|family| Host::ALL.map(|host| host.address(family).into()));
    Plan::of(Filters { prefixes: addresses.collect(), ..Filters::default() })
}

/// A laboratory for runs that go on while [`observe`] does.
///
/// # Errors
/// If the kernel refuses the tap.
pub fn laboratory(live: &mut Live<'_>) -> Result<Laboratory> {
    Ok(Laboratory {
        tap: Rc::new(RefCell::new(live.probes().tap()?)),
        audience: Audience::default(),
        rate: clock::tick_rate(),
        building: Rc::new(Semaphore::new(BUILT_AT_ONCE)),
    })
}

/// Gives the runs what happens in their namespaces, until a signal comes.
///
/// # Errors
/// If the kernel side cannot be read.
pub async fn observe(live: &mut Live<'_>, audience: &Audience) -> Result<()> {
    while let Some(batch) = live.next_batch().await? {
        for item in batch.items {
            audience.hear(item);
        }
    }
    Ok(())
}
