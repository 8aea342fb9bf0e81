//! Numbers for Prometheus, and the server that hands them out ([`web`]). Each
//! [`Collector`](collector::Collector) reads one source (the kernel side's maps, `sock_diag`, `/proc`) when a
//! scrape asks, and hands out finished [`Family`](family::Family)s; nothing is kept from scrape to scrape but
//! what must not go backwards.

#![deny(unsafe_code)]

mod catalog;
pub mod collector;
pub mod family;
pub mod gauges;
pub mod kernel;
pub mod page;
pub mod probes;
pub mod process;
pub mod web;
