//! Redis: one process that accepts and answers.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use super::{agreement::PORT, system::System};

/// Its files, and how it is started: without files of its own, and with its periodic work.
pub(super) fn installed() -> (System, Vec<String>) {
    let port = PORT.to_string();
    let settings = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir", "/work"];
    let words = [&["redis-server"], &settings[..]].concat();
    (System::of("redis-server"), words.into_iter().map(str::to_owned).collect())
}

/// Sets a key and reads it back.
pub(super) fn ask(stream: &mut TcpStream) {
    says(stream, b"SET key value\r\n", b"+OK\r\n");
    says(stream, b"GET key\r\n", b"$5\r\nvalue\r\n");
}

/// Has it close first.
pub(super) fn end(mut stream: TcpStream) {
    says(&mut stream, b"QUIT\r\n", b"+OK\r\n");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it closes first");
}

fn says(stream: &mut TcpStream, question: &[u8], answer: &[u8]) {
    stream.write_all(question).unwrap();
    let mut said = vec![0; answer.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said, answer, "{}", String::from_utf8_lossy(&said));
}
