//! Files of one process in `/proc`: its executable, its mappings, its memory.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use crate::{
    heap::{Known, Reason},
    memory::{self, Memory},
};

/// A process has at most 65,530 mappings unless its machine allows more; a line is rarely over 200 bytes.
const MOST_MAPS: u64 = 16 << 20;
/// The auxiliary vector has some 20 entries.
const MOST_AUXV: u64 = 4096;
/// The address of the program headers, in the auxiliary vector.
const AT_PHDR: u64 = 3;

/// A process by its folder in `/proc`.
#[derive(Debug)]
pub struct Process {
    folder: PathBuf,
}

/// The identity of a file's content: device, inode, size, and time of its last change.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FileId(u64, u64, u64, i64, i64);

/// A mapping of a file that matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    pub offset: u64,
    pub path: Vec<u8>,
}

impl Process {
    /// The process `pid` of the machine with this root. If its main thread has ended, another thread is used:
    /// they share executable and memory.
    ///
    /// # Errors
    /// [`Reason::Ended`], also for a kernel thread, and [`Reason::NotPermitted`].
    pub fn of(root: &Path, pid: u32) -> Known<Self> {
        let folder = root.join("proc").join(pid.to_string());
        match fs::metadata(folder.join("exe")) {
            Ok(_) => return Ok(Self { folder }),
            Err(error) if memory::reason(&error) == Reason::NotPermitted => return Err(Reason::NotPermitted),
            Err(_) => {}
        }
        let threads = fs::read_dir(folder.join("task")).map_err(|error| memory::reason(&error))?;
        let thread = threads.flatten().map(|entry| entry.path()).find(|thread| {
            thread.file_name() != folder.file_name() && fs::metadata(thread.join("exe")).is_ok()
        });
        thread.map(|folder| Self { folder }).ok_or(Reason::Ended)
    }

    /// # Errors
    /// [`Reason::Ended`] and [`Reason::NotPermitted`].
    pub fn memory(&self) -> Known<Memory> {
        Memory::open(&self.folder.join("mem"))
    }

    /// The file that the process runs, however it is named and wherever it is mounted.
    ///
    /// # Errors
    /// [`Reason::Ended`] and [`Reason::NotPermitted`].
    pub fn executable(&self) -> Known<(File, FileId)> {
        open(&self.folder.join("exe"))
    }

    /// The path of the executable, as the process's own root folder has it.
    pub fn name(&self) -> Vec<u8> {
        fs::read_link(self.folder.join("exe"))
            .map(|path| path.into_os_string().into_vec())
            .unwrap_or_default()
    }

    /// A mapped file. The link in `map_files` leads to the very file, but needs a capability; the path leads to what
    /// has its name in the process's root folder now.
    ///
    /// # Errors
    /// [`Reason::Ended`] and [`Reason::NotPermitted`].
    pub fn mapped(&self, mapping: &Mapping) -> Known<(File, FileId)> {
        let link = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
        open(&self.folder.join(link)).or_else(|_| {
            let path = Path::new(std::ffi::OsStr::from_bytes(&mapping.path));
            open(&self.folder.join("root").join(path.strip_prefix("/").unwrap_or(path)))
        })
    }

    /// The mappings of files, those that `wanted` accepts by their path, in the order of addresses.
    ///
    /// # Errors
    /// [`Reason::Ended`] and [`Reason::NotPermitted`].
    pub fn mappings(&self, wanted: impl Fn(&[u8]) -> bool) -> Known<Vec<Mapping>> {
        let text = read(&self.folder.join("maps"), MOST_MAPS)?;
        Ok(text.split(|byte| *byte == b'\n').filter_map(|line| mapping(line, &wanted)).collect())
    }

    /// Where the program headers of the executable are in memory.
    pub fn program_headers(&self) -> Option<u64> {
        let vector = read(&self.folder.join("auxv"), MOST_AUXV).ok()?;
        let (words, _) = vector.as_chunks::<8>();
        let pairs = words.as_chunks::<2>().0;
        let entry = pairs.iter().find(|[key, _]| u64::from_le_bytes(*key) == AT_PHDR)?;
        Some(u64::from_le_bytes(entry[1]))
    }
}

/// Opens a regular file and nothing else: a name in a container may lead to a FIFO, which would block.
fn open(path: &Path) -> Known<(File, FileId)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| memory::reason(&error))?;
    let about = file.metadata().map_err(|error| memory::reason(&error))?;
    if !about.is_file() {
        return Err(Reason::Inconsistent("a mapped file is not a regular file"));
    }
    let id = FileId(about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec());
    Ok((file, id))
}

fn read(path: &Path, most: u64) -> Known<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| memory::reason(&error))?;
    file.take(most).read_to_end(&mut content).map_err(|error| memory::reason(&error))?;
    Ok(content)
}

/// `start-end rwxp offset major:minor inode path`.
fn mapping(line: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<Mapping> {
    let path = &line[memchr::memchr(b'/', line)?..];
    if !wanted(path) {
        return None;
    }
    let fields = str::from_utf8(&line[..line.len() - path.len()]).ok()?;
    let mut fields = fields.split(' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let offset = fields.nth(1)?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping { start: number(start)?, end: number(end)?, offset: number(offset)?, path: path.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::{Mapping, mapping};

    #[test]
    fn a_mapping_has_its_addresses_its_offset_and_its_path_with_spaces() {
        let line = b"7f00-7fff r--s 0001a000 fe:00 42                         /tmp/a b (deleted)";
        let expected =
            Mapping { start: 0x7f00, end: 0x7fff, offset: 0x1a000, path: b"/tmp/a b (deleted)".to_vec() };
        assert_eq!(mapping(line, |_| true), Some(expected));
        assert_eq!(mapping(line, |path| path.ends_with(b"b")), None);
        assert_eq!(mapping(b"7f00-7fff rw-p 00000000 00:00 0 [heap]", |_| true), None);
        assert_eq!(mapping(b"zz-1 r /", |_| true), None);
    }
}
