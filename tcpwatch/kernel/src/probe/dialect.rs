//! What tracepoints report on the running kernel, from its BTF: arguments that not every version has,
//! and the names of numbers that differ between versions.

use tcpwatch_core::decode::ResetReasons;

use super::kernel_types::{KernelTypes, probe_type};
use tcpwatch_core::event::reset_reason::clean;

/// The enumeration of the kernel's reasons.
pub(super) const RESET_REASONS: &str = "sk_rst_reason";

/// What differs between kernels.
#[derive(Clone, Debug, Default)]
pub struct Dialect {
    /// `tcp_retransmit_skb` reports whether the segment was sent (since 6.17).
    pub retransmit_has_error: bool,
    /// `tcp_send_reset` reports why (since 6.10).
    pub reset_has_reason: bool,
    /// Names of the reasons.
    pub reset_reasons: ResetReasons,
}

impl Dialect {
    pub(super) fn of(types: &KernelTypes) -> Self {
        let reset_reasons = reset_reasons(types).unwrap_or_default();
        Self {
            retransmit_has_error: arguments(types, "tcp_retransmit_skb") == Some(3),
            reset_has_reason: arguments(types, "tcp_send_reset") == Some(3)
                && !reset_reasons.0.is_empty(),
            reset_reasons,
        }
    }
}

/// The kernel's words for its reasons.
fn reset_reasons(types: &KernelTypes) -> Option<ResetReasons> {
    let named = types.enumeration(RESET_REASONS)?;
    let named = named.into_iter().filter_map(|(name, value)| {
        let word = name.strip_prefix("SK_RST_REASON_")?.to_ascii_lowercase();
        // The end of the list (`MAX`) is no reason.
        let word = Some(word).filter(|word| word != "max")?;
        Some((value, clean(&word).into()))
    });
    Some(ResetReasons(named.collect()))
}

/// Arguments of a tracepoint: its probes have one more.
fn arguments(types: &KernelTypes, tracepoint: &str) -> Option<usize> {
    types.parameters(&probe_type(tracepoint))?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::probe::layout::VMLINUX_BTF;

    fn types(names: &[&str]) -> KernelTypes {
        let names = names.iter().copied();
        KernelTypes::read(Path::new(VMLINUX_BTF), names).expect("the kernel this runs on has BTF")
    }

    #[test]
    fn a_reason_is_named_as_the_kernel_names_it_and_an_unknown_one_keeps_its_number() {
        let send_reset = probe_type("tcp_send_reset");
        let dialect = Dialect::of(&types(&[RESET_REASONS, &send_reset]));
        assert_eq!(dialect.reset_reasons.name(12_345).as_ref(), "reason#12345");
        if dialect.reset_has_reason {
            let words: Vec<&str> = dialect.reset_reasons.words().collect();
            assert!(words.contains(&"no_socket") && !words.contains(&"max"), "{words:?}");
        }
    }

    #[test]
    fn reasons_of_a_recording_are_words_whatever_is_in_the_file() {
        let read: ResetReasons =
            serde_json::from_str(r#"{"1":"no_socket","2":"\u0000\u001b[2J\""}"#).unwrap();
        assert_eq!(read.name(1).as_ref(), "no_socket");
        assert_eq!(read.name(2).as_ref(), "???2??");
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<ResetReasons>(&written).unwrap(), read);
    }

    #[test]
    fn the_arguments_of_a_tracepoint_are_counted_without_the_probes_own() {
        let (set_state, none) = ("inet_sock_set_state", "no_such_tracepoint");
        let types = types(&[&probe_type(set_state), &probe_type(none)]);
        assert_eq!(arguments(&types, set_state), Some(3));
        assert_eq!(arguments(&types, none), None);
    }
}
