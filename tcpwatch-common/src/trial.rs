//! The trial at the start: the kernel side notes which of tcpwatch's own connections its hooks saw. What
//! happens in the trial's network namespace is neither counted nor streamed.
//!
//! All of it is one array of words: the inode of that namespace, and a mark for each hook and state.

use crate::counter::Hook;

/// The word that holds the inode of the trial's network namespace; 0 while there is no trial.
pub const NETNS: u32 = 0;
/// Words of the array.
pub const WORDS: usize = 49;

const HOOKS: u32 = 1;
const STATES: u32 = 33;

const _: () = assert!(Hook::ALL.len() <= 32, "every hook has a mark of its own");

/// The mark of a hook that saw anything.
#[must_use]
#[expect(clippy::as_conversions, reason = "u32::from is not const, and the enum is numbered")]
pub const fn hook(hook: Hook) -> u32 {
    HOOKS + (hook as u32 & 31)
}

/// The mark of a state that a mini-socket was seen to begin in.
#[must_use]
#[expect(clippy::as_conversions, reason = "u32::from is not const")]
pub const fn state(number: u8) -> u32 {
    STATES + (number as u32 & 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_and_state_has_a_word_of_its_own() {
        let mut taken = [false; WORDS];
        let hooks = [Hook::SetState, Hook::TimerStart, Hook::ReceiveReset, Hook::ErrorReport];
        let words = hooks.map(hook).into_iter().chain((0..16).map(state));
        for word in words.chain([NETNS]) {
            let word = &mut taken[usize::try_from(word).unwrap()];
            assert!(!*word);
            *word = true;
        }
    }
}
