//! The response to each kind of request.

use std::io::Read as _;

use flate2::read::GzDecoder;
use tcpwatch_metrics::web::Limits;

use super::client::{ask, get, paper, scrape, server, start};

#[test]
fn a_scrape_has_the_content_type_prometheus_wants() {
    let server = start(Limits::default());
    let reply = scrape(server.addresses()[0]);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(reply.header("vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(reply.header("content-encoding"), None);
}

#[test]
fn who_asks_for_open_metrics_gets_its_content_type() {
    let server = start(Limits::default());
    let reply = ask(
        server.addresses()[0],
        "GET /metrics HTTP/1.1\r\nHost: t\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\
         Connection: close\r\n\r\n",
    );
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)));
    assert_eq!(reply.header("vary"), Some("Accept, Accept-Encoding"));
}

#[test]
fn gzip_holds_the_same_page_and_only_for_who_takes_it() {
    let server = start(Limits::default());
    let plain = scrape(server.addresses()[0]);
    let asking = |how: &str| {
        ask(
            server.addresses()[0],
            &format!(
                "GET /metrics HTTP/1.1\r\nHost: t\r\nAccept-Encoding: {how}\r\nConnection: close\r\n\r\n"
            ),
        )
    };
    let packed = asking("gzip");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("Accept, Accept-Encoding"));
    assert!(packed.body.len() < plain.body.len() / 4);
    let mut text = String::new();
    GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).unwrap();
    // The counters at the end include the second request.
    assert_eq!(text.lines().count(), plain.text().lines().count());
    let refused = asking("gzip;q=0, *");
    assert_eq!(refused.header("content-encoding"), None);
    assert_eq!(refused.text().lines().count(), text.lines().count());
}

#[test]
fn head_answers_as_get_does_but_for_the_body() {
    let server = start(Limits::default());
    for path in ["/", "/metrics", "/-/healthy", "/-/ready"] {
        let whole = get(server.addresses()[0], path);
        let head = ask(
            server.addresses()[0],
            &format!("HEAD {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"),
        );
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-type"), whole.header("content-type"), "{path}");
        let length: usize = head.header("content-length").unwrap().parse().unwrap();
        assert!(length.abs_diff(whole.body.len()) < 10, "{path}: {length}");
    }
}

#[test]
fn other_methods_are_told_which_ones_there_are_and_other_paths_that_there_is_nothing() {
    let server = start(Limits::default());
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let request = |path| {
            format!(
                "{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let reply = ask(server.addresses()[0], &request("/metrics"));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!(ask(server.addresses()[0], &request("/x")).status, 404, "{method}");
    }
    assert_eq!(get(server.addresses()[0], "/metrics/").status, 404);
    assert_eq!(get(server.addresses()[0], "/metrics?name[]=x").status, 200);
    assert_eq!(get(server.addresses()[0], "http://elsewhere/metrics").status, 200);
}

#[test]
fn the_landing_page_says_the_version_and_links_to_all_others() {
    let server = start(Limits::default());
    let reply = get(server.addresses()[0], "/");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.text().contains(&format!("tcpwatch {}", env!("CARGO_PKG_VERSION"))));
    for link in reply.text().split("href=\"").skip(1) {
        let path = link.split('"').next().unwrap();
        assert_eq!(get(server.addresses()[0], path).status, 200, "{path}");
    }
}

#[test]
fn who_is_not_ready_says_why_and_is_healthy_nonetheless() {
    let server = server();
    let paper = paper(&server);
    let pages = std::sync::Arc::clone(&paper);
    let server = server.spawn(pages).unwrap();
    assert_eq!(get(server.addresses()[0], "/-/ready").status, 200);
    *paper.not_ready.lock().unwrap() = Some("the hooks are not attached".to_owned());
    let reply = get(server.addresses()[0], "/-/ready");
    assert_eq!(reply.status, 503);
    assert_eq!(reply.text(), "tcpwatch is not ready: the hooks are not attached\n");
    assert_eq!(get(server.addresses()[0], "/-/healthy").status, 200);
    let page = scrape(server.addresses()[0]);
    assert_eq!(page.count("tcpwatch_http_requests_total{code=\"503\"}"), 1);
    assert_eq!(page.count("tcpwatch_http_requests_total{code=\"200\"}"), 2);
}
