//! The serializer.

use serde::{
    Serialize, Serializer,
    de::value::Error,
    ser::{Error as _, Impossible, SerializeMap, SerializeSeq, SerializeStruct},
};

use super::{
    enclose,
    escaping::{escape, is_plain},
    write_name,
};
use crate::timestamp::write_fraction;

/// Writes one value, or the members of an object that is open already.
pub(super) struct Json<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) members: bool,
}

/// Writes the members of an object, or the items of a list.
pub(super) struct Parts<'a> {
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
