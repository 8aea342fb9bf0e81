//! User ids and capabilities of the only thread.

use std::io;

use rustix::{
    process::{Gid, Uid},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    },
};

use crate::{SandboxError, passwd, threads};

/// `what` was refused.
fn refused(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> SandboxError {
    move |errno| SandboxError::Refused { what, source: io::Error::from(errno) }
}

/// Those of `wanted` that the process has, and `CAP_BPF` if `still_reads` is false without it. Effective capabilities
/// are as before afterwards.
pub(crate) fn that_stay(
    wanted: CapabilitySet,
    still_reads: impl FnOnce() -> bool,
) -> Result<CapabilitySet, SandboxError> {
    let had = capabilities(None).map_err(refused("capget"))?;
    let kept = had.permitted & wanted;
    set_capabilities(None, CapabilitySets { effective: kept, ..had }).map_err(refused("capset"))?;
    let reads = still_reads();
    set_capabilities(None, had).map_err(refused("capset"))?;
    Ok(if reads { kept } else { kept | (had.permitted & CapabilitySet::BPF) })
}

/// Gives up all capabilities but `kept`, and root's user id. Returns what could not be given up.
pub(crate) fn give_up(kept: CapabilitySet) -> Result<Vec<String>, SandboxError> {
    let mut missing = Vec::new();
    set_no_new_privs(true).map_err(refused("PR_SET_NO_NEW_PRIVS"))?;
    empty_bounding_set();
    clear_ambient_capability_set().map_err(refused("PR_CAP_AMBIENT_CLEAR_ALL"))?;
    if is_root()? {
        set_keep_capabilities(!kept.is_empty()).map_err(refused("PR_SET_KEEPCAPS"))?;
        if let Err(error) = become_somebody_else() {
            missing.push(format!(
                "this process stays root's: {error} (it takes CAP_SETUID and CAP_SETGID)"
            ));
        }
        set_keep_capabilities(false).map_err(refused("PR_SET_KEEPCAPS"))?;
    }
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(refused("capset"))?;
    Ok(missing)
}

/// Without `CAP_SETPCAP` it stays as it is, which with `no_new_privs` gives a process nothing.
fn empty_bounding_set() {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(one) {
            Ok(true) if remove_capability_from_bounding_set(one).is_err() => return,
            Ok(_) => {}
            // The kernel knows no more.
            Err(_) => return,
        }
    }
}

/// Is one of the real, effective, saved and file system ids root's?
fn is_root() -> Result<bool, SandboxError> {
    let status = threads::own_status()?;
    let ids = status
        .lines()
        .filter_map(|line| line.strip_prefix("Uid:").or_else(|| line.strip_prefix("Gid:")));
    Ok(ids.flat_map(str::split_whitespace).any(|id| id == "0"))
}

fn become_somebody_else() -> io::Result<()> {
    let (uid, gid) = passwd::service_user();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[gid])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
