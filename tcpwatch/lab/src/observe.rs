//! One live log for all runs of the laboratory: the pipeline, with the runs as its sink.

use std::{cell::RefCell, io, rc::Rc};

use anyhow::Result;
use tcpwatch_common::config::RING_BYTES;
use tcpwatch_core::place::PlaceFilter;
use tcpwatch_kernel::{
    clock,
    probe::{Counting, Filters, filters::Family},
};
use tcpwatch_stream::{pipeline, plan::Plan};

use super::{audience::Audience, host::Host, run::Laboratory};
use tokio::sync::Semaphore;

/// Pairs of hosts that are built at the same time.
const BUILT_AT_ONCE: usize = 2;

/// Watches the laboratory's addresses while `work` goes on with it. Ends with `work`, or earlier with
/// a signal: then the result is `None`.
///
/// # Errors
/// If the kernel side cannot be attached or read.
pub async fn observe<T>(work: impl AsyncFnOnce(Laboratory) -> T) -> Result<Option<T>> {
    let audience = Audience::default();
    let heard = audience.clone();
    let addresses = [Family::V4, Family::V6]
        .into_iter()
        .flat_map(|family| Host::ALL.map(|host| host.address(family).into()));
    let plan = Plan {
        filters: Filters { prefixes: addresses.collect(), ..Filters::default() },
        selection: Box::new(move |news| heard.hears(news.subject().netns)),
        places: PlaceFilter::default(),
        ring_bytes: RING_BYTES,
        duration: None,
        count: None,
        existing: false,
        unfinished: false,
        summary_line: false,
        counting: Counting::Off,
    };
    let (ready, begins) = tokio::sync::oneshot::channel();
    let mut result = None;
    let shared = audience.clone();
    let stop = async {
        if let Ok(tap) = begins.await {
            let laboratory = Laboratory {
                tap,
                audience: shared,
                rate: clock::tick_rate(),
                building: Rc::new(Semaphore::new(BUILT_AT_ONCE)),
            };
            result = Some(work(laboratory).await);
        } else {
            std::future::pending::<()>().await;
        }
    };
    let mut sink = audience;
    pipeline::run(
        &plan,
        &mut sink,
        &mut io::sink(),
        stop,
        || Ok(None),
        |probes| {
            let tap = Rc::new(RefCell::new(probes.tap()?));
            let _begun = ready.send(tap).is_ok();
            Ok(())
        },
    )
    .await?;
    Ok(result)
}
