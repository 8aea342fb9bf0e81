//! Which form of the page a client asks for: the header Accept of RFC 9110, section 12.5.1.

use hyper::{HeaderMap, header::ACCEPT};

use super::{
    PageFormat,
    preferences::{members, thousandths},
};

/// The form with the higher weight; Prometheus' own where both weigh the same, and for everybody who asks for neither.
pub(super) fn format(headers: &HeaderMap) -> PageFormat {
    let (mut open_metrics, mut text) = (0, 0);
    for member in members(headers, &ACCEPT) {
        let mut parts = member.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut weight, mut version) = (1000, None);
        for part in parts {
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("q" | "Q", _)) => weight = thousandths(part).unwrap_or(0),
                Some(("version", value)) => version = Some(value.trim_matches('"')),
                _ => {}
            }
        }
        match (kind.as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => {
                open_metrics = open_metrics.max(weight);
            }
            ("text/plain" | "text/*" | "*/*", None | Some("0.0.4")) => text = text.max(weight),
            _ => {}
        }
    }
    if open_metrics > text { PageFormat::OpenMetrics } else { PageFormat::Text }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn asked(lines: &[&str]) -> PageFormat {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        format(&headers)
    }

    #[test]
    fn prometheus_gets_open_metrics() {
        // The headers of Prometheus 2.42 and 3.5.
        for line in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text ; version=\"1.0.0\" ; q=0.001",
        ] {
            assert_eq!(asked(&[line]), PageFormat::OpenMetrics, "{line}");
        }
        let two = ["text/plain;q=0.5", "application/openmetrics-text;version=1.0.0"];
        assert_eq!(asked(&two), PageFormat::OpenMetrics);
    }

    #[test]
    fn everybody_else_gets_the_text_format() {
        for line in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=0.5,text/plain;version=0.0.4",
            "text/plain,application/openmetrics-text",
        ] {
            assert_eq!(asked(&[line]), PageFormat::Text, "{line}");
        }
        assert_eq!(asked(&[]), PageFormat::Text);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
            let mut headers = HeaderMap::new();
            for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
                headers.append(ACCEPT, value);
            }
            format(&headers);
        }
    }
}
