//! Builds the kernel side with the BPF toolchain and puts the object where `probe/object/mod.rs`
//! includes it. Where there is no BPF toolchain the object is empty: everything can be built and
//! documented, and what would load the kernel side says how to get one.

#![expect(clippy::print_stderr, reason = "cargo shows what a failing build script printed")]

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
};
use tcpwatch_bpf_toolchain::BpfToolchain;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed=CARGO_HOME");
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let objects = match BpfToolchain::find() {
        Ok(toolchain) => match build(&toolchain, &out_dir.join("ebpf"))? {
            Some(objects) => objects,
            None => return Ok(ExitCode::FAILURE),
        },
        Err(missing) => {
            println!("cargo::warning=without its kernel side, because {missing} is missing");
            println!("cargo::warning=`cargo xtask setup` installs it");
            for path in BpfToolchain::awaited() {
                println!("cargo::rerun-if-changed={}", path.display());
            }
            Objects::default()
        }
    };
    for (name, object) in ["tcpwatch.bpf.o", "coverage.bpf.o"].iter().zip(objects) {
        fs::write(out_dir.join(name), object)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The object files of tcpwatch and of its integration tests.
type Objects = [Vec<u8>; 2];

/// The object files; nothing after a toolchain has failed, which is an error, other than one that is missing.
fn build(toolchain: &BpfToolchain, target_dir: &Path) -> Result<Option<Objects>, Box<dyn Error>> {
    for source in ["tcpwatch-ebpf", "tcpwatch-common", "Cargo.lock"] {
        println!("cargo::rerun-if-changed=../../{source}");
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let output = toolchain.build_command(target_dir, &arch).output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        eprintln!("the kernel side does not build with {toolchain:?}\n{stderr}");
        return Ok(None);
    }
    let read = |name: &str| {
        let object = fs::read(target_dir.join("bpfel-unknown-none/release").join(name))?;
        without_dwarf(&object)
    };
    // The second is what the integration tests load; it is no part of tcpwatch.
    Ok(Some([read("tcpwatch-ebpf")?, read("coverage")?]))
}

/// BTF is made from DWARF, which is not needed afterwards: five sixths of the file, which is
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
