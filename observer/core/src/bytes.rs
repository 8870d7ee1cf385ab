//! What crosses the kernel border, taken apart member after member: no record is cast from bytes.
//!
//! A reader that comes to the end of its bytes is an error and never a zero: bytes of another version would otherwise
//! be taken for numbers. What only one domain writes is read in that domain's folder, with this reader.

use observer_common::{
    record::RecordHeader,
    task::{TaskId, TaskRecord},
};

use crate::domain::Malformed;
use crate::facts::{Fact, process::ProcessFact};

/// Reads bytes from their start, in the kernel's byte order, which is this machine's.
pub struct Reader<'a> {
    /// What the bytes are, for errors.
    what: &'a str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first of `bytes` on; `what` they are is named in errors.
    pub const fn new(what: &'a str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    /// The same, of bytes that must be `size`.
    pub fn of(what: &'a str, bytes: &'a [u8], size: usize) -> Result<Self, Malformed> {
        if bytes.len() == size {
            Ok(Self::new(what, bytes))
        } else {
            Err(Malformed { text: format!("{what} of {} bytes, expected {size}", bytes.len()) })
        }
    }

    /// What the pass `program` wrote: a reader for each of its records of `size` bytes.
    pub fn records(
        program: &'a str,
        bytes: &'a [u8],
        size: usize,
    ) -> Result<impl Iterator<Item = Self>, Malformed> {
        if bytes.len().is_multiple_of(size) {
            Ok(bytes.chunks_exact(size).map(move |record| Self::new(program, record)))
        } else {
            let text = format!("{} bytes of {program}, expected whole records of {size}", bytes.len());
            Err(Malformed { text })
        }
    }

    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            let text = format!("{} ends {} bytes early", self.what, N - self.rest.len());
            return Err(Malformed { text });
        };
        self.rest = rest;
        Ok(*head)
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// So many bytes, and those that pad them to eight.
    pub fn padded(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let whole = length.next_multiple_of(8);
        let Some((bytes, rest)) = self.rest.split_at_checked(whole) else {
            let text = format!("{} ends {} bytes early", self.what, whole - self.rest.len());
            return Err(Malformed { text });
        };
        self.rest = rest;
        Ok(&bytes[..length])
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.bytes().map(u16::from_ne_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.bytes().map(u32::from_ne_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.bytes().map(u64::from_ne_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.bytes().map(i64::from_ne_bytes)
    }

    pub fn header(&mut self) -> Result<RecordHeader, Malformed> {
        Ok(RecordHeader { kind: self.u32()?, size: self.u32()?, at: self.u64()? })
    }

    pub fn task_id(&mut self) -> Result<TaskId, Malformed> {
        Ok(TaskId { start: self.u64()?, tgid: self.u64()? })
    }

    pub fn task(&mut self) -> Result<TaskRecord, Malformed> {
        Ok(TaskRecord {
            id: self.task_id()?,
            comm: self.bytes()?,
            uid: self.u32()?,
            kernel_thread: self.u32()?,
        })
    }
}

/// The fact that a process was met.
pub fn met(task: &TaskRecord) -> Fact {
    let length = task.comm.iter().position(|byte| *byte == 0).unwrap_or(task.comm.len());
    Fact::Process(ProcessFact::Met {
        id: task.id,
        comm: task.comm[..length].into(),
        uid: task.uid,
        kernel_thread: task.kernel_thread != 0,
    })
}

/// A process as a key of the kernel's maps, as the kernel side lays it out.
pub fn task_key(id: TaskId) -> Vec<u8> {
    [id.start.to_ne_bytes(), id.tgid.to_ne_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_end_early_are_an_error_and_never_zeroes() {
        let mut reader = Reader::new("a thing", &[1, 0, 0, 0, 9]);
        assert_eq!(reader.u32(), Ok(1));
        assert_eq!(reader.u64(), Err(Malformed { text: "a thing ends 7 bytes early".to_owned() }));
    }

    #[test]
    fn bytes_of_another_size_are_refused_whole() {
        assert!(Reader::of("a thing", &[0; 7], 8).is_err());
        assert!(Reader::records("a_pass", &[0; 12], 8).is_err());
        assert_eq!(Reader::records("a_pass", &[0; 16], 8).map(Iterator::count), Ok(2));
    }

    #[test]
    fn a_process_s_key_is_read_as_it_is_written() {
        let id = TaskId { start: 5_000, tgid: 42 };
        assert_eq!(Reader::new("key", &task_key(id)).task_id(), Ok(id));
    }
}
