//! `tcpwatch serve`: everything is counted in the kernel, nothing is printed, and the counts are
//! served over HTTP until a signal ends it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use tcpwatch::cli::{args::ServeArgs, exit, sandbox::SandboxArgs};
use tcpwatch_core::event::Netns;
use tcpwatch_kernel::{
    probe::{Counting, Probes},
    source::snapshot,
};
use tcpwatch_metrics::{
    page::MetricsPage,
    web::{Server, ServerHandle, WebConfig},
};
use tcpwatch_sandbox::SandboxNeeds;
use tcpwatch_stream::ending::StopSignals;

use crate::{confine, notify::Notify, runtime, visible};

pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let notify = Notify::open().context("cannot reach the socket of NOTIFY_SOCKET")?;
    let netns = args.netns.as_deref().map(snapshot::resolve).transpose()?;
    let runtime = runtime::start()?;
    let web = (args.systemd_socket, args.listen_address.as_slice(), args.config_file.as_deref());
    let web = Web::open(web)?;
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
        if netns.is_none() {
            confine::say_later_namespaces(args.sandbox, &probes);
        }
        let serving = start(web, &mut probes, (netns, args.cgroup_series), args.sandbox)?;
        notify.ready().context("cannot say that it is ready to NOTIFY_SOCKET")?;
        ending.asked().await;
        serving.stop().context("the HTTP server ended early")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A server that listens already, and its configuration.
pub(crate) struct Web {
    server: Server,
    config: Option<WebConfig>,
}

impl Web {
    /// Reads the configuration, and listens: on the sockets of systemd, or else on these addresses.
    pub(crate) fn open(
        (systemd, addresses, file): (bool, &[SocketAddr], Option<&Path>),
    ) -> Result<Self> {
        let config = file.map(WebConfig::read).transpose()?;
        let server = if systemd { Server::from_systemd()? } else { Server::bind_all(addresses)? };
        Ok(Self { server: server.with_config(config.clone()), config })
    }

    /// Files that have to be read again when they change.
    fn directories(&self) -> BTreeSet<PathBuf> {
        self.config.as_ref().map(WebConfig::directories).unwrap_or_default()
    }

    /// Says if they cannot be.
    fn say_unreadable(&self) {
        if let Some(Err(error)) = self.config.as_ref().map(WebConfig::can_be_read_again) {
            exit::say(&format!(
                "tcpwatch: changes of the web configuration will not be seen, because this process has given up what \
                 reading it takes: {error}; the group tcpwatch, or everybody, has to be able to read it\n"
            ));
        }
    }

    fn scheme(&self) -> &'static str {
        if self.config.as_ref().is_some_and(WebConfig::has_tls) { "https" } else { "http" }
    }
}

/// Serves what `probes` count of a network namespace or of all, with series of their own for so many cgroups, and says
/// where. Gives up all privileges after what takes some, and before the first
/// thread that answers others.
pub(crate) fn start(
    web: Web,
    probes: &mut Probes,
    (netns, cgroup_series): (Option<Netns>, u16),
    sandbox: SandboxArgs,
) -> Result<ServerHandle> {
    const REFUSED: &str = "cannot start the HTTP server, which takes three threads";
    let mut page = MetricsPage::of(probes, (netns, cgroup_series.into()), web.server.counters())?;
    let in_force = confine::running(sandbox, &SandboxNeeds::listening(web.directories()), probes)?;
    web.say_unreadable();
    page.begin().context(REFUSED)?;
    let scheme = web.scheme();
    let serving = web
        .server
        .spawn(Arc::new(page))
        .context("are there as many threads as `ulimit -u` and pids.max of the cgroup allow?")
        .context(REFUSED)?;
    in_force.verify()?;
    for address in serving.addresses() {
        exit::say(&format!("tcpwatch: metrics at {scheme}://{address}/metrics\n"));
    }
    Ok(serving)
}
