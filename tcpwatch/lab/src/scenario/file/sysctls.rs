//! Parses `[sysctls]`: settings of the hosts' network namespaces.

use std::collections::BTreeMap;

use super::{
    fields::{TomlFields, TomlItem},
    source::FileError,
};
use crate::host::Host;

/// Per host, names below `/proc/sys/net/ipv4` and their values.
pub(super) type Pinned = BTreeMap<Host, BTreeMap<String, String>>;

/// Sysctls known to be global: a namespace does not have them (`tcp_net_ops`, `ipv4_table`,
/// `net/ipv4/sysctl_net_ipv4.c`).
const NOT_PER_NAMESPACE: [&str; 9] = [
    "inet_peer_maxttl",
    "inet_peer_minttl",
    "inet_peer_threshold",
    "tcp_available_congestion_control",
    "tcp_available_ulp",
    "tcp_low_latency",
    "tcp_max_orphans",
    "tcp_mem",
    "udp_mem",
];

/// `client.tcp_fin_timeout = 60`, `both.…` for both hosts.
pub(super) fn sysctls(item: Option<TomlItem<'_>>, pinned: &mut Pinned) -> Result<(), FileError> {
    let Some(item) = item else { return Ok(()) };
    let mut fields = item.fields()?;
    for (key, hosts) in
        [("both", &Host::ALL[..]), ("client", &[Host::Client]), ("server", &[Host::Server])]
    {
        let Some(item) = fields.take(key) else { continue };
        for (name, value) in of_host(item.fields()?)? {
            for host in hosts {
                pinned.entry(*host).or_default().insert(name.clone(), value.clone());
            }
        }
    }
    fields.finish()
}

fn of_host(mut fields: TomlFields<'_>) -> Result<BTreeMap<String, String>, FileError> {
    let mut values = BTreeMap::new();
    for item in fields.take_rest() {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if item.key.is_empty() || !item.key.chars().all(letters) {
            let fix = "write the name below /proc/sys/net/ipv4, for example `tcp_fin_timeout`";
            return Err(item.error("is not the name of a sysctl", fix));
        }
        if NOT_PER_NAMESPACE.contains(&item.key) {
            let fix = "leave it out: the laboratory changes nothing outside its namespaces";
            return Err(item.error("belongs to the whole machine, not to a host", fix));
        }
        let value = match item.value.get_ref().as_integer() {
            Some(_) => item.number::<i64>(i64::MIN..i64::MAX)?.to_string(),
            None => item.text()?.to_owned(),
        };
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(item.error("has no value", "write a number, or words as /proc shows them"));
        }
        values.insert(item.key.to_owned(), value);
    }
    Ok(values)
}
