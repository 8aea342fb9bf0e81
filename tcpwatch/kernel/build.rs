//! Builds the kernel side with the BPF toolchain and puts the object where `probe/mod.rs`
//! includes it.

#![expect(clippy::print_stderr, reason = "cargo shows what a failing build script printed")]

use std::{env, error::Error, fs, path::PathBuf, process::exit};

use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
};
use tcpwatch_bpf_toolchain::BpfToolchain;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../../tcpwatch-ebpf");
    println!("cargo:rerun-if-changed=../../tcpwatch-common");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
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
    // The second is what tests/coverage loads; it is no part of tcpwatch.
    for (built, object) in [("tcpwatch-ebpf", "tcpwatch.bpf.o"), ("coverage", "coverage.bpf.o")] {
        let built = fs::read(target_dir.join("bpfel-unknown-none/release").join(built))?;
        fs::write(out_dir.join(object), without_dwarf(&built)?)?;
    }
    Ok(())
}

/// BTF is made from DWARF, of which nobody has need afterwards: five sixths of the file, which is
/// part of the program.
fn without_dwarf(object: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut object = Builder::read(object)?;
    for section in &mut object.sections {
        let name = section.name.to_string();
        section.delete = name.starts_with(".debug") || name.starts_with(".rel.debug");
    }
    object.delete_orphans();
    // LLVM keeps the names of sections with those of symbols, which the writer does not.
    let names = object.sections.add();
    names.name = ".shstrtab".into();
    names.sh_type = SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut rest = Vec::new();
    object.write(&mut rest)?;
    Ok(rest)
}
