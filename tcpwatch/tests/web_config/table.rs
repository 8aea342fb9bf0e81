//! Files, requests, and the answers to them: the same from this server and from `node_exporter`.

use std::{
    env,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
};

use super::{
    certificates::{Folder, PASSWORD},
    client::{Ask, Reply, ask},
    node_exporter::NodeExporter,
    served::Served,
};

type Row = (&'static str, &'static [(Ask, Reply)]);

const OK: Reply = Reply::status(200);
const WHO: Reply = Reply::status(401);
const NO_TLS: Reply = Reply::status(400);
const ENDED: Reply = Reply::Refused;

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";
const USERS: &str = "basic_auth_users: {alice: \"HASH\"}\n";
/// Of a client that sends what a name and a password are not made of.
const COLON: &str = ":";

/// A configuration with a type of client authentication.
macro_rules! clients {
    ($kind:literal) => {
        concat!(
            "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, client_auth_type: ",
            $kind,
            "}\n"
        )
    };
}

const TABLE: &[Row] = &[
    ("", &[(Ask::PLAIN, OK), (Ask::TLS, ENDED)]),
    (
        TLS,
        &[(Ask::TLS, OK), (Ask::TLS12, OK), (Ask::PLAIN, NO_TLS), (Ask::TLS.with("stranger"), OK)],
    ),
    (
        USERS,
        &[
            (Ask::PLAIN, WHO),
            (Ask::PLAIN.by("alice", PASSWORD), OK),
            (Ask::PLAIN.by("alice", PASSWORD), OK),
            (Ask::PLAIN.by("alice", "a:secre"), WHO),
            (Ask::PLAIN.by("alice", ""), WHO),
            (Ask::PLAIN.by("bob", PASSWORD), WHO),
            (Ask::PLAIN.by("", COLON), WHO),
        ],
    ),
    (
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\nbasic_auth_users: {alice: \"HASH\"}\n",
        &[
            (Ask::TLS, WHO),
            (Ask::TLS.by("alice", PASSWORD), OK),
            (Ask::PLAIN.by("alice", PASSWORD), NO_TLS),
        ],
    ),
    (
        clients!("RequireAndVerifyClientCert"),
        &[
            (Ask::TLS, ENDED),
            (Ask::TLS12, ENDED),
            (Ask::TLS.with("prometheus"), OK),
            (Ask::TLS12.with("prometheus"), OK),
            (Ask::TLS.with("stranger"), ENDED),
            (Ask::TLS12.with("stranger"), ENDED),
        ],
    ),
    (
        clients!("VerifyClientCertIfGiven"),
        &[(Ask::TLS, OK), (Ask::TLS.with("prometheus"), OK), (Ask::TLS.with("stranger"), ENDED)],
    ),
    (
        clients!("RequireAnyClientCert"),
        &[(Ask::TLS, ENDED), (Ask::TLS.with("prometheus"), OK), (Ask::TLS.with("stranger"), OK)],
    ),
    (clients!("RequestClientCert"), &[(Ask::TLS, OK), (Ask::TLS12.with("stranger"), OK)]),
    (
        "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS13}\n",
        &[(Ask::TLS, OK), (Ask::TLS12, ENDED)],
    ),
    (
        "tls_server_config: {cert_file: server.crt, key_file: server.key, max_version: TLS12, cipher_suites: [\
         TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [CurveP256], prefer_server_cipher_suites: false}\n",
        &[(Ask::TLS, ENDED), (Ask::TLS12, OK)],
    ),
];

/// Files that neither starts with.
const REFUSED: &[&str] = &[
    "tls_server_confi: {}\n",
    "tls_server_config: {cert_fil: server.crt}\n",
    "tls_server_config: {cert_file: server.crt}\n",
    "tls_server_config: {key_file: server.key}\n",
    "tls_server_config: {cert_file: server.crt, key_file: nowhere.key}\n",
    "tls_server_config: {cert_file: server.crt, key_file: prometheus.key}\n",
    "tls_server_config: {cert_file: server.key, key_file: server.key}\n",
    "tls_server_config: {cert_file: server.crt, key_file: server.key, client_auth_type: Perhaps}\n",
    "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt}\n",
    "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: TLS9}\n",
    "tls_server_config: {cert_file: server.crt, key_file: server.key, cipher_suites: [NULL]}\n",
    "tls_server_config: {cert_file: server.crt, key_file: server.key, curve_preferences: [P1]}\n",
    "http_server_config: {headers: {Server: x}}\n",
    "http_server_config: {headers: {X-Frame-Options: perhaps}}\n",
    "basic_auth_users: {alice: secret}\n",
    "basic_auth_users: [alice]\n",
    "basic_auth_users: {a: \"HASH\", a: \"HASH\"}\n",
    "]\n",
];

#[test]
fn each_file_gives_each_request_its_answer() {
    let folder = Folder::new();
    for (text, requests) in TABLE {
        let served = Served::with(&folder.write(text)).unwrap();
        check("this server", served.address(), &folder, text, requests);
    }
}

#[test]
fn node_exporter_answers_the_same() {
    let Some(program) = NodeExporter::program() else { return skipped() };
    let folder = Folder::new();
    for (text, requests) in TABLE {
        let theirs = NodeExporter::start(&program, &folder.write(text)).expect(text);
        check("node_exporter", theirs.address, &folder, text, requests);
    }
}

fn check(who: &str, address: SocketAddr, folder: &Folder, text: &str, requests: &[(Ask, Reply)]) {
    for (request, reply) in requests {
        assert_eq!(&ask(address, folder, *request), reply, "{who}: {request:?} with\n{text}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_refused() {
    let folder = Folder::new();
    for text in REFUSED {
        assert!(Served::with(&folder.write(text)).is_err(), "{text}");
    }
}

#[test]
fn node_exporter_refuses_the_same_files() {
    let Some(program) = NodeExporter::program() else { return skipped() };
    let folder = Folder::new();
    for text in REFUSED {
        assert!(NodeExporter::start(&program, &folder.write(text)).is_none(), "{text}");
    }
}

#[test]
fn a_header_of_the_file_is_in_every_answer_of_both() {
    let folder = Folder::new();
    let text = format!("{USERS}http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n");
    let path = folder.write(&text);
    let served = Served::with(&path).unwrap();
    let theirs = NodeExporter::program().and_then(|program| NodeExporter::start(&program, &path));
    for address in [served.address()].into_iter().chain(theirs.iter().map(|theirs| theirs.address))
    {
        for (request, status) in [(Ask::PLAIN, 401), (Ask::PLAIN.by("alice", PASSWORD), 200)] {
            let expected =
                Reply::Http { status, asks_who: status == 401, frames: Some("deny".to_owned()) };
            assert_eq!(ask(address, &folder, request), expected);
        }
    }
}

#[test]
fn tls_1_1_is_ended_with_an_alert_by_both() {
    let folder = Folder::new();
    let path = folder.write(TLS);
    let served = Served::with(&path).unwrap();
    let theirs = NodeExporter::program().and_then(|program| NodeExporter::start(&program, &path));
    for address in [served.address()].into_iter().chain(theirs.iter().map(|theirs| theirs.address))
    {
        let answer = raw(address, &hello(TLS_1_1));
        // Type alert (21), level fatal (2), RFC 8446, section 6. The description differs: rustls misses the extension
        // signature_algorithms first.
        assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "{answer:?}");
    }
}

#[test]
fn what_is_neither_tls_nor_http_gets_no_page() {
    let folder = Folder::new();
    let served = Served::with(&folder.write(TLS)).unwrap();
    for junk in [&b"\x00\x01\x02\x03\x04\x05"[..], b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x00\x02"]
    {
        let answer = raw(served.address(), junk);
        assert!(!answer.windows(4).any(|four| four == b"HTTP"), "{answer:?}");
    }
    assert_eq!(ask(served.address(), &folder, Ask::TLS), OK);
}

#[test]
fn only_names_that_are_allowed_are_let_in() {
    let folder = Folder::new();
    let allowed = |names: &str| {
        format!(
            "tls_server_config: {{cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, \
             client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: {names}}}\n"
        )
    };
    let served = Served::with(&folder.write(&allowed("[prometheus.example]"))).unwrap();
    for (who, reply) in [("prometheus", OK), ("grafana", ENDED), ("stranger", ENDED), ("", ENDED)] {
        assert_eq!(ask(served.address(), &folder, Ask::TLS.with(who)), reply, "{who}");
    }
    let optional = allowed("[x]").replace("RequireAndVerify", "VerifyClientCertIfGiven # ");
    assert!(Served::with(&folder.write(&optional)).is_err());
}

const TLS_1_1: u16 = 0x0302;

/// The first message of TLS (RFC 5246, section 7.4.1.2) with this version, one suite, and nothing else.
fn hello(version: u16) -> Vec<u8> {
    let [major, minor] = version.to_be_bytes();
    let mut body = vec![major, minor];
    body.extend([7; 32]);
    // No session, one suite (TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA), no compression.
    body.extend([0, 0, 2, 0xc0, 0x09, 1, 0]);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

/// Everything that comes after these bytes; a reset is an end, also before the client has ended its side.
fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.write_all(bytes).unwrap();
    if let Err(error) = tcp.shutdown(std::net::Shutdown::Write) {
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }
    let mut answer = Vec::new();
    match tcp.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    answer
}

/// Prints a message past the test runner's capture, or fails where a skipped test is a failure.
fn skipped() {
    assert!(env::var_os("TCPWATCH_NODE_EXPORTER").is_none(), "there is no node_exporter");
    let name = thread::current().name().unwrap_or("a test").to_owned();
    writeln!(io::stderr(), "SKIPPED: needs node_exporter: {name}").unwrap();
}
