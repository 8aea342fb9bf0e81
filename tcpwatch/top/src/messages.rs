//! Warnings while the screen is up: they are kept, and written to stderr when it is left.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

/// Bytes that are kept.
const MOST: usize = 1 << 16;

/// What was written since the screen is up; `None` without a screen.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Writes to stderr, unless the screen is up.
#[derive(Clone, Copy, Debug)]
pub struct Messages;

impl Messages {
    /// From now on messages are kept.
    pub(crate) fn hold() {
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.get_or_insert_default();
    }

    /// Writes what was kept.
    pub(crate) fn release() {
        let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(text) = held {
            // With a closed stderr there is nowhere to write to.
            let _written = io::stderr().write_all(&text).is_ok();
        }
    }
}

impl Write for Messages {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &mut *HELD.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(held) => {
                if held.len() < MOST {
                    held.extend_from_slice(text);
                }
                Ok(text.len())
            }
            None => io::stderr().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
