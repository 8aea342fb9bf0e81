//! Many short connections.

use std::{net::TcpListener, time::Duration, time::Instant};

use super::{
    netns::Netns,
    sockets::{Pair, V4},
};

/// Opens and closes `count` connections one after the other, the client first.
pub(crate) fn connections(netns: &Netns, count: usize) {
    netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        for _ in 0..count {
            Pair::over(&listener).close_client_first();
        }
    });
}

/// The same for a span of time; returns their number.
pub(crate) fn for_a_while(netns: &Netns, span: Duration) -> usize {
    netns.inside(|| {
        let listener = TcpListener::bind(V4).unwrap();
        let end = Instant::now() + span;
        let mut count = 0;
        while Instant::now() < end {
            Pair::over(&listener).close_client_first();
            count += 1;
        }
        count
    })
}
