//! `tcpwatch serve`: everything is counted in the kernel, nothing is printed, and the counts are
//! served over HTTP until a signal ends it.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use tcpwatch::cli::{args::ServeArgs, exit};
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{
    probe::{Counting, Probes},
    source::snapshot,
};
use tcpwatch_metrics::{
    page::MetricsPage,
    web::{Server, ServerHandle},
};
use tcpwatch_stream::ending::StopSignals;

use crate::{runtime, visible};

pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let netns = args.netns.as_deref().map(snapshot::resolve).transpose()?;
    let runtime = runtime::start()?;
    let server = Server::bind(args.listen_address)?;
    runtime.block_on(async {
        let mut ending = StopSignals::catch().context("cannot catch signals")?;
        let mut probes = Probes::attach_counting(netns.map_or(Counting::All, Counting::Of))?;
        probes.try_out();
        exit::say(&format!(
            "tcpwatch {} \u{b7} Linux {} \u{b7} {}\n",
            env!("CARGO_PKG_VERSION"),
            probes.facts.release,
            visible::hooks(&probes),
        ));
        visible::say_missing(&probes);
        let serving = start(server, &mut probes, netns)?;
        ending.asked().await;
        serving.stop().context("the HTTP server ended early")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Serves what `probes` count, and says where.
pub(crate) fn start(
    server: Server,
    probes: &mut Probes,
    netns: Option<Netns>,
) -> Result<ServerHandle> {
    const REFUSED: &str = "cannot start the HTTP server, which takes three threads";
    let page = MetricsPage::of(probes, netns, server.counters()).context(REFUSED)?;
    let serving = server
        .spawn(Arc::new(page))
        .context("are there as many threads as `ulimit -u` and pids.max of the cgroup allow?")
        .context(REFUSED)?;
    let address = serving.local_addr();
    exit::say(&format!("tcpwatch: metrics at http://{address}/metrics\n"));
    Ok(serving)
}
