//! Offsets of kernel structures, from the running kernel's BTF to the kernel side's frozen globals.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use btf_rs::{Backend, Btf, Type};
use tcpwatch_common::config::{
    COMMON_FIRST, COUNT_FIELDS, KernelField, MINI_BYTES, MINI_FIELDS, RESET_FIELDS,
    RETRANSMIT_FIELDS, SOCKET_FIELDS, TOTALS_FIELDS,
};

use super::dialect::Dialect;

/// Where the kernel shows its type information (`CONFIG_DEBUG_INFO_BTF`, since 5.4).
pub const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// A layout that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file with the type information cannot be read.
    #[error(
        "cannot read the kernel's type information from {path}; the kernel must be built with \
         CONFIG_DEBUG_INFO_BTF=y and /sys must be mounted"
    )]
    NoBtf {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: btf_rs::Error,
    },
    /// A structure that is not laid out as expected.
    #[error("kernel {release}: {what}; this version of tcpwatch cannot read mini-sockets on it")]
    Unexpected {
        /// `uname -r`.
        release: String,
        /// What is different.
        what: String,
    },
    /// A structure or field that this kernel does not have.
    #[error(
        "kernel {release} has no field `{path}` in `struct {container}`, which this version of \
         tcpwatch reads"
    )]
    NoField {
        /// `uname -r`.
        release: String,
        /// The structure.
        container: &'static str,
        /// The field.
        path: &'static str,
    },
}

/// One resolved field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldOffset {
    /// The field.
    pub field: KernelField,
    /// Bytes from the start of its container.
    pub bytes: u32,
}

/// The layouts the kernel side needs.
#[derive(Debug)]
pub struct Layout {
    /// Offsets in full sockets.
    pub sockets: Vec<FieldOffset>,
    /// Offsets in mini-sockets and timers, or why they cannot be read.
    pub minis: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that retransmissions need.
    pub retransmits: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that resets need.
    pub resets: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that a socket's totals need.
    pub totals: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that counting needs besides.
    pub counting: Result<Vec<FieldOffset>, LayoutError>,
    /// What tracepoints tell here.
    pub dialect: Dialect,
}

/// Finds every field the kernel side reads.
///
/// # Errors
/// If the type information cannot be read or a field of full sockets is missing.
pub fn resolve(btf: &Path, release: &str) -> Result<Layout, LayoutError> {
    // Mapping the file is faster, but sysfs supports it only since 6.16.
    let types = Btf::from_file_with_backend(btf, Backend::Mmap)
        .or_else(|_| Btf::from_file(btf))
        .map_err(|source| LayoutError::NoBtf { path: btf.to_owned(), source })?;
    let mut structs = Structs::of(&types);
    Ok(Layout {
        sockets: structs.resolve(&SOCKET_FIELDS, release)?,
        minis: resolve_minis(&mut structs, release),
        retransmits: structs.resolve(&RETRANSMIT_FIELDS, release),
        resets: structs.resolve(&RESET_FIELDS, release),
        totals: structs.resolve(&TOTALS_FIELDS, release),
        counting: structs.resolve(&COUNT_FIELDS, release),
        dialect: Dialect::of(&types),
    })
}

fn resolve_minis(
    structs: &mut Structs<'_>,
    release: &str,
) -> Result<Vec<FieldOffset>, LayoutError> {
    let unexpected = |what| LayoutError::Unexpected { release: release.to_owned(), what };
    for (container, member) in COMMON_FIRST {
        let field = KernelField { global: "", container, path: member };
        let found = structs.resolve(&[field], release)?;
        if found.iter().any(|offset| offset.bytes != 0) {
            return Err(unexpected(format!("`{member}` is not first in `struct {container}`")));
        }
    }
    let offsets = structs.resolve(&MINI_FIELDS, release)?;
    // The largest field that is read from the copy has 16 bytes.
    let copied = ["sock_common", "inet_timewait_sock", "request_sock"];
    let outside = offsets.iter().find(|offset| {
        let reads =
            copied.contains(&offset.field.container) && !offset.field.path.ends_with("_timer");
        reads && usize::try_from(offset.bytes).is_ok_and(|bytes| bytes + 16 > MINI_BYTES)
    });
    match outside {
        Some(far) => Err(unexpected(format!("`{}` lies too far inside", far.field.path))),
        None => Ok(offsets),
    }
}

