//! How much stack the kernel side takes: what a kernel would refuse is found when it is built.

use std::collections::BTreeMap;

use aya_obj::{Function, Object, generated::bpf_insn};

use super::OBJECT;

/// `MAX_BPF_STACK` in `include/linux/filter.h`, for a program and all that it calls.
const LIMIT: u64 = 512;
/// The verifier counts multiples of this for each function (`check_max_stack_depth`, `kernel/bpf/verifier.c`).
const STEP: u64 = 32;
/// What is left for the next field or hook.
const RESERVE: u64 = 32;
/// The register that points behind a function's stack.
const FRAME: u8 = 10;

#[test]
fn every_program_and_what_it_calls_leave_room_on_the_stack() {
    if OBJECT.is_empty() {
        println!("SKIPPED: built without the kernel side");
        return;
    }
    let object = Object::parse(OBJECT).unwrap();
    let text = object.functions.values().filter(|function| !is_program(&object, function));
    // Which one a program calls shows only when it is linked; and none calls another with a stack of its own.
    let called = text.map(stack).max().unwrap();
    let programs = object.functions.values().filter(|function| is_program(&object, function));
    let stacks: BTreeMap<_, _> =
        programs.map(|program| (&*program.name, stack(program) + called)).collect();
    assert!(stacks.contains_key("set_state"), "{stacks:?}");
    let too_much: Vec<_> =
        stacks.into_iter().filter(|(_, bytes)| *bytes > LIMIT - RESERVE).collect();
    assert_eq!(too_much, []);
}

fn is_program(object: &Object, function: &Function) -> bool {
    object.programs.contains_key(&function.name)
}

/// Bytes that the verifier counts for a function: down to the lowest that it accesses or points to.
fn stack(function: &Function) -> u64 {
    let mut lowest = 1;
    let mut points = None;
    for instruction in &function.instructions {
        let bpf_insn { code, off, imm, .. } = *instruction;
        let (to, from) = (instruction.dst_reg(), instruction.src_reg());
        // Loads and stores (BPF_LDX, BPF_ST, BPF_STX).
        let access = match code & 7 {
            1 => from == FRAME,
            2 | 3 => to == FRAME,
            _ => false,
        };
        if access {
            lowest = lowest.max(u64::from(off.unsigned_abs()));
        }
        // BPF_ALU64 | BPF_ADD | BPF_K.
        if code == 0x07 && points == Some(to) {
            lowest = lowest.max(u64::from(imm.unsigned_abs()));
        }
        // BPF_ALU64 | BPF_MOV | BPF_X.
        points = (code == 0xbf && from == FRAME).then_some(to);
    }
    lowest.next_multiple_of(STEP)
}
