//! seccomp: the system calls that stay. Every other one fails with `EPERM`, so that a call that was overlooked is an
//! error that is reported, and not the end of the process.

use std::{collections::BTreeMap, env::consts::ARCH};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// How much is left; each group has what those before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallGroup {
    /// Reading and writing, memory, threads, time.
    Files,
    /// BPF maps that are open, accepting connections, netlink.
    Maps,
    /// Entering network namespaces, opening cgroups by their numbers.
    Namespaces,
}

/// What every process here needs whatever the arguments.
const ANY: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_openat,
    libc::SYS_statx,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    // The end of a process that was started before.
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
];

/// Older calls that the C library of x86-64 still makes.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] =
    &[libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_readlink, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

/// Of sockets that are there, and of netlink sockets.
const SOCKETS: &[libc::c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
];

const NAMESPACES: &[libc::c_long] =
    &[libc::SYS_setns, libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at];

/// Commands of bpf(2) on maps and iterators that are open: `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_UPDATE_ELEM`,
/// `BPF_MAP_DELETE_ELEM`, `BPF_MAP_GET_NEXT_KEY` and `BPF_ITER_CREATE` (include/uapi/linux/bpf.h).
const BPF_COMMANDS: [u64; 5] = [1, 2, 3, 4, 33];

/// Requests of ioctl(2): what a descriptor is and whether it blocks.
const IOCTLS: [u64; 5] =
    [libc::TCGETS, libc::TIOCGWINSZ, libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD];

/// `clone(2)` with any of these makes a namespace.
const NAMESPACE_FLAGS: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Compiled<T> = Result<T, BackendError>;

/// From now on the calls of `group` are all that this process, which has one thread, can make.
///
/// # Errors
/// Why not.
pub(crate) fn restrict(group: CallGroup) -> Result<(), String> {
    let no_clone3 = no_clone3().map_err(|error| format!("seccomp filter: {error}"))?;
    let allowed = allowed(group).map_err(|error| format!("seccomp filter: {error}"))?;
    [no_clone3, allowed].iter().try_for_each(|filter| {
        apply_filter_all_threads(filter)
            .map_err(|error| format!("no seccomp filter (CONFIG_SECCOMP_FILTER): {error}"))
    })
}

/// The flags of `clone3` are in memory, where no filter looks. `ENOSYS` makes the C library use `clone`.
fn no_clone3() -> Compiled<BpfProgram> {
    let rules = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let refuse = SeccompAction::Errno(errno(libc::ENOSYS));
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, target()?)?.try_into()
}

fn allowed(group: CallGroup) -> Compiled<BpfProgram> {
    let refuse = SeccompAction::Errno(errno(libc::EPERM));
    SeccompFilter::new(rules(group)?, refuse, SeccompAction::Allow, target()?)?.try_into()
}

fn target() -> Compiled<TargetArch> {
    ARCH.try_into()
}

fn errno(number: libc::c_int) -> u32 {
    number.unsigned_abs()
}

fn rules(group: CallGroup) -> Compiled<Rules> {
    let mut calls = [ANY, OLDER].concat();
    let mut rules = Rules::new();
    let own = u64::from(rustix::process::getpid().as_raw_pid().unsigned_abs());
    // Memory that is written and then executed, and signals to other processes.
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![without(2, executable)?]);
    }
    let namespaces =
        NAMESPACE_FLAGS.iter().fold(0, |all, flag| all | u64::from(flag.unsigned_abs()));
    rules.insert(libc::SYS_clone, vec![without(0, namespaces)?]);
    // The other filter answers.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_tgkill, vec![equals(0, own)?]);
    rules.insert(libc::SYS_prlimit64, vec![equals(0, 0)?, equals(0, own)?]);
    rules.insert(
        libc::SYS_prctl,
        vec![equals(0, number(libc::PR_SET_NAME))?, equals(0, number(libc::PR_GET_NAME))?],
    );
    rules.insert(
        libc::SYS_ioctl,
        IOCTLS.into_iter().map(|request| equals(1, request)).collect::<Compiled<_>>()?,
    );
    if group >= CallGroup::Maps {
        calls.extend(SOCKETS);
        rules.insert(libc::SYS_socket, vec![equals(0, number(libc::AF_NETLINK))?]);
        let commands = BPF_COMMANDS.into_iter().map(|command| equals(0, command));
        rules.insert(libc::SYS_bpf, commands.collect::<Compiled<_>>()?);
    }
    if group >= CallGroup::Namespaces {
        calls.extend(NAMESPACES);
    }
    rules.extend(calls.into_iter().map(|call| (call, Vec::new())));
    Ok(rules)
}

fn number(constant: libc::c_int) -> u64 {
    u64::from(constant.unsigned_abs())
}

/// The low half of an argument has this value.
fn equals(argument: u8, value: u64) -> Compiled<SeccompRule> {
    SeccompRule::new(vec![SeccompCondition::new(argument, Width::Dword, Is::Eq, value)?])
}

/// An argument has none of these bits.
fn without(argument: u8, bits: u64) -> Compiled<SeccompRule> {
    SeccompRule::new(vec![SeccompCondition::new(argument, Width::Qword, Is::MaskedEq(bits), 0)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_starts_programs_or_reaches_into_other_processes() {
        for group in [CallGroup::Files, CallGroup::Maps, CallGroup::Namespaces] {
            let rules = rules(group).unwrap();
            for call in [
                libc::SYS_execve,
                libc::SYS_execveat,
                libc::SYS_ptrace,
                libc::SYS_process_vm_writev,
                libc::SYS_kill,
                libc::SYS_mount,
                libc::SYS_unshare,
                libc::SYS_perf_event_open,
                libc::SYS_setresuid,
                libc::SYS_capset,
                libc::SYS_unlinkat,
                libc::SYS_renameat2,
                libc::SYS_init_module,
                libc::SYS_io_uring_setup,
            ] {
                assert!(!rules.contains_key(&call), "{group:?} has {call}");
            }
            allowed(group).unwrap();
        }
    }

    #[test]
    fn only_a_process_that_needs_them_has_maps_and_namespaces() {
        let has = |group, call: i64| rules(group).unwrap().contains_key(&call);
        assert!(!has(CallGroup::Files, libc::SYS_bpf) && !has(CallGroup::Files, libc::SYS_socket));
        assert!(has(CallGroup::Maps, libc::SYS_bpf) && !has(CallGroup::Maps, libc::SYS_setns));
        assert!(
            has(CallGroup::Namespaces, libc::SYS_bpf)
                && has(CallGroup::Namespaces, libc::SYS_setns)
        );
    }
}
