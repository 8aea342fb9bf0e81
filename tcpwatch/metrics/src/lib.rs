//! Metrics for Prometheus, and the server for them ([`web`]). Each [`Collector`](collector::Collector) reads one source
//! (the kernel side's maps, `sock_diag`, `/proc`) at each scrape or in the background and returns finished
//! [`ScrapeFamily`](family::ScrapeFamily)s; nothing is kept between scrapes except what must not decrease.

#![deny(unsafe_code)]

mod background;
mod catalog;
pub mod collector;
pub mod counted;
pub mod family;
pub mod gauges;
pub mod kernel;
pub mod namespaces;
mod openmetrics;
pub mod page;
pub mod probes;
pub mod process;
pub mod web;
