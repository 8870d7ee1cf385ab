//! Connections that close with a reset.

use std::{io, net::TcpStream, os::fd::AsRawFd as _};

/// Makes `stream` close with a reset, so that no port stays in TIME_WAIT.
///
/// # Errors
/// When the kernel rejects the option.
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
