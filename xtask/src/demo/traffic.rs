//! Plays the scenes on a reserved port, again and again, until the traffic is stopped.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use socket2::Socket;

use super::{
    scene::Scene,
    server::{self, First},
};
use crate::precondition::Precondition;

/// The port of the server, and of the address without a listener.
pub(crate) const PORT: u16 = 11111;
const IPV4: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
const IPV6: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), PORT);
/// A loopback address, too, but the server is bound to 127.0.0.1 only.
const CLOSED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), PORT);

/// Pause between the end of one scene and the start of the next.
const BETWEEN_SCENES: Duration = Duration::from_millis(500);
/// Pause between the last scene and the first.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(2);

/// The port is bound; nothing listens yet.
#[derive(Debug)]
pub(crate) struct Reserved {
    ipv4: Socket,
    ipv6: Option<Socket>,
}

impl Reserved {
    /// Binds the port on the loopback addresses; only of IPv4 if this machine has no IPv6.
    pub(crate) fn take() -> Result<Self> {
        let ipv4 = server::bind(IPV4).map_err(|error| taken_or_failed(IPV4, error))?;
        let ipv6 = match server::bind(IPV6) {
            Ok(socket) => Some(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(taken_or_failed(IPV6, error));
            }
            Err(error) => {
                eprintln!("demo: no IPv6 on this machine ({error}): IPv4 only");
                None
            }
        };
        Ok(Self { ipv4, ipv6 })
    }

    /// Starts to listen and to play.
    pub(crate) fn start(self) -> Result<DemoTraffic> {
        let scenes = scenes(self.ipv6.is_some());
        let sockets = [(IPV4, Some(self.ipv4)), (IPV6, self.ipv6)];
        for (address, socket) in sockets {
            if let Some(socket) = socket {
                server::start(socket).with_context(|| format!("no demo on {address}"))?;
            }
        }
        let (stop, stopped) = mpsc::channel();
        let client = thread::Builder::new()
            .name("demo-client".into())
            .spawn(move || play(&scenes, &stopped))
            .context("cannot start a thread for the demo's client")?;
        Ok(DemoTraffic { stop, client })
    }
}

/// The demo while it plays.
#[derive(Debug)]
pub(crate) struct DemoTraffic {
    stop: Sender<()>,
    client: JoinHandle<()>,
}

impl DemoTraffic {
    /// Ends after the current scene, within about a second.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.client.join().is_err() {
            eprintln!("demo: the client's thread panicked");
        }
    }
}

/// Both families, both orders of closing and a refusal; successive scenes differ most.
fn scenes(with_ipv6: bool) -> Vec<Scene> {
    let life = |server, first| Scene::Life { server, first };
    let all = [
        life(IPV4, First::Client),
        Scene::Refused { closed: CLOSED },
        life(IPV6, First::Server),
        life(IPV4, First::Server),
        life(IPV6, First::Client),
    ];
    let is_ipv6 = |scene: &Scene| matches!(scene, Scene::Life { server, .. } if server.is_ipv6());
    all.into_iter().filter(|scene| with_ipv6 || !is_ipv6(scene)).collect()
}

fn play(scenes: &[Scene], stopped: &Receiver<()>) {
    loop {
        for scene in scenes {
            eprintln!("demo: {scene}");
            if let Err(error) = scene.play() {
                eprintln!("demo: {error:#}");
            }
            if is_stopped_within(BETWEEN_SCENES, stopped) {
                return;
            }
        }
        if is_stopped_within(BETWEEN_ROUNDS, stopped) {
            return;
        }
    }
}

/// Waits for up to `pause`; returns true if the traffic was stopped.
fn is_stopped_within(pause: Duration, stopped: &Receiver<()>) -> bool {
    stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
}

fn taken_or_failed(address: SocketAddr, error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::AddrInUse {
        return Precondition(format!(
            "{address} is taken by another program, so that the demo cannot listen there\n\
             `ss -ltnp sport = :{PORT}` shows which; end it, or look at your own \
             connections with `cargo xtask run -- --port PORT`"
        ))
        .into();
    }
    anyhow::Error::new(error).context(format!("the demo cannot bind {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_shows_both_orders_in_both_families_and_a_refusal() {
        let round = scenes(true);
        for server in [IPV4, IPV6] {
            for first in [First::Client, First::Server] {
                let scene = Scene::Life { server, first };
                assert!(round.contains(&scene), "{scene} is in {round:?}");
            }
        }
        assert!(round.contains(&Scene::Refused { closed: CLOSED }), "a refusal in {round:?}");
    }

    #[test]
    fn without_ipv6_a_round_is_ipv4_only() {
        let round = scenes(false);
        assert_eq!(round.len(), 3, "two lives and a refusal: {round:?}");
        assert!(!round.iter().any(|scene| scene.to_string().contains("[::1]")), "{round:?}");
    }

    #[test]
    fn every_scene_is_seen_by_a_filter_for_the_port() {
        for scene in scenes(true) {
            assert!(scene.to_string().contains(":11111"), "{scene}");
        }
    }

    #[test]
    fn a_taken_port_says_whose_it_is_to_find() {
        let error = taken_or_failed(IPV4, io::ErrorKind::AddrInUse.into());
        assert!(error.is::<Precondition>(), "exit status 3");
        assert!(error.to_string().contains("ss -ltnp sport = :11111"), "{error}");
    }
}
