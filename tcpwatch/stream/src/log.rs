//! The log: a run as lines of one form, in the output.

use std::io::Write;

use anyhow::{Context as _, Result};
use tcpwatch_core::sink::{Sink, Summary};

use crate::batch::{Batch, Item};

/// Bytes of finished lines that are written without waiting for a pause.
const FULL: usize = 1 << 16;

/// Lines on their way to the output.
pub struct Log<'a> {
    sink: &'a mut dyn Sink,
    /// Needs no buffer of its own.
    output: &'a mut dyn Write,
    /// Totals are a line, too.
    with_summary: bool,
    text: Vec<u8>,
    summary: Option<Summary>,
}

impl<'a> Log<'a> {
    /// A log of what will be written with [`Self::write`].
    pub fn new(sink: &'a mut dyn Sink, output: &'a mut dyn Write, with_summary: bool) -> Self {
        Self { sink, output, with_summary, text: Vec::with_capacity(2 * FULL), summary: None }
    }

    /// Makes lines of a batch, and writes them out when there is a pause or they are many.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        for item in batch.items {
            match item {
                Item::TrackedEvent(tracked) => {
                    self.sink.tracked(tracked, batch.clock, &mut self.text);
                }
                Item::Place(id, place) => self.sink.place(*id, place),
                Item::Loss(loss) => self.sink.loss(loss, batch.clock, &mut self.text),
                Item::Summary(summary) => {
                    if self.with_summary {
                        self.sink.summary(summary, batch.clock, &mut self.text);
                    }
                    self.summary = Some(summary.clone());
                }
            }
            if self.text.len() >= FULL {
                self.write_out()?;
            }
        }
        if batch.more { Ok(()) } else { self.write_out() }
    }

    fn write_out(&mut self) -> Result<()> {
        if !self.text.is_empty() {
            let written = self.output.write_all(&self.text);
            written.and_then(|()| self.output.flush()).context("cannot write the output")?;
            self.text.clear();
        }
        Ok(())
    }

    /// The totals, if the run came to its end.
    #[must_use]
    pub fn into_summary(self) -> Option<Summary> {
        self.summary
    }
}
