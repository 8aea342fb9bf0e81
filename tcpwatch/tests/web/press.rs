//! Pages are made one at a time and shared by all waiting requests, whatever happens to one of them.

use std::{
    io::Write as _,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tcpwatch_metrics::web::{Limits, PageFormat, Pages, ServerHandle};

use super::client::{answer, connect, get, server};

/// Pages that are finished when the test releases them.
#[derive(Default)]
struct Gate {
    begun: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// Waits until this many pages were begun.
    fn begun(&self, pages: usize) {
        while self.begun.load(Ordering::Acquire) < pages {
            thread::yield_now();
        }
    }
}

impl Pages for Gate {
    fn metrics(&self, _format: PageFormat) -> String {
        let at_once = self.at_once.fetch_add(1, Ordering::AcqRel) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::AcqRel);
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
        self.at_once.fetch_sub(1, Ordering::AcqRel);
        format!("page {number}\n")
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

fn start(gate: &Arc<Gate>, limits: Limits) -> ServerHandle {
    let pages: Arc<Gate> = Arc::clone(gate);
    server().with_limits(limits).spawn(pages).unwrap()
}

const ASK: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

/// Waits until the server has read everything that was sent to it: the response on a later connection shows that,
/// because the server reads its connections in the order in which bytes arrived.
/// the server reads its connections in the order in which bytes came.
fn settle(server: &ServerHandle) {
    for _ in 0..3 {
        assert_eq!(get(server.addresses()[0], "/-/healthy").status, 200);
    }
}

#[test]
fn who_asks_while_a_page_is_made_shares_the_next_one() {
    let gate = Arc::new(Gate::default());
    let server = start(&gate, Limits::default());
    let mut first = connect(server.addresses()[0]);
    first.write_all(ASK).unwrap();
    gate.begun(1);
    let crowd: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = connect(server.addresses()[0]);
            stream.write_all(ASK).unwrap();
            stream
        })
        .collect();
    settle(&server);
    gate.open();
    assert_eq!(answer(first).unwrap().text(), "page 1\n");
    for stream in crowd {
        assert_eq!(answer(stream).unwrap().text(), "page 2\n");
    }
    assert_eq!(get(server.addresses()[0], "/metrics").text(), "page 3\n");
    assert_eq!(gate.most_at_once.load(Ordering::Acquire), 1);
}

#[test]
fn a_page_whose_reader_went_away_is_finished_before_the_next_is_begun() {
    let gate = Arc::new(Gate::default());
    let server = start(&gate, Limits { make: Duration::from_millis(50), ..Limits::default() });
    // Ended by the server, too, after so short a time.
    let reply = get(server.addresses()[0], "/metrics");
    assert_eq!((reply.status, reply.text()), (503, "the page was not made within 50ms\n"));
    gate.begun(1);
    assert_eq!(get(server.addresses()[0], "/metrics").status, 503);
    assert_eq!(get(server.addresses()[0], "/-/healthy").status, 200);
    assert_eq!(gate.begun.load(Ordering::Acquire), 1);
    gate.open();
    while get(server.addresses()[0], "/metrics").status != 200 {}
    assert_eq!(gate.most_at_once.load(Ordering::Acquire), 1);
}

#[test]
fn a_page_that_panics_is_a_500_and_the_next_one_is_made() {
    struct Once(AtomicUsize);
    impl Pages for Once {
        fn metrics(&self, _format: PageFormat) -> String {
            assert_ne!(self.0.fetch_add(1, Ordering::AcqRel), 0, "the first page fails on purpose");
            "well\n".to_owned()
        }
        fn ready(&self) -> Result<(), String> {
            Ok(())
        }
    }
    let server = server().spawn(Arc::new(Once(AtomicUsize::new(0)))).unwrap();
    let reply = get(server.addresses()[0], "/metrics");
    assert_eq!(reply.status, 500);
    assert!(reply.text().starts_with("making the page failed: "), "{}", reply.text());
    assert_eq!(get(server.addresses()[0], "/metrics").text(), "well\n");
}

#[test]
fn an_answer_in_flight_is_finished_before_the_server_stops() {
    let gate = Arc::new(Gate::default());
    let server = start(&gate, Limits { stop: Duration::from_mins(1), ..Limits::default() });
    let address = server.addresses()[0];
    let mut asked = connect(address);
    asked.write_all(ASK).unwrap();
    gate.begun(1);
    let idle = connect(address);
    settle(&server);
    let stop = thread::spawn(move || server.stop());
    // The idle one is closed at once, and no new one is accepted.
    assert_eq!(super::crowd::ended(&idle), b"");
    assert!(std::net::TcpStream::connect(address).is_err());
    gate.open();
    assert_eq!(answer(asked).unwrap().text(), "page 1\n");
    stop.join().unwrap().unwrap();
}
