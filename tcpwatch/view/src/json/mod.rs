//! JSON, appended to bytes: a serializer for the forms of output.
//!
//! What serde hands over as `&'static str`, names of fields and of variants, is a word of ours and needs no
//! escaping; looking for what to escape in them took a general serializer most of a line's time. All other
//! text is escaped, so that a terminal obeys nothing in it.

mod escaping;
mod serializer;
#[cfg(test)]
mod tests;

use std::{fmt::Display, time::Duration};

use serde::{Serialize, Serializer};

use self::serializer::Json;
use super::padded::Padded;

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
