//! tcpwatch itself as a process, under the names that every Prometheus client library uses. From
//! `/proc/self`, the limits and the CPU clock of the process.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};
use tcpwatch_kernel::own_process;

use crate::{collector::Collector, family::ScrapeFamily};

/// This process.
#[derive(Debug)]
pub struct ProcessCollector {
    /// Seconds since 1970. Read once: the kernel recalculates the boot time when the clock is set, and a changed start
    /// time looks like a restart.
    start: f64,
}

impl ProcessCollector {
    /// Reads when this process started.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn new() -> Result<Self> {
        Ok(Self { start: own_process::started()?.as_secs_f64() })
    }
}

impl Collector for ProcessCollector {
    fn name(&self) -> &'static str {
        "process"
    }

    fn collect(&mut self, families: &mut Vec<ScrapeFamily>) -> Result<()> {
        families.push(
            ScrapeFamily::counter(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
            )
            .with(&[], cpu_seconds()),
        );
        let mut gauge = |name, help, value| {
            families.push(ScrapeFamily::gauge(name, help).with(&[], value));
        };
        gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            self.start,
        );
        gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, float),
        );
        let usage = own_process::usage()?;
        let (resident, all) = (float(usage.resident_bytes), float(usage.virtual_bytes));
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", resident);
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", all);
        gauge("process_threads", "Number of OS threads in the process.", float(usage.threads));
        gauge("process_open_fds", "Number of open file descriptors.", float(open_fds()?));
        Ok(())
    }
}

/// Does not count the one that reads the directory.
fn open_fds() -> Result<u64> {
    let list = fs::read_dir("/proc/self/fd").context("cannot read /proc/self/fd")?;
    Ok(u64::try_from(list.count())?.saturating_sub(1))
}

#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "exact up to 2^53 s")]
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "exact up to 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs::File, time::SystemTime};

    use prometheus::TextEncoder;

    use super::*;

    fn collect(process: &mut ProcessCollector) -> BTreeMap<String, f64> {
        let mut families = Vec::new();
        process.collect(&mut families).unwrap();
        let families: Vec<_> = families.into_iter().filter_map(ScrapeFamily::finish).collect();
        let text = TextEncoder::new().encode_to_string(&families).unwrap();
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| {
                let (name, value) = line.split_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn the_names_are_those_of_the_client_libraries() {
        let names: Vec<_> = collect(&mut ProcessCollector::new().unwrap()).into_keys().collect();
        assert_eq!(
            names,
            [
                "process_cpu_seconds_total",
                "process_max_fds",
                "process_open_fds",
                "process_resident_memory_bytes",
                "process_start_time_seconds",
                "process_threads",
                "process_virtual_memory_bytes",
            ]
        );
    }

    #[test]
    fn cpu_time_grows_with_less_than_a_tick_of_work() {
        let mut process = ProcessCollector::new().unwrap();
        let before = collect(&mut process)["process_cpu_seconds_total"];
        let after = collect(&mut process)["process_cpu_seconds_total"];
        assert!(before > 0.0 && after > before, "{before} {after}");
    }

    #[test]
    fn it_started_before_now_and_stays_so() {
        let mut process = ProcessCollector::new().unwrap();
        let start = collect(&mut process)["process_start_time_seconds"];
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        // The kernel gives the boot time in whole seconds.
        assert!(start < now + 1.0 && start > now - 86400.0, "{start} {now}");
        assert!((collect(&mut process)["process_start_time_seconds"] - start).abs() < f64::EPSILON);
    }

    #[test]
    fn memory_threads_and_descriptors_are_those_the_kernel_tells() {
        // Other tests open files, too: these are enough not to be hidden by theirs.
        let files: Vec<_> = (0..200).map(|_| File::open("/proc/self/stat").unwrap()).collect();
        let samples = collect(&mut ProcessCollector::new().unwrap());
        assert!(samples["process_open_fds"] >= 200.0, "{samples:?}");
        assert!(samples["process_max_fds"] > samples["process_open_fds"], "{samples:?}");
        assert!(samples["process_threads"] >= 1.0, "{samples:?}");
        let (resident, all) =
            (samples["process_resident_memory_bytes"], samples["process_virtual_memory_bytes"]);
        assert!(resident >= 1e6 && all >= resident, "{samples:?}");
        drop(files);
    }
}
