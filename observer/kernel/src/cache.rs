//! What was found in the kernel's types, kept for the next start: one file for each set of domains and kernel build.
//!
//! An entry is checked before it is used: this version of observer must have written it for this build of the kernel
//! and these hooks, it must be whole, and it must belong to the effective user. Otherwise the types are read again; a
//! bad entry is never an error.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use observer_core::domain::Declaration;

use super::{
    declared::{attachments, fields, helpers},
    types::KernelTypes,
};

/// Where entries are kept.
pub const FOLDER: &str = "/var/cache/observer";

/// The version of an entry's format.
const FORMAT: u32 = 4;

/// What an entry is valid for: any change here makes it stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key for these domains on the kernel `build`, with its types in the file `types`.
    pub fn new(domains: &[&Declaration], build: &str, types: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        for field in fields(domains) {
            (field.global, field.path, field.width).hash(&mut hasher);
        }
        for attachment in attachments(domains) {
            attachment.point.hash(&mut hasher);
        }
        let size = std::fs::metadata(types).map_or(0, |file| file.len());
        // The build id of the kernel is in its notes; it distinguishes two builds with the same release and version.
        let notes = types.ancestors().nth(2).map(|kernel| kernel.join("notes"));
        notes.and_then(|notes| std::fs::read(notes).ok()).hash(&mut hasher);
        let names: Vec<&str> = domains.iter().map(|domain| domain.name).collect();
        let version = env!("CARGO_PKG_VERSION");
        helpers(domains).for_each(|helper| helper.hash(&mut hasher));
        Self(format!("{version}.{FORMAT} {} {build} {size} {:016x}", names.join("+"), hasher.finish()))
    }
}

/// The file of one key.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    folder: &'a Path,
    key: &'a Key,
}

impl<'a> Entry<'a> {
    /// The entry of `key` in `folder`; no file is read or created yet.
    pub const fn new(folder: &'a Path, key: &'a Key) -> Self {
        Self { folder, key }
    }

    fn path(&self) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        self.key.0.hash(&mut hasher);
        self.folder.join(format!("types-{:016x}", hasher.finish()))
    }

    /// The kept types, if the entry is valid.
    pub fn read(&self) -> Option<KernelTypes> {
        let path = self.path();
        let file = std::fs::symlink_metadata(&path).ok()?;
        let own = rustix::process::geteuid().as_raw();
        if !file.is_file() || file.uid() != own || file.mode() & 0o022 != 0 {
            return None;
        }
        let bytes = std::fs::read(path).ok()?;
        let (sum, body) = bytes.split_first_chunk::<8>()?;
        if checksum(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let (key, types): (String, KernelTypes) = postcard::from_bytes(body).ok()?;
        (key == self.key.0).then_some(types)
    }

    /// Keeps `types`. A failure is ignored: the next start only takes longer.
    pub fn write(&self, types: &KernelTypes) {
        let _ = self.try_write(types);
    }

    fn try_write(&self, types: &KernelTypes) -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder)?;
        let body = postcard::to_stdvec(&(&self.key.0, types)).map_err(std::io::Error::other)?;
        // Written to a temporary file and renamed, so that a reader never sees half an entry.
        let path = self.path();
        let beside = path.with_extension(std::process::id().to_string());
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let written = file.write_all(&checksum(&body).to_le_bytes()).and_then(|()| file.write_all(&body));
        let kept = written.and_then(|()| std::fs::rename(&beside, &path));
        if kept.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        kept
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("observer-cache-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    fn types() -> KernelTypes {
        KernelTypes {
            helpers: std::collections::BTreeSet::from(["loop".to_owned()]),
            ..KernelTypes::default()
        }
    }

    #[test]
    fn an_entry_is_read_only_under_its_own_key() {
        let folder = folder("key");
        let key = Key("one".to_owned());
        Entry::new(&folder, &key).write(&types());
        assert_eq!(Entry::new(&folder, &key).read(), Some(types()));
        assert_eq!(Entry::new(&folder, &Key("two".to_owned())).read(), None);
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn a_damaged_entry_is_not_trusted() {
        let folder = folder("damage");
        let key = Key("one".to_owned());
        let entry = Entry::new(&folder, &key);
        entry.write(&types());
        let whole = std::fs::read(entry.path()).expect("entry was written");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(entry.path(), &bytes).expect("entry can be replaced");
            assert_eq!(entry.read(), None, "byte {at}");
            std::fs::write(entry.path(), &whole[..at]).expect("entry can be replaced");
            assert_eq!(entry.read(), None, "first {at} bytes");
        }
        let _ = std::fs::remove_dir_all(folder);
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_no_error() {
        let entry = (Path::new("/proc/self/cache"), Key("one".to_owned()));
        Entry::new(entry.0, &entry.1).write(&types());
        assert_eq!(Entry::new(entry.0, &entry.1).read(), None);
    }
}
