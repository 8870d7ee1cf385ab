//! The cpio archive ("newc") that the kernel unpacks at its start. It is built in memory, so no folder needs device
//! nodes, and no root is needed.

use std::io::{Result, Write as _};

use cpio::{NewcBuilder, newc};

/// An archive under construction, in memory.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inodes: u32,
}

impl Archive {
    /// Adds a folder; its parent comes before it.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        self.entry(NewcBuilder::new(path).mode(0o040_755), &[])
    }

    /// Adds an executable file; its folder comes before it.
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.entry(NewcBuilder::new(path).mode(0o100_755), content)
    }

    /// Adds a character device.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) -> Result<()> {
        self.entry(NewcBuilder::new(path).mode(0o020_600).rdev_major(major).rdev_minor(minor), &[])
    }

    /// The finished archive.
    pub fn finish(self) -> Result<Vec<u8>> {
        newc::trailer(self.bytes)
    }

    fn entry(&mut self, entry: NewcBuilder, content: &[u8]) -> Result<()> {
        self.inodes += 1;
        let size = u32::try_from(content.len()).expect("a file of the guest is smaller than 4 GiB");
        let mut writer = entry.ino(self.inodes).write(&mut self.bytes, size);
        writer.write_all(content)?;
        writer.finish().map(drop)
    }
}
