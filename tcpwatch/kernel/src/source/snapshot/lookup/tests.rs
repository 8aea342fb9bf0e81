//! Claims that need no privilege: the own network namespace.

use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream},
};

use tcpwatch_core::event::{KnownKind, TcpState};

use super::*;

fn end(address: impl Into<IpAddr>, port: u16) -> Endpoint {
    Endpoint { address: address.into(), port }
}

fn ends(stream: &TcpStream) -> Endpoints {
    let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    Endpoints { local: end(local.ip(), local.port()), remote: end(remote.ip(), remote.port()) }
}

fn pair(listen: IpAddr, connect: IpAddr) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind((listen, 0)).unwrap();
    let client = TcpStream::connect((connect, listener.local_addr().unwrap().port())).unwrap();
    let server = listener.accept().unwrap().0;
    (listener, client, server)
}

fn ask(lookup: &mut Lookup, ends: &[Endpoints]) -> Vec<LookupAnswer> {
    let netns = lookup.own.netns();
    let questions: Vec<SocketQuestion> =
        ends.iter().map(|ends| SocketQuestion { netns, ends: *ends }).collect();
    let mut answers = vec![LookupAnswer::Unknown; ends.len()];
    lookup.ask(&questions, |index, answer| answers[index] = answer);
    answers
}

fn found(answer: LookupAnswer) -> KnownSocket {
    let LookupAnswer::Is(known) = answer else { panic!("{answer:?}") };
    known
}

#[test]
fn both_ends_are_found_in_both_families_and_in_their_mixture() {
    let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let mapped = IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let any = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let mut lookup = Lookup::new().unwrap();
    let pairs = [(v4, v4), (v6, v6), (any, v4), (any, mapped), (v4, mapped), (any, v6)];
    for (listen, connect) in pairs {
        let (_listener, client, server) = pair(listen, connect);
        for asked in [ends(&client), ends(&server)] {
            let wire = Endpoints { local: canonical(asked.local), remote: canonical(asked.remote) };
            for answer in ask(&mut lookup, &[asked, wire]) {
                let known = found(answer);
                assert_eq!((known.ends, known.state), (wire, TcpState::Established));
                assert_ne!(known.inode, 0);
            }
        }
    }
}

#[test]
fn a_listener_that_would_take_the_connection_is_not_taken_for_it() {
    let (listener, client, server) = pair(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into());
    let mut other = ends(&server);
    other.remote.port = 1;
    let nobody = Endpoints { local: end(Ipv4Addr::LOCALHOST, 1), remote: other.remote };
    let mut lookup = Lookup::new().unwrap();
    let answers = ask(&mut lookup, &[other, ends(&client), nobody]);
    assert_eq!((answers[0], answers[2]), (LookupAnswer::Gone, LookupAnswer::Gone));
    assert_eq!(found(answers[1]).ends, ends(&client));
    drop(listener);
}

#[test]
fn a_mini_socket_is_told_with_the_time_it_has_left() {
    let (_listener, mut client, mut server) =
        pair(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into());
    let asked = ends(&client);
    let mut lookup = Lookup::new().unwrap();
    let cookie = found(ask(&mut lookup, &[asked])[0]).socket;
    client.shutdown(Shutdown::Write).unwrap();
    server.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(found(ask(&mut lookup, &[asked])[0]).kind, KnownKind::Full, "half closed");
    server.shutdown(Shutdown::Write).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    let known = found(ask(&mut lookup, &[asked])[0]);
    assert_eq!((known.state, known.kind), (TcpState::TimeWait, KnownKind::TimeWait));
    assert_eq!(known.socket, cookie);
    let left = known.timer_left.unwrap();
    assert!(left > Duration::from_secs(55) && left <= Duration::from_secs(61), "{left:?}");
}

#[test]
fn a_namespace_that_nothing_leads_to_is_unknown() {
    let mut lookup = Lookup::new().unwrap();
    let nowhere = end(Ipv4Addr::LOCALHOST, 1);
    let question =
        SocketQuestion { netns: Netns(1), ends: Endpoints { local: nowhere, remote: nowhere } };
    let mut answers = Vec::new();
    lookup.ask(&[question, question], |index, answer| answers.push((index, answer)));
    assert_eq!(answers, [(0, LookupAnswer::Unknown), (1, LookupAnswer::Unknown)]);
}

#[test]
fn the_list_of_namespaces_is_not_read_twice_in_a_second() {
    let mut lookup = Lookup::new().unwrap();
    let now = Instant::now();
    let later = |pause| now + Duration::from_millis(pause);
    let listed = [0, 1, 999, 1000, 1999, 2000].map(|pause| lookup.list(later(pause)));
    assert_eq!(listed, [true, false, false, true, false, true]);
    assert!(lookup.elsewhere.contains_key(&lookup.own.netns()));
}

#[test]
fn questions_are_sorted_by_namespace_and_keep_their_numbers() {
    let nowhere = end(Ipv4Addr::LOCALHOST, 1);
    let ends = Endpoints { local: nowhere, remote: nowhere };
    let questions = [7, 5, 7, 6].map(|netns| SocketQuestion { netns: Netns(netns), ends });
    let groups = by_namespace(&questions);
    let numbers = |netns| groups[&Netns(netns)].iter().map(|(index, _)| *index).collect::<Vec<_>>();
    assert_eq!([numbers(5), numbers(6), numbers(7)], [vec![1], vec![3], vec![0, 2]]);
}

#[test]
fn a_socket_is_asked_about_in_detail_by_its_cookie_and_no_other() {
    let (_listener, mut client, server) =
        pair(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into());
    std::io::Write::write_all(&mut client, b"12345").unwrap();
    server.peek(&mut [0; 5]).unwrap();
    let mut lookup = Lookup::new().unwrap();
    let netns = lookup.own.netns();
    let asked = ends(&server);
    let socket = found(ask(&mut lookup, &[asked])[0]).socket;
    let question = |socket| tcpwatch_core::track::StayQuestion { netns, ends: asked, socket };
    let other = Cookie(socket.0 + 1_000_000);
    let details =
        lookup.ask_in_detail(&[Some(socket), Some(other), None].map(question), &[netns, Netns(1)]);
    let cookies: Vec<_> = details.waiters.iter().map(|waiter| waiter.known.socket).collect();
    assert_eq!(cookies, [socket, socket], "by its cookie, and by its ends alone");
    let waiter = &details.waiters[0];
    assert_eq!((waiter.receive_queue, waiter.send_queue, waiter.timer), (5, 0, None));
    let tcp = waiter.tcp.unwrap();
    assert_eq!((tcp.in_flight, tcp.unsent), (0, Some(0)));
    assert!(tcp.window.unwrap() > 1000 && tcp.rto >= Duration::from_millis(200), "{tcp:?}");
    assert_eq!(details.sysctls.len(), 1);
}
