//! Two hosts, commands to them, and their events.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd as _, OwnedFd},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tcpwatch_core::event::TcpState;
use tcpwatch_kernel::probe::filters::FamilyFilter;
use tcpwatch_lab::{
    host::Host,
    hosts::{HostsError, HostsPlan, World},
    scenario::{Call, CallKind},
    story::{MomentKind, StoryEvent, SystemCall},
};
use tokio::sync::mpsc;

use crate::carried;

/// How long a test waits for an expected event. A deadline, never a pace.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) const PORT: u16 = 11111;
pub(crate) const FAMILIES: [FamilyFilter; 2] = [FamilyFilter::V4, FamilyFilter::V6];

/// Runs it as the laboratory does, on one thread.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

pub(crate) type Sysctls = BTreeMap<Host, BTreeMap<String, String>>;

/// The same for both hosts.
pub(crate) fn sysctls(pairs: &[(&str, &str)]) -> Sysctls {
    let pairs: BTreeMap<_, _> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Host::ALL.into_iter().map(|host| (host, pairs.clone())).collect()
}

/// Two hosts and all their events so far.
pub(crate) struct Lab {
    pub(crate) world: World,
    told: mpsc::UnboundedReceiver<StoryEvent>,
    pub(crate) story: Vec<StoryEvent>,
}

pub(crate) async fn try_build(family: FamilyFilter, sysctls: &Sysctls) -> Result<Lab, HostsError> {
    static IFINDEX: AtomicU32 = AtomicU32::new(1000);
    let plan = HostsPlan {
        family,
        sysctls,
        ifindex_base: IFINDEX.fetch_add(2, Ordering::Relaxed),
        program: carried::program(),
    };
    let (tell, told) = mpsc::unbounded_channel();
    Ok(Lab { world: World::build(&plan, tell).await?, told, story: Vec::new() })
}

impl Lab {
    pub(crate) async fn new(family: FamilyFilter) -> Self {
        try_build(family, &Sysctls::new()).await.unwrap()
    }

    pub(crate) async fn try_call(
        &mut self,
        host: Host,
        socket: &str,
        kind: CallKind,
    ) -> Result<(), HostsError> {
        let call = Call { socket: socket.to_owned(), kind };
        let machine = self.world.machine_mut(host);
        tokio::time::timeout(DEADLINE, machine.call(&call)).await.expect("the step is done")
    }

    pub(crate) async fn call(&mut self, host: Host, socket: &str, kind: CallKind) {
        self.try_call(host, socket, kind).await.unwrap();
    }

    /// Waits until this call on this socket has returned; returns it as strace would show it.
    pub(crate) async fn returned(&mut self, socket: &str, name: &str) -> String {
        let is_it = |call: &SystemCall| call.socket == socket && call.name == name;
        loop {
            for moment in &self.story {
                if let MomentKind::Returned(call) = &moment.what
                    && is_it(call)
                {
                    return call.line();
                }
            }
            let more = tokio::time::timeout(DEADLINE, self.told.recv()).await;
            let story = &self.story;
            let moment = more.unwrap_or_else(|_| panic!("{name} returns; so far: {story:#?}"));
            self.story.push(moment.expect("the hosts are there"));
        }
    }

    /// All events so far.
    pub(crate) fn so_far(&mut self) -> &[StoryEvent] {
        while let Ok(moment) = self.told.try_recv() {
            self.story.push(moment);
        }
        &self.story
    }

    /// All calls that have returned so far, as strace shows them.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let returned = self.so_far().iter().filter_map(|moment| match &moment.what {
            MomentKind::Returned(call) => Some(call.line()),
            _ => None,
        });
        returned.collect()
    }

    /// A connection over a listener with this backlog: sockets `listener`, `server` and `client`.
    pub(crate) async fn connect(&mut self) {
        self.call(Host::Server, "listener", listen(16)).await;
        self.call(Host::Client, "client", CallKind::Connect { port: PORT }).await;
        assert_eq!(self.returned("client", "connect").await, "connect(3) = 0");
        self.call(Host::Server, "server", accept()).await;
        assert_eq!(self.returned("server", "accept").await, "accept(3) = 4");
    }

    /// Lists the host's sockets until they are in these states.
    pub(crate) async fn see(&mut self, host: Host, wanted: &[TcpState]) {
        let mut seen = Vec::new();
        let looking = async {
            while seen != wanted {
                let sockets = self.world.machine_mut(host).list().unwrap();
                seen = sockets.iter().map(|socket| socket.state).collect();
                seen.sort_unstable_by_key(|state| state.to_kernel());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, looking).await.is_ok();
        assert!(in_time, "{host} shows {wanted:?}, not {seen:?}");
    }
}

pub(crate) fn listen(backlog: u32) -> CallKind {
    CallKind::Listen { port: PORT, backlog }
}

pub(crate) fn accept() -> CallKind {
    CallKind::Accept { listener: "listener".to_owned() }
}

/// Runs it in a thread inside a network namespace.
pub(crate) fn inside<T: Send>(netns: &OwnedFd, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        });
        thread.join().unwrap()
    })
}
