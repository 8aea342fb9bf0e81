//! Certificates of a server and of clients, in a directory of their own.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, string::Ia5String,
};
use tempfile::TempDir;

/// What bcrypt with a cost of 4 made of the password of `alice`.
pub const PASSWORD: &str = "a:secret";

/// Files for a configuration: `server.crt`, `server.key`, `ca.crt`, and certificates of clients by name.
pub struct Folder {
    folder: TempDir,
    /// The authority that made all but the strangers' certificates.
    pub authority: String,
}

/// A certificate and its key, in PEM form.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn certify(&self, usage: ExtendedKeyUsagePurpose, names: Vec<SanType>) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = Authority::new("ours");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let name = |name: &str| SanType::DnsName(Ia5String::try_from(name).unwrap());
        let server = ours.certify(
            ExtendedKeyUsagePurpose::ServerAuth,
            vec![name("localhost"), SanType::IpAddress([127, 0, 0, 1].into())],
        );
        write("server.crt", &server.certificate);
        write("server.key", &server.key);
        write("ca.crt", &ours.certificate);
        for (file, authority, host) in [
            ("prometheus", &ours, "prometheus.example"),
            ("grafana", &ours, "grafana.example"),
            ("stranger", &Authority::new("theirs"), "prometheus.example"),
        ] {
            let client = authority.certify(ExtendedKeyUsagePurpose::ClientAuth, vec![name(host)]);
            write(&format!("{file}.crt"), &client.certificate);
            write(&format!("{file}.key"), &client.key);
        }
        Self { authority: ours.certificate, folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of a client: `prometheus`, `grafana`, or `stranger`, whose authority is another one.
    pub fn identity(&self, name: &str) -> Identity {
        let read =
            |end: &str| fs::read_to_string(self.path().join(format!("{name}.{end}"))).unwrap();
        Identity { certificate: read("crt"), key: read("key") }
    }

    /// Writes the configuration; `HASH` in it stands for what bcrypt made of [`PASSWORD`].
    pub fn write(&self, text: &str) -> std::path::PathBuf {
        let hash = bcrypt::hash(PASSWORD, 4).unwrap();
        let path = self.path().join("web.yml");
        fs::write(&path, text.replace("HASH", &hash)).unwrap();
        path
    }
}
