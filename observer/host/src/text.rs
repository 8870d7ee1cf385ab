//! Reads small files of `/proc` and `/sys` with few system calls. The size of such a file is unknown beforehand, and
//! the standard library finds it by reading 32 bytes, 64, 128 and so on.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// Most of these files are shorter, so one read returns them whole.
const USUAL: usize = 4096;

/// Reads files one after the other into the same memory.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: vec![0; USUAL] }
    }
}

impl Text {
    /// The content of the file; `None` if it cannot be read.
    pub fn of(&mut self, path: &Path) -> Option<&[u8]> {
        let mut file = File::open(path).ok()?;
        let filled = fill(&mut self.bytes, |rest, _| file.read(rest)).ok()?;
        Some(&self.bytes[..filled])
    }

    /// The same as text. A name in these files can contain any byte. If the file is not UTF-8, every byte beyond
    /// ASCII becomes a `?`, so that such a name does not hide the rest of the file.
    pub fn str(&mut self, path: &Path) -> Option<&str> {
        let length = self.of(path)?.len();
        let bytes = &mut self.bytes[..length];
        if std::str::from_utf8(bytes).is_err() {
            bytes.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
        std::str::from_utf8(bytes).ok()
    }
}

/// A file that is read at every report. It stays open, so its path is resolved once, and is read from its beginning
/// each time. Only for files that no other file replaces under the same name: not those of a process or a network
/// interface.
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    file: Option<File>,
    text: Text,
}

impl OpenFile {
    /// Opened when it is first read.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, text: Text::default() }
    }

    /// Its content now; `None` if it cannot be read.
    pub fn read(&mut self) -> Option<&[u8]> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let file = self.file.as_ref()?;
        let filled = fill(&mut self.text.bytes, |rest, at| file.read_at(rest, at as u64));
        if filled.is_err() {
            // It may exist again the next time.
            self.file = None;
        }
        Some(&self.text.bytes[..filled.ok()?])
    }

    /// The same as text; `None` if it is not UTF-8.
    pub fn str(&mut self) -> Option<&str> {
        std::str::from_utf8(self.read()?).ok()
    }

    /// The open file, if it is open.
    pub const fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

/// Fills `bytes` with everything that `read` returns, given the offset of the rest; returns the length.
fn fill(
    bytes: &mut Vec<u8>,
    mut read: impl FnMut(&mut [u8], usize) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut filled = 0;
    loop {
        match read(&mut bytes[filled..], filled) {
            Ok(0) => return Ok(filled),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if filled == bytes.len() {
            bytes.resize(2 * filled, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_after_any_other_file() {
        let path = std::env::temp_dir().join(format!("observer-text-{}", std::process::id()));
        let mut text = Text::default();
        for length in [9, 0, USUAL - 1, USUAL, USUAL + 1, 10 * USUAL, 3] {
            let content: Vec<u8> = (0..length).map(|at| at as u8).collect();
            std::fs::write(&path, &content).unwrap();
            assert_eq!(text.of(&path), Some(&content[..]), "{length} bytes");
        }
        std::fs::write(&path, b"Name:\t\xff\xfe\nVmSize: 4 kB\n").unwrap();
        assert_eq!(text.str(&path), Some("Name:\t??\nVmSize: 4 kB\n"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.of(&path), None);
    }

    #[test]
    fn an_open_file_is_read_in_its_current_state() {
        let path = std::env::temp_dir().join(format!("observer-open-{}", std::process::id()));
        let mut open = OpenFile::new(path.clone());
        assert_eq!(open.read(), None, "it does not exist yet");
        for content in ["a", "longer", "", "b"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(open.str(), Some(content));
        }
        std::fs::remove_file(&path).unwrap();
        // A file of `/proc` is generated at each read.
        let mut uptime = OpenFile::new("/proc/uptime".into());
        let mut seconds = || -> f64 { uptime.str().unwrap().split(' ').next().unwrap().parse().unwrap() };
        let before = seconds();
        // Its resolution is a hundredth of a second.
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(seconds() > before);
    }
}
