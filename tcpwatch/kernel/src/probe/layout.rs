//! Offsets of kernel structures, from the running kernel's BTF to the kernel side's frozen globals.

use std::path::{Path, PathBuf};

use aya::{Btf, BtfError};
use tcpwatch_common::config::{
    ACKED_BIT, CGROUP_FIELDS, CLOSING_FIELDS, COMMON_FIRST, COUNT_FIELDS, KernelField, MINI_BYTES,
    MINI_FIELDS, MPTCP_FIELDS, OWNER_FIELDS, QUEUE_FIELDS, REPAIR_BIT, RESET_FIELDS,
    RETRANSMIT_FIELDS, SENT_BEFORE_FIELDS, SOCKET_FIELDS, TOTALS_FIELDS, TW_ROOM_FIELDS,
};

use super::{
    books::LISTERS,
    dialect::{Dialect, RESET_REASONS},
    handlers::ITERATOR,
    hooks::HOOKS,
    kernel_types::{KernelTypes, iterator_function, probe_type},
};

/// Where the kernel shows its type information (`CONFIG_DEBUG_INFO_BTF`, since 5.4).
pub const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// What guards tracepoints in place of disabled preemption, since 7.0: `DEFINE_SRCU_FAST(tracepoint_srcu)` in
/// `kernel/tracepoint.c` makes a variable of this name on each CPU.
const TRACEPOINT_GUARD: &str = "tracepoint_srcu_srcu_data";

