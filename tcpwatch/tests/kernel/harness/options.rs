//! TCP socket options that no crate in use sets.

use std::os::fd::{AsFd, AsRawFd as _};

/// Sets a number at the level of TCP.
#[expect(unsafe_code, reason = "no crate that is used here sets these options")]
pub(crate) fn set(socket: &impl AsFd, option: libc::c_int, value: libc::c_int) {
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap();
    let socket = socket.as_fd().as_raw_fd();
    let value = (&raw const value).cast();
    // SAFETY: the value has the given length, and is only read.
    let set = unsafe { libc::setsockopt(socket, libc::IPPROTO_TCP, option, value, length) };
    assert_eq!(set, 0, "setsockopt {option}: {}", std::io::Error::last_os_error());
}
