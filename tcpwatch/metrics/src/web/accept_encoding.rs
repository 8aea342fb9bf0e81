//! Whether a client accepts gzip: the header Accept-Encoding of RFC 9110, section 12.5.3.

use hyper::{HeaderMap, header::ACCEPT_ENCODING};

use super::preferences::{members, thousandths};

/// Whether gzip is accepted and its weight is not below that of the uncompressed form.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for member in members(headers, &ACCEPT_ENCODING) {
        let (coding, weight) = member.split_once(';').unwrap_or((member, "q=1"));
        let weight = thousandths(weight);
        match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = gzip.max(weight),
            "identity" => identity = weight,
            "*" => any = weight,
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn takes(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        takes_gzip(&headers)
    }

    #[test]
    fn gzip_is_taken_where_it_or_anything_is_named() {
        for line in [
            "gzip",
            "GZIP",
            "x-gzip",
            "*",
            "br, gzip;q=0.5",
            "gzip ; q=0.001",
            "deflate,gzip;q=1.0",
        ] {
            assert!(takes(&[line]), "{line}");
        }
        assert!(takes(&["br", "gzip"]));
    }

    #[test]
    fn gzip_is_not_taken_where_it_is_missing_forbidden_liked_less_or_weighed_wrongly() {
        for line in [
            "",
            "br",
            "gzip;q=0",
            "gzip;q=0.000",
            "gzip;q=0, *",
            "*;q=0",
            "identity, gzip;q=0.5",
            "gzip;q=2",
            "gzip;q=-1",
            "gzip;q=0.0001",
            "gzip;q=0.x",
            "gzip;q=",
            "gzip;level=9",
            "gzipped",
        ] {
            assert!(!takes(&[line]), "{line}");
        }
        assert!(!takes(&[]));
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
            let mut headers = HeaderMap::new();
            for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
                headers.append(ACCEPT_ENCODING, value);
            }
            takes_gzip(&headers);
        }
    }
}
