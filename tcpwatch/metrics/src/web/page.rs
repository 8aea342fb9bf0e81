//! Makes the page for Prometheus on request, on one thread at a time. Requests that arrive while it is being made share
//! the next one of the same form, so that the values of every response are later than its request, and any number of
//! simultaneous requests costs no more than two pages of each form.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tcpwatch_kernel::beside::beside;
use tokio::sync::Mutex;

use super::{PageFormat, Pages};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

/// The page of one form that was made last.
struct EncodedPage {
    begun: Instant,
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl EncodedPage {
    fn coded(&self, coding: Coding) -> Option<Bytes> {
        match coding {
            Coding::Plain => Some(self.plain.clone()),
            Coding::Gzip => self.gzip.clone(),
        }
    }
}

pub(super) struct PageMaker {
    pages: Arc<dyn Pages>,
    /// Locked while a page is made.
    last: Arc<Mutex<LastPages>>,
}

/// The last page of each form.
#[derive(Default)]
struct LastPages {
    text: Option<EncodedPage>,
    open_metrics: Option<EncodedPage>,
}

impl LastPages {
    const fn of(&mut self, format: PageFormat) -> &mut Option<EncodedPage> {
        match format {
            PageFormat::Text => &mut self.text,
            PageFormat::OpenMetrics => &mut self.open_metrics,
        }
    }
}

impl PageMaker {
    pub(super) fn new(pages: Arc<dyn Pages>) -> Self {
        Self { pages, last: Arc::default() }
    }

    /// The page as of now.
    ///
    /// # Errors
    /// If it could not be made, the reason as text.
    pub(super) async fn page(&self, format: PageFormat, coding: Coding) -> Result<Bytes, String> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let pages = Arc::clone(&self.pages);
        let fresh = last.of(format).take().filter(|page| page.begun >= asked);
        if let Some(made) = fresh.as_ref().and_then(|page| page.coded(coding)) {
            *last.of(format) = fresh;
            return Ok(made);
        }
        // The lock moves into the thread: if the client goes away, no second thread can begin.
        let render = move || {
            let page = last.of(format).insert(fresh.unwrap_or_else(|| EncodedPage {
                begun: Instant::now(),
                plain: pages.metrics(format).into(),
                gzip: None,
            }));
            match coding {
                Coding::Plain => Ok(page.plain.clone()),
                Coding::Gzip => Ok(page.gzip.insert(compress(&page.plain)?).clone()),
            }
        };
        let given = beside("tcpwatch-page", render).map_err(|error| {
            format!(
                "cannot start a thread to make the page: {error}; are there as many as \
                 `ulimit -u` and pids.max of the cgroup allow?"
            )
        })?;
        let made: io::Result<Bytes> =
            given.await.map_err(|_never| "making the page failed: it panicked".to_owned())?;
        made.map_err(|error| format!("compressing the page failed: {error}"))
    }
}

fn compress(plain: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain)?;
    Ok(encoder.finish()?.into())
}
