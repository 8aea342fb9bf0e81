//! The kernel side as it was built, part of the program.

use aya::include_bytes_aligned;

use super::ProbeError;

/// Empty where the BPF toolchain was missing when tcpwatch was built, see `build.rs`.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tcpwatch.bpf.o"));

/// The object file.
pub(super) fn object() -> Result<&'static [u8], ProbeError> {
    unless_empty(OBJECT)
}

fn unless_empty(object: &[u8]) -> Result<&[u8], ProbeError> {
    if object.is_empty() { Err(ProbeError::NotBuilt) } else { Ok(object) }
}

#[cfg(test)]
mod stack;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_built_without_its_kernel_side_says_how_to_build_it_with() {
        let error = unless_empty(&[]).unwrap_err();
        assert!(error.is_precondition(), "{error:?}");
        assert!(error.to_string().contains("cargo xtask setup"), "{error}");
        assert_eq!(unless_empty(b"ELF").unwrap(), b"ELF");
    }
}
