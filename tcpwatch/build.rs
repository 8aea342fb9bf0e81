//! Builds the kernel side with the BPF toolchain and puts the object where `probe/object.rs`
//! includes it.

#![expect(clippy::print_stderr, reason = "cargo shows what a failing build script printed")]

#[path = "../xtask/src/bpf_toolchain.rs"]
mod bpf_toolchain;

use std::{env, error::Error, fs, path::PathBuf, process::exit};

use bpf_toolchain::BpfToolchain;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../tcpwatch-ebpf");
    println!("cargo:rerun-if-changed=../tcpwatch-common");
    println!("cargo:rerun-if-changed=../xtask/src/bpf_toolchain.rs");
    println!("cargo:rerun-if-changed=../Cargo.lock");
    println!("cargo:rerun-if-env-changed=PATH");

    let toolchain = match BpfToolchain::find() {
        Ok(toolchain) => toolchain,
        Err(missing) => {
            println!("cargo::error={missing} is missing; run `cargo xtask setup`");
            return Ok(());
        }
    };
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let target_dir = out_dir.join("ebpf");
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let output = toolchain.build_command(&target_dir, &arch).output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        eprintln!("the kernel side does not build with {toolchain:?}\n{stderr}");
        exit(1);
    }
    fs::copy(
        target_dir.join("bpfel-unknown-none/release/tcpwatch-ebpf"),
        out_dir.join("tcpwatch.bpf.o"),
    )?;
    Ok(())
}
