//! The bill of materials: the crates in the program, in the form of `CycloneDX` 1.5.

use std::{fs, path::Path};

use anyhow::Result;
use serde_json::{Value, json};

use super::{Release, crates::OutsideCrate};

/// Writes it and returns its name.
pub(super) fn make(release: &Release, crates: &[OutsideCrate], out: &Path) -> Result<String> {
    let name = format!("{}.cdx.json", release.name());
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": release.epoch.utc()?,
            "component": {
                "type": "application",
                "name": "tcpwatch",
                "version": release.version,
                "licenses": [{"expression": "(MIT OR Apache-2.0) AND GPL-2.0-only"}],
            },
        },
        "components": crates.iter().map(component).collect::<Vec<_>>(),
    });
    fs::write(out.join(&name), serde_json::to_string_pretty(&bill)? + "\n")?;
    Ok(name)
}

fn component(outside: &OutsideCrate) -> Value {
    let purl = format!("pkg:cargo/{}@{}", outside.name, outside.version);
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": outside.name,
        "version": outside.version,
        "licenses": [{"expression": outside.license}],
        "purl": purl,
    })
}
