//! Records and map entries as bytes. Their layout is that of their type in `observer_common`.
//!
//! Bytes of another size come from another version: they are an error, never numbers. No alignment is needed.

use std::fmt;

use observer_common::{record::RecordHeader, task::TaskRecord};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unalign};

use crate::domain::Malformed;
use crate::facts::{Fact, process::ProcessFact};

/// The value that `bytes` are. Errors name it as `what`.
///
/// # Errors
/// When `bytes` have another size.
pub fn read<T: FromBytes>(what: impl fmt::Display, bytes: &[u8]) -> Result<T, Malformed> {
    T::read_from_bytes(bytes).map_err(|_| Malformed {
        text: format!("{what} of {} bytes, expected {}", bytes.len(), size_of::<T>()),
    })
}

/// The value at the front of `bytes`, and the bytes behind it.
///
/// # Errors
/// When `bytes` are too few.
pub fn read_front<T: FromBytes>(what: impl fmt::Display, bytes: &[u8]) -> Result<(T, &[u8]), Malformed> {
    T::read_from_prefix(bytes).map_err(|_| ends_early(what, size_of::<T>() - bytes.len()))
}

/// The first `length` of `bytes`, and the bytes behind them and behind their padding to a multiple of eight.
///
/// # Errors
/// When `bytes` are too few.
pub fn split_padded(
    what: impl fmt::Display,
    bytes: &[u8],
    length: usize,
) -> Result<(&[u8], &[u8]), Malformed> {
    let padded = length.next_multiple_of(8);
    let (front, rest) =
        bytes.split_at_checked(padded).ok_or_else(|| ends_early(what, padded - bytes.len()))?;
    Ok((&front[..length], rest))
}

/// The records that a scan of `program` wrote.
///
/// # Errors
/// When `bytes` are no whole records.
pub fn records<T>(program: impl fmt::Display, bytes: &[u8]) -> Result<impl Iterator<Item = T>, Malformed>
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
pub fn header(what: impl fmt::Display, bytes: &[u8]) -> Result<RecordHeader, Malformed> {
    Ok(read_front(what, bytes)?.0)
}

/// The bytes of a key of a kernel map.
pub fn key<T: IntoBytes + Immutable>(key: &T) -> Vec<u8> {
    key.as_bytes().to_vec()
}

fn ends_early(what: impl fmt::Display, bytes: usize) -> Malformed {
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

#[cfg(test)]
mod tests {
    use observer_common::task::TaskId;

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
