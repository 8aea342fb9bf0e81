//! Describes the machine on which the figures were measured.

use std::{fs, thread, time::SystemTime};

/// `2026-11-21 · Linux 6.18.44 · AMD EPYC, 2 cores`.
pub(crate) fn describe() -> String {
    let uname = rustix::system::uname();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    format!(
        "{} \u{b7} Linux {} \u{b7} {}, {cores} cores",
        now.split('T').next().unwrap_or_default(),
        uname.release().to_string_lossy(),
        cpu_model(&cpuinfo).unwrap_or(std::env::consts::ARCH),
    )
}

/// The average number of runnable threads in the last minute: others disturb the measurement.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("?").to_owned()
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let mut models =
        cpuinfo.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(':'));
    models.next().map(|(_, model)| model.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cpus_model_is_taken() {
        let text = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nmodel name\t: other\n";
        assert_eq!(cpu_model(text), Some("AMD EPYC"), "not `model`");
        assert_eq!(cpu_model("processor : 0\n"), None, "not reported on every architecture");
    }
}
