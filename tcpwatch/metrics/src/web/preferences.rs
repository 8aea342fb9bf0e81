//! Headers that list what a client takes, each member with a weight: RFC 9110, section 12.4.2.

use hyper::{HeaderMap, header::HeaderName};

/// The members of a list, which may have several lines; lines that are not ASCII are left out.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &'a HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(','))
}

/// `q=0.123` as 123; an invalid weight is 0.
pub(super) fn thousandths(weight: &str) -> Option<u16> {
    let weight = weight.trim();
    let value = weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="))?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.bytes().all(|digit| digit.is_ascii_digit());
    if !digits || fraction.len() > 3 {
        return Some(0);
    }
    let thousandths = match whole {
        "0" => format!("{fraction:0<3}").parse().unwrap_or(0),
        "1" => 1000,
        _ => 0,
    };
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_weight_is_at_most_one(weight in "[qQ]?=?[0-9]{0,3}[.]?[0-9x]{0,5}") {
            prop_assert!(thousandths(&weight).is_none_or(|weight| weight <= 1000));
        }
    }
}
