//! Shared memory that only mappings hold: anonymous shared mappings, and files in RAM that are deleted and closed.
//!
//! `/proc/PID/map_files` leads to the mapped file, and its blocks are the memory that it has. This needs CAP_SYS_ADMIN or
//! CAP_CHECKPOINT_RESTORE.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::Path,
};

use super::{LEAST, field};
use observer_core::facts::mem::{MemoryObject, ObjectId, ObjectKind};
use observer_host::text::Text;

/// Mappings of one process that are looked up.
const MOST_MAPPINGS: usize = 256;

/// Shared memory of some processes.
#[derive(Debug, Default)]
pub(super) struct MappedFiles {
    /// By device and inode.
    known: BTreeMap<(u64, u64), MappedFile>,
}

#[derive(Debug)]
struct MappedFile {
    bytes: u64,
    path: Vec<u8>,
    /// The processes that map it.
    processes: Vec<u32>,
}

impl MappedFiles {
    /// Adds the mappings of a process, if it has shared memory.
    pub(super) fn read(&mut self, text: &mut Text, folder: &Path) {
        let Some(pid) = folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else {
            return;
        };
        let shared = text.str(&folder.join("status")).and_then(|status| field(status, "RssShmem"));
        if shared.is_none_or(|bytes| bytes < LEAST) {
            return;
        }
        let maps = fs::read(folder.join("maps")).unwrap_or_default();
        for range in maps.split(|byte| *byte == b'\n').filter_map(deleted).take(MOST_MAPPINGS) {
            let link = folder.join("map_files").join(std::ffi::OsStr::from_bytes(range));
            let (Ok(metadata), Ok(path)) = (fs::metadata(&link), fs::read_link(&link)) else { continue };
            let bytes = metadata.blocks().saturating_mul(512);
            let file = self.known.entry((metadata.dev(), metadata.ino())).or_insert_with(|| MappedFile {
                bytes,
                path: path.into_os_string().into_encoded_bytes(),
                processes: Vec::new(),
            });
            if file.processes.last() != Some(&pid) {
                file.processes.push(pid);
            }
        }
    }

    /// Files that several processes map, each with its first process. `known`: files that are objects already.
    pub(super) fn shared(
        &self,
        known: impl Fn(u64, u64) -> bool,
    ) -> impl Iterator<Item = (MemoryObject, u32)> {
        let shared = self.known.iter().filter(move |((device, inode), _)| !known(*device, *inode));
        shared.filter_map(|((device, inode), file)| {
            let first = *file.processes.first().filter(|_| file.processes.len() > 1)?;
            let id = ObjectId { kind: ObjectKind::SharedMapping, device: *device, number: *inode };
            let path = file.path.strip_suffix(b" (deleted)").unwrap_or(&file.path);
            let count = format!("shared by {} processes", file.processes.len());
            let name = if path == b"/dev/zero" { Vec::new() } else { [path, b" "].concat() };
            Some((MemoryObject::new(id, file.bytes, [&name, count.as_bytes()].concat()), first))
        })
    }
}

/// The range of addresses in a line of `maps`, if a deleted file is mapped shared there.
fn deleted(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.split(|byte| *byte == b' ');
    let (range, rights) = (words.next()?, words.next()?);
    (rights.ends_with(b"s")
        && line.ends_with(b" (deleted)")
        && !line.windows(6).any(|part| part == b" /SYSV"))
    .then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shared_mappings_of_deleted_files_are_looked_up() {
        let range = |line: &str| deleted(line.as_bytes()).is_some();
        assert!(range("7f00-7f10 rw-s 00000000 00:01 1040    /dev/zero (deleted)"));
        assert!(!range("7f00-7f10 rw-p 00000000 00:01 1040    /dev/zero (deleted)"));
        assert!(!range("7f00-7f10 rw-s 00000000 00:1c 2       /dev/shm/used"));
        assert!(!range("7f00-7f10 rw-s 00000000 00:01 3       /SYSV00000000 (deleted)"));
    }
}
