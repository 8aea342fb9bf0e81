//! The current task and its process: `struct task_struct`.

use aya_ebpf::helpers::{
    bpf_get_current_uid_gid,
    generated::{bpf_get_current_task_btf, bpf_probe_read_kernel},
};
use tcpwatch_common::{OwnerTask, config::FIRST_PID_NAMESPACE, owner::ProcessImage};

use super::{field, probe};
use crate::maps;

/// `PF_KTHREAD` (`include/linux/sched.h`): a thread of the kernel, which belongs to no process.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// `MAX_PID_NS_LEVEL` (`include/linux/pid_namespace.h`).
const DEEPEST: u32 = 32;
/// Namespaces that are looked into, from that of the process upwards.
const LEVELS: u32 = 8;
/// `sizeof(struct upid)` (`include/linux/pid.h`): a number, and a pointer to its namespace.
const UPID_BYTES: u32 = 16;

/// `struct task_struct *` of the current task.
#[derive(Clone, Copy)]
pub(crate) struct TaskStruct(*const u8);

impl TaskStruct {
    #[inline(always)]
    fn current() -> Self {
        // SAFETY: the helper takes nothing and always succeeds (since 5.11).
        Self(unsafe { bpf_get_current_task_btf() }.cast_const().cast())
    }

    /// The process of the current task, and which program it runs.
    #[inline(always)]
    pub(crate) fn current_image() -> ProcessImage {
        let task = Self::current();
        let execs = field::<u64>(task.0, &maps::TASK_EXECS) as u32;
        ProcessImage { pid: field(task.0, &maps::TASK_TGID), execs }
    }

    /// The current task, unless it is a thread of the kernel. The worker threads of `io_uring` are threads
    /// of their process (since 5.12).
    #[inline(always)]
    pub(crate) fn of_a_process() -> Option<Self> {
        let task = Self::current();
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
/// for each namespace from its own up to the initial one; the verifier of 6.4 and before knows only one of them.
///
/// Without a branch inside the loop: the verifier would follow each of them to the end of the program.
#[inline(always)]
fn number_in(pid: *const u8, namespace: u32) -> u32 {
    let own = probe::<u32>(pid, maps::PID_LEVEL.load()).unwrap_or(0);
    let mut number = 0;
    for up in 0..LEVELS {
        let level = own.wrapping_sub(up) & (DEEPEST - 1);
        let upid = maps::PID_NUMBERS.load() + level * UPID_BYTES;
        let mut its_number = 0;
        read_or_zero(pid, upid, &mut its_number);
        let mut its = core::ptr::null();
        read_or_zero(pid, upid + maps::UPID_NS.load(), &mut its);
        let mut inode = 0;
        read_or_zero(its, maps::PIDNS_INUM.load(), &mut inode);
        let is_it = is_zero(inode ^ namespace) & (is_zero(own.wrapping_sub(up) >> 5));
        number |= its_number & is_it.wrapping_neg();
    }
    number
}

/// 1 for 0, else 0.
#[inline(always)]
fn is_zero(number: u32) -> u32 {
    (u64::from(number).wrapping_sub(1) >> 63) as u32
}

/// Reads the value at `base + offset`; the helper writes zeros if that cannot be read.
#[inline(always)]
fn read_or_zero<T: Copy>(base: *const u8, offset: u32, value: &mut T) {
    let address = base.wrapping_add(offset as usize);
    // SAFETY: the buffer is as large as it is said to be, and the helper checks the address itself.
    unsafe {
        bpf_probe_read_kernel(
            core::ptr::from_mut(value).cast(),
            size_of::<T>() as u32,
            address.cast(),
        );
    }
}
