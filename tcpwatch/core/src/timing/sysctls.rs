//! The sysctls that decide how long TCP waits, as `source/sysctls.rs` reads them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RTO_MAX, RTO_MIN, TIMEOUT_INIT, wheel::TickRate};

/// `net.ipv4.tcp_*` of one network namespace (`net/ipv4/sysctl_net_ipv4.c`). A kernel that lacks
/// one of them does what the value here says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctls {
    /// `tcp_syn_retries`.
    pub syn_retries: u8,
    /// `tcp_syn_linear_timeouts`, since 6.5: SYN retransmissions before the wait doubles.
    pub syn_linear_timeouts: u8,
    /// `tcp_synack_retries`.
    pub synack_retries: u8,
    /// `tcp_orphan_retries`; 0 stands for 8 while the RTO is below its greatest.
    pub orphan_retries: u8,
    /// `tcp_retries2`.
    pub retries2: u8,
    /// `tcp_rto_min_us`, since 6.11; a socket takes it over when it is made.
    pub rto_min: Duration,
    /// `tcp_rto_max_ms`, since 6.15; a socket takes it over when it is made.
    pub rto_max: Duration,
    /// `tcp_fin_timeout`, in seconds.
    pub fin_timeout: Duration,
    /// `tcp_early_retrans`: 3 and 4 mean tail loss probes.
    pub early_retrans: u8,
}

impl Default for Sysctls {
    /// What 6.18 starts with.
    fn default() -> Self {
        Self {
            syn_retries: 6,
            syn_linear_timeouts: 4,
            synack_retries: 5,
            orphan_retries: 0,
            retries2: 15,
            rto_min: RTO_MIN,
            rto_max: RTO_MAX,
            fin_timeout: Duration::from_mins(1),
            early_retrans: 3,
        }
    }
}

impl Sysctls {
    /// Takes each from `lookup`, which knows them by the names in `/proc/sys/net/ipv4` and has
    /// `None` for one that the kernel lacks. Counts above 255 (old kernels take them) become 255.
    #[must_use]
    pub fn from_lookup(mut lookup: impl FnMut(&str) -> Option<u64>) -> Self {
        let without = Self { syn_linear_timeouts: 0, ..Self::default() };
        let mut count = |name, otherwise| {
            lookup(name).map_or(otherwise, |found| u8::try_from(found).unwrap_or(u8::MAX))
        };
        Self {
            syn_retries: count("tcp_syn_retries", without.syn_retries),
            syn_linear_timeouts: count("tcp_syn_linear_timeouts", without.syn_linear_timeouts),
            synack_retries: count("tcp_synack_retries", without.synack_retries),
            orphan_retries: count("tcp_orphan_retries", without.orphan_retries),
            retries2: count("tcp_retries2", without.retries2),
            early_retrans: count("tcp_early_retrans", without.early_retrans),
            rto_min: lookup("tcp_rto_min_us").map_or(without.rto_min, Duration::from_micros),
            rto_max: lookup("tcp_rto_max_ms").map_or(without.rto_max, Duration::from_millis),
            fin_timeout: lookup("tcp_fin_timeout").map_or(without.fin_timeout, Duration::from_secs),
        }
    }

    /// Their names in `/proc/sys/net/ipv4`.
    pub const NAMES: [&str; 9] = [
        "tcp_syn_retries",
        "tcp_syn_linear_timeouts",
        "tcp_synack_retries",
        "tcp_orphan_retries",
        "tcp_retries2",
        "tcp_rto_min_us",
        "tcp_rto_max_ms",
        "tcp_fin_timeout",
        "tcp_early_retrans",
    ];

    /// One of them by its name in `/proc/sys/net/ipv4`, in the unit that it has there.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<u64> {
        let whole = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        Some(match name {
            "tcp_syn_retries" => self.syn_retries.into(),
            "tcp_syn_linear_timeouts" => self.syn_linear_timeouts.into(),
            "tcp_synack_retries" => self.synack_retries.into(),
            "tcp_orphan_retries" => self.orphan_retries.into(),
            "tcp_retries2" => self.retries2.into(),
            "tcp_early_retrans" => self.early_retrans.into(),
            "tcp_rto_min_us" => whole(self.rto_min.as_micros()),
            "tcp_rto_max_ms" => whole(self.rto_max.as_millis()),
            "tcp_fin_timeout" => self.fin_timeout.as_secs(),
            _ => return None,
        })
    }

    /// The greatest RTO in ticks, within the bounds that the kernel sets to the sysctl.
    pub(super) fn rto_max_ticks(&self, rate: TickRate) -> u64 {
        rate.ticks(self.rto_max.clamp(TIMEOUT_INIT, RTO_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_today_has_them_all() {
        let found = Sysctls::from_lookup(|name| {
            Some(match name {
                "tcp_syn_retries" => 6,
                "tcp_syn_linear_timeouts" => 4,
                "tcp_synack_retries" => 5,
                "tcp_orphan_retries" => 0,
                "tcp_retries2" => 15,
                "tcp_rto_min_us" => 200_000,
                "tcp_rto_max_ms" => 120_000,
                "tcp_fin_timeout" => 60,
                "tcp_early_retrans" => 3,
                name => panic!("{name} is nowhere in the kernel"),
            })
        });
        assert_eq!(found, Sysctls::default());
    }

    #[test]
    fn an_absent_one_is_what_the_kernel_does_without_it() {
        let old = Sysctls::from_lookup(|_| None);
        assert_eq!(old, Sysctls { syn_linear_timeouts: 0, ..Sysctls::default() });
    }

    #[test]
    fn each_is_found_by_the_name_it_was_read_by() {
        let unlike = Sysctls::from_lookup(|name| Some(u64::try_from(name.len()).unwrap()));
        assert_eq!(Sysctls::from_lookup(|name| unlike.by_name(name)), unlike);
        assert_eq!(unlike.by_name("tcp_mem"), None);
        assert!(Sysctls::NAMES.iter().all(|name| unlike.by_name(name).is_some()));
    }

    #[test]
    fn a_count_is_never_cut_short() {
        let high = Sysctls::from_lookup(|_| Some(u64::MAX));
        assert_eq!((high.retries2, high.rto_max), (255, Duration::from_millis(u64::MAX)));
    }
}
