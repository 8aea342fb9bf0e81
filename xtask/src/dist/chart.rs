//! Tests of the chart for Kubernetes (`deploy/kubernetes`).

use std::{fs, path::PathBuf, process::Command};

use crate::cargo;

fn directory() -> PathBuf {
    cargo::workspace().join("deploy/kubernetes")
}

fn text(name: &str) -> String {
    let path = directory().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `helm` with the chart; `None`, which is printed, where there is no helm in `PATH`.
fn template(options: &[&str]) -> Option<(bool, String)> {
    let mut helm = Command::new("helm");
    helm.args(["template", "tcpwatch", "chart", "--namespace", "tcpwatch"]).args(options);
    match helm.current_dir(directory()).output() {
        Ok(output) => {
            let printed = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8(printed).unwrap()))
        }
        Err(error) => {
            eprintln!("SKIPPED: helm: {error}");
            None
        }
    }
}

#[test]
fn the_chart_and_its_rendering_have_the_version_of_the_program() {
    let metadata = super::crates::metadata().unwrap();
    let version = super::version(&metadata).unwrap();
    let chart = text("chart/Chart.yaml");
    for line in [format!("version: {version}\n"), format!("appVersion: \"{version}\"\n")] {
        assert!(chart.contains(&line), "{line}{chart}");
    }
    assert!(text("tcpwatch.yaml").contains(&format!("image: \"tcpwatch:{version}\"\n")));
}

#[test]
fn the_plain_objects_are_the_chart_with_its_default_values() {
    if let Some((succeeds, rendered)) = template(&[]) {
        assert!(succeeds, "{rendered}");
        let plain = text("tcpwatch.yaml");
        assert!(
            plain == rendered,
            "helm template tcpwatch chart --namespace tcpwatch > tcpwatch.yaml"
        );
    }
}

#[test]
fn a_value_that_is_misspelled_or_of_another_kind_is_refused() {
    for value in ["web.prot=1", "web.port=70000", "sandbox=perhaps", "image.repository="] {
        if let Some((succeeds, printed)) = template(&["--set", value]) {
            assert!(!succeeds && printed.contains("schema"), "{value}: {printed}");
        }
    }
}
