//! The mount table of observer's own process, kept between two reports. It is read again at each report, and within a
//! report if the kernel signals that a mount has come or gone; it is parsed again only if its text has changed.
//!
//! Not visible: a folder above a mount that is renamed within a report.

use std::{os::fd::AsFd as _, path::Path};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{mounts::Mounts, text::OpenFile};

/// The mounts that observer itself sees.
#[derive(Debug)]
pub struct Mounted {
    table: OpenFile,
    /// The text of the table at the last reading.
    text: Vec<u8>,
    mounts: Mounts,
}

impl Mounted {
    /// Reads nothing yet.
    pub fn new(root: &Path) -> Self {
        let table = OpenFile::new(root.join("proc/self/mountinfo"));
        Self { table, text: Vec::new(), mounts: Mounts::default() }
    }

    /// The mounts that exist now; `None` if they cannot be read.
    pub fn now(&mut self) -> Option<&Mounts> {
        let text = self.table.read()?;
        if text != self.text {
            self.text.clear();
            self.text.extend_from_slice(text);
            self.mounts = Mounts::read(&self.text);
        }
        Some(&self.mounts)
    }

    /// The same within one report: read again only if unread, or if a mount has come or gone since.
    pub fn known(&mut self) -> Option<&Mounts> {
        if self.text.is_empty() || self.has_changed() { self.now() } else { Some(&self.mounts) }
    }

    /// Whether a mount has come or gone since the last call: the descriptor of the table is ready for that event.
    fn has_changed(&self) -> bool {
        let Some(file) = self.table.file() else { return true };
        let mut asked = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::PRI)];
        let ready = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        ready.is_err() || asked[0].revents().intersects(PollFlags::PRI | PollFlags::ERR)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn points(mounts: &Mounts) -> Vec<String> {
        mounts.all().map(|mount| String::from_utf8_lossy(&mount.point).into_owned()).collect()
    }

    #[test]
    fn a_changed_table_is_read_again() {
        let root = std::env::temp_dir().join(format!("observer-mounted-{}", std::process::id()));
        let table: PathBuf = root.join("proc/self/mountinfo");
        let mut mounted = Mounted::new(&root);
        assert!(mounted.known().is_none(), "there is no table");
        fs::create_dir_all(table.parent().unwrap()).unwrap();
        for (text, expected) in [
            ("27 1 8:1 / / rw - ext4 /dev/sda1 rw\n", vec!["/"]),
            ("27 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 27 8:2 / /a rw - ext4 /dev/sda2 rw\n", vec!["/", "/a"]),
            ("27 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 27 8:2 / /b rw - ext4 /dev/sda2 rw\n", vec!["/", "/b"]),
        ] {
            fs::write(&table, text).unwrap();
            assert_eq!(points(mounted.now().unwrap()), expected);
            assert_eq!(points(mounted.known().unwrap()), expected);
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_kept_table_of_this_machine_equals_a_new_one() {
        let mut mounted = Mounted::new(Path::new("/"));
        let same = |kept: &Mounts| points(kept) == points(&Mounts::of(Path::new("/proc/self")).unwrap());
        // A mount of another test may come or go in between, but hardly each time.
        assert!((0..100).any(|_| same(mounted.now().unwrap())));
        assert!((0..100).any(|_| same(mounted.known().unwrap())));
    }
}
