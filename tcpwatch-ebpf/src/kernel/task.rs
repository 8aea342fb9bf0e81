//! The current task and its process: `struct task_struct`.

use aya_ebpf::helpers::{bpf_get_current_uid_gid, generated::bpf_get_current_task_btf};
use tcpwatch_common::{OwnerTask, config::FIRST_PID_NAMESPACE};

use super::{field, probe};
use crate::maps;

/// `PF_KTHREAD` (`include/linux/sched.h`): a thread of the kernel, which belongs to no process.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// `MAX_PID_NS_LEVEL` (`include/linux/pid_namespace.h`).
const DEEPEST: u32 = 32;
/// `sizeof(struct upid)` (`include/linux/pid.h`): a number, and a pointer to its namespace.
const UPID_BYTES: u32 = 16;

/// `struct task_struct *` of the current task.
#[derive(Clone, Copy)]
pub(crate) struct Task(*const u8);

impl Task {
    /// The current task, unless it is a thread of the kernel. The worker threads of `io_uring` are threads
    /// of their process (since 5.12).
    #[inline(always)]
    pub(crate) fn of_a_process() -> Option<Self> {
        // SAFETY: the helper takes nothing and always succeeds (since 5.11).
        let task = Self(unsafe { bpf_get_current_task_btf() }.cast_const().cast());
        (field::<u32>(task.0, &maps::TASK_FLAGS) & KERNEL_THREAD == 0).then_some(task)
    }

    /// What is to be said of it.
    #[inline(always)]
    pub(crate) fn describe(self) -> OwnerTask {
        let leader: *const u8 = field(self.0, &maps::TASK_LEADER);
        OwnerTask {
            pid: self.pid(leader),
            uid: bpf_get_current_uid_gid() as u32,
            comm: field(leader, &maps::TASK_COMM),
            thread: field(self.0, &maps::TASK_COMM),
        }
    }

    /// Process id in the wanted pid namespace; 0 outside of it.
    #[inline(always)]
    fn pid(self, leader: *const u8) -> u32 {
        if maps::PID_NAMESPACE.load() == FIRST_PID_NAMESPACE {
            return field(self.0, &maps::TASK_TGID);
        }
        number_in(field(leader, &maps::TASK_PID), maps::PID_NAMESPACE.load())
    }
}

/// The number that a `struct pid` has in the pid namespace of this inode; 0 if it has none there. It has one
/// for each namespace from the initial one down to its own; the verifier of 6.4 and before knows only the
/// first of them.
#[inline(always)]
fn number_in(pid: *const u8, namespace: u32) -> u32 {
    let deepest = probe::<u32>(pid, maps::PID_LEVEL.load()).unwrap_or(0);
    let mut level = 0;
    while level < DEEPEST && level <= deepest {
        let upid = pid.wrapping_add((maps::PID_NUMBERS.load() + level * UPID_BYTES) as usize);
        let its = probe::<*const u8>(upid, maps::UPID_NS.load());
        let inode = its.and_then(|its| probe::<u32>(its, maps::PIDNS_INUM.load()));
        if inode == Some(namespace) {
            return probe::<u32>(upid, 0).unwrap_or(0);
        }
        level += 1;
    }
    0
}
