//! The BPF programs of the integration tests, built beside tcpwatch's own and part of no program.

use aya::include_bytes_aligned;

/// The object file of `tcpwatch-ebpf/src/bin/coverage.rs`.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/coverage.bpf.o"));
