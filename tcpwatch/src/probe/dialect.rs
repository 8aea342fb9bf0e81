//! What tracepoints tell on the running kernel, from its BTF: arguments that not every version has,
//! and the names of numbers that differ between versions.

use std::{collections::BTreeMap, sync::Arc};

use btf_rs::{Btf, Type};
use serde::{Deserialize, Serialize};

/// The kernel's reasons for sending a reset, by their numbers (`enum sk_rst_reason` in
/// `include/net/rstreason.h`, since 6.10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetReasons(BTreeMap<u32, Arc<str>>);

/// What differs between kernels.
#[derive(Clone, Debug, Default)]
pub struct Dialect {
    /// `tcp_retransmit_skb` tells whether the segment was sent (since 6.17).
    pub retransmit_has_error: bool,
    /// `tcp_send_reset` tells why (since 6.10).
    pub reset_has_reason: bool,
    /// Names of the reasons.
    pub reset_reasons: ResetReasons,
}

impl Dialect {
    pub(super) fn of(types: &Btf) -> Self {
        let reset_reasons = ResetReasons::of(types).unwrap_or_default();
        Self {
            retransmit_has_error: arguments(types, "btf_trace_tcp_retransmit_skb") == Some(3),
            reset_has_reason: arguments(types, "btf_trace_tcp_send_reset") == Some(3)
                && !reset_reasons.0.is_empty(),
            reset_reasons,
        }
    }
}

impl ResetReasons {
    /// The kernel's word for a reason, in lower case and without what they have in common:
    /// `tcp_abort_on_close`. A number that has no name is given as it is.
    #[must_use]
    pub fn name(&self, number: u32) -> Arc<str> {
        self.0.get(&number).cloned().unwrap_or_else(|| format!("reason#{number}").into())
    }

    fn of(types: &Btf) -> Option<Self> {
        let found = types.resolve_types_by_name("sk_rst_reason").ok()?;
        let reasons = found.into_iter().find_map(|found| match found {
            Type::Enum(reasons) => Some(reasons),
            _ => None,
        })?;
        let named = reasons.members.iter().filter_map(|member| {
            let name = types.resolve_name(member).ok()?;
            let word = name.strip_prefix("SK_RST_REASON_")?.to_ascii_lowercase();
            Some((member.val(), word.into()))
        });
        Some(Self(named.collect()))
    }
}

/// Arguments of a tracepoint, from the type of its probes, which have one more.
fn arguments(types: &Btf, probe: &str) -> Option<usize> {
    let found = types.resolve_types_by_name(probe).ok()?;
    found.into_iter().find_map(|found| {
        let Type::Typedef(name) = found else { return None };
        let Type::Ptr(pointer) = types.resolve_chained_type(&name).ok()? else { return None };
        match types.resolve_chained_type(&pointer).ok()? {
            Type::FuncProto(function) => function.parameters.len().checked_sub(1),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::layout::VMLINUX_BTF;

    #[test]
    fn a_reason_is_named_as_the_kernel_names_it_and_an_unknown_one_keeps_its_number() {
        let types = Btf::from_file(VMLINUX_BTF).expect("the kernel this test runs on has BTF");
        let dialect = Dialect::of(&types);
        assert_eq!(dialect.reset_reasons.name(12_345).as_ref(), "reason#12345");
        if dialect.reset_has_reason {
            let words: Vec<&str> = dialect.reset_reasons.0.values().map(AsRef::as_ref).collect();
            assert!(words.contains(&"no_socket"), "{words:?}");
        }
    }

    #[test]
    fn the_arguments_of_a_tracepoint_are_counted_without_the_probes_own() {
        let types = Btf::from_file(VMLINUX_BTF).expect("the kernel this test runs on has BTF");
        assert_eq!(arguments(&types, "btf_trace_inet_sock_set_state"), Some(3));
        assert_eq!(arguments(&types, "btf_trace_no_such_tracepoint"), None);
    }
}
