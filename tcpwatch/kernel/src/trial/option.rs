//! Options of sockets for which no crate has a type.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

/// `setsockopt()` with an option whose value is an `int`; `level` and `number` as in `libc`.
///
/// # Errors
/// If the kernel refuses it.
pub fn set(socket: BorrowedFd<'_>, level: i32, number: i32, value: i32) -> io::Result<()> {
    let length = u32::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    let value = (&raw const value).cast();
    #[expect(unsafe_code, reason = "no crate sets an option that it does not know by type")]
    // SAFETY: `value` points to an i32 that lives until after the call, and `length` is its size.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, number, value, length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
