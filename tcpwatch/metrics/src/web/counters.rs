//! The server's own counters, as a [`Collector`].

use std::{
    error::Error,
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::StatusCode;

use super::WebConfig;
use crate::{collector::Collector, family::ScrapeFamily};

/// The status codes of responses; hyper's own for malformed requests count as malformed connections.
const CODES: [(StatusCode, &str); 8] = [
    (StatusCode::OK, "200"),
    (StatusCode::BAD_REQUEST, "400"),
    (StatusCode::UNAUTHORIZED, "401"),
    (StatusCode::NOT_FOUND, "404"),
    (StatusCode::METHOD_NOT_ALLOWED, "405"),
    (StatusCode::TOO_MANY_REQUESTS, "429"),
    (StatusCode::INTERNAL_SERVER_ERROR, "500"),
    (StatusCode::SERVICE_UNAVAILABLE, "503"),
];

#[derive(Debug, Default)]
struct WebCounts {
    answers: [AtomicU64; CODES.len()],
    accepted: AtomicU64,
    open: AtomicU64,
    not_accepted: AtomicU64,
    made_room: AtomicU64,
    too_slow: AtomicU64,
    malformed: AtomicU64,
    broken: AtomicU64,
    no_handshake: AtomicU64,
    config: OnceLock<WebConfig>,
}

/// The server's counters; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<WebCounts>);

impl Counters {
    pub(super) fn answered(&self, status: StatusCode) {
        for ((code, _), count) in CODES.iter().zip(&self.0.answers) {
            if *code == status {
                add(count);
            }
        }
    }

    pub(super) fn accepted(&self) {
        add(&self.0.accepted);
    }

    /// The kernel refused to accept a connection.
    pub(super) fn not_accepted(&self) {
        add(&self.0.not_accepted);
    }

    /// An open connection was closed for a new one.
    pub(super) fn made_room(&self) {
        add(&self.0.made_room);
    }

    pub(super) fn open(&self, connections: usize) {
        self.0.open.store(u64::try_from(connections).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The client took too long for the handshake of TLS.
    pub(super) fn too_slow(&self) {
        add(&self.0.too_slow);
    }

    /// The handshake of TLS failed.
    pub(super) fn no_handshake(&self) {
        add(&self.0.no_handshake);
    }

    /// The file whose state is shown, too.
    pub(super) fn follow(&self, config: &WebConfig) {
        let _first = self.0.config.set(config.clone()).is_ok();
    }

    /// A connection ended with an error.
    pub(super) fn ended_by(&self, error: &hyper::Error) {
        let took_too_long = || {
            let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            source.is_some_and(|source| source.kind() == io::ErrorKind::TimedOut)
        };
        add(if error.is_timeout() || took_too_long() {
            &self.0.too_slow
        } else if error.is_parse() {
            &self.0.malformed
        } else {
            &self.0.broken
        });
    }
}

impl Collector for Counters {
    fn name(&self) -> &'static str {
        "http"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> anyhow::Result<()> {
        let counts = &self.0;
        let mut answers = ScrapeFamily::counter(
            "tcpwatch_http_requests_total",
            "Requests answered by this page's server, by status code.",
        );
        for ((_, code), count) in CODES.iter().zip(&counts.answers) {
            answers.add(&[("code", code)], read(count));
        }
        families.push(answers);
        families.push(
            ScrapeFamily::counter(
                "tcpwatch_http_connections_total",
                "Connections accepted by this page's server.",
            )
            .with(&[], read(&counts.accepted)),
        );
        families.push(
            ScrapeFamily::gauge(
                "tcpwatch_http_open_connections",
                "Connections open at this page's server.",
            )
            .with(&[], read(&counts.open)),
        );
        families.push(
            ScrapeFamily::counter(
                "tcpwatch_http_connections_aborted_total",
                "Connections to this page's server that did not end in order: closed for a \
                 newer one at the cap (cap), too slow to send the request or to take the response \
                 (slow), not HTTP (malformed), aborted by the client (broken), no TLS or refused in its handshake \
                 (tls).",
            )
            .with(&[("reason", "cap")], read(&counts.made_room))
            .with(&[("reason", "slow")], read(&counts.too_slow))
            .with(&[("reason", "malformed")], read(&counts.malformed))
            .with(&[("reason", "broken")], read(&counts.broken))
            .with(&[("reason", "tls")], read(&counts.no_handshake)),
        );
        let is_current = counts.config.get().is_none_or(WebConfig::is_current);
        families.push(
            ScrapeFamily::gauge(
                "tcpwatch_web_config_reload_success",
                "1 if the file of --web.config.file, as it was last read, is in force, or there is none; 0 if it could \
                 not be used, and the one before stays in force.",
            )
            .with(&[], f64::from(u8::from(is_current))),
        );
        families.push(
            ScrapeFamily::counter(
                "tcpwatch_http_accept_failures_total",
                "Attempts of this page's server to accept a connection that the kernel refused, for \
                 example for lack of file descriptors.",
            )
            .with(&[], read(&counts.not_accepted)),
        );
        Ok(())
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "exact up to 2^53, which no count of requests reaches"
)]
fn read(count: &AtomicU64) -> f64 {
    count.load(Ordering::Relaxed) as f64
}
