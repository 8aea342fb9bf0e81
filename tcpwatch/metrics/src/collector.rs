//! A source of metrics.

use crate::family::ScrapeFamily;

/// One source of metrics.
pub trait Collector: Send {
    /// Its name, the value of the label `collector`.
    fn name(&self) -> &'static str;

    /// Adds the present values to `families`. What was added before an error stays: a scrape is partial rather than
    /// failed.
    ///
    /// # Errors
    /// If its source cannot be read.
    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> anyhow::Result<()>;
}
