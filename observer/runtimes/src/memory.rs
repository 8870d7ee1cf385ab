//! Reading another process's memory, through `/proc/PID/mem`: without attaching to it and without stopping it.
//!
//! The open file belongs to one address space. After an exit or an `exec` it reads nothing, so an answer never mixes
//! two programs.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::heap::{Known, Reason};

/// More than this is never read at once.
const MOST: usize = 1 << 20;

/// The memory of one process.
#[derive(Debug)]
pub struct Memory(File);

impl Memory {
    /// # Errors
    /// [`Reason::Ended`] and [`Reason::NotPermitted`].
    pub fn open(file: &Path) -> Known<Self> {
        File::open(file).map(Self).map_err(|error| reason(&error))
    }

    /// Fills `buffer` from `address`.
    ///
    /// # Errors
    /// [`Reason::Inconsistent`] where nothing is mapped.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Known<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address.checked_add(done as u64).ok_or(UNMAPPED)?;
            match self.0.read_at(&mut buffer[done..], at) {
                Ok(0) => return Err(Reason::Ended),
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(reason(&error)),
            }
        }
        Ok(())
    }

    /// `count` bytes from `address`.
    ///
    /// # Errors
    /// As [`Memory::read`], and where `count` is more than a mebibyte.
    pub fn bytes(&self, address: u64, count: usize) -> Known<Vec<u8>> {
        if count > MOST {
            return Err(Reason::Inconsistent("a table is larger than any that makes sense"));
        }
        let mut bytes = vec![0; count];
        self.read(address, &mut bytes)?;
        Ok(bytes)
    }

    /// # Errors
    /// As [`Memory::read`].
    pub fn u32(&self, address: u64) -> Known<u32> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// # Errors
    /// As [`Memory::read`].
    pub fn u64(&self, address: u64) -> Known<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

const UNMAPPED: Reason = Reason::Inconsistent("a pointer leads to nothing");

/// What an error of a file in `/proc/PID` means for the process.
pub fn reason(error: &io::Error) -> Reason {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => Reason::NotPermitted,
        Some(libc::ENOENT | libc::ESRCH | libc::ENOTDIR) => Reason::Ended,
        _ => UNMAPPED,
    }
}
