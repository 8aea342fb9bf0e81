//! A JSON object, appended to bytes member by member.
//!
//! A line has some twenty members whose names and most of whose values are words of ours, which need
//! no escaping; a general serializer spent most of a line's time looking for what to escape in them.
//! A word of ours is one that is in this program's text (`&'static str`), or a value of a [`Plain`] type.
//! All other text (a process's name, a word out of a recording) goes through `serde_json`.

use std::{
    fmt::Display,
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{dotted::write_dotted, padded::Padded, timestamp::write_fraction};
use tcpwatch_core::event::{TcpFlags, TcpState};

/// A member's name as it is written, `"name":`, or a whole member, made when tcpwatch is built.
pub type Key = &'static Padded<32>;

/// A [`Key`] of a word.
#[macro_export]
macro_rules! key {
    ($word:literal) => {
        const { &$crate::padded::Padded::new(concat!("\"", $word, "\":")) }
    };
}
pub use key;

/// A member that is always the same: a word under a name.
macro_rules! member {
    ($name:literal, $word:literal) => {
        const { &$crate::padded::Padded::new(concat!("\"", $name, "\":\"", $word, "\"")) }
    };
}
pub(crate) use member;

/// What can name a member: a [`Key`], or a word of ours that is known only when it is written.
pub trait Name {
    /// Appends the name and a colon.
    fn write(self, out: &mut Vec<u8>);
}

impl Name for Key {
    #[inline]
    fn write(self, out: &mut Vec<u8>) {
        self.append(out);
    }
}

impl Name for &'static str {
    fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.as_bytes());
        out.extend_from_slice(b"\":");
    }
}

/// A name that is not ours.
struct Foreign<'a>(&'a str);

impl Name for Foreign<'_> {
    fn write(self, out: &mut Vec<u8>) {
        escape(self.0, out);
        out.push(b':');
    }
}

/// What is displayed without quotes, backslashes and control characters, whatever its value.
pub trait Plain: Display {}

impl Plain for Ipv6Addr {}
impl Plain for TcpFlags {}
impl Plain for TcpState {}

/// An object that is being written. Each member brings a comma behind it; the last one's is taken
/// back, so that no member has to ask whether it is the first.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    /// Appends an object with the members that `fill` adds.
    #[inline]
    pub fn write(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Self)) {
        out.push(b'{');
        let start = out.len();
        let mut object = Self { out };
        fill(&mut object);
        if object.out.len() > start {
            object.out.pop();
        }
        object.out.push(b'}');
    }

    /// Appends a member.
    #[inline]
    fn member(&mut self, name: impl Name, value: impl FnOnce(&mut Vec<u8>)) {
        name.write(self.out);
        value(self.out);
        self.out.push(b',');
    }

    /// A word of ours, which has no quotes, backslashes and control characters.
    #[inline]
    pub fn word(&mut self, name: impl Name, word: &'static str) {
        self.spelled(name, |out| out.extend_from_slice(word.as_bytes()));
    }

    /// The same, of something that is displayed.
    pub fn displayed(&mut self, name: impl Name, what: &impl Plain) {
        self.spelled(name, |out| {
            // Writing to a vector cannot fail.
            let _written = write!(out, "{what}").is_ok();
        });
    }

    /// The same, of what `spell` appends, which is digits and letters of ours only.
    #[inline]
    pub fn spelled(&mut self, name: impl Name, spell: impl FnOnce(&mut Vec<u8>)) {
        self.member(name, |out| {
            out.push(b'"');
            spell(out);
            out.push(b'"');
        });
    }

    /// An IPv4 address.
    #[inline]
    pub fn dotted(&mut self, name: impl Name, address: Ipv4Addr) {
        self.spelled(name, |out| write_dotted(address, out));
    }

    /// A member made by [`member!`].
    #[inline]
    pub fn whole(&mut self, member: Key) {
        self.member(member, |_| {});
    }

    /// Bytes that are not ours, and text if they are UTF-8; else with U+FFFD for what is not.
    pub fn bytes(&mut self, name: impl Name, bytes: &[u8]) {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if bytes.iter().all(is_plain) {
            self.spelled(name, |out| out.extend_from_slice(bytes));
        } else {
            self.text(name, &String::from_utf8_lossy(bytes));
        }
    }

    /// Text that is not ours.
    pub fn text(&mut self, name: impl Name, text: &str) {
        self.member(name, |out| escape(text, out));
    }

    /// A whole number.
    #[inline]
    pub fn number(&mut self, name: impl Name, number: impl itoa::Integer) {
        self.member(name, |out| {
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        });
    }

    /// Seconds with as many digits as there are nanoseconds.
    #[inline]
    pub fn seconds(&mut self, name: impl Name, duration: Duration) {
        self.member(name, |out| write_seconds(duration, out));
    }

    /// `true`.
    pub fn yes(&mut self, name: impl Name) {
        self.boolean(name, true);
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: impl Name, value: bool) {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.member(name, |out| out.extend_from_slice(word));
    }

    /// Text that is not ours, under a name that is not ours.
    pub fn text_named(&mut self, name: &str, text: &str) {
        self.text(Foreign(name), text);
    }

    /// A list; `write` appends an item.
    pub fn array<T>(
        &mut self,
        name: impl Name,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>),
    ) {
        self.member(name, |out| {
            out.push(b'[');
            for (number, item) in items.into_iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        });
    }

    /// `null`.
    #[inline]
    pub fn null(&mut self, name: impl Name) {
        self.member(name, |out| out.extend_from_slice(b"null"));
    }

    /// An object.
    #[inline]
    pub fn object(&mut self, name: impl Name, fill: impl FnOnce(&mut Object<'_>)) {
        self.member(name, |out| Object::write(out, fill));
    }
}

