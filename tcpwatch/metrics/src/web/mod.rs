//! The pages of [`Pages`], over HTTP: `/metrics` for Prometheus, `/-/healthy`, `/-/ready` and a landing
//! page. GET and HEAD only, HTTP/1 only, no TLS.
//!
//! No client disturbs another. A connection waits either for its peer (to send a request, to take an
//! answer) or for this process; [`turn`] knows which. At the cap the one whose peer kept it waiting
//! for longest makes room ([`slots`]), so that a newcomer is always let in. Each wait is bounded
//! ([`Limits`]), a page is made by one thread at a time ([`page`]), and what ends out of order is
//! reset, so that the kernel keeps nothing of it ([`stream`]).

mod accept_encoding;
mod answer;
mod bind;
mod counters;
mod limits;
mod page;
mod server;
mod slots;
mod stream;
mod thread;
mod turn;

pub use bind::BindError;
pub use counters::Counters;
pub use limits::Limits;
pub use server::Server;
pub use thread::Handle;

/// What is shown.
pub trait Pages: Send + Sync {
    /// The page for Prometheus, text format 0.0.4, as things are now. May take its time; it is called
    /// on a thread of its own, and never twice at once.
    fn metrics(&self) -> String;

    /// Whether there is something to scrape. Must not block.
    ///
    /// # Errors
    /// The reason if not, in words for the reader of `/-/ready`.
    fn ready(&self) -> Result<(), String>;
}
