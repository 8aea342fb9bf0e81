//! A client with and without TLS, and what it gets.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};

use super::certificates::{Folder, Identity};

const PATIENCE: Duration = Duration::from_secs(20);

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub tls: Option<&'static SupportedProtocolVersion>,
    /// The name of the client's certificate.
    pub certificate: &'static str,
    /// Name and password.
    pub user: Option<(&'static str, &'static str)>,
}

impl Ask {
    pub const PLAIN: Self = Self { tls: None, certificate: "", user: None };
    pub const TLS: Self = Self { tls: Some(&TLS13), ..Self::PLAIN };
    pub const TLS12: Self = Self { tls: Some(&TLS12), ..Self::PLAIN };

    pub const fn with(self, certificate: &'static str) -> Self {
        Self { certificate, ..self }
    }

    pub const fn by(self, name: &'static str, password: &'static str) -> Self {
        Self { user: Some((name, password)), ..self }
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status, and the headers that a configuration may ask for.
    Http { status: u16, asks_who: bool, frames: Option<String> },
    /// The connection was ended before a response.
    Refused,
}

impl Reply {
    pub const fn status(status: u16) -> Self {
        Self::Http { status, asks_who: status == 401, frames: None }
    }
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// Makes the request; the server's certificate has to be that of `folder`.
pub fn ask(address: SocketAddr, folder: &Folder, ask: Ask) -> Reply {
    connect(address, folder, ask)
        .and_then(|mut wire| {
            let user = ask.user.map(|(name, password)| format!("{name}:{password}"));
            let user = user.map_or_else(String::new, |user| {
                format!("Authorization: Basic {}\r\n", STANDARD.encode(user))
            });
            let request =
                format!("GET /metrics HTTP/1.1\r\nHost: t\r\n{user}Connection: close\r\n\r\n");
            wire.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            // Without close_notify an answer that is whole is an answer all the same.
            let read = wire.read_to_end(&mut answer);
            if answer.is_empty() {
                read?;
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(parse(&String::from_utf8_lossy(&answer)))
        })
        .unwrap_or_else(|error| {
            let is_local =
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            assert!(!is_local, "no answer within {PATIENCE:?}: {ask:?}");
            Reply::Refused
        })
}

fn parse(answer: &str) -> Reply {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |name: &str| {
        let mut pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let asks_who = header("www-authenticate").is_some_and(|value| value == "Basic");
    Reply::Http { status, asks_who, frames: header("x-frame-options") }
}

fn connect(address: SocketAddr, folder: &Folder, ask: Ask) -> io::Result<Box<dyn Wire>> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let Some(version) = ask.tls else { return Ok(Box::new(tcp)) };
    let config = config(folder, version, ask.certificate);
    let connection =
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    Ok(Box::new(StreamOwned::new(connection, tcp)))
}

fn config(
    folder: &Folder,
    version: &'static SupportedProtocolVersion,
    certificate: &str,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(folder.authority.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    if certificate.is_empty() {
        return builder.with_no_client_auth();
    }
    let Identity { certificate, key } = folder.identity(certificate);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    // Not only if its authority is one that the server names: that is what is to be tried.
    let key = tokio_rustls::rustls::sign::CertifiedKey::new(
        vec![certificate],
        ring::sign::any_supported_type(&key).unwrap(),
    );
    builder.with_client_cert_resolver(Arc::new(Always(Arc::new(key))))
}

/// Shows this certificate whatever the server asks for.
#[derive(Debug)]
struct Always(Arc<tokio_rustls::rustls::sign::CertifiedKey>);

impl tokio_rustls::rustls::client::ResolvesClientCert for Always {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[tokio_rustls::rustls::SignatureScheme],
    ) -> Option<Arc<tokio_rustls::rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
