//! The layout of the disk object's records, taken apart member after member: no record is cast from bytes.

use observer_common::{
    disk::{HeldRecord, InodeId, WriterKey, WriterRecord},
    record::RecordHeader,
    task::{COMM_LEN, TaskId, TaskRecord},
};

use crate::{
    domains::Malformed,
    observation::{Observation, process::ProcessFact},
};

/// Takes a record apart in the order of its declaration. Its size is checked at the start: reading past the end, which
/// would be a mistake here, gives zeroes.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `what`, which must have `size` bytes.
    pub fn of(what: &str, bytes: &'a [u8], size: usize) -> Result<Self, Malformed> {
        if bytes.len() == size {
            Ok(Self { rest: bytes })
        } else {
            Err(Malformed { text: format!("disk {what} of {} bytes, expected {size}", bytes.len()) })
        }
    }

    /// What a pass wrote, as whole records of `size` bytes.
    pub fn records(
        program: &str,
        bytes: &'a [u8],
        size: usize,
    ) -> Result<impl Iterator<Item = &'a [u8]>, Malformed> {
        if bytes.len().is_multiple_of(size) {
            Ok(bytes.chunks_exact(size))
        } else {
            let text = format!("{} bytes of {program}, expected whole records of {size}", bytes.len());
            Err(Malformed { text })
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return [0; N];
        };
        self.rest = rest;
        *head
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.bytes())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.bytes())
    }

    pub fn header(&mut self) -> RecordHeader {
        RecordHeader { kind: self.u32(), size: self.u32(), at: self.u64() }
    }

    pub fn id(&mut self) -> TaskId {
        TaskId { start: self.u64(), tgid: self.u64() }
    }

    pub fn task(&mut self) -> TaskRecord {
        TaskRecord { id: self.id(), comm: self.bytes(), uid: self.u32(), kernel_thread: self.u32() }
    }

    pub fn inode(&mut self) -> InodeId {
        InodeId { dev: self.u32(), generation: self.u32(), ino: self.u64() }
    }

    pub fn held(&mut self) -> HeldRecord {
        HeldRecord {
            task: self.task(),
            inode: self.inode(),
            size: self.u64(),
            allocated: self.u64(),
            magic: self.u64(),
            start: self.u64(),
            end: self.u64(),
            thread: self.u32(),
            fd: self.u32(),
            flags: self.u32(),
            writable: self.u32(),
        }
    }

    pub fn writer(&mut self) -> WriterRecord {
        WriterRecord { task: self.task(), written: self.u64(), cancelled: self.u64(), thread: self.u64() }
    }
}

/// The fact that a process was met.
pub fn met(task: &TaskRecord) -> Observation {
    let length = task.comm.iter().position(|byte| *byte == 0).unwrap_or(COMM_LEN);
    Observation::Process(ProcessFact::Met {
        id: task.id,
        comm: task.comm[..length].to_vec(),
        uid: task.uid,
        kernel_thread: task.kernel_thread != 0,
    })
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
    bytes.extend(key.task.start.to_ne_bytes());
    bytes.extend(key.task.tgid.to_ne_bytes());
    bytes
}
