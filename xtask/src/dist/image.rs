//! The container image: the program alone, as an OCI archive that podman, buildah and containerd import.

use std::{env::consts::ARCH, fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Release, pack};

/// Makes the image and returns its name.
pub(super) fn make(release: &Release, out: &Path) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("root");
    let layout = dir.path().join("layout");
    pack::make_dir(&root)?;
    pack::make_dir(&layout.join("blobs/sha256"))?;
    let program = root.join("tcpwatch");
    fs::copy(&release.program, &program)?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    let (layer, plain) = (dir.path().join("layer.tar.gz"), dir.path().join("layer.tar"));
    pack::tar(&root, "tcpwatch", &plain, release.epoch)?;
    pack::gzip(&plain, &layer)?;
    let layer = blob(&layout, &fs::read(layer)?, "application/vnd.oci.image.layer.v1.tar+gzip")?;
    let config = configuration(release, &pack::sha256(&plain)?)?;
    let config = blob(&layout, &text(&config)?, "application/vnd.oci.image.config.v1+json")?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config.json(), "layers": [layer.json()]});
    let Descriptor { kind, digest, size } = blob(&layout, &text(&manifest)?, kind)?;
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": kind, "digest": digest, "size": size,
        "annotations": {"org.opencontainers.image.ref.name": format!("tcpwatch:{}", release.version)},
    }]});
    fs::write(layout.join("index.json"), text(&index)?)?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    super::tree::set_modes_of_directories(&layout)?;
    let name = format!("{}.oci.tar", release.name());
    pack::tar(&layout, ".", &out.join(&name), release.epoch)?;
    Ok(name)
}

/// What a runtime starts: the exporter.
fn configuration(release: &Release, diff_id: &str) -> Result<Value> {
    let architecture = match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("OCI has no name for the architecture {other} that is known here"),
    };
    Ok(json!({
        "created": release.epoch.utc()?,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/tcpwatch"],
            "Cmd": ["serve"],
            "Labels": {
                "org.opencontainers.image.title": "tcpwatch",
                "org.opencontainers.image.version": release.version,
                "org.opencontainers.image.licenses": "(MIT OR Apache-2.0) AND GPL-2.0-only",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
    }))
}

/// How one blob names another.
struct Descriptor {
    kind: &'static str,
    digest: String,
    size: usize,
}

impl Descriptor {
    fn json(&self) -> Value {
        json!({"mediaType": self.kind, "digest": self.digest, "size": self.size})
    }
}

/// Adds a blob under its sum.
fn blob(layout: &Path, content: &[u8], kind: &'static str) -> Result<Descriptor> {
    let new = layout.join("blobs/new");
    fs::write(&new, content)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
    let sum = pack::sha256(&new)?;
    fs::rename(new, layout.join("blobs/sha256").join(&sum))?;
    Ok(Descriptor { kind, digest: format!("sha256:{sum}"), size: content.len() })
}

fn text(value: &Value) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}
