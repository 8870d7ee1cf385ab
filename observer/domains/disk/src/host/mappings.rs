//! Finds the deleted files that processes have mapped, from `/proc/PID/maps`. This is for kernels on which no program
//! can read mappings: there, the scan reports only each process.
//!
//! The cost is some microseconds per process, and a fraction of a microsecond per mapping, whatever is mapped.
//!
//! Not visible: files of an overlay, of filesystems that this machine does not serve itself, and of filesystems without
//! a mount in the namespace of the process; and processes with mappings that may not be read. A mapping that changes
//! during the scan may or may not be reported.

use std::{ffi::CString, mem::offset_of, os::unix::ffi::OsStrExt as _, path::Path};

use observer_common::{
    disk::{HELD_MAPPING, HeldRecord, InodeId},
    task::{TaskId, TaskRecord},
};
use rustix::fs::{AtFlags, CWD, StatxFlags};

use super::files::MARK;
use observer_host::{
    mounts::{Mounts, is_local},
    process::Clock,
    text::Text,
};

/// `OVERLAYFS_SUPER_MAGIC`: the mapped file belongs to the filesystem below, and its name leads to another file.
const OVERLAY: u64 = 0x794c_7630;

/// The bytes of a record of the kernel side.
type Bytes = [u8; size_of::<HeldRecord>()];

/// Takes one [`HeldRecord`] per process, without a file, from the kernel. Returns one record for each deleted file that
/// a process has mapped.
pub fn of(root: &Path, clock: Clock, processes: &[u8]) -> Vec<u8> {
    let mut text = Text::default();
    let mut records = Vec::new();
    for process in processes.as_chunks::<{ size_of::<HeldRecord>() }>().0 {
        let (id, thread) = subject(process);
        for record in held(root, clock, &mut text, id, thread) {
            records.extend(&process[..size_of::<TaskRecord>()]);
            write(&record, &mut records);
        }
    }
    records
}

/// A mapping of an unlinked file, from one line of `maps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapped {
    start: u64,
    end: u64,
    dev: u32,
    ino: u64,
}

/// The mapped deleted files of a process, without the process itself, by a live `thread`; empty if the process was
/// replaced.
fn held(root: &Path, clock: Clock, text: &mut Text, id: TaskId, thread: u32) -> Vec<HeldRecord> {
    let processes = root.join("proc");
    let process = processes.join(thread.to_string());
    let Some(mapped) = text.of(&process.join("maps")).map(deleted) else { return Vec::new() };
    if mapped.is_empty() {
        return Vec::new();
    }
    // Other filesystems are not queried: they may hang. The kernel's internal mounts have no deleted files.
    let mounts = Mounts::of(&process).unwrap_or_default();
    let is_here = |dev| mounts.all().any(|mount| mount.dev == dev && is_local(mount));
    let records = mapped.into_iter().filter(|mapped| is_here(mapped.dev));
    let records = records.filter_map(|mapped| record(&process, mapped)).collect();
    if clock.is(&processes.join(id.pid().to_string()), id) { records } else { Vec::new() }
}

/// The lines of `maps` that end with the mark of a deleted file. Of several mappings of one file, the lowest is kept.
///
/// `7f1c-7f1d r--s 00000000 08:01 1234    /path (deleted)`
fn deleted(maps: &[u8]) -> Vec<Mapped> {
    let mut found: Vec<Mapped> = Vec::new();
    for line in maps.split(|byte| *byte == b'\n').filter(|line| line.ends_with(MARK)) {
        if let Some(mapped) = mapped(line)
            && !found.iter().any(|other| (other.dev, other.ino) == (mapped.dev, mapped.ino))
        {
            found.push(mapped);
        }
    }
    found
}

fn mapped(line: &[u8]) -> Option<Mapped> {
    let mut words = line.split(|byte| *byte == b' ').map(|word| std::str::from_utf8(word).ok());
    let (start, end) = words.next()??.split_once('-')?;
    let (major, minor) = words.nth(2)??.split_once(':')?;
    let hex = |digits| u32::from_str_radix(digits, 16).ok();
    Some(Mapped {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        dev: hex(major)? << 20 | hex(minor)?,
        ino: words.next()??.parse().ok()?,
    })
}

/// The record of a mapped file, from the link that leads to it.
fn record(process: &Path, mapped: Mapped) -> Option<HeldRecord> {
    let Mapped { start, end, dev, ino } = mapped;
    let link = process.join(format!("map_files/{start:x}-{end:x}"));
    let stat = rustix::fs::statx(CWD, &link, AtFlags::NO_AUTOMOUNT, StatxFlags::BASIC_STATS).ok()?;
    let is_file = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFREG;
    // A file may have been called `x (deleted)` itself, and the address may belong to another mapping by now.
    if !is_file || stat.stx_nlink != 0 || stat.stx_ino != ino {
        return None;
    }
    let magic = rustix::fs::statfs(&link).ok()?.f_type as u64;
    if magic == OVERLAY {
        return None;
    }
    Some(HeldRecord {
        inode: InodeId { dev, generation: generation(&link).unwrap_or_default(), ino },
        size: stat.stx_size,
        // `statx` counts blocks in sectors of 512 bytes, whatever the block size of the filesystem.
        allocated: stat.stx_blocks * 512,
        magic,
        start,
        end,
        how: HELD_MAPPING,
        ..HeldRecord::default()
    })
}

