//! Offsets and addresses that the programs need, read from the running kernel's type information and list of symbols,
//! not through tcpwatch.

use std::{fs, path::Path};

use btf_rs::{Btf, Type};

/// Offsets in bytes, and addresses.
pub(super) struct Places {
    pub(super) skc_net: u32,
    pub(super) net_inum: u32,
    pub(super) timer_function: u32,
    /// Offsets of the timer in a timewait socket and in a request socket.
    pub(super) timer_in: [u32; 2],
    /// The functions of these timers.
    pub(super) handlers: [u64; 2],
}

impl Places {
    pub(super) fn find() -> Result<Self, String> {
        let btf = Btf::from_file(Path::new("/sys/kernel/btf/vmlinux"));
        let btf = btf.map_err(|error| format!("no type information: {error}"))?;
        let at = |of: &str, member: &str| {
            offset(&btf, of, member).ok_or_else(|| format!("no {member} in struct {of}"))
        };
        Ok(Self {
            skc_net: at("sock_common", "skc_net")?,
            net_inum: at("net", "ns")? + at("ns_common", "inum")?,
            timer_function: at("timer_list", "function")?,
            timer_in: [at("inet_timewait_sock", "tw_timer")?, at("request_sock", "rsk_timer")?],
            handlers: handlers()?,
        })
    }
}

fn offset(btf: &Btf, of: &str, member: &str) -> Option<u32> {
    let structs = btf.resolve_types_by_name(of).ok()?.into_iter().filter_map(|it| match it {
        Type::Struct(it) => Some(it),
        _ => None,
    });
    structs
        .flat_map(|it| it.members)
        .find(|it| btf.resolve_name(it).is_ok_and(|name| name == member))
        .map(|it| it.bit_offset() / 8)
}

fn handlers() -> Result<[u64; 2], String> {
    let list =
        fs::read_to_string("/proc/kallsyms").map_err(|error| format!("kallsyms: {error}"))?;
    let address = |name: &str| {
        list.lines()
            .find(|line| line.split_whitespace().nth(2) == Some(name))
            .and_then(|line| u64::from_str_radix(line.split_whitespace().next()?, 16).ok())
            .filter(|address| *address != 0)
            .ok_or_else(|| format!("no address of {name} in kallsyms"))
    };
    Ok([address("tw_timer_handler")?, address("reqsk_timer_handler")?])
}
