//! The kernel's type information is read from a file; the few types that tcpwatch asks for by name go
//! out.
//!
//! A kernel has some 130,000 types. They are neither parsed nor kept: the file is mapped, one pass
//! finds the names, and only what is asked for is read.

use std::{collections::HashMap, fs, io::Write as _, os::fd::AsRawFd as _, path::Path};

use aya::{BtfError, Endianness};
use btf_rs::{Backend, Btf, EnumMember, Error, Struct, Type};
use regex::Regex;
use rustix::fs::{MemfdFlags, memfd_create};

/// Types of one kernel.
pub(super) struct KernelTypes {
    btf: Btf,
    /// Those that were asked for, with their numbers.
    named: HashMap<String, Vec<(u32, Type)>>,
}

impl KernelTypes {
    /// Finds all types of these names, which are C identifiers.
    pub(super) fn read(
        path: &Path,
        wanted: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, Error> {
        let btf = open(path)?;
        let mut named: HashMap<_, _> =
            wanted.into_iter().map(|name| (name.into(), Vec::new())).collect();
        let any = named.keys().map(String::as_str).collect::<Vec<_>>().join("|");
        let any = Regex::new(&format!("^(?:{any})$"))
            .map_err(|error| Error::OpNotSupp(error.to_string()))?;
        for number in btf.resolve_ids_by_regex(&any)? {
            let found = btf.resolve_type_by_id(number)?;
            let name = found.as_btf_type().map(|found| btf.resolve_name(found)).transpose()?;
            if let Some(types) = name.and_then(|name| named.get_mut(&name)) {
                types.push((number, found));
            }
        }
        Ok(Self { btf, named })
    }

    /// Types of this name that were asked for.
    fn of_name(&self, name: &str) -> impl Iterator<Item = &(u32, Type)> {
        self.named.get(name).into_iter().flatten()
    }

    /// Is there anything of this name?
    pub(super) fn has(&self, name: &str) -> bool {
        self.of_name(name).next().is_some()
    }

    /// The structure of this name.
    pub(super) fn structure(&self, name: &str) -> Option<&Struct> {
        self.of_name(name).find_map(|(_, found)| match found {
            Type::Struct(found) => Some(found),
            _ => None,
        })
    }

    /// Names and values of an enumeration.
    pub(super) fn enumeration(&self, name: &str) -> Option<Vec<(String, u32)>> {
        let members = self.of_name(name).find_map(|(_, found)| match found {
            Type::Enum(found) => Some(&found.members),
            _ => None,
        })?;
        let named = |member: &EnumMember| Some((self.btf.resolve_name(member).ok()?, member.val()));
        Some(members.iter().filter_map(named).collect())
    }

    /// Parameters of the functions that this typedef points to.
    pub(super) fn parameters(&self, name: &str) -> Option<usize> {
        self.of_name(name).find_map(|(_, found)| {
            let Type::Typedef(name) = found else { return None };
            let Type::Ptr(pointer) = self.btf.resolve_chained_type(name).ok()? else {
                return None;
            };
            match self.btf.resolve_chained_type(&pointer).ok()? {
                Type::FuncProto(function) => Some(function.parameters.len()),
                _ => None,
            }
        })
    }

    /// Where a member lies, in bytes; `path` goes into members by dots.
    pub(super) fn offset_of(&self, container: &Struct, path: &str) -> Option<u32> {
        let mut here = Type::Struct(container.clone());
        let mut bits: u32 = 0;
        for name in path.split('.') {
            let (member, offset) = self.member_of(&here, name)?;
            here = member;
            bits = bits.checked_add(offset)?;
        }
        // A bit-field has no address.
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// The byte that holds a bit-field of one bit, a member of a structure, and its place there as a mask.
    pub(super) fn bit_of(&self, (container, name): (&str, &str)) -> Option<(u32, u32)> {
        let container = Type::Struct(self.structure(container)?.clone());
        let (_, bits) = self.member_of(&container, name)?;
        Some((bits / 8, 1 << (bits % 8)))
    }

    /// The type of a member and its offset in bits; looks into unnamed structs and unions.
    fn member_of(&self, container: &Type, name: &str) -> Option<(Type, u32)> {
        let (Type::Struct(container) | Type::Union(container)) = container else {
            return None;
        };
        for member in &container.members {
            let member_type = self.strip(self.btf.resolve_chained_type(member).ok()?)?;
            let member_name = self.btf.resolve_name(member).ok()?;
            if member_name == name {
                return Some((member_type, member.bit_offset()));
            }
            if member_name.is_empty()
                && let Some((found, offset)) = self.member_of(&member_type, name)
            {
                return Some((found, member.bit_offset().checked_add(offset)?));
            }
        }
        None
    }

    /// Removes `typedef`, `const`, `volatile` and type tags.
    fn strip(&self, mut here: Type) -> Option<Type> {
        loop {
            here = match &here {
                Type::Typedef(inner) => self.btf.resolve_chained_type(inner).ok()?,
                Type::Const(inner) | Type::Volatile(inner) => {
                    self.btf.resolve_chained_type(inner).ok()?
                }
                Type::TypeTag(inner) => self.btf.resolve_chained_type(inner).ok()?,
                _ => return Some(here),
            };
        }
    }

    /// For aya, which finds the number of a tracepoint's type or of an iterator's function in parsed type
    /// information: nothing but the typedefs and functions of these names, each at its number in the
    /// kernel, and blanks before them.
    pub(super) fn only(&self, names: &[String]) -> Result<aya::Btf, BtfError> {
        let mut numbered: Vec<(u32, u32, &str)> = Vec::new();
        for name in names {
            let of_kind = |(number, is): &(u32, Type)| match is {
                Type::Typedef(_) => Some((*number, KIND_TYPEDEF, name.as_str())),
                Type::Func(_) => Some((*number, KIND_FUNC, name.as_str())),
                _ => None,
            };
            numbered.extend(self.of_name(name).filter_map(of_kind));
        }
        numbered.sort_unstable();
        aya::Btf::parse(&raw_types(&numbered), Endianness::default())
    }
}

/// The name of the type that a tracepoint's probes have.
pub(super) fn probe_type(tracepoint: &str) -> String {
    format!("btf_trace_{tracepoint}")
}

/// The name of the function that stands for an iterator.
pub(super) fn iterator_function(iterator: &str) -> String {
    format!("bpf_iter_{iterator}")
}

/// Files in sysfs can be mapped since 6.16; before, a copy is.
fn open(path: &Path) -> Result<Btf, Error> {
    Btf::from_file_with_backend(path, Backend::Mmap).or_else(|_| copy(path))
}

fn copy(path: &Path) -> Result<Btf, Error> {
    let memory = memfd_create("btf", MemfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
    let mut memory = fs::File::from(memory);
    memory.write_all(&fs::read(path)?)?;
    Btf::from_file_with_backend(format!("/proc/self/fd/{}", memory.as_raw_fd()), Backend::Mmap)
}

// Kinds in `include/uapi/linux/btf.h`, in their place in `struct btf_type`.
const KIND_FWD: u32 = 7 << 24;
const KIND_TYPEDEF: u32 = 8 << 24;
const KIND_FUNC: u32 = 12 << 24;

/// `struct btf_header` and `struct btf_type` of `include/uapi/linux/btf.h`, from numbers, kinds and names.
fn raw_types(numbered: &[(u32, u32, &str)]) -> Vec<u8> {
    const MAGIC_AND_VERSION: u32 = 0x0001_eb9f;
    const HEADER_BYTES: u32 = 24;
    const VOID: u32 = 0;

    let mut types: Vec<[u32; 3]> = Vec::new();
    let mut strings = vec![0];
    let mut number = 1;
    for (wanted, kind, name) in numbered {
        while number < *wanted {
            types.push([0, KIND_FWD, VOID]);
            number += 1;
        }
        types.push([u32::try_from(strings.len()).unwrap_or(0), *kind, VOID]);
        number += 1;
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let types_length = length(types.len().saturating_mul(12));
    let header =
        [MAGIC_AND_VERSION, HEADER_BYTES, 0, types_length, types_length, length(strings.len())];
    let words = header.iter().chain(types.as_flattened());
    words.flat_map(|word| word.to_ne_bytes()).chain(strings).collect()
}

#[cfg(test)]
mod tests {
    use aya_obj::btf::BtfKind;

    use super::*;
    use crate::probe::{handlers::ITERATOR, hooks::HOOKS, layout::VMLINUX_BTF};

    #[test]
    fn aya_finds_every_tracepoint_and_the_iterator_at_their_numbers_in_the_kernel() {
        let mut names: Vec<_> = HOOKS.iter().map(|hook| probe_type(hook.tracepoint)).collect();
        names.push(iterator_function(ITERATOR));
        let types = KernelTypes::read(Path::new(VMLINUX_BTF), &names).unwrap();
        let (few, all) = (types.only(&names).unwrap(), aya::Btf::from_sys_fs().unwrap());
        for name in &names {
            let number = |of: &aya::Btf| {
                let kinds = [BtfKind::Typedef, BtfKind::Func];
                kinds.map(|kind| of.id_by_type_name_kind(name, kind).ok())
            };
            assert_ne!(number(&few), [None, None], "{name}");
            assert_eq!(number(&few), number(&all), "{name}");
        }
    }

    #[test]
    fn where_the_file_cannot_be_mapped_a_copy_says_the_same() {
        let copy = copy(Path::new(VMLINUX_BTF)).unwrap();
        let types = KernelTypes::read(Path::new(VMLINUX_BTF), ["tcp_sock"]).unwrap();
        let found = copy.resolve_ids_by_name("tcp_sock").unwrap();
        assert_eq!(found, types.of_name("tcp_sock").map(|(number, _)| *number).collect::<Vec<_>>());
    }
}
