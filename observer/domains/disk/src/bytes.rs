//! The layout of the disk object's records and keys.

use observer_common::disk::{FileTotal, HeldRecord, InodeId, ListedRecord, WriterKey, WriterRecord};

use observer_core::{
    bytes::{Reader, task_key},
    domain::Malformed,
};

/// The members that only this domain's records have.
pub trait Members {
    fn inode(&mut self) -> Result<InodeId, Malformed>;
    fn held(&mut self) -> Result<HeldRecord, Malformed>;
    fn listed(&mut self) -> Result<ListedRecord, Malformed>;
    fn writer(&mut self) -> Result<WriterRecord, Malformed>;
    fn file_total(&mut self) -> Result<FileTotal, Malformed>;
}

impl Members for Reader<'_> {
    fn inode(&mut self) -> Result<InodeId, Malformed> {
        Ok(InodeId { dev: self.u32()?, generation: self.u32()?, ino: self.u64()? })
    }

    fn held(&mut self) -> Result<HeldRecord, Malformed> {
        Ok(HeldRecord {
            task: self.task()?,
            inode: self.inode()?,
            backing: self.inode()?,
            size: self.u64()?,
            allocated: self.u64()?,
            magic: self.u64()?,
            start: self.u64()?,
            end: self.u64()?,
            thread: self.u32()?,
            fd: self.u32()?,
            flags: self.u32()?,
            writable: self.u32()?,
            how: self.u32()?,
            _pad: self.u32()?,
        })
    }

    fn listed(&mut self) -> Result<ListedRecord, Malformed> {
        Ok(ListedRecord {
            inode: self.inode()?,
            backing: self.inode()?,
            size: self.u64()?,
            allocated: self.u64()?,
            magic: self.u64()?,
            kind: self.u32()?,
            name: self.u32()?,
        })
    }

    fn writer(&mut self) -> Result<WriterRecord, Malformed> {
        Ok(WriterRecord {
            task: self.task()?,
            written: self.u64()?,
            cancelled: self.u64()?,
            thread: self.u64()?,
        })
    }

    fn file_total(&mut self) -> Result<FileTotal, Malformed> {
        Ok(FileTotal {
            owner: self.task_id()?,
            bytes: self.u64()?,
            appends: self.u64()?,
            size: self.u64()?,
            first_size: self.u64()?,
            first_blocks: self.u64()?,
            magic: self.u64()?,
            epoch: self.u64()?,
            flags: self.u64()?,
            counted: self.u64()?,
        })
    }
}

/// An inode as a key of the kernel's maps.
pub fn inode_key(inode: InodeId) -> Vec<u8> {
    let mut key = inode.dev.to_ne_bytes().to_vec();
    key.extend(inode.generation.to_ne_bytes());
    key.extend(inode.ino.to_ne_bytes());
    key
}

/// A writer as a key of the kernel's maps.
pub fn writer_key(key: WriterKey) -> Vec<u8> {
    let mut bytes = inode_key(key.inode);
    bytes.extend(task_key(key.task));
    bytes
}
