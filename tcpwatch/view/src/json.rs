//! JSON, appended to bytes: a serializer for the forms of output.
//!
//! What serde hands over as `&'static str`, names of fields and of variants, is a word of ours and needs no
//! escaping; looking for what to escape in them took a general serializer most of a line's time. All other
//! text is escaped, so that a terminal obeys nothing in it.

use std::{fmt::Display, io::Write as _, time::Duration};

use serde::{
    Serialize, Serializer,
    de::value::Error,
    ser::{Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct},
};

use super::{padded::Padded, timestamp::write_fraction};

/// Appends a value. The types of output can all be written; of another, `null` is.
pub fn write(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    let start = out.len();
    if value.serialize(Json { out, members: false }).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// An object that is written part by part.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    /// Appends an object with the members that `fill` adds.
    #[inline]
    pub fn write(out: &'a mut Vec<u8>, fill: impl FnOnce(&mut Self)) {
        let start = out.len();
        let mut object = Self { out };
        fill(&mut object);
        enclose(object.out, start, *b"{}");
    }

    /// Appends the fields of a struct as members.
    #[inline]
    pub fn add(&mut self, part: &impl Serialize) {
        let start = self.out.len();
        if part.serialize(Json { out: self.out, members: true }).is_err() {
            self.out.truncate(start);
        }
    }

    /// Appends a list; `write` appends an item.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(T, &mut Vec<u8>),
    ) {
        write_name(name, self.out);
        let start = self.out.len();
        for item in items {
            self.out.push(b',');
            write(item, self.out);
        }
        enclose(self.out, start, *b"[]");
    }
}

/// Every member and item brings a comma before it; that of the first, at `start`, becomes the bracket.
#[inline]
fn enclose(out: &mut Vec<u8>, start: usize, [opens, closes]: [u8; 2]) {
    match out.get_mut(start) {
        Some(comma) => *comma = opens,
        None => out.push(opens),
    }
    out.push(closes);
}

/// Appends a comma, a name of ours and a colon.
#[inline(always)]
#[expect(clippy::inline_always, reason = "its length is known then, and the copy is a few moves")]
fn write_name(name: &'static str, out: &mut Vec<u8>) {
    let mut text = [0; 32];
    let [comma, quote, room @ ..] = &mut text;
    (*comma, *quote) = (b',', b'"');
    if let Some((letters, [end, colon, ..])) = room.split_at_mut_checked(name.len()) {
        letters.copy_from_slice(name.as_bytes());
        (*end, *colon) = (b'"', b':');
        Padded { text, length: name.len() + 4 }.append(out);
    } else {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
    }
}

/// A time, in seconds with as many digits as there are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Serialize for Seconds {
    /// As nanoseconds: serde has no decimal numbers, and every `u128` becomes seconds here.
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u128(self.0.as_nanos())
    }
}

/// A word of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub &'static str);

impl Serialize for Word {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_variant("", 0, self.0)
    }
}

/// Bytes that are not ours, and text if they are UTF-8; else with U+FFFD for what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignText<'a>(pub &'a [u8]);

impl Serialize for ForeignText<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// What is displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Displayed<T>(pub T);

impl<T: Display> Serialize for Displayed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Writes one value, or the members of an object that is open already.
struct Json<'a> {
    out: &'a mut Vec<u8>,
    members: bool,
}

/// Writes the members of an object, or the items of a list.
struct Parts<'a> {
    out: &'a mut Vec<u8>,
    /// Where it begins and what encloses it, if that is done here.
    whole: Option<(usize, [u8; 2])>,
}

impl Parts<'_> {
    #[inline]
    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        value.serialize(Json { out: self.out, members: false })
    }

    #[inline]
    fn close(self) {
        if let Some((start, brackets)) = self.whole {
            enclose(self.out, start, brackets);
        }
    }
}

impl Json<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the length of a word is mostly known then")]
    fn quoted(self, text: &[u8]) {
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }
}

macro_rules! integers {
    ($($method:ident: $integer:ty),*) => {
        $(#[inline]
        fn $method(self, number: $integer) -> Result<(), Error> {
            self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            Ok(())
        })*
    };
}

/// What no form of output has.
macro_rules! refused {
    ($($method:ident($($argument:ty),*) -> $type:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$type, Error> {
            Err(Error::custom(stringify!($method)))
        })*
    };
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    integers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);

    refused! {
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    /// Nanoseconds, as seconds.
    #[inline]
    fn serialize_u128(self, nanoseconds: u128) -> Result<(), Error> {
        const SECOND: u64 = 1_000_000_000;
        let nanoseconds = u64::try_from(nanoseconds).map_err(Error::custom)?;
        self.out.extend_from_slice(itoa::Buffer::new().format(nanoseconds / SECOND).as_bytes());
        self.out.push(b'.');
        write_fraction(u32::try_from(nanoseconds % SECOND).unwrap_or_default(), 9, self.out);
        let zeros = self.out.iter().rev().take(8).take_while(|digit| **digit == b'0').count();
        self.out.truncate(self.out.len() - zeros);
        Ok(())
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    /// Text that is not ours.
    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if is_plain(text.as_bytes()) {
            self.quoted(text.as_bytes());
        } else {
            escape(text, self.out);
        }
        Ok(())
    }

    /// The same, with U+FFFD for what is not UTF-8.
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        if is_plain(bytes) {
            self.quoted(bytes);
        } else {
            escape(&String::from_utf8_lossy(bytes), self.out);
        }
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    /// A word of ours.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a variant's name is known then when tcpwatch is built"
    )]
    fn serialize_unit_variant(
        self,
        _type: &'static str,
        _index: u32,
        word: &'static str,
    ) -> Result<(), Error> {
        self.quoted(word.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _type: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _type: &'static str,
        _index: u32,
        word: &'static str,
        _value: &T,
    ) -> Result<(), Error> {
        Err(Error::custom(word))
    }

    fn serialize_seq(self, _items: Option<usize>) -> Result<Parts<'a>, Error> {
        let whole = Some((self.out.len(), *b"[]"));
        Ok(Parts { out: self.out, whole })
    }

    #[inline]
    fn serialize_map(self, _members: Option<usize>) -> Result<Parts<'a>, Error> {
        let whole = (!self.members).then_some((self.out.len(), *b"{}"));
        Ok(Parts { out: self.out, whole })
    }

    #[inline]
    fn serialize_struct(self, _type: &'static str, members: usize) -> Result<Parts<'a>, Error> {
        self.serialize_map(Some(members))
    }
}

