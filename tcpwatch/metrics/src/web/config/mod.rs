//! The web configuration file of Prometheus' exporter-toolkit: TLS, users, headers, a limit on requests.
//!
//! The same keys as there, with these differences: HTTP/1.1 only (`http2` is accepted and has no effect), TLS 1.2 and
//! 1.3 only, client certificates are verified only by certificates that are named (`client_ca_file`), never by those of
//! the system, and TLS cannot be switched on or off while the server runs.

mod client;
mod file;
mod rate;
mod reload;
mod tls;
mod users;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio_rustls::rustls::ServerConfig;

use file::ConfigFile;
pub(super) use rate::Bucket;
use rate::Rate;
pub use reload::WebConfig;
use tls::TlsTexts;
pub(super) use users::{Users, credentials};

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// It is no YAML, or has an unknown key or a value of another type.
    #[error("{}, line {line}: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// A value that cannot be used.
    #[error("{}: {key}: {what}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, with those above it.
        key: String,
        /// What is wrong.
        what: String,
    },
}

/// A value that cannot be used, before the file's name is added.
type Invalid = (String, String);

/// What is wrong with a key.
fn invalid(key: &str, what: impl Into<String>) -> Invalid {
    (key.to_owned(), what.into())
}

/// What a file asks for.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) users: Users,
    pub(super) headers: HeaderMap,
    pub(super) rate: Option<Rate>,
    /// The file and those that it names.
    files: Vec<PathBuf>,
}

impl Loaded {
    /// Reads the file, and the certificates and keys that it names.
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let file = ConfigFile::parse(path, &text)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let in_file = |(key, what)| ConfigError::Value { path: path.to_owned(), key, what };
        let mut files = vec![path.to_owned()];
        let mut load = |named: &Path| {
            let path = directory.join(named);
            files.push(path.clone());
            read(&path)
        };
        let tls = file.tls_server_config.unwrap_or_default();
        tls.check().map_err(in_file)?;
        let tls = tls.load(&mut load)?.map(TlsTexts::server).transpose().map_err(in_file)?;
        let http = file.http_server_config.unwrap_or_default();
        Ok(Self {
            tls: tls.map(Arc::new),
            users: Users::new(file.basic_auth_users.unwrap_or_default()).map_err(in_file)?,
            headers: headers(http.headers.unwrap_or_default()).map_err(in_file)?,
            rate: file
                .rate_limit
                .and_then(|limit| limit.rate().transpose())
                .transpose()
                .map_err(in_file)?,
            files,
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// The headers that may be set, with the values that are allowed; none means any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

fn headers(wanted: Vec<(String, String)>) -> Result<HeaderMap, Invalid> {
    let mut headers = HeaderMap::new();
    for (name, value) in wanted {
        let key = format!("http_server_config.headers.{name}");
        let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            let known = HEADERS.map(|(name, _)| name).join(", ");
            return Err(invalid(
                &key,
                format!("this header cannot be set; those that can: {known}"),
            ));
        };
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            return Err(invalid(&key, format!("\"{value}\" is not one of {}", allowed.join(", "))));
        }
        let value =
            HeaderValue::from_str(&value).map_err(|error| invalid(&key, error.to_string()))?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| invalid(&key, error.to_string()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is said of a file with this text.
    fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        fs::write(&path, text).unwrap();
        Loaded::read(&path).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        for (text, words) in [
            ("basic_auth_user:\n  a: b\n", ["line 1", "basic_auth_user"]),
            ("tls_server_config:\n  cert_file: a\n  kee_file: b\n", ["line 3", "kee_file"]),
            ("http_server_config:\n  http2: perhaps\n", ["line 2", "bool"]),
            ("\nrate_limit: [1]\n", ["line 2", "expected"]),
            ("basic_auth_users: {a: x, a: y}\n", ["line 1", "a"]),
        ] {
            let error = refusal(text);
            for word in words.into_iter().chain(["web.yml"]) {
                assert!(error.contains(word), "{word}: {error}");
            }
        }
    }

    #[test]
    fn a_secret_is_not_in_the_message() {
        for text in [
            "basic_auth_users:\n  a: [\"$2y$10$geheim\"]\n",
            "tls_server_config:\n  key: {a: geheim}\n",
            "basic_auth_users:\n  a: geheim\n",
        ] {
            assert!(!refusal(text).contains("geheim"), "{}", refusal(text));
        }
    }

    #[test]
    fn values_that_cannot_be_used_are_named_with_their_key() {
        for (text, words) in [
            ("http_server_config: {headers: {Server: x}}", ["headers.Server", "cannot be set"]),
            (
                "http_server_config: {headers: {X-Frame-Options: no}}",
                ["X-Frame-Options", "sameorigin"],
            ),
            ("rate_limit: {interval: soon, burst: 1}", ["rate_limit.interval", "soon"]),
            ("rate_limit: {interval: 1s, burst: -1}", ["rate_limit.burst", "-1"]),
            ("basic_auth_users: {a: plain}", ["basic_auth_users.a", "bcrypt"]),
            ("tls_server_config: {key_file: k}", ["tls_server_config.cert_file", "missing"]),
            ("tls_server_config: {cert_file: c}", ["tls_server_config.key_file", "missing"]),
            ("tls_server_config: {client_auth_type: Sometimes}", ["cert_file", "missing"]),
        ] {
            let error = refusal(text);
            for word in words {
                assert!(error.contains(word), "{word}: {error}");
            }
        }
        assert!(refusal("tls_server_config: {cert_file: c, key_file: k}").contains("cannot read"));
    }

    #[test]
    fn an_empty_file_asks_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        for text in ["", "# nothing\n", "{}\n", "tls_server_config: {}\n", "basic_auth_users:\n"] {
            fs::write(&path, text).unwrap();
            let loaded = Loaded::read(&path).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(loaded.tls.is_none() && loaded.rate.is_none(), "{text}");
            assert!(loaded.users.is_empty() && loaded.headers.is_empty(), "{text}");
        }
    }
}
