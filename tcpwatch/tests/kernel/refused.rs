//! Filters on the cgroup and the direction, which the kernel side applies as far as it can: they show what a run
//! without them shows of the same sockets, and fewer records come.

use std::{collections::BTreeMap, net::SocketAddr, process};

use crate::harness::{
    cgroup::Cgroup,
    line::{Line, Summary},
    netns::Netns,
    peer::Peer,
    watch::{Log, Watch},
};

const ROUNDS: usize = 20;

/// A server and a client in cgroups of their own.
struct Both {
    // Dropped in this order.
    server: Peer,
    client: Peer,
    servers: Cgroup,
    clients: Cgroup,
    netns: Netns,
}

impl Both {
    fn new(name: &str) -> Self {
        let netns = Netns::new();
        let cgroup = |what| Cgroup::new(format!("tcpwatch-{}-{name}-{what}", process::id()));
        let (servers, clients) = (cgroup("servers"), cgroup("clients"));
        let (server, client) = (Peer::start(&netns, "a-server"), Peer::start(&netns, "a-client"));
        servers.take(server.pid());
        clients.take(client.pid());
        Self { server, client, servers, clients, netns }
    }

    /// Connections one after the other, which the server and the client close first in turn; returns the ends of the
    /// last one, the server's first. The listener stays.
    fn talk(&mut self, rounds: usize) -> (SocketAddr, SocketAddr) {
        let listening = self.server.listen("127.0.0.1:0");
        let mut last = listening;
        for round in 0..rounds {
            last = self.client.connect(listening);
            assert_eq!(self.server.accept(), last);
            let (first, second) = if round % 2 == 0 {
                (&mut self.server, &mut self.client)
            } else {
                (&mut self.client, &mut self.server)
            };
            first.close();
            second.await_fin();
            second.close();
        }
        (listening, last)
    }

    fn stop_listening(&mut self) {
        self.server.stop_listening();
    }
}

/// What a run says of each socket, one line after the other; without moments, which each run's own programs note.
fn said(lines: &[Line], is_wanted: impl Fn(&Line) -> bool) -> BTreeMap<Option<u64>, Vec<String>> {
    let mut said = BTreeMap::<_, Vec<String>>::new();
    for line in lines.iter().filter(|line| is_wanted(line)) {
        let Line { event, local, remote, direction, process, cgroup, reason, .. } = line;
        let (change, inferred) = (line.change(), line.inferred);
        let word = format!(
            "{event} {change} {local:?} {remote:?} {direction:?} {process:?} {cgroup:?} {reason:?} {inferred}"
        );
        said.entry(line.socket).or_default().push(word);
    }
    said
}

#[track_caller]
fn assert_same(filtered: &Log, all: &Log, is_wanted: impl Fn(&Line) -> bool) {
    let expected = said(&all.lines, is_wanted);
    assert!(expected.len() >= ROUNDS, "{expected:#?}");
    assert_eq!(said(&filtered.lines, |_| true), expected);
}

/// Ends of the last connection have been shown, on the server's side or the client's.
fn wait_for_the_last(watch: &Watch, local: SocketAddr, remote: SocketAddr) {
    watch.wait_count(1, "the last change", |line| {
        line.joins(local, remote) && (line.is("LAST_ACK>CLOSED") || line.to == "TIME_WAIT")
    });
}

#[test]
fn filters_on_cgroup_and_direction_show_what_a_run_without_them_shows_of_the_same_sockets() {
    needs_root!();
    let mut both = Both::new("same");
    let (servers, clients) = (both.servers.path(), both.clients.path());
    let all = Watch::on(&both.netns);
    let of = |args: &[&str]| Watch::with(&both.netns, args);
    let of_servers = [of(&["--cgroup", &servers]), of(&["--accepted"])];
    let of_clients = [of(&["--cgroup", &clients]), of(&["--connected"])];
    let (server, client) = both.talk(ROUNDS);
    both.stop_listening();
    all.wait_count(1, "the listener's end", |line| line.is("LISTEN>CLOSED"));
    for watch in &of_servers {
        wait_for_the_last(watch, server, client);
    }
    for watch in &of_clients {
        wait_for_the_last(watch, client, server);
    }
    of_servers[0].wait_count(1, "the listener's end", |line| line.is("LISTEN>CLOSED"));
    let all = all.stop();
    let [by_cgroup, by_direction] = of_servers.map(Watch::stop);
    assert_same(&by_cgroup, &all, |line| line.cgroup.as_ref() == Some(&servers));
    assert_same(&by_direction, &all, |line| line.direction.as_deref() == Some("incoming"));
    let [by_cgroup, by_direction] = of_clients.map(Watch::stop);
    assert_same(&by_cgroup, &all, |line| line.cgroup.as_ref() == Some(&clients));
    assert_same(&by_direction, &all, |line| line.direction.as_deref() == Some("outgoing"));
    for log in [by_cgroup, by_direction] {
        assert_eq!(log.summary.inferred, 0);
    }
}

/// Records that come of all rounds but the first, of which some of every socket have to come.
fn received(args: impl Fn(&Both) -> Vec<String>, last: &str) -> u64 {
    let mut both = Both::new("few");
    let args = args(&both);
    let watch = Watch::with(&both.netns, &args.iter().map(String::as_str).collect::<Vec<_>>());
    both.talk(1);
    both.stop_listening();
    // What came before it has been read.
    watch.wait_count(1, last, |line| line.is(last));
    both.talk(ROUNDS);
    both.stop_listening();
    let Summary { received, attempted, .. } = watch.stop().summary;
    assert_eq!(received, attempted, "nothing was lost");
    received
}

#[test]
fn what_filters_on_cgroup_and_direction_leave_out_does_not_come_from_the_kernel() {
    needs_root!();
    let words = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let (ends_last, client_ends) = ("LISTEN>CLOSED", "LAST_ACK>CLOSED");
    let all = received(|_| Vec::new(), ends_last);
    let servers = received(|both| words(&["--cgroup", &both.servers.path()]), ends_last);
    let clients = received(|both| words(&["--cgroup", &both.clients.path()]), client_ends);
    let accepted = received(|_| words(&["--accepted"]), "FIN_WAIT_2>TIME_WAIT");
    let connected = received(|_| words(&["--connected"]), client_ends);
    let seen = format!(
        "of {all} records {servers} of the servers, {clients} of the clients, {accepted} accepted, \
         {connected} connected"
    );
    println!("{seen}");
    let of_first = all / (u64::try_from(ROUNDS).unwrap() + 1);
    assert!(servers + clients <= all + 2 * of_first, "{seen}");
    // Listeners pass.
    assert!(accepted + connected <= all + of_first, "{seen}");
}
