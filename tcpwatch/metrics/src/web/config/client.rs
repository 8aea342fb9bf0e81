//! Certificates of clients.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::{Invalid, file::TlsKeys, invalid, tls::certificates};

/// The types of Go (`tls.ClientAuthType`): whether a certificate has to be shown, and whether it is verified.
const TYPES: [(&str, bool, bool); 5] = [
    ("RequestClientCert", false, false),
    ("RequireAnyClientCert", true, false),
    // The older word for the one before.
    ("RequireClientCert", true, false),
    ("VerifyClientCertIfGiven", false, true),
    ("RequireAndVerifyClientCert", true, true),
];

/// What is asked of a client's certificate.
pub(super) struct ClientAuth {
    is_mandatory: bool,
    /// By these authorities; `None` takes any certificate whose key the client has.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    allowed: Option<Vec<String>>,
    provider: Arc<CryptoProvider>,
}

impl ClientAuth {
    /// `None` if no certificate is asked for.
    pub(super) fn new(
        keys: &TlsKeys,
        client_ca: Option<&str>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Self>, Invalid> {
        const TYPE: &str = "tls_server_config.client_auth_type";
        let word = keys.client_auth_type.as_str();
        let Some((_, is_mandatory, verifies)) = TYPES.iter().find(|(known, ..)| *known == word)
        else {
            return match word {
                "" | "NoClientCert"
                    if client_ca.is_some() || keys.client_allowed_sans.is_some() =>
                {
                    Err(invalid(TYPE, "missing, although something is said of client certificates"))
                }
                "" | "NoClientCert" => Ok(None),
                _ => Err(invalid(TYPE, format!("\"{word}\" is no type"))),
            };
        };
        if keys.client_allowed_sans.is_some() && !is_mandatory {
            let what = "takes RequireAnyClientCert or RequireAndVerifyClientCert";
            return Err(invalid("tls_server_config.client_allowed_sans", what));
        }
        let chain = if *verifies { Some(chain(client_ca, provider)?) } else { None };
        Ok(Some(Self {
            is_mandatory: *is_mandatory,
            chain,
            allowed: keys.client_allowed_sans.clone(),
            provider: Arc::clone(provider),
        }))
    }
}

/// Verifies by the authorities in `client_ca`.
fn chain(
    client_ca: Option<&str>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Invalid> {
    const KEY: &str = "tls_server_config.client_ca_file";
    let text =
        client_ca.ok_or_else(|| invalid(KEY, "missing: it says whose certificates are good"))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca_file", text)? {
        roots.add(certificate).map_err(|error| invalid(KEY, error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| invalid(KEY, error.to_string()))
}

/// The names that a certificate is for: DNS names, e-mail and IP addresses, URIs.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let words = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    Some(words.collect())
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth")
            .field("is_mandatory", &self.is_mandatory)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for ClientAuth {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(end_entity, intermediates, now)?;
        }
        if let Some(allowed) = &self.allowed {
            let names = names(end_entity).unwrap_or_default();
            if !names.iter().any(|name| allowed.contains(name)) {
                return Err(CertificateError::NotValidForName.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
