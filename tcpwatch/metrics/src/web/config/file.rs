//! The keys of the file, as exporter-toolkit has them (`web/tls_config.go`).

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{ConfigError, Invalid, invalid, rate::Rate};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) tls_server_config: Option<TlsKeys>,
    pub(super) http_server_config: Option<HttpKeys>,
    pub(super) rate_limit: Option<RateKeys>,
    /// Names, and what bcrypt made of the passwords.
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsKeys {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) client_ca: String,
    pub(super) cert_file: String,
    pub(super) key_file: String,
    pub(super) client_auth_type: String,
    pub(super) client_ca_file: String,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) cipher_suites: Option<Vec<String>>,
    pub(super) curve_preferences: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpKeys {
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    #[serde(deserialize_with = "pairs")]
    pub(super) headers: Option<Vec<(String, String)>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RateKeys {
    burst: i64,
    interval: Interval,
}

/// A duration as Go writes it, or nanoseconds.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Interval {
    Nanoseconds(u64),
    Words(String),
}

impl Default for Interval {
    fn default() -> Self {
        Self::Nanoseconds(0)
    }
}

fn pairs<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<(String, String)>>, D::Error> {
    let map = Option::<BTreeMap<String, String>>::deserialize(from)?;
    Ok(map.map(|map| map.into_iter().collect()))
}

impl ConfigFile {
    /// Messages show where, and nothing of the text: it has secrets.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let file: Result<Option<Self>, _> = serde_saphyr::from_str_with_options(text, options);
        file.map(Option::unwrap_or_default).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            line: error.location().map_or(1, |location| location.line()),
            what: without_place(&error.without_snippet().to_string()).to_owned(),
        })
    }
}

/// The line stands before the message; `at line 2, column 3` after it is left out.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

impl RateKeys {
    /// No limit with an interval of 0.
    pub(super) fn rate(&self) -> Result<Option<Rate>, Invalid> {
        let interval = match &self.interval {
            Interval::Nanoseconds(number) => std::time::Duration::from_nanos(*number),
            Interval::Words(word) if word == "0" => std::time::Duration::ZERO,
            Interval::Words(word) => humantime::parse_duration(word)
                .map_err(|error| invalid("rate_limit.interval", format!("\"{word}\": {error}")))?,
        };
        let burst = u32::try_from(self.burst)
            .map_err(|error| invalid("rate_limit.burst", format!("{}: {error}", self.burst)))?;
        Ok((!interval.is_zero()).then_some(Rate { interval, burst }))
    }
}
