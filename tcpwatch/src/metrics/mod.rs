//! Numbers for Prometheus. Each [`Collector`] reads one source (the kernel side's maps, `sock_diag`,
//! `/proc`) when a scrape asks, and hands out finished [`Family`]s; nothing is kept from scrape to
//! scrape but what must not go backwards.

mod catalog;
pub mod family;
pub mod gauges;
pub mod kernel;
pub mod page;
pub mod probes;
pub mod process;

pub use family::Family;

/// One source of metrics.
pub trait Collector: Send {
    /// Its name, the value of the label `collector`.
    fn name(&self) -> &'static str;

    /// Adds what it finds now to `families`. What was added before an error stays: a scrape is
    /// partial rather than failed.
    ///
    /// # Errors
    /// If its source cannot be read.
    fn collect(&mut self, families: &mut Vec<Family>) -> anyhow::Result<()>;
}
