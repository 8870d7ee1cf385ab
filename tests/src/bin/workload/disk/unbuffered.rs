//! Direct I/O: opening the file, and aligned bytes.

use std::{
    fs::File,
    os::fd::{AsRawFd as _, FromRawFd as _},
};

use anyhow::Result;

/// The alignment of `O_DIRECT` on every disk here.
const BLOCK: usize = 4096;

/// Opens the file again for direct I/O: its end and all writes must be whole blocks.
pub fn direct(file: &File) -> Result<File> {
    let path = std::ffi::CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // SAFETY: the path is a C string, and the result is checked before it is owned.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_DIRECT) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Aligned bytes.
pub struct Aligned {
    space: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    pub fn new(length: usize) -> Self {
        let space = vec![b'd'; length + BLOCK];
        let start = space.as_ptr().align_offset(BLOCK);
        Self { space, start, length }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.space[self.start..self.start + self.length]
    }
}