/// A layout that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file with the type information cannot be read.
    #[error(
        "cannot make sense of the kernel's type information in {path}; a kernel that is built with \
         CONFIG_DEBUG_INFO_BTF=y shows another file there: see what is mounted over it with `findmnt`"
    )]
    NoBtf {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        #[source]
        source: btf_rs::Error,
    },
    /// It is not what the kernel documents.
    #[error("cannot use the kernel's type information")]
    Broken(#[from] BtfError),
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
pub struct KernelLayout {
    /// Offsets in full sockets.
    pub sockets: Vec<FieldOffset>,
    /// Offsets in tasks, and in what leads from a socket to its file.
    pub owners: Vec<FieldOffset>,
    /// Offsets that lead from a socket to its cgroup.
    pub cgroups: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that lead from a subflow to its MPTCP connection.
    pub mptcp: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that say whether there is room for a timewait socket.
    pub tw_room: Result<Vec<FieldOffset>, LayoutError>,
    /// Where a socket says that it is under repair: a byte, and the bit in it.
    pub repair: Option<(u32, u32)>,
    /// Offsets in listeners, of their queues.
    pub queues: Result<Vec<FieldOffset>, LayoutError>,
    /// Where a half-open connection says that its last segment was dropped: a byte, and the bit in it.
    pub acked: Option<(u32, u32)>,
    /// Offsets in mini-sockets and timers, or why they cannot be read.
    pub minis: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that retransmissions need.
    pub retransmits: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that say when a segment was sent before.
    pub sent_before: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that resets need.
    pub resets: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that a socket's totals need.
    pub totals: Result<Vec<FieldOffset>, LayoutError>,
    /// Offsets that counting needs besides.
    pub counting: Result<Vec<FieldOffset>, LayoutError>,
    /// What tracepoints report on this kernel.
    pub dialect: Dialect,
    /// A task can be preempted inside a program on a tracepoint.
    pub preemptible: bool,
    /// The types of the hooks' tracepoints and of the iterator, which aya looks up by name.
    pub btf: Btf,
}

impl KernelLayout {
    /// All fields that were found.
    pub(super) fn fields(&self) -> impl Iterator<Item = &FieldOffset> {
        let optional = [
            &self.tw_room,
            &self.queues,
            &self.minis,
            &self.retransmits,
            &self.sent_before,
            &self.resets,
            &self.totals,
            &self.counting,
            &self.mptcp,
            &self.cgroups,
        ];
        let optional = optional.into_iter().flatten().flatten();
        self.sockets.iter().chain(&self.owners).chain(optional)
    }
}

/// Finds every field the kernel side reads.
///
/// # Errors
/// If the type information cannot be read or a field of full sockets is missing.
pub fn resolve(btf: &Path, release: &str) -> Result<KernelLayout, LayoutError> {
    let groups: [&[KernelField]; 13] = [
        &SOCKET_FIELDS,
        &MPTCP_FIELDS,
        &CGROUP_FIELDS,
        &OWNER_FIELDS,
        &CLOSING_FIELDS,
        &TW_ROOM_FIELDS,
        &QUEUE_FIELDS,
        &MINI_FIELDS,
        &RETRANSMIT_FIELDS,
        &SENT_BEFORE_FIELDS,
        &RESET_FIELDS,
        &TOTALS_FIELDS,
        &COUNT_FIELDS,
    ];
    let containers = groups.into_iter().flatten().map(|field| field.container);
    let containers = containers.chain([ACKED_BIT.0]);
    let containers = containers.chain(COMMON_FIRST.map(|(container, _)| container));
    let attached = HOOKS.iter().map(|hook| probe_type(hook.tracepoint));
    let attached: Vec<_> =
        attached.chain([ITERATOR].iter().chain(&LISTERS).copied().map(iterator_function)).collect();
    let names = containers
        .chain(attached.iter().map(String::as_str))
        .chain([RESET_REASONS, TRACEPOINT_GUARD]);
    let types = KernelTypes::read(btf, names)
        .map_err(|source| LayoutError::NoBtf { path: btf.to_owned(), source })?;
    let sockets: Vec<_> = SOCKET_FIELDS.into_iter().chain(CLOSING_FIELDS).collect();
    Ok(KernelLayout {
        sockets: find(&types, &sockets, release)?,
        owners: find(&types, &OWNER_FIELDS, release)?,
        cgroups: find(&types, &CGROUP_FIELDS, release),
        mptcp: find(&types, &MPTCP_FIELDS, release),
        tw_room: find(&types, &TW_ROOM_FIELDS, release),
        repair: types.bit_of(REPAIR_BIT),
        queues: find(&types, &QUEUE_FIELDS, release),
        acked: types.bit_of(ACKED_BIT),
        minis: find_minis(&types, release),
        retransmits: find(&types, &RETRANSMIT_FIELDS, release),
        sent_before: find(&types, &SENT_BEFORE_FIELDS, release),
        resets: find(&types, &RESET_FIELDS, release),
        totals: find(&types, &TOTALS_FIELDS, release),
        counting: find(&types, &COUNT_FIELDS, release),
        dialect: Dialect::of(&types),
        preemptible: types.has(TRACEPOINT_GUARD),
        btf: types.only(&attached)?,
    })
}

fn find_minis(types: &KernelTypes, release: &str) -> Result<Vec<FieldOffset>, LayoutError> {
    let unexpected = |what| LayoutError::Unexpected { release: release.to_owned(), what };
    for (container, member) in COMMON_FIRST {
        let field = KernelField { global: "", container, path: member };
        let found = find(types, &[field], release)?;
        if found.iter().any(|offset| offset.bytes != 0) {
            return Err(unexpected(format!("`{member}` is not first in `struct {container}`")));
        }
    }
    let offsets = find(types, &MINI_FIELDS, release)?;
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

fn find(
    types: &KernelTypes,
    fields: &[KernelField],
    release: &str,
) -> Result<Vec<FieldOffset>, LayoutError> {
    let offset = |field: &KernelField| {
        let container = types.structure(field.container)?;
        let mut paths = field.path.split('|');
        let bytes = paths.find_map(|path| types.offset_of(container, path))?;
        Some(FieldOffset { field: *field, bytes })
    };
    let found = fields.iter().map(|field| {
        offset(field).ok_or_else(|| LayoutError::NoField {
            release: release.to_owned(),
            container: field.container,
            path: field.path,
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "test";

    #[test]
    fn every_field_is_found_in_the_running_kernel_and_lies_inside_its_container() {
        let layout = resolve(Path::new(VMLINUX_BTF), RELEASE).unwrap();
        let groups = [
            layout.sockets,
            layout.owners,
            layout.cgroups.unwrap(),
            layout.tw_room.unwrap(),
            layout.queues.unwrap(),
            layout.minis.unwrap(),
            layout.retransmits.unwrap(),
            layout.sent_before.unwrap(),
            layout.resets.unwrap(),
            layout.totals.unwrap(),
            layout.counting.unwrap(),
        ];
        for offset in groups.into_iter().flatten() {
            let container = offset.field.container;
            let types = KernelTypes::read(Path::new(VMLINUX_BTF), [container]).unwrap();
            let size = u32::try_from(types.structure(container).unwrap().size()).unwrap();
            // An array without a length begins where its container ends.
            let last = if offset.field.path == "numbers" { size } else { size - 1 };
            assert!(offset.bytes <= last, "{offset:?} lies inside {size} bytes");
        }
    }

    #[test]
    fn the_bit_of_a_socket_under_repair_lies_inside_it() {
        let (byte, mask) = resolve(Path::new(VMLINUX_BTF), RELEASE).unwrap().repair.unwrap();
        let types = KernelTypes::read(Path::new(VMLINUX_BTF), ["tcp_sock"]).unwrap();
        let size = types.structure("tcp_sock").unwrap().size();
        assert!(usize::try_from(byte).unwrap() < size, "{byte} of {size}");
        assert!(mask.is_power_of_two() && mask < 256, "{mask:#x}");
    }

    #[test]
    fn the_bit_of_a_dropped_ack_lies_inside_a_half_open_connection() {
        let (byte, mask) = resolve(Path::new(VMLINUX_BTF), RELEASE).unwrap().acked.unwrap();
        let types = KernelTypes::read(Path::new(VMLINUX_BTF), ["inet_request_sock"]).unwrap();
        let size = types.structure("inet_request_sock").unwrap().size();
        assert!(usize::try_from(byte).unwrap() < size, "{byte} of {size}");
        assert!(mask.is_power_of_two() && mask < 256, "{mask:#x}");
    }

    #[test]
    fn a_missing_field_is_an_error_that_names_struct_field_and_kernel() {
        let absent = KernelField { global: "X", container: "sock", path: "sk_no_such_field" };
        let types = KernelTypes::read(Path::new(VMLINUX_BTF), ["sock"]).unwrap();
        let error = find(&types, &[absent], "6.99.0-test").unwrap_err();
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
