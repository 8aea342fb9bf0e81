//! Attaches a program with copies, where tracepoints are preemptible: what the program is kept from, a copy
//! handles. See `tcpwatch-ebpf/src/copies.rs`.

use aya::{Btf, Ebpf, programs::ProgramFd};
use tcpwatch_common::counter;

use super::{Refusal, attach, hooks::HookSpec};

/// The copies in their order, and their blocks of counters.
pub(super) const COPIES: [(&str, counter::Hook); 4] = [
    ("set_state_second", counter::Hook::SetStateSecond),
    ("set_state_third", counter::Hook::SetStateThird),
    ("set_state_fourth", counter::Hook::SetStateFourth),
    ("set_state_fifth", counter::Hook::SetStateFifth),
];

/// Attaches `hook`, the one on `inet_sock_set_state`, and then its copies. What one would have handled that is
/// missing is counted as skipped.
pub(super) fn attach_with_copies(
    ebpf: &mut Ebpf,
    hook: HookSpec,
    btf: &Btf,
) -> Result<Vec<(counter::Hook, ProgramFd)>, Refusal> {
    let mut attached = vec![(hook.counters, attach(ebpf, hook, btf)?)];
    for (program, counters) in COPIES {
        match attach(ebpf, HookSpec { program, ..hook }, btf) {
            Ok(fd) => attached.push((counters, fd)),
            Err(refusal) => {
                let why = refusal.reason();
                tracing::warn!("the copy `{program}` of a program is not attached: {why}");
            }
        }
    }
    Ok(attached)
}
