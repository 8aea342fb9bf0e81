//! Users and what bcrypt made of their passwords.

use std::{collections::BTreeMap, str::FromStr as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bcrypt::HashParts;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::{Invalid, invalid};

/// The least and the greatest cost of bcrypt: 2 to this power is the number of its rounds.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// Names and hashes.
#[derive(Debug, Default)]
pub(crate) struct Users(BTreeMap<String, String>);

impl Users {
    pub(super) fn new(users: BTreeMap<String, String>) -> Result<Self, Invalid> {
        for (name, hash) in &users {
            let is_hash =
                HashParts::from_str(hash).is_ok_and(|parts| COSTS.contains(&parts.get_cost()));
            if !is_hash {
                let key = format!("basic_auth_users.{name}");
                return Err(invalid(&key, "not made by bcrypt, as by `htpasswd -nBC 10 NAME`"));
            }
        }
        Ok(Self(users))
    }

    /// Everybody is let in.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash to compare a password with, and whether there is such a user. For others it is that of some user, so that
    /// the answer takes as long.
    pub(crate) fn hash(&self, name: &str) -> Option<(&str, bool)> {
        let known = self.0.get(name);
        known.or_else(|| self.0.values().next()).map(|hash| (hash.as_str(), known.is_some()))
    }
}

/// Name and password of a request (RFC 7617).
pub(crate) fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    const BASIC: &[u8] = b"basic ";
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, coded) = value.split_at_checked(BASIC.len())?;
    if !scheme.eq_ignore_ascii_case(BASIC) {
        return None;
    }
    let mut plain = STANDARD.decode(coded).ok()?;
    let colon = plain.iter().position(|byte| *byte == b':')?;
    let password = plain.split_off(colon + 1);
    plain.truncate(colon);
    Some((String::from_utf8(plain).ok()?, password))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn sent(value: &str) -> Option<(String, String)> {
        let headers =
            HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
        credentials(&headers).map(|(name, word)| (name, String::from_utf8(word).unwrap()))
    }

    #[test]
    fn a_name_ends_at_the_first_colon() {
        let named = |text: &str| sent(&format!("Basic {}", STANDARD.encode(text)));
        assert_eq!(named("a:b:c"), Some(("a".into(), "b:c".into())));
        assert_eq!(named(":"), Some((String::new(), String::new())));
        assert_eq!(named("a"), None);
        assert_eq!(
            sent(&format!("bAsIc {}", STANDARD.encode("a:b"))),
            Some(("a".into(), "b".into()))
        );
        for value in ["", "Basic", "Basic ", "Basic a:b", "Bearer YTpi", "Basic YTpi=", "BasicYTpi"]
        {
            assert_eq!(sent(value), None, "{value}");
        }
    }

    #[test]
    fn only_what_bcrypt_made_is_a_hash() {
        let users = |hash: &str| Users::new(BTreeMap::from([("a".into(), hash.into())]));
        let hash = "$2y$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
        assert!(users(hash).is_ok());
        for wrong in
            ["", "plain", &hash[..59], &hash.replace("$04$", "$99$"), &hash.replace("$2y$", "$6$y")]
        {
            assert!(users(wrong).is_err(), "{wrong}");
        }
    }
}
