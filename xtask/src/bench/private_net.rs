//! Moves the calling thread into a new network namespace and brings its loopback up.
//!
//! The namespace ends with the thread, and so do the thousands of sockets in `TIME_WAIT` that the churn leaves behind:
//! neither the machine's ports nor its tables fill up.

use std::{fs, io, os::fd::AsRawFd};

use anyhow::{Context, Result};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use socket2::{Domain, Socket, Type};

/// The kernel logs a warning beyond this number of sockets in `TIME_WAIT`; it is set for this namespace only.
const MAX_TIME_WAIT: (&str, &str) = ("/proc/sys/net/ipv4/tcp_max_tw_buckets", "4000000");

/// `struct ifreq` for `SIOCSIFFLAGS`, see netdevice(7).
#[repr(C)]
struct InterfaceFlags {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceFlags>() == size_of::<libc::ifreq>(), "as the kernel's");

/// Moves the calling thread only.
pub(crate) fn enter() -> Result<()> {
    // SAFETY: neither the descriptor table nor memory is unshared, only the network namespace of this thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("cannot make a network namespace")?;
    loopback_up().context("cannot bring up the loopback of the new network namespace")?;
    let (file, value) = MAX_TIME_WAIT;
    // Where the file is missing, the kernel's own limit already is one of many buckets.
    if let Err(error) = fs::write(file, value) {
        eprintln!("bench: cannot set {file}: {error}");
    }
    Ok(())
}

fn loopback_up() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let mut name = [0; libc::IFNAMSIZ];
    name.iter_mut().zip(*b"lo").for_each(|(to, from)| *to = from);
    let flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(io::Error::other)?;
    let request: *const InterfaceFlags = &InterfaceFlags { name, flags, rest: [0; 22] };
    // SAFETY: the kernel reads a `struct ifreq` of the size asserted above, which lives until the
    // end of this function.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
