//! Serves the pages of [`Pages`] over HTTP: `/metrics` for Prometheus, `/-/healthy`, `/-/ready` and a landing page. GET
//! and HEAD only, HTTP/1 only; TLS, users and a limit on requests by a configuration file ([`WebConfig`]).
//!
//! A request is answered in this order, and each step may be the last: a slot, the handshake within its time, the head
//! of the request within its time, the limit on requests, the user; only then is a page made.
//!
//! Clients do not affect each other. A connection waits either for its peer (to send a request, to take a response) or
//! for this process; [`turn`] tracks which. At the cap, the connection whose peer has kept it waiting for longest is
//! closed ([`slots`]), so that a new one is always accepted. Each wait is bounded ([`Limits`]), a page is made by one
//! thread at a time ([`page`]), and a connection that ends with an error is reset, so that the kernel keeps nothing of
//! it ([`stream`]).

mod accept;
mod accept_encoding;
mod answer;
mod bind;
mod config;
mod connection;
mod counters;
mod gate;
mod limits;
mod open;
mod page;
mod passwords;
mod preferences;
mod server;
mod slots;
mod stream;
mod thread;
mod turn;

pub use bind::BindError;
pub use config::{ConfigError, WebConfig};
pub use counters::Counters;
pub use limits::Limits;
pub use server::Server;
pub use thread::ServerHandle;

/// The form of the page for Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFormat {
    /// Prometheus' text format 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

/// The content that the server serves.
pub trait Pages: Send + Sync {
    /// The page for Prometheus with the present values. May block; it is called on a thread of its own, and never twice
    /// at once.
    fn metrics(&self, format: PageFormat) -> String;

    /// Whether there is something to scrape. Must not block.
    ///
    /// # Errors
    /// The reason if not, as text for the reader of `/-/ready`.
    fn ready(&self) -> Result<(), String>;
}