/// `struct file_handle`, with space for the longest handle.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    words: [u32; 32],
}

/// The generation of the file that `link` leads to: a part of the handle from its filesystem.
fn generation(link: &Path) -> Option<u32> {
    let path = CString::new(link.as_os_str().as_bytes()).ok()?;
    let mut handle = Handle { bytes: 128, kind: 0, words: [0; 32] };
    let mut mount = 0_i32;
    // SAFETY: the path ends with a NUL, and the handle has the stated length.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_SYMLINK_FOLLOW,
        )
    };
    if result == 0 { generation_in(&handle) } else { None }
}

/// The generation, at the position that depends on the type of the handle.
fn generation_in(handle: &Handle) -> Option<u32> {
    let place = match (handle.kind, handle.bytes) {
        // tmpfs: before the inode number.
        (1, 12) => 0,
        // `FILEID_INO32_GEN`, the type of most filesystems.
        (1, _) => 1,
        // `FILEID_INO32_GEN` with the flag of xfs for 64-bit inode numbers.
        (0x81, _) => 2,
        // `FILEID_BTRFS_WITHOUT_PARENT`: after the numbers of the file and its subvolume.
        (0x4d, _) => 4,
        _ => return None,
    };
    handle.words.get(place).copied()
}

/// The process that a record is about, and a thread of it that has its memory.
fn subject(record: &Bytes) -> (TaskId, u32) {
    let long = |at: usize| record[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let thread = record[offset_of!(HeldRecord, thread)..].first_chunk();
    let id = TaskId { start: long(offset_of!(TaskId, start)), tgid: long(offset_of!(TaskId, tgid)) };
    (id, thread.map_or(0, |bytes| u32::from_ne_bytes(*bytes)))
}

/// Writes the part of a record after the process, in the format of the kernel side.
fn write(record: &HeldRecord, to: &mut Vec<u8>) {
    for inode in [record.inode, record.backing] {
        to.extend([inode.dev, inode.generation].iter().flat_map(|word| word.to_ne_bytes()));
        to.extend(inode.ino.to_ne_bytes());
    }
    let HeldRecord { size, allocated, magic, start, end, .. } = record;
    to.extend([size, allocated, magic, start, end].iter().flat_map(|word| word.to_ne_bytes()));
    let HeldRecord { thread, fd, flags, writable, how, _pad, .. } = record;
    to.extend([thread, fd, flags, writable, how, _pad].iter().flat_map(|word| word.to_ne_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_marked_is_looked_at_and_each_file_once() {
        let maps = b"55d0a000-55d0b000 r-xp 00000000 08:01 12 /usr/bin/x\n\
            7f000000-7f001000 rw-s 00000000 103:0000f 34          /a b (deleted)\n\
            7f002000-7f004000 r--s 00001000 103:0000f 34          /a b (deleted)\n\
            7f005000-7f006000 r--s 00000000 00:1b 4294967301 /dev/shm/\\012 (deleted) (deleted)\n\
            7ffd0000-7ffd1000 rw-p 00000000 00:00 0 [stack]\n\
            nonsense (deleted)\n";
        let first = Mapped { start: 0x7f00_0000, end: 0x7f00_1000, dev: 259 << 20 | 15, ino: 34 };
        let second = Mapped { start: 0x7f00_5000, end: 0x7f00_6000, dev: 27, ino: 4_294_967_301 };
        assert_eq!(deleted(maps), [first, second]);
        assert_eq!(deleted(b""), []);
    }

    #[test]
    fn generations_stand_where_the_filesystem_puts_them() {
        let mut words = [0; 32];
        words[..6].copy_from_slice(&[10, 11, 12, 13, 14, 15]);
        let found = |kind, bytes| generation_in(&Handle { bytes, kind, words });
        assert_eq!([found(1, 8), found(1, 12), found(0x81, 12)], [Some(11), Some(10), Some(12)]);
        assert_eq!([found(0x4d, 20), found(0xff, 8)], [Some(14), None]);
    }

    #[test]
    fn a_record_is_as_long_as_the_kernels() {
        let mut bytes = vec![7; size_of::<TaskRecord>()];
        let thread = 0x0102_0304;
        write(&HeldRecord { thread, ..HeldRecord::default() }, &mut bytes);
        let id = TaskId { start: 0x0707_0707_0707_0707, tgid: 0x0707_0707_0707_0707 };
        assert_eq!(subject(bytes.as_slice().try_into().unwrap()), (id, thread));
    }

    #[test]
    fn a_process_that_has_nothing_mapped_that_was_deleted_holds_nothing() {
        let own = std::fs::read("/proc/self/stat").unwrap();
        let ticks = observer_host::process::start_ticks(&own).unwrap();
        let id = TaskId { start: ticks * 10_000_000, tgid: u64::from(std::process::id()) };
        let root = Path::new("/");
        let thread = std::process::id();
        assert!(held(root, Clock::of(root), &mut Text::default(), id, thread).is_empty());
    }
}
