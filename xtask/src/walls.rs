//! Checks that the table of crates in ARCHITECTURE.md agrees with the manifests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde_json::Value;

use crate::cargo;

/// The crates that a crate uses, by the table or by its manifest.
#[derive(Debug, Default, PartialEq, Eq)]
struct CrateNames {
    /// Crates of this workspace.
    own: BTreeSet<String>,
    /// Other crates.
    outside: BTreeSet<String>,
}

/// For each package, its row of the table: the crates that it uses, and those that it alone names.
fn table(text: &str) -> BTreeMap<String, CrateNames> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| [")?.strip_suffix('|'));
    rows.filter_map(|row| {
        let (folder, _) = row.split_once(']')?;
        let mut cells = row.split('|').skip(2);
        let words = |cell: &str| -> Vec<String> {
            cell.split(',').map(str::trim).filter(|word| !word.is_empty()).map(Into::into).collect()
        };
        let own = words(cells.next()?).iter().map(|name| format!("tcpwatch-{name}")).collect();
        let outside = words(cells.next()?).into_iter().collect();
        Some((folder.replace('/', "-"), CrateNames { own, outside }))
    })
    .collect()
}

/// For each package of this workspace, the crates in its manifest, without those for tests only.
fn manifests() -> BTreeMap<String, CrateNames> {
    let mut command = cargo::cargo();
    let output = command.args(["metadata", "--no-deps", "--format-version=1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let named = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let mut named = CrateNames::default();
        for dependency in dependencies.filter(|dependency| dependency["kind"].is_null()) {
            let is_own = !dependency["path"].is_null();
            let set = if is_own { &mut named.own } else { &mut named.outside };
            set.insert(dependency["name"].as_str().unwrap().to_owned());
        }
        (package["name"].as_str().unwrap().to_owned(), named)
    };
    packages.iter().map(named).collect()
}

#[test]
fn every_crate_uses_those_that_the_table_in_architecture_lists_for_it() {
    let text = fs::read_to_string(cargo::workspace().join("ARCHITECTURE.md")).unwrap();
    let own = |named: BTreeMap<String, CrateNames>| -> BTreeMap<_, _> {
        named.into_iter().map(|(name, named)| (name, named.own)).collect()
    };
    assert_eq!(own(table(&text)), own(manifests()), "the table, and the manifests");
}

#[test]
fn what_a_crate_alone_names_by_the_table_no_other_of_the_product_does() {
    let text = fs::read_to_string(cargo::workspace().join("ARCHITECTURE.md")).unwrap();
    let mut manifests = manifests();
    // Not a part of the product: it measures from outside.
    manifests.remove(env!("CARGO_PKG_NAME"));
    let rows = table(&text);
    let alone =
        rows.iter().flat_map(|(name, named)| named.outside.iter().map(move |it| (name, it)));
    let mut count = 0;
    for (name, outside) in alone {
        let by = manifests.iter().filter(|(_, named)| named.outside.contains(outside));
        assert_eq!(by.map(|(name, _)| name).collect::<Vec<_>>(), [name], "{outside}");
        count += 1;
    }
    assert!(count > 5, "{count} crates are in the last column");
}
