//! What clients of web servers say.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// The last bytes of the answer.
const BODY: &[u8] = b"hello\n";

/// One request and its answer; the connection stays.
pub(crate) fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(BODY) {
        let mut room = [0; 1024];
        let length = stream.read(&mut room).unwrap();
        assert_ne!(length, 0, "the end: {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&room[..length]);
    }
}

/// A request after which the server closes.
pub(crate) fn end(mut stream: TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(BODY), "{:?}", String::from_utf8_lossy(&answer));
}

/// Whatever the answer is.
pub(crate) fn read_to_end(mut stream: TcpStream) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answer));
}
