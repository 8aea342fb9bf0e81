//! Type information and symbol lists that no kernel has.

use std::{fs, io::Write as _, path::Path, sync::LazyLock};

use proptest::{collection::vec, prelude::*, sample::Index};
use tcpwatch_kernel::probe::{
    SymbolsError,
    layout::{VMLINUX_BTF, resolve},
    symbols::Listed,
};
use tempfile::NamedTempFile;

use super::{
    cases::cases,
    spoiled::{damages, spoil},
};

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("writable");
    file
}

/// It has a layout, or an error that explains why not.
fn try_types(bytes: &[u8]) {
    let file = file(bytes);
    if let Err(error) = resolve(file.path(), "fuzz") {
        assert!(error.to_string().len() > 20, "{error}");
    }
}

static RUNNING: LazyLock<Vec<u8>> =
    LazyLock::new(|| fs::read(VMLINUX_BTF).expect("the kernel this test runs on has BTF"));

/// The header of BTF (`struct btf_header`, `include/uapi/linux/btf.h`) before arbitrary bytes.
fn small_types() -> impl Strategy<Value = Vec<u8>> {
    let numbers = || prop_oneof![3 => 0..200_u32, 1 => any::<u32>(), 1 => Just(u32::MAX)];
    let sizes = (numbers(), numbers(), numbers(), numbers());
    // Kinds in the upper half of `info`, so that chains and cycles of types occur.
    let types = vec((0..64_u32, 0..20_u32, 0..4_u32, 0..20_u32), 0..30);
    (sizes, types, any::<bool>()).prop_map(
        |((type_off, type_len, str_off, str_len), types, fits)| {
            let body: Vec<u8> = types
                .iter()
                .flat_map(|(name, kind, members, size)| [*name, kind << 24 | members, *size])
                .flat_map(u32::to_ne_bytes)
                .collect();
            let length = u32::try_from(body.len()).expect("small");
            let names = b"\0sock\0sock_common\0tcp_sock\0inet_sock\0skc_num\0__sk_common\0net\0";
            let heads = if fits {
                [0, length, length, u32::try_from(names.len()).expect("small")]
            } else {
                [type_off, type_len, str_off, str_len]
            };
            let mut bytes = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
            bytes.extend(heads.iter().flat_map(|number| number.to_ne_bytes()));
            bytes.extend(body);
            bytes.extend(names);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_bytes_are_types_or_refused(bytes in vec(any::<u8>(), 0..300), damages in damages()) {
        try_types(&bytes);
        let mut headed = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
        headed.extend(bytes);
        spoil(&mut headed, &damages);
        try_types(&headed);
    }

    #[test]
    fn types_of_any_kind_and_order_are_read_or_refused(mut bytes in small_types(), damages in damages()) {
        try_types(&bytes);
        spoil(&mut bytes, &damages);
        try_types(&bytes);
    }

    #[test]
    fn any_bytes_are_symbols_or_refused(
        bytes in vec(any::<u8>(), 0..300),
        lines in vec(("[0-9a-fg]{0,20}", "[tT ]{0,2}", "(tw_timer_handler|reqsk_timer_handler|tcp_v4_rcv|tcp_v6_rcv.cold|[a-z_.]{0,9}(\t\\[ipv6\\])?)"), 0..20),
    ) {
        let lines: Vec<String> =
            lines.iter().map(|(address, kind, name)| format!("{address} {kind} {name}\n")).collect();
        let lines = lines.concat();
        for bytes in [&bytes, lines.as_bytes()] {
            match Listed::read(file(bytes).path()) {
                Ok(listed) => {
                    let _handlers = listed.handlers().is_ok();
                    let _end = listed.symbols.early_end(&[0, 1, u64::MAX]);
                }
                Err(SymbolsError::Read(error)) => prop_assert!(false, "{error}"),
                Err(SymbolsError::Hidden | SymbolsError::Missing(_)) => {}
                Err(SymbolsError::Several { name, .. }) => prop_assert!(false, "{name}"),
            }
        }
    }
}

proptest! {
    // Each has some megabytes.
    #![proptest_config(cases(12))]

    #[test]
    fn spoiled_types_of_the_running_kernel_are_read_or_refused(
        damages in damages(),
        flips in vec((any::<Index>(), any::<u8>()), 0..2000),
    ) {
        let mut bytes = RUNNING.clone();
        spoil(&mut bytes, &damages);
        for (at, byte) in flips {
            if !bytes.is_empty() {
                let place = at.index(bytes.len());
                bytes[place] = byte;
            }
        }
        try_types(&bytes);
    }
}

#[test]
fn a_folder_a_device_and_nothing_are_no_types() {
    for path in ["/", "/dev/null", "/no/such/file"] {
        assert!(resolve(Path::new(path), "fuzz").is_err(), "{path}");
    }
}
