//! Parts of a report that are written and read in the same form.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use tcpwatch_core::timing;

/// A value of each host.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BothHosts<T> {
    pub(crate) client: T,
    pub(crate) server: T,
}

/// What the timers were judged by, and what the scenario set, as text.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SysctlsForm {
    tcp_syn_retries: u8,
    tcp_syn_linear_timeouts: u8,
    tcp_synack_retries: u8,
    tcp_orphan_retries: u8,
    tcp_retries2: u8,
    tcp_rto_min_us: u64,
    tcp_rto_max_ms: u64,
    tcp_fin_timeout: u64,
    tcp_early_retrans: u8,
    pub(crate) set: BTreeMap<String, String>,
}

impl SysctlsForm {
    pub(crate) fn of(sysctls: &timing::Sysctls, set: Option<&BTreeMap<String, String>>) -> Self {
        let timing::Sysctls {
            syn_retries,
            syn_linear_timeouts,
            synack_retries,
            orphan_retries,
            retries2,
            rto_min,
            rto_max,
            fin_timeout,
            early_retrans,
        } = *sysctls;
        Self {
            tcp_syn_retries: syn_retries,
            tcp_syn_linear_timeouts: syn_linear_timeouts,
            tcp_synack_retries: synack_retries,
            tcp_orphan_retries: orphan_retries,
            tcp_retries2: retries2,
            tcp_rto_min_us: u64::try_from(rto_min.as_micros()).unwrap_or(u64::MAX),
            tcp_rto_max_ms: u64::try_from(rto_max.as_millis()).unwrap_or(u64::MAX),
            tcp_fin_timeout: fin_timeout.as_secs(),
            tcp_early_retrans: early_retrans,
            set: set.cloned().unwrap_or_default(),
        }
    }

    pub(super) const fn sysctls(&self) -> timing::Sysctls {
        timing::Sysctls {
            syn_retries: self.tcp_syn_retries,
            syn_linear_timeouts: self.tcp_syn_linear_timeouts,
            synack_retries: self.tcp_synack_retries,
            orphan_retries: self.tcp_orphan_retries,
            retries2: self.tcp_retries2,
            rto_min: Duration::from_micros(self.tcp_rto_min_us),
            rto_max: Duration::from_millis(self.tcp_rto_max_ms),
            fin_timeout: Duration::from_secs(self.tcp_fin_timeout),
            early_retrans: self.tcp_early_retrans,
        }
    }
}
