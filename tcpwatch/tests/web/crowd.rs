//! Many connections at once, and scrapes beside them.

use std::{
    io::{self, Read as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};
use tcpwatch_metrics::web::Limits;

use super::client::scrape;

/// One crowd at a time: all share this process's file descriptors.
pub fn alone() -> MutexGuard<'static, ()> {
    static CROWD: Mutex<()> = Mutex::new(());
    let guard = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    guard
}

/// Time limits that a test reaches; `connections` stays the default.
pub fn short() -> Limits {
    Limits { ask: Duration::from_secs(1), take: Duration::from_secs(1), ..Limits::default() }
}

/// How many connections of `wanted` this process has file descriptors for.
pub fn affordable(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The server and the other tests need some, too.
    wanted.min(usize::try_from(limit).unwrap().saturating_sub(2000))
}

/// Runs `misuse` repeatedly on another thread, and scrapes at the same time: at least this many times, and until the
/// misuse has been done once. Every scrape must succeed.
pub fn beside(
    address: SocketAddr,
    scrapes: usize,
    mut misuse: impl FnMut() + Send,
) -> Vec<Duration> {
    let (done_once, enough) = (AtomicBool::new(false), AtomicBool::new(false));
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            // Also when the misuse panics, because the scrapes would never end otherwise.
            let _once = Set(&done_once);
            while !enough.load(Ordering::Relaxed) {
                misuse();
                done_once.store(true, Ordering::Relaxed);
            }
        });
        let _enough = Set(&enough);
        let mut times = Vec::new();
        while times.len() < scrapes || !done_once.load(Ordering::Relaxed) {
            let begun = Instant::now();
            scrape(address);
            times.push(begun.elapsed());
        }
        times
    });
    println!("{} scrapes, the slowest took {:?}", times.len(), times.iter().max().unwrap());
    times
}

struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until the server ends the connection, in order or not; returns what it sent.
pub fn ended(mut stream: &TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection was not ended: {error}"),
    }
    said
}
