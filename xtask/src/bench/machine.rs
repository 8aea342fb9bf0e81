//! Describes the machine on which the figures were measured.

use std::{
    fs, thread,
    time::{SystemTime, UNIX_EPOCH},
};

/// `2026-11-21 · Linux 6.18.44 · AMD EPYC, 2 cores`.
pub(crate) fn describe() -> String {
    let uname = rustix::system::uname();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    format!(
        "{} \u{b7} Linux {} \u{b7} {}, {cores} cores",
        today(),
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

/// The date, in UTC.
fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// The date of a day since 1970 (`civil_from_days` of Howard Hinnant's algorithms for dates).
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (20_088, (2024, 12, 31)),
        ] {
            assert_eq!(civil(days), date, "day {days}");
        }
    }

    #[test]
    fn the_first_cpus_model_is_taken() {
        let text = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nmodel name\t: other\n";
        assert_eq!(cpu_model(text), Some("AMD EPYC"), "not `model`");
        assert_eq!(cpu_model("processor : 0\n"), None, "not reported on every architecture");
    }
}
