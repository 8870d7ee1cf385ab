//! Small files of `/proc` and `/sys`, read with few system calls: the standard library learns of such a file's length,
//! which nobody can tell beforehand, by reading 32 bytes, 64, 128 and so on.

use std::{fs::File, io::Read as _, path::Path};

/// Most of these files are shorter, and then whole after one look.
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
    /// The content of the file; `None` where it cannot be read.
    pub fn of(&mut self, path: &Path) -> Option<&[u8]> {
        let mut file = File::open(path).ok()?;
        let mut filled = 0;
        loop {
            match file.read(&mut self.bytes[filled..]) {
                Ok(0) => return Some(&self.bytes[..filled]),
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
            if filled == self.bytes.len() {
                self.bytes.resize(2 * filled, 0);
            }
        }
    }

    /// The same as text. Names in these files are anybody's choice, and not always text: then every byte beyond ASCII
    /// is a `?`, so that a name hides nothing of what stands beside it.
    pub fn str(&mut self, path: &Path) -> Option<&str> {
        let length = self.of(path)?.len();
        let bytes = &mut self.bytes[..length];
        if std::str::from_utf8(bytes).is_err() {
            bytes.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        }
        std::str::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_whatever_was_read_before_it() {
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
}
