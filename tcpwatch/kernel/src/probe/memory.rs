//! What start-up took of the allocator goes back to the kernel.

/// Reading the kernel's type information takes some 15 MB at once, by thousands of pieces, and the
/// GNU allocator keeps them for later, which does not come.
#[cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "no crate offers malloc_trim as a safe function")
)]
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called by any thread at any time; it only touches free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