/// Appends text as JSON has it, in quotation marks, and in it nothing that a terminal obeys: beside the
/// control characters of ASCII, which JSON has to escape, those after it and those that turn the direction
/// of the text.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let Ok(quoted) = serde_json::to_string(text) else {
        out.extend_from_slice(b"null");
        return;
    };
    for part in quoted.split_inclusive(is_obeyed) {
        let obeyed = part.chars().next_back().filter(|last| is_obeyed(*last));
        let kept = part.len() - obeyed.map_or(0, char::len_utf8);
        out.extend_from_slice(part.as_bytes().get(..kept).unwrap_or_default());
        if let Some(obeyed) = obeyed {
            // Writing to a vector cannot fail.
            let _written = write!(out, "\\u{:04x}", u32::from(obeyed)).is_ok();
        }
    }
}

/// Of what JSON lets stand: `\u{7f}` to `\u{9f}`, and the embeddings, overrides and isolates of Unicode's
/// bidirectional algorithm. All are in its first plane, as `\uXXXX` has it.
const fn is_obeyed(c: char) -> bool {
    matches!(c, '\u{7f}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn write_seconds(duration: Duration, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(duration.as_secs()).as_bytes());
    out.push(b'.');
    write_fraction(duration.subsec_nanos(), 9, out);
    let zeros = out.iter().rev().take(8).take_while(|digit| **digit == b'0').count();
    out.truncate(out.len() - zeros);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn written(fill: impl FnOnce(&mut Object<'_>)) -> Value {
        let mut out = Vec::new();
        Object::write(&mut out, fill);
        serde_json::from_slice(&out).expect("it is JSON")
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(text: String, bytes: Vec<u8>, number: u64, seconds: u32, nanos in 0_u32..1_000_000_000) {
            let read = written(|object| {
                object.text("text", &text);
                object.bytes("bytes", &bytes);
                object.object("named", |object| object.text_named(&text, &text));
                object.bytes(key!("text as bytes"), text.as_bytes());
                object.whole(member!("always", "same"));
                object.number("number", number);
                object.seconds("seconds", Duration::new(seconds.into(), nanos));
                object.object("inside", |object| object.yes("yes"));
                object.null("null");
            });
            let exact = f64::from(seconds) + f64::from(nanos) / 1e9;
            prop_assert_eq!(&read["text"], &json!(text));
            prop_assert_eq!(&read["bytes"], &json!(String::from_utf8_lossy(&bytes)));
            prop_assert_eq!(&read["text as bytes"], &json!(text));
            prop_assert_eq!(&read["named"][&text], &json!(text));
            prop_assert_eq!(&read["always"], &json!("same"));
            prop_assert_eq!(&read["number"], &json!(number));
            prop_assert!((read["seconds"].as_f64().unwrap() - exact).abs() < 1e-6);
            prop_assert_eq!(&read["inside"], &json!({ "yes": true }));
            prop_assert_eq!(&read["null"], &Value::Null);
        }
    }

    #[test]
    fn text_that_a_terminal_obeys_is_escaped() {
        let mut out = Vec::new();
        escape("a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}b\u{e9}", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "\"a\\u001b[2J\\u007f\\u009b31m\\u202eb\u{e9}\"");
    }

    #[test]
    fn seconds_keep_every_nanosecond_and_no_zero_too_many() {
        for (nanoseconds, text) in
            [(0, "0.0"), (9684, "0.000009684"), (60_100_000_000, "60.1"), (1, "0.000000001")]
        {
            let mut out = Vec::new();
            let duration = Duration::from_nanos(nanoseconds);
            Object::write(&mut out, |object| object.seconds("s", duration));
            assert_eq!(String::from_utf8(out).unwrap(), format!("{{\"s\":{text}}}"));
        }
    }
}
