//! A JSON object, appended to bytes member by member.
//!
//! A line has some twenty members whose names and most of whose values are words of ours, which need
//! no escaping; a general serializer spent most of a line's time looking for what to escape in them.
//! Text that is not ours goes through `serde_json`.

use std::{fmt::Display, io::Write as _, net::Ipv4Addr, time::Duration};

use super::{dotted::write_dotted, timestamp::write_fraction};

/// A member's name as it is written: `,"name":`, made when tcpwatch is built.
#[derive(Clone, Copy)]
pub(crate) struct Key(pub(crate) &'static str);

/// A [`Key`] of a word.
macro_rules! key {
    ($word:literal) => {
        $crate::sink::json_object::Key(concat!(",\"", $word, "\":"))
    };
}
pub(crate) use key;

/// What can name a member: a [`Key`], or a word of ours that is known only when it is written.
pub(crate) trait Name {
    /// Appends the name, with a comma before it unless it is the first.
    fn write(self, first: bool, out: &mut Vec<u8>);
}

impl Name for Key {
    fn write(self, first: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes().get(usize::from(first)..).unwrap_or_default());
    }
}

impl Name for &str {
    fn write(self, first: bool, out: &mut Vec<u8>) {
        if !first {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(self.as_bytes());
        out.extend_from_slice(b"\":");
    }
}

/// An object that is being written.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Appends an object with the members that `fill` adds.
    pub(crate) fn write(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Self)) {
        out.push(b'{');
        let mut object = Self { out, empty: true };
        fill(&mut object);
        object.out.push(b'}');
    }

    /// Begins a member and hands out where its value goes.
    fn member(&mut self, name: impl Name) -> &mut Vec<u8> {
        name.write(self.empty, self.out);
        self.empty = false;
        self.out
    }

    /// A word of ours, or anything else without quotes, backslashes and control characters.
    pub(crate) fn word(&mut self, name: impl Name, word: &str) {
        let out = self.member(name);
        out.push(b'"');
        out.extend_from_slice(word.as_bytes());
        out.push(b'"');
    }

    /// The same, of something that is displayed.
    pub(crate) fn displayed(&mut self, name: impl Name, what: &impl Display) {
        let out = self.member(name);
        // Writing to a vector cannot fail.
        let _written = write!(out, "\"{what}\"").is_ok();
    }

    /// An IPv4 address.
    pub(crate) fn dotted(&mut self, name: impl Name, address: Ipv4Addr) {
        let out = self.member(name);
        out.push(b'"');
        write_dotted(address, out);
        out.push(b'"');
    }

    /// Text that is not ours.
    pub(crate) fn text(&mut self, name: impl Name, text: &str) {
        let out = self.member(name);
        let start = out.len();
        if serde_json::to_writer(&mut *out, text).is_err() {
            out.truncate(start);
            out.extend_from_slice(b"null");
        }
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: impl Name, number: impl itoa::Integer) {
        self.member(name).extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Seconds with as many digits as there are nanoseconds.
    pub(crate) fn seconds(&mut self, name: impl Name, duration: Duration) {
        let out = self.member(name);
        out.extend_from_slice(itoa::Buffer::new().format(duration.as_secs()).as_bytes());
        out.push(b'.');
        write_fraction(duration.subsec_nanos(), 9, out);
        let zeros = out.iter().rev().take(8).take_while(|digit| **digit == b'0').count();
        out.truncate(out.len() - zeros);
    }

    /// `true`.
    pub(crate) fn yes(&mut self, name: impl Name) {
        self.member(name).extend_from_slice(b"true");
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, name: impl Name, value: bool) {
        self.member(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Text that is not ours, under a name that is not ours.
    pub(crate) fn text_named(&mut self, name: &str, text: &str) {
        let escaped = serde_json::to_string(name).unwrap_or_default();
        self.text(escaped.get(1..escaped.len().saturating_sub(1)).unwrap_or_default(), text);
    }

    /// A list; `write` appends an item.
    pub(crate) fn array<T>(
        &mut self,
        name: impl Name,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>),
    ) {
        let out = self.member(name);
        out.push(b'[');
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            write(item, out);
        }
        out.push(b']');
    }

    /// `null`.
    pub(crate) fn null(&mut self, name: impl Name) {
        self.member(name).extend_from_slice(b"null");
    }

    /// An object.
    pub(crate) fn object(&mut self, name: impl Name, fill: impl FnOnce(&mut Object<'_>)) {
        Object::write(self.member(name), fill);
    }
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
        fn whatever_is_written_is_read_back(text: String, number: u64, seconds: u32, nanos in 0_u32..1_000_000_000) {
            let read = written(|object| {
                object.text("text", &text);
                object.number("number", number);
                object.seconds("seconds", Duration::new(seconds.into(), nanos));
                object.object("inside", |object| object.yes("yes"));
                object.null("null");
            });
            let exact = f64::from(seconds) + f64::from(nanos) / 1e9;
            prop_assert_eq!(&read["text"], &json!(text));
            prop_assert_eq!(&read["number"], &json!(number));
            prop_assert!((read["seconds"].as_f64().unwrap() - exact).abs() < 1e-6);
            prop_assert_eq!(&read["inside"], &json!({ "yes": true }));
            prop_assert_eq!(&read["null"], &Value::Null);
        }
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
