//! Sockets in every state that there is.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use super::sockets::{
    Pair, bound, half_close, lose_acks, lose_all, lose_syn_acks, start_connect, unbound,
};

/// One side of a connection in each state, and the sockets that keep it there.
pub(crate) fn one_in_every_state(listener: &TcpListener) -> Vec<Box<dyn Send>> {
    let local = listener.local_addr().unwrap();
    let mut kept: Vec<Box<dyn Send>> = Vec::new();

    let deaf = TcpListener::bind((local.ip(), 0)).unwrap();
    lose_all(&deaf);
    let remote = deaf.local_addr().unwrap();
    kept.push(Box::new((start_connect(unbound(remote), remote), deaf)));

    let half_deaf = TcpListener::bind((local.ip(), 0)).unwrap();
    lose_acks(&half_deaf);
    let client = TcpStream::connect(half_deaf.local_addr().unwrap()).unwrap();
    kept.push(Box::new((client, half_deaf)));

    // A socket that connects to itself receives its own SYN: a simultaneous open.
    let own = bound(SocketAddr::new(local.ip(), 0));
    let itself = own.local_addr().unwrap().as_socket().unwrap();
    lose_syn_acks(&own);
    kept.push(Box::new(start_connect(own, itself)));

    let fin_wait_1 = Pair::over(listener);
    lose_all(&fin_wait_1.server);
    half_close(&fin_wait_1.client);

    let fin_wait_2 = Pair::over(listener);
    half_close(&fin_wait_2.client);

    let orphan = Pair::over(listener);
    drop(orphan.client);

    let closing = Pair::over(listener);
    lose_all(&closing.server);
    half_close(&closing.client);
    half_close(&closing.server);

    let mut last_ack = Pair::over(listener);
    half_close(&last_ack.client);
    assert_eq!(last_ack.server.read(&mut [0]).unwrap(), 0, "the client's FIN");
    last_ack.server.write_all(b"-").unwrap(); // acknowledges it
    last_ack.client.read_exact(&mut [0]).unwrap();
    lose_all(&last_ack.client);
    half_close(&last_ack.server);

    Pair::over(listener).close_client_first();
    kept.push(Box::new((Pair::over(listener), fin_wait_1, fin_wait_2, orphan.server)));
    kept.push(Box::new((closing, last_ack)));
    kept
}

/// What [`one_in_every_state`] and its listener are, in the words of the metrics.
pub(crate) const BY_STATE: [(&str, i64); 12] = [
    ("listen", 3),
    ("syn_sent", 1),
    ("syn_recv", 1),
    ("half_open", 1),
    ("established", 1 + 2 + 1), // half_open's client, a pair, fin_wait_1's server
    ("fin_wait_1", 1 + 1),      // closing's server
    ("fin_wait_2", 1 + 1),      // last_ack's client
    ("fin_wait_2_or_time_wait", 1), // the orphan
    ("close_wait", 1 + 1),
    ("closing", 1),
    ("last_ack", 1),
    ("time_wait", 1),
];
