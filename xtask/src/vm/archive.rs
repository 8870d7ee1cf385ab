//! The cpio archive ("newc") that the kernel unpacks at its start, written without a file of it on disk: so no folder has to
//! hold device nodes, and nobody has to be root.

use std::io::{Result, Write as _};

use cpio::{NewcBuilder, newc};

/// An archive that is being written, to memory.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inodes: u32,
}

impl Archive {
    pub fn folder(&mut self, path: &str) -> Result<()> {
        self.entry(NewcBuilder::new(path).mode(0o040_755), &[])
    }

    /// A file that everybody may run; its folder comes before it.
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.entry(NewcBuilder::new(path).mode(0o100_755), content)
    }

    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) -> Result<()> {
        self.entry(NewcBuilder::new(path).mode(0o020_600).rdev_major(major).rdev_minor(minor), &[])
    }

    /// The whole archive.
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
