//! TLS, from the words of the file to a configuration of rustls.

use std::{path::Path, sync::Arc};

use tokio_rustls::rustls::{
    NamedGroup, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};

use super::{ConfigError, Invalid, client::ClientAuth, file::TlsKeys, invalid};

/// Versions in order; those without a value are not offered.
const VERSIONS: [(&str, Option<&SupportedProtocolVersion>); 4] =
    [("TLS10", None), ("TLS11", None), ("TLS12", Some(&TLS12)), ("TLS13", Some(&TLS13))];

/// Curves; rustls with ring has no P-521.
const CURVES: [(&str, Option<NamedGroup>); 4] = [
    ("CurveP256", Some(NamedGroup::secp256r1)),
    ("CurveP384", Some(NamedGroup::secp384r1)),
    ("CurveP521", None),
    ("X25519", Some(NamedGroup::X25519)),
];

/// Suites that Go knows and rustls does not offer, because they encrypt with CBC or exchange keys without forward
/// secrecy.
const WEAK: [&str; 8] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
];

/// The keys of the file with the contents of the files that they name.
pub(super) struct TlsTexts {
    keys: TlsKeys,
    certificates: String,
    key: String,
    client_ca: Option<String>,
}

impl TlsKeys {
    /// Is there something for each key that TLS takes?
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if !self.is_asked() {
            return Ok(());
        }
        for (key, file, inline) in
            [("cert_file", &self.cert_file, &self.cert), ("key_file", &self.key_file, &self.key)]
        {
            if file.is_empty() && inline.is_empty() {
                return Err(invalid(&format!("tls_server_config.{key}"), "missing"));
            }
        }
        Ok(())
    }

    fn is_asked(&self) -> bool {
        let words = [
            &self.cert,
            &self.cert_file,
            &self.key,
            &self.key_file,
            &self.client_ca,
            &self.client_ca_file,
            &self.client_auth_type,
        ];
        !words.into_iter().all(String::is_empty)
    }

    /// `None` if the file does not ask for TLS.
    pub(super) fn load(
        self,
        read: &mut impl FnMut(&Path) -> Result<String, ConfigError>,
    ) -> Result<Option<TlsTexts>, ConfigError> {
        if !self.is_asked() {
            return Ok(None);
        }
        let mut text = |file: &str, inline: &str| match (file, inline) {
            ("", "") => Ok(None),
            ("", inline) => Ok(Some(inline.to_owned())),
            (file, _) => read(Path::new(file)).map(Some),
        };
        let certificates = text(&self.cert_file, &self.cert)?.unwrap_or_default();
        let key = text(&self.key_file, &self.key)?.unwrap_or_default();
        let client_ca = text(&self.client_ca_file, &self.client_ca)?;
        Ok(Some(TlsTexts { keys: self, certificates, key, client_ca }))
    }
}

impl TlsTexts {
    /// The configuration of a server.
    pub(super) fn server(self) -> Result<ServerConfig, Invalid> {
        let keys = &self.keys;
        let provider = Arc::new(provider(keys)?);
        let clients = ClientAuth::new(keys, self.client_ca.as_deref(), &provider)?;
        let certificates = certificates("cert_file", &self.certificates)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| invalid("tls_server_config.key_file", error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(keys)?)
            .map_err(|error| invalid("tls_server_config.cipher_suites", error.to_string()))?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(Arc::new(clients)),
        };
        let mut server = builder
            .with_single_cert(certificates, key)
            .map_err(|error| invalid("tls_server_config.key_file", error.to_string()))?;
        server.ignore_client_order = keys.prefer_server_cipher_suites.unwrap_or(true);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(server)
    }
}

/// All certificates of a PEM text.
pub(super) fn certificates(key: &str, text: &str) -> Result<Vec<CertificateDer<'static>>, Invalid> {
    let key = format!("tls_server_config.{key}");
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(&key, error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid(&key, "it has no certificate in PEM form"));
    }
    Ok(certificates)
}

