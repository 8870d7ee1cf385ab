//! Connections that end by a reset.

use std::{io, net::TcpStream, os::fd::AsRawFd as _};

/// Has `stream` end by a reset when it is closed: the other side is told so, and no address stays behind that would be used
/// up.
///
/// # Errors
/// When the kernel refuses.
pub fn ends_by_reset(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the value is a `linger` and lives across the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of_val(&linger) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