/// Looking a structure up by name walks all types, so each is looked up once.
struct Structs<'a> {
    types: &'a Btf,
    found: HashMap<&'static str, Option<Type>>,
}

impl<'a> Structs<'a> {
    fn of(types: &'a Btf) -> Self {
        Self { types, found: HashMap::new() }
    }

    fn resolve(
        &mut self,
        fields: &[KernelField],
        release: &str,
    ) -> Result<Vec<FieldOffset>, LayoutError> {
        let Self { types, found } = self;
        fields
            .iter()
            .map(|field| {
                let container = found
                    .entry(field.container)
                    .or_insert_with(|| find_struct(types, field.container));
                container
                    .as_ref()
                    .and_then(|container| {
                        field.path.split('|').find_map(|path| offset_of(types, container, path))
                    })
                    .map(|bytes| FieldOffset { field: *field, bytes })
                    .ok_or_else(|| LayoutError::NoField {
                        release: release.to_owned(),
                        container: field.container,
                        path: field.path,
                    })
            })
            .collect()
    }
}

fn find_struct(types: &Btf, name: &str) -> Option<Type> {
    types
        .resolve_types_by_name(name)
        .ok()?
        .into_iter()
        .find(|candidate| matches!(candidate, Type::Struct(_)))
}

fn offset_of(types: &Btf, container: &Type, path: &str) -> Option<u32> {
    let mut here = container.clone();
    let mut bits = 0;
    for name in path.split('.') {
        let (member, offset) = member_of(types, &here, name)?;
        here = member;
        bits += offset;
    }
    // A bit-field has no address.
    (bits % 8 == 0).then_some(bits / 8)
}

/// The type of a member and its offset in bits; looks into unnamed structs and unions.
fn member_of(types: &Btf, container: &Type, name: &str) -> Option<(Type, u32)> {
    let (Type::Struct(container) | Type::Union(container)) = container else {
        return None;
    };
    for member in &container.members {
        let member_type = strip(types, types.resolve_chained_type(member).ok()?)?;
        let member_name = types.resolve_name(member).ok()?;
        if member_name == name {
            return Some((member_type, member.bit_offset()));
        }
        if member_name.is_empty()
            && let Some((found, offset)) = member_of(types, &member_type, name)
        {
            return Some((found, member.bit_offset() + offset));
        }
    }
    None
}

/// Removes `typedef`, `const`, `volatile` and type tags.
fn strip(types: &Btf, mut here: Type) -> Option<Type> {
    loop {
        here = match &here {
            Type::Typedef(inner) => types.resolve_chained_type(inner).ok()?,
            Type::Const(inner) | Type::Volatile(inner) => types.resolve_chained_type(inner).ok()?,
            Type::TypeTag(inner) => types.resolve_chained_type(inner).ok()?,
            _ => return Some(here),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "test";

    fn running_kernel() -> Btf {
        Btf::from_file(VMLINUX_BTF).expect("the kernel this test runs on has BTF")
    }

    #[test]
    fn every_field_is_found_in_the_running_kernel_and_lies_inside_its_container() {
        let layout = resolve(Path::new(VMLINUX_BTF), RELEASE).unwrap();
        let groups = [
            layout.sockets,
            layout.minis.unwrap(),
            layout.retransmits.unwrap(),
            layout.resets.unwrap(),
            layout.totals.unwrap(),
            layout.counting.unwrap(),
        ];
        let types = running_kernel();
        for offset in groups.into_iter().flatten() {
            let Some(Type::Struct(container)) = find_struct(&types, offset.field.container) else {
                panic!("{} is a struct", offset.field.container);
            };
            let size = u32::try_from(container.size()).unwrap();
            assert!(offset.bytes < size, "{offset:?} lies inside {size} bytes");
        }
    }

    #[test]
    fn a_missing_field_is_an_error_that_names_struct_field_and_kernel() {
        let absent = KernelField { global: "X", container: "sock", path: "sk_no_such_field" };
        let error = Structs::of(&running_kernel()).resolve(&[absent], "6.99.0-test").unwrap_err();
        let text = error.to_string();
        for word in ["6.99.0-test", "sk_no_such_field", "struct sock"] {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn a_kernel_without_type_information_is_an_error_that_names_the_option() {
        let error = resolve(Path::new("/nonexistent/btf"), RELEASE).unwrap_err();
        assert!(error.to_string().contains("CONFIG_DEBUG_INFO_BTF"), "{error}");
    }
}