/// The versions from the least to the greatest.
fn versions(keys: &TlsKeys) -> Result<Vec<&'static SupportedProtocolVersion>, Invalid> {
    let place = |key: &str, word: &Option<String>, default: usize| match word {
        None => Ok(default),
        Some(word) => VERSIONS.iter().position(|(known, _)| known == word).ok_or_else(|| {
            let known = VERSIONS.map(|(name, _)| name).join(", ");
            invalid(
                &format!("tls_server_config.{key}"),
                format!("\"{word}\" is not one of {known}"),
            )
        }),
    };
    let least = place("min_version", &keys.min_version, 2)?;
    let greatest = place("max_version", &keys.max_version, 3)?;
    let between = VERSIONS.iter().take(greatest + 1).skip(least);
    let versions: Vec<_> = between.filter_map(|(_, version)| *version).collect();
    if versions.is_empty() {
        let what = "no version is left; TLS12 and TLS13 are offered";
        return Err(invalid("tls_server_config.max_version", what));
    }
    Ok(versions)
}

/// The suites and curves that are asked for, in this order. Suites of TLS 1.3 are always there, as in Go.
fn provider(keys: &TlsKeys) -> Result<CryptoProvider, Invalid> {
    let mut provider = ring::default_provider();
    if let Some(wanted) = keys.cipher_suites.as_deref().filter(|wanted| !wanted.is_empty()) {
        let mut suites: Vec<SupportedCipherSuite> = Vec::new();
        for word in wanted {
            match provider.cipher_suites.iter().find(|suite| name(**suite) == *word) {
                Some(suite) => suites.push(*suite),
                None if WEAK.contains(&word.as_str()) => {
                    tracing::warn!("the TLS cipher suite {word} is not offered");
                }
                None => {
                    let what = format!("unknown cipher: {word}");
                    return Err(invalid("tls_server_config.cipher_suites", what));
                }
            }
        }
        let is_new =
            |suite: &SupportedCipherSuite| suite.tls13().is_some() && !suites.contains(suite);
        let newest: Vec<_> = provider.cipher_suites.iter().copied().filter(is_new).collect();
        provider.cipher_suites = newest.into_iter().chain(suites).collect();
    }
    if let Some(wanted) = keys.curve_preferences.as_deref().filter(|wanted| !wanted.is_empty()) {
        let mut groups = Vec::new();
        for word in wanted {
            let Some((_, group)) = CURVES.iter().find(|(known, _)| known == word) else {
                return Err(invalid(
                    "tls_server_config.curve_preferences",
                    format!("unknown curve: {word}"),
                ));
            };
            groups.extend(
                provider.kx_groups.iter().find(|known| Some(known.name()) == *group).copied(),
            );
        }
        if groups.is_empty() {
            return Err(invalid(
                "tls_server_config.curve_preferences",
                "no curve is left; P-521 is not offered",
            ));
        }
        provider.kx_groups = groups;
    }
    Ok(provider)
}

/// The name in the registry of IANA, as Go has it; rustls writes TLS13 where that has TLS.
fn name(suite: SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(wanted: &[&str]) -> Result<Vec<String>, Invalid> {
        let wanted = wanted.iter().map(|word| (*word).to_owned()).collect();
        let keys = TlsKeys { cipher_suites: Some(wanted), ..TlsKeys::default() };
        Ok(provider(&keys)?.cipher_suites.into_iter().map(name).collect())
    }

    #[test]
    fn suites_are_in_the_order_of_the_file_and_those_of_tls_1_3_are_always_there() {
        let found = suites(&[
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_RSA_WITH_AES_128_CBC_SHA",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ]);
        let found = found.unwrap();
        assert_eq!(
            found[3..],
            ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
        );
        assert!(found[..3].contains(&"TLS_AES_128_GCM_SHA256".to_owned()), "{found:?}");
        assert!(suites(&["TLS_ECDHE_RSA_WITH_AES_512"]).is_err());
    }

    #[test]
    fn versions_lie_between_the_least_and_the_greatest() {
        let between = |least: &str, greatest: &str| {
            let words = (Some(least.to_owned()), Some(greatest.to_owned()));
            versions(&TlsKeys { min_version: words.0, max_version: words.1, ..TlsKeys::default() })
        };
        assert_eq!(between("TLS10", "TLS13").unwrap().len(), 2);
        assert_eq!(between("TLS13", "TLS13").unwrap(), [&TLS13]);
        assert_eq!(between("TLS12", "TLS12").unwrap(), [&TLS12]);
        for (least, greatest) in [("TLS10", "TLS11"), ("TLS13", "TLS12"), ("SSL3", "TLS13")] {
            assert!(between(least, greatest).is_err(), "{least} {greatest}");
        }
    }
}
