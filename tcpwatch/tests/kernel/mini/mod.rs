//! Mini-sockets: TIME_WAIT, FIN_WAIT_2 without an application, half-open SYN_RECV.

mod closing;
mod existing;
mod half_open;
mod handshakes;
mod overtaken;
mod sixty_seconds;
mod witness;

use std::time::Duration;

use tcpwatch_core::{
    event::Jiffies,
    timing::wheel::{TickRate, fires_at},
};
use tcpwatch_kernel::clock;

use crate::harness::{lives::Life, side_by_side};

/// How late a softirq may run on a machine with other work.
const LATE: f64 = 0.03;
/// How far a prediction may be off: two ticks at 250 Hz.
const TICKS: f64 = 0.008;

/// The longest time of a timer of this many seconds, by the wheel's granularity.
fn longest(seconds: u64) -> f64 {
    let rate: TickRate = clock::tick_rate();
    // Arming takes place inside a tick; a timer near a level's border may land one level up.
    let due = seconds * rate.0 + 2;
    let ticks = (0..1 << 12).map(|armed| fires_at(Jiffies(armed), Jiffies(armed + due)).0 - armed);
    rate.duration(ticks.max().unwrap() + 1).as_secs_f64()
}

/// A timer of this many seconds, by its kernel time: never early, late at most by the wheel.
fn lasts(took: f64, seconds: u64) {
    let tick = clock::tick_rate().duration(1).as_secs_f64();
    let promised = Duration::from_secs(seconds).as_secs_f64();
    assert!(took >= promised - tick, "{took} s is earlier than {seconds} s");
    let latest = longest(seconds) + LATE;
    assert!(took <= latest, "{took} s is later than {latest} s");
}

/// The end was predicted when the state was entered, and came at that time.
fn came_as_predicted(life: &Life, state: &str) {
    let predicted = life.entered(state).ends_in_s.unwrap_or_else(|| panic!("predicted: {life}"));
    let took = life.seconds_in(state);
    println!("measured: {state} predicted {predicted:.4} s, took {took:.4} s");
    assert!(took >= predicted - TICKS, "{took} s, {predicted} s were predicted: {life}");
    assert!(took <= predicted + TICKS + LATE, "{took} s, {predicted} s were predicted: {life}");
}
