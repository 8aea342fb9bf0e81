//! Claims of the code about the kernel that no scenario shows: the arguments of the tracepoints.

use btf_rs::{Btf, BtfType, Type};
use tcpwatch_kernel::probe::{Dialect, hooks::HOOKS, layout};

use crate::harness::kernel::{
    ERROR_REPORTS, Feature, RESETS_EXPLAINED, RETRANSMITS_WITH_ERROR, SEND_LENGTHS,
};

/// For each tracepoint, the arguments that programs of the kernel side take, in their order: the structure that is
/// pointed to, or the kind of a number (`include/trace/events/{sock,tcp,timer}.h`).
const ARGUMENTS: [(&str, &[&str]); 11] = [
    ("inet_sock_set_state", &["sock", "int", "int"]),
    ("timer_start", &["timer_list"]),
    ("timer_cancel", &["timer_list"]),
    ("timer_expire_entry", &["timer_list"]),
    ("tcp_retransmit_skb", &["sock", "sk_buff"]),
    ("tcp_retransmit_synack", &["sock", "request_sock"]),
    ("tcp_send_reset", &["sock", "sk_buff"]),
    ("tcp_receive_reset", &["sock"]),
    ("inet_sk_error_report", &["sock"]),
    ("tcp_rcv_space_adjust", &["sock"]),
    ("sock_send_length", &["sock", "int", "int"]),
];

/// Arguments that only newer kernels have, after those above.
const NEWER: [(&str, &str, Feature); 2] = [
    ("tcp_retransmit_skb", "int", RETRANSMITS_WITH_ERROR),
    ("tcp_send_reset", "sk_rst_reason", RESETS_EXPLAINED),
];

fn kernel() -> Btf {
    Btf::from_file(layout::VMLINUX_BTF).expect("the kernel this test runs on has BTF")
}

/// The name of an argument's type, without `const` and pointers.
fn name(types: &Btf, argument: &dyn BtfType) -> String {
    let found = types.resolve_chained_type(argument).unwrap();
    match &found {
        Type::Ptr(inner) => name(types, inner),
        Type::Const(inner) => name(types, inner),
        other => types.resolve_name(other.as_btf_type().unwrap()).unwrap(),
    }
}

/// The arguments of a tracepoint; `None` if it does not exist.
fn arguments(types: &Btf, tracepoint: &str) -> Option<Vec<String>> {
    let probe = format!("btf_trace_{tracepoint}");
    let found = types.resolve_types_by_name(&probe).ok()?.into_iter();
    let typedef = found.into_iter().find_map(|found| match found {
        Type::Typedef(typedef) => Some(typedef),
        _ => None,
    })?;
    let Type::Ptr(pointer) = types.resolve_chained_type(&typedef).unwrap() else {
        panic!("{probe} is a pointer")
    };
    let Type::FuncProto(function) = types.resolve_chained_type(&pointer).unwrap() else {
        panic!("{probe} points to a function")
    };
    // The first one is the probe's own.
    Some(function.parameters[1..].iter().map(|argument| name(types, argument)).collect())
}

#[test]
fn every_tracepoint_has_the_arguments_that_the_kernel_side_takes() {
    let types = kernel();
    assert_eq!(ARGUMENTS.len(), HOOKS.len());
    for hook in HOOKS {
        let (_, expected) = ARGUMENTS.iter().find(|(name, _)| *name == hook.tracepoint).unwrap();
        let Some(found) = arguments(&types, hook.tracepoint) else {
            match hook.tracepoint {
                "inet_sk_error_report" => ERROR_REPORTS.is_lacking(),
                "sock_send_length" => SEND_LENGTHS.is_lacking(),
                other => panic!("no {other}: it is everywhere"),
            }
            continue;
        };
        assert!(found.len() >= expected.len(), "{}: {found:?}", hook.tracepoint);
        assert_eq!(&found[..expected.len()], *expected, "{}", hook.tracepoint);
    }
}

#[test]
fn arguments_that_came_later_are_known_where_they_are() {
    let types = kernel();
    let layout = layout::resolve(layout::VMLINUX_BTF.as_ref(), "this").unwrap();
    let Dialect { retransmit_has_error, reset_has_reason, .. } = layout.dialect;
    for ((tracepoint, argument, feature), is_known) in
        NEWER.into_iter().zip([retransmit_has_error, reset_has_reason])
    {
        let (_, before) = ARGUMENTS.iter().find(|(name, _)| *name == tracepoint).unwrap();
        let found = arguments(&types, tracepoint).unwrap();
        let is_there = found.get(before.len()).is_some_and(|last| last == argument);
        assert_eq!(is_known, is_there, "{tracepoint}: {found:?}");
        if !is_there {
            feature.is_lacking();
        }
    }
}
