//! Records and map entries as bytes. Their layout is that of their type in `observer_common`.
//!
//! Bytes of another size come from another version: they are an error, never numbers. No alignment is needed.

use observer_common::{
    record::RecordHeader,
    task::{TaskId, TaskRecord},
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unalign};

use crate::domain::Malformed;
use crate::facts::{Fact, process::ProcessFact};

/// The value that `bytes` are. Errors name it as `what`.
///
/// # Errors
/// When `bytes` have another size.
pub fn read<T: FromBytes>(what: &str, bytes: &[u8]) -> Result<T, Malformed> {
    T::read_from_bytes(bytes).map_err(|_| Malformed {
        text: format!("{what} of {} bytes, expected {}", bytes.len(), size_of::<T>()),
    })
}

/// The value at the front of `bytes`, and the bytes behind it.
///
/// # Errors
/// When `bytes` are too few.
pub fn read_front<'a, T: FromBytes>(what: &str, bytes: &'a [u8]) -> Result<(T, &'a [u8]), Malformed> {
    T::read_from_prefix(bytes).map_err(|_| ends_early(what, size_of::<T>() - bytes.len()))
}

/// The first `length` of `bytes`, and the bytes behind them and behind their padding to a multiple of eight.
///
/// # Errors
/// When `bytes` are too few.
pub fn split_padded<'a>(
    what: &str,
    bytes: &'a [u8],
    length: usize,
) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    let padded = length.next_multiple_of(8);
    let (front, rest) =
        bytes.split_at_checked(padded).ok_or_else(|| ends_early(what, padded - bytes.len()))?;
    Ok((&front[..length], rest))
}

/// The records that a scan of `program` wrote.
///
/// # Errors
/// When `bytes` are no whole records.
pub fn records<T>(program: &str, bytes: &[u8]) -> Result<impl Iterator<Item = T>, Malformed>
where
    T: FromBytes + KnownLayout + Immutable + Copy + 'static,
{
    let records = <[Unalign<T>]>::ref_from_bytes(bytes).map_err(|_| Malformed {
        text: format!("{} bytes of {program}, expected whole records of {}", bytes.len(), size_of::<T>()),
    })?;
    Ok(records.iter().map(Unalign::get))
}

/// The header of the ring-buffer record `bytes`.
///
/// # Errors
/// When `bytes` are too few.
pub fn header(what: &str, bytes: &[u8]) -> Result<RecordHeader, Malformed> {
    Ok(read_front(what, bytes)?.0)
}

/// The bytes of a key of a kernel map.
pub fn key<T: IntoBytes + Immutable>(key: &T) -> Vec<u8> {
    key.as_bytes().to_vec()
}

fn ends_early(what: &str, bytes: usize) -> Malformed {
    Malformed { text: format!("{what} ends {bytes} bytes early") }
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

/// A process as a key of the kernel's maps, as the kernel side lays it out.
pub fn task_key(id: TaskId) -> Vec<u8> {
    [id.start.to_ne_bytes(), id.tgid.to_ne_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_end_early_are_an_error_and_never_zeroes() {
        let bytes = [1, 0, 0, 0, 9];
        assert_eq!(read_front::<u32>("a thing", &bytes), Ok((1, &[9][..])));
        let early = Malformed { text: "a thing ends 3 bytes early".to_owned() };
        assert_eq!(read_front::<u64>("a thing", &bytes), Err(early.clone()));
        assert_eq!(split_padded("a thing", &bytes, 5), Err(early));
        assert_eq!(split_padded("a thing", &[1; 9], 3), Ok((&[1; 3][..], &[1][..])));
    }

    #[test]
    fn bytes_of_another_size_are_an_error() {
        assert!(read::<u64>("a thing", &[0; 7]).is_err());
        assert!(records::<u64>("a_scan", &[0; 12]).is_err());
        assert_eq!(records::<u64>("a_scan", &[0; 16]).map(Iterator::count), Ok(2));
    }

    #[test]
    fn a_key_has_the_bytes_of_its_type_at_any_alignment() {
        let id = TaskId { start: 5_000, tgid: 42 };
        let shifted = [&[0][..], &key(&id)].concat();
        assert_eq!(read::<TaskId>("key", &shifted[1..]), Ok(id));
    }
}
