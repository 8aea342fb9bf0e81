//! The page for Prometheus: made when somebody asks, by one thread at a time. Whoever asks while it
//! is being made waits for the next one and shares that with all others who wait, so that every answer
//! is of a moment after its request, and a crowd costs no more than two pages.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Instant,
};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use tokio::{sync::Mutex, task::spawn_blocking};

use super::Pages;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

/// The page made last.
struct Page {
    begun: Instant,
    plain: Bytes,
    gzip: Option<Bytes>,
}

pub(super) struct Press {
    pages: Arc<dyn Pages>,
    /// Held while a page is made.
    last: Arc<Mutex<Option<Page>>>,
}

impl Press {
    pub(super) fn new(pages: Arc<dyn Pages>) -> Self {
        Self { pages, last: Arc::default() }
    }

    /// The page as of now.
    ///
    /// # Errors
    /// If it could not be made, in words.
    pub(super) async fn page(&self, coding: Coding) -> Result<Bytes, String> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let pages = Arc::clone(&self.pages);
        // The lock moves along: a client that goes away does not let a second thread begin.
        let made = spawn_blocking(move || {
            let fresh = last.take().filter(|page| page.begun >= asked);
            let page = last.insert(fresh.unwrap_or_else(|| Page {
                begun: Instant::now(),
                plain: pages.metrics().into(),
                gzip: None,
            }));
            match (coding, &page.gzip) {
                (Coding::Plain, _) => Ok(page.plain.clone()),
                (Coding::Gzip, Some(gzip)) => Ok(gzip.clone()),
                (Coding::Gzip, None) => Ok(page.gzip.insert(compress(&page.plain)?).clone()),
            }
        });
        let made: io::Result<Bytes> =
            made.await.map_err(|error| format!("making the page failed: {error}"))?;
        made.map_err(|error| format!("compressing the page failed: {error}"))
    }
}

fn compress(plain: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain)?;
    Ok(encoder.finish()?.into())
}
