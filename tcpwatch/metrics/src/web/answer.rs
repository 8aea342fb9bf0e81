//! Makes the response to a request.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, VARY},
};
use tokio::time::timeout;

use super::{
    Limits, PageFormat, Pages, accept,
    accept_encoding::takes_gzip,
    counters::Counters,
    gate::{Gate, with_headers},
    page::{Coding, PageMaker},
};

const HTML: &str = "text/html; charset=utf-8";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// The content types that Prometheus 3 requires.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const LANDING: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>tcpwatch</title></head>\n",
    "<body>\n<h1>tcpwatch ",
    env!("CARGO_PKG_VERSION"),
    "</h1>\n<p>What the Linux kernel does with every TCP connection of this host.</p>\n<ul>\n",
    "<li><a href=\"/metrics\">/metrics</a>: for Prometheus</li>\n",
    "<li><a href=\"/-/healthy\">/-/healthy</a>: this process answers</li>\n",
    "<li><a href=\"/-/ready\">/-/ready</a>: there is something to scrape</li>\n",
    "</ul>\n</body>\n</html>\n",
);

/// The requested resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Landing,
    Metrics,
    Healthy,
    Ready,
    OtherMethod,
    Nothing,
}

fn route(method: &Method, path: &str) -> Route {
    let found = match path {
        "/" => Route::Landing,
        "/metrics" => Route::Metrics,
        "/-/healthy" => Route::Healthy,
        "/-/ready" => Route::Ready,
        _ => return Route::Nothing,
    };
    if *method == Method::GET || *method == Method::HEAD { found } else { Route::OtherMethod }
}

pub(super) type WebResponse = Response<Full<Bytes>>;

/// What responses are made from.
pub(super) struct Responder {
    pages: Arc<dyn Pages>,
    maker: PageMaker,
    counters: Counters,
    limits: Limits,
    pub(super) gate: Gate,
}

impl Responder {
    pub(super) fn new(
        pages: Arc<dyn Pages>,
        counters: Counters,
        limits: Limits,
        gate: Gate,
    ) -> Self {
        Self { maker: PageMaker::new(Arc::clone(&pages)), pages, counters, limits, gate }
    }

    /// Responds to a request; calls `begin` when it is let in. A request's body is not read, and hyper omits the body of
    /// a response to HEAD.
    pub(super) async fn answer<B>(
        &self,
        request: &Request<B>,
        begin: impl FnOnce(),
    ) -> WebResponse {
        let Some(config) = self.gate.config() else {
            begin();
            return self.page(request).await;
        };
        if let Some(refusal) = self.gate.refusal(&config, request.headers()).await {
            self.counters.answered(refusal.status());
            return refusal;
        }
        begin();
        with_headers(self.page(request).await, &config)
    }

    /// The response to a request that came without TLS, in the words of Go's `net/http`.
    pub(super) fn lacks_tls(&self) -> WebResponse {
        let words = "Client sent an HTTP request to an HTTPS server.\n";
        let answer = with(answer(StatusCode::BAD_REQUEST, TEXT, words), CONNECTION, "close");
        self.counters.answered(answer.status());
        answer
    }

    async fn page<B>(&self, request: &Request<B>) -> WebResponse {
        let answer = match route(request.method(), request.uri().path()) {
            Route::Landing => answer(StatusCode::OK, HTML, LANDING),
            Route::Metrics => self.metrics(request.headers()).await,
            Route::Healthy => answer(StatusCode::OK, TEXT, "tcpwatch is healthy\n"),
            Route::Ready => match self.pages.ready() {
                Ok(()) => answer(StatusCode::OK, TEXT, "tcpwatch is ready\n"),
                Err(why) => answer(
                    StatusCode::SERVICE_UNAVAILABLE,
                    TEXT,
                    format!("tcpwatch is not ready: {why}\n"),
                ),
            },
            Route::OtherMethod => with(
                answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are allowed\n"),
                ALLOW,
                "GET, HEAD",
            ),
            Route::Nothing => answer(StatusCode::NOT_FOUND, TEXT, "no such page; see /\n"),
        };
        self.counters.answered(answer.status());
        answer
    }

    async fn metrics(&self, headers: &HeaderMap) -> WebResponse {
        let coding = if takes_gzip(headers) { Coding::Gzip } else { Coding::Plain };
        let format = accept::format(headers);
        let answer = match timeout(self.limits.make, self.maker.page(format, coding)).await {
            Ok(Ok(page)) => {
                let kind = match format {
                    PageFormat::Text => METRICS,
                    PageFormat::OpenMetrics => OPEN_METRICS,
                };
                let answer = answer(StatusCode::OK, kind, page);
                match coding {
                    Coding::Plain => answer,
                    Coding::Gzip => with(answer, CONTENT_ENCODING, "gzip"),
                }
            }
            Ok(Err(why)) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, why + "\n"),
            Err(_elapsed) => answer(
                StatusCode::SERVICE_UNAVAILABLE,
                TEXT,
                format!("the page was not made within {:?}\n", self.limits.make),
            ),
        };
        with(answer, VARY, "Accept, Accept-Encoding")
    }
}

pub(super) fn answer(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> WebResponse {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, kind)
}

fn with(mut answer: WebResponse, name: HeaderName, value: &'static str) -> WebResponse {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_found_by_its_exact_path_and_only_by_get_and_head() {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(route(&method, "/"), Route::Landing);
            assert_eq!(route(&method, "/metrics"), Route::Metrics);
            assert_eq!(route(&method, "/-/healthy"), Route::Healthy);
            assert_eq!(route(&method, "/-/ready"), Route::Ready);
            for path in
                ["", "*", "/metrics/", "/Metrics", "//metrics", "/metrics/../", "/favicon.ico"]
            {
                assert_eq!(route(&method, path), Route::Nothing, "{path}");
            }
        }
        for method in [Method::POST, Method::OPTIONS, Method::CONNECT, Method::DELETE] {
            assert_eq!(route(&method, "/metrics"), Route::OtherMethod);
            assert_eq!(route(&method, "/elsewhere"), Route::Nothing);
        }
    }

    proptest! {
        #[test]
        fn no_method_but_get_and_head_finds_a_page(method in prop::collection::vec(any::<u8>(), 1..12), path in ".*") {
            let Ok(method) = Method::from_bytes(&method) else { return Ok(()) };
            prop_assume!(method != Method::GET && method != Method::HEAD);
            for path in ["/", "/metrics", &path] {
                prop_assert!(matches!(route(&method, path), Route::OtherMethod | Route::Nothing));
            }
        }
    }
}
