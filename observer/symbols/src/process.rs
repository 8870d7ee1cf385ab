//! Files of one process in `/proc`: its mappings, and what is mapped.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use crate::mapping::Mapping;

/// A process has at most 65,530 mappings unless its machine allows more; a line is rarely over 200 bytes.
const MOST_MAPS: u64 = 16 << 20;
/// `O_NONBLOCK`: opening a FIFO without a writer returns at once.
const NON_BLOCKING: i32 = 0o4000;

/// The identity of a file's content: device, inode, size, and time of its last change.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FileId(u64, u64, u64, i64, i64);

/// A process by its folder in `/proc`.
#[derive(Clone, Debug)]
pub struct ProcessFiles {
    folder: PathBuf,
}

impl ProcessFiles {
    /// The process `pid` of the machine with this root.
    #[must_use]
    pub fn of(root: &Path, pid: u32) -> Self {
        Self { folder: root.join("proc").join(pid.to_string()) }
    }

    /// All mappings in the order of addresses.
    ///
    /// # Errors
    /// When the process has ended, or may not be read.
    pub fn mappings(&self) -> io::Result<Vec<Mapping>> {
        let mut text = Vec::new();
        File::open(self.folder.join("maps"))?.take(MOST_MAPS).read_to_end(&mut text)?;
        Ok(text.split(|byte| *byte == b'\n').filter_map(Mapping::parse).collect())
    }

    /// The file behind a mapping, and a path that leads to it while it stays mapped.
    ///
    /// # Errors
    /// When it is no regular file, is mapped no longer, or may not be read.
    pub fn open(&self, mapping: &Mapping) -> io::Result<(File, PathBuf)> {
        let link = self.folder.join(format!("map_files/{:x}-{:x}", mapping.start, mapping.end));
        match regular(&link) {
            Ok(file) => Ok((file, link)),
            Err(_) => {
                let path = Path::new(std::ffi::OsStr::from_bytes(&mapping.path));
                let path = self.folder.join("root").join(path.strip_prefix("/").unwrap_or(path));
                regular(&path).map(|file| (file, path))
            }
        }
    }
}

impl FileId {
    /// # Errors
    /// When the file's status cannot be read.
    pub fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self(about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
    }

    /// The size of the file in bytes.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.2
    }
}

/// Opens a regular file and nothing else: a name in a container may lead to a FIFO, which would block.
fn regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(NON_BLOCKING).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
