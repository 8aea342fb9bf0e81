//! What this kernel and these privileges allow, asked once; the answers travel as values.

use std::path::Path;

use aya::{maps::MapType, sys::is_map_supported};
use caps::{CapSet, Capability};

use super::{ProbeError, layout::VMLINUX_BTF};

/// What was found out before anything is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// `CAP_BPF` or `CAP_SYS_ADMIN`.
    pub may_bpf: bool,
    /// `CAP_PERFMON` or `CAP_SYS_ADMIN`.
    pub may_perfmon: bool,
    /// The kernel shows its type information.
    pub has_btf: bool,
    /// The kernel has ring buffer maps; `None` without the privilege to ask.
    pub has_ring_buffer: Option<bool>,
}

impl Facts {
    /// Asks the running kernel.
    #[must_use]
    pub fn gather() -> Self {
        let uname = rustix::system::uname();
        let may = |capability| {
            [capability, Capability::CAP_SYS_ADMIN]
                .into_iter()
                .any(|one| caps::has_cap(None, CapSet::Effective, one).unwrap_or(false))
        };
        let may_bpf = may(Capability::CAP_BPF);
        Self {
            release: uname.release().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            may_bpf,
            may_perfmon: may(Capability::CAP_PERFMON),
            has_btf: Path::new(VMLINUX_BTF).exists(),
            has_ring_buffer: may_bpf.then(|| is_map_supported(MapType::RingBuf).unwrap_or(false)),
        }
    }

    /// Capabilities that are missing.
    #[must_use]
    pub fn missing_capabilities(&self) -> Vec<&'static str> {
        [(self.may_bpf, "CAP_BPF"), (self.may_perfmon, "CAP_PERFMON")]
            .into_iter()
            .filter_map(|(has, name)| (!has).then_some(name))
            .collect()
    }

    /// Refuses what cannot work, before the kernel refuses it with fewer words.
    pub(super) fn demand(&self) -> Result<(), ProbeError> {
        let missing = self.missing_capabilities();
        if !missing.is_empty() {
            return Err(ProbeError::Privilege { missing });
        }
        if self.has_ring_buffer == Some(false) {
            return Err(ProbeError::NoRingBuffer { release: self.release.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capable() -> Facts {
        Facts {
            release: "5.4.0".to_owned(),
            machine: "x86_64".to_owned(),
            may_bpf: true,
            may_perfmon: true,
            has_btf: true,
            has_ring_buffer: Some(true),
        }
    }

    #[test]
    fn a_capable_machine_is_accepted() {
        assert!(capable().demand().is_ok());
    }

    #[test]
    fn missing_capabilities_are_named_with_what_to_do() {
        let facts = Facts { may_bpf: false, may_perfmon: false, ..capable() };
        let error = facts.demand().unwrap_err();
        assert!(error.is_precondition());
        let text = error.to_string();
        for word in ["CAP_BPF and CAP_PERFMON", "sudo", "setcap"] {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn a_kernel_without_ring_buffers_is_refused_with_the_version_that_has_them() {
        let facts = Facts { has_ring_buffer: Some(false), ..capable() };
        let error = facts.demand().unwrap_err();
        assert!(error.is_precondition());
        assert!(error.to_string().contains("5.4.0 has no BPF ring buffer"), "{error}");
        assert!(error.to_string().contains("5.8"), "{error}");
    }
}
