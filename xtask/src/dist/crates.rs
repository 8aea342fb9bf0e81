//! The crates whose code is in the program or in its kernel side, from cargo's metadata.

use std::{
    collections::{BTreeMap, BTreeSet},
    env::consts::ARCH,
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cargo;

/// A crate from the registry.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OutsideCrate {
    pub(super) name: String,
    pub(super) version: String,
    /// The SPDX expression.
    pub(super) license: String,
    /// The directory with its sources.
    pub(super) dir: PathBuf,
}

/// What cargo knows of the packages of this workspace, for the architecture of this machine.
pub(super) fn metadata() -> Result<Value> {
    let platform = format!("{ARCH}-unknown-linux-gnu");
    let mut command = cargo::cargo();
    command.args(["metadata", "--format-version=1", "--locked", "--filter-platform", &platform]);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(output.status.success(), "`cargo metadata` failed; its messages are above");
    serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` printed")
}

/// The package of that name in this workspace.
pub(super) fn package<'a>(metadata: &'a Value, name: &str) -> Result<&'a Value> {
    let is_own = |package: &&Value| package["source"].is_null() && package["name"] == name;
    let found = list(metadata, "packages").find(is_own);
    found.with_context(|| format!("no package {name} in this workspace"))
}

/// The crates of the program and of its kernel side, sorted by name; no build scripts' and no tests' crates, and no
/// macros, whose code is not in the program.
pub(super) fn of_the_program(metadata: &Value) -> Result<Vec<OutsideCrate>> {
    let packages: BTreeMap<_, _> =
        list(metadata, "packages").filter_map(|p| Some((p["id"].as_str()?, p))).collect();
    let resolve = metadata.get("resolve").context("cargo has not resolved any crates")?;
    let nodes: BTreeMap<_, _> =
        list(resolve, "nodes").filter_map(|n| Some((n["id"].as_str()?, n))).collect();
    let mut due = Vec::new();
    for root in ["tcpwatch", "tcpwatch-ebpf"] {
        due.extend(package(metadata, root)?["id"].as_str());
    }
    let mut seen = BTreeSet::new();
    while let Some(id) = due.pop() {
        let is_macro = packages.get(id).is_some_and(|package| is_macro(package));
        if is_macro || !seen.insert(id) {
            continue;
        }
        let deps = nodes.get(id).into_iter().flat_map(|node| list(node, "deps"));
        let linked = deps.filter(|dep| list(dep, "dep_kinds").any(|kind| kind["kind"].is_null()));
        due.extend(linked.filter_map(|dep| dep["pkg"].as_str()));
    }
    let outside = seen.into_iter().filter_map(|id| packages.get(id));
    let outside = outside.filter(|package| !package["source"].is_null());
    let mut crates = outside.map(|package| outside_crate(package)).collect::<Result<Vec<_>>>()?;
    crates.sort();
    Ok(crates)
}

fn is_macro(package: &Value) -> bool {
    list(package, "targets").any(|target| list(target, "kind").any(|kind| kind == "proc-macro"))
}

fn outside_crate(package: &Value) -> Result<OutsideCrate> {
    let text = |key: &str| {
        let value = package[key].as_str();
        value.with_context(|| format!("the crate {} has no {key}", package["name"]))
    };
    let manifest = PathBuf::from(text("manifest_path")?);
    Ok(OutsideCrate {
        name: text("name")?.to_owned(),
        version: text("version")?.to_owned(),
        license: text("license")?.replace('/', " OR "),
        dir: manifest.parent().context("a manifest is in a directory")?.to_owned(),
    })
}

/// The elements of the list under `key`; none if there is no such list.
fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_the_program_and_of_the_kernel_side_are_listed_and_macros_and_tests_are_not() {
        let crates = of_the_program(&metadata().unwrap()).unwrap();
        let names: BTreeSet<_> = crates.iter().map(|outside| outside.name.as_str()).collect();
        for linked in ["aya", "aya-ebpf", "clap", "tokio"] {
            assert!(names.contains(linked), "{linked} is in the program: {names:?}");
        }
        for other in ["clap_derive", "proptest", "similar", "tcpwatch-core"] {
            assert!(!names.contains(other), "{other} is not: {names:?}");
        }
    }
}