impl SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Error;

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the name is known then when tcpwatch is built")]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        write_name(name, self.out);
        self.item(value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Error> {
        self.out.push(b',');
        let start = self.out.len();
        name.serialize(Json { out: self.out, members: false })?;
        if self.out.get(start) != Some(&b'"') {
            return Err(Error::custom("a name that is no text"));
        }
        self.out.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.out.push(b',');
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

/// Is there nothing to escape? Eight bytes are looked at in one step.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    words.iter().chain([&last]).all(|word| has_only_plain(u64::from_ne_bytes(*word)))
}

/// Of eight bytes, is each printable ASCII, and neither a quotation mark nor a backslash?
const fn has_only_plain(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    // The highest bit of a byte is set where the byte is less than that of `than`, of bytes below 128.
    const fn less(word: u64, than: u64) -> u64 {
        word.wrapping_sub(than) & !word & HIGH
    }
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let quotes = less(word ^ all(b'"'), ONES);
    let backslashes = less(word ^ all(b'\\'), ONES);
    let deletes = less(word ^ all(0x7f), ONES);
    (word & HIGH) | less(word, all(b' ')) | quotes | backslashes | deletes == 0
}

/// Appends text as JSON has it, in quotation marks, and in it nothing that a terminal obeys: beside the
/// control characters of ASCII, which JSON has to escape, those after it and those that turn the direction
/// of the text.
fn escape(text: &str, out: &mut Vec<u8>) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    struct Inner {
        yes: bool,
    }

    #[derive(Serialize)]
    struct All<'a> {
        text: &'a str,
        bytes: ForeignText<'a>,
        named: BTreeMap<&'a str, &'a str>,
        text_as_bytes: ForeignText<'a>,
        always: Word,
        number: u64,
        seconds: Seconds,
        inside: Inner,
        null: Option<u8>,
        list: Vec<Option<i8>>,
        empty: Vec<u8>,
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(text: String, bytes: Vec<u8>, number: u64, seconds: u32, nanos in 0_u32..1_000_000_000) {
            let all = All {
                text: &text,
                bytes: ForeignText(&bytes),
                named: [(text.as_str(), text.as_str())].into(),
                text_as_bytes: ForeignText(text.as_bytes()),
                always: Word("same"),
                number,
                seconds: Seconds(Duration::new(seconds.into(), nanos)),
                inside: Inner { yes: true },
                null: None,
                list: vec![Some(-1), None],
                empty: Vec::new(),
            };
            let mut out = Vec::new();
            write(&all, &mut out);
            let read: Value = serde_json::from_slice(&out).expect("it is JSON");
            let exact = f64::from(seconds) + f64::from(nanos) / 1e9;
            prop_assert_eq!(&read["text"], &json!(text));
            prop_assert_eq!(&read["bytes"], &json!(String::from_utf8_lossy(&bytes)));
            prop_assert_eq!(&read["text_as_bytes"], &json!(text));
            prop_assert_eq!(&read["named"][&text], &json!(text));
            prop_assert_eq!(&read["always"], &json!("same"));
            prop_assert_eq!(&read["number"], &json!(number));
            prop_assert!((read["seconds"].as_f64().unwrap() - exact).abs() < 1e-6);
            prop_assert_eq!(&read["inside"], &json!({ "yes": true }));
            prop_assert_eq!(&read["null"], &Value::Null);
            prop_assert_eq!(&read["list"], &json!([-1, null]));
            prop_assert_eq!(&read["empty"], &json!([]));
            let mut parts = Vec::new();
            Object::write(&mut parts, |object| {
                object.add(&all);
            });
            prop_assert_eq!(parts, out, "an object of one part");
        }
    }

    #[test]
    fn parts_are_members_of_one_object() {
        let mut out = Vec::new();
        Object::write(&mut out, |object| {
            object.add(&Inner { yes: true });
            object.list("list", [1, 2], |item, out| write(&item, out));
            object.list("empty", [0; 0], |item, out| write(&item, out));
            object.add(&BTreeMap::from([("a", 1)]));
        });
        let expected = r#"{"yes":true,"list":[1,2],"empty":[],"a":1}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        Object::write(&mut out, |_| {});
        assert_eq!(String::from_utf8(out).unwrap(), "{}");
    }

    #[test]
    fn text_that_a_terminal_obeys_is_escaped() {
        let mut out = Vec::new();
        write("a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}b\u{e9}", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "\"a\\u001b[2J\\u007f\\u009b31m\\u202eb\u{e9}\"");
    }

    #[test]
    fn seconds_keep_every_nanosecond_and_no_zero_too_many() {
        for (nanoseconds, text) in
            [(0, "0.0"), (9684, "0.000009684"), (60_100_000_000, "60.1"), (1, "0.000000001")]
        {
            let mut out = Vec::new();
            write(&Seconds(Duration::from_nanos(nanoseconds)), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
