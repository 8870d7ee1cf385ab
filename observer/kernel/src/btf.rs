//! The kernel's type information: where a field is, how wide it is, which id a function or tracepoint has.
//!
//! Reads only what the caller needs, in two passes over the types: one finds where each type begins, one finds names.
//! The format is `Documentation/bpf/btf.rst` of the kernel. An unknown kind is an error, because the types after it
//! cannot be located.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use layout::{Damage, MAGIC, begins, kind, word};

pub mod field;
pub mod layout;
mod prototype;
#[cfg(test)]
mod tests;

const HEADER: usize = 24;
/// Deeper nesting of typedefs, arrays and anonymous members means that the types are damaged.
const MAX_DEPTH: usize = 32;

/// A kind of BTF type that has a name, and that programs are attached to or read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named {
    Struct,
    Typedef,
    Function,
    Enum,
}

/// Why the types of a kernel could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("{}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{}: {damage}", path.display())]
    Damaged { path: PathBuf, damage: Damage },
}

/// The types of one kernel.
pub struct Btf {
    bytes: Vec<u8>,
    strings: Range<usize>,
    /// Where each type begins; ids start at 1, as id 0 is `void`.
    begins: Vec<u32>,
    names: HashMap<(Named, Vec<u8>), Vec<u32>>,
}

impl Btf {
    /// Reads the types in `path`, ready to look up `wanted` names.
    ///
    /// # Errors
    /// When the file cannot be read, or is not BTF of this machine's byte order.
    pub fn open(path: &Path, wanted: &[(Named, &str)]) -> Result<Self, BtfError> {
        let bytes =
            std::fs::read(path).map_err(|cause| BtfError::Unreadable { path: path.to_owned(), cause })?;
        Self::parse(bytes, wanted).map_err(|damage| BtfError::Damaged { path: path.to_owned(), damage })
    }

    /// As [`Self::open`], from bytes.
    ///
    /// # Errors
    /// When the bytes are not BTF of this machine's byte order.
    pub fn parse(bytes: Vec<u8>, wanted: &[(Named, &str)]) -> Result<Self, Damage> {
        if bytes.len() < HEADER {
            return Err(Damage::ShortHeader);
        }
        if !bytes.starts_with(&MAGIC.to_ne_bytes()) {
            return Err(Damage::OtherMagic);
        }
        let length = |at: usize| Some(word(&bytes, at)? as usize);
        let section = |offset: usize| -> Option<Range<usize>> {
            let base = length(4)?.checked_add(length(offset)?)?;
            let end = base.checked_add(length(offset + 4)?)?;
            (end <= bytes.len()).then_some(base..end)
        };
        let types = section(8).ok_or(Damage::LongTypes)?;
        let strings = section(16).ok_or(Damage::LongNames)?;
        let begins = begins(&bytes, types)?;
        let mut btf = Self { bytes, strings, begins, names: HashMap::new() };
        btf.find(wanted);
        Ok(btf)
    }

    /// The number at a position; 0 if the types are damaged and end before it.
    fn word(&self, at: usize) -> u32 {
        word(&self.bytes, at).unwrap_or(0)
    }

    fn find(&mut self, wanted: &[(Named, &str)]) {
        let mut names: HashMap<(Named, Vec<u8>), Vec<u32>> =
            wanted.iter().map(|(named, name)| ((*named, name.as_bytes().to_vec()), Vec::new())).collect();
        // A name is compared only if its offset holds the text of a wanted name: most types are neither structs nor
        // functions, and looking up a borrowed slice would need an owned key.
        let mut by_name: HashMap<&[u8], Vec<Named>> = HashMap::new();
        for (named, name) in wanted {
            by_name.entry(name.as_bytes()).or_default().push(*named);
        }
        for (index, begin) in self.begins.iter().enumerate() {
            let named = match self.word(*begin as usize + 4) >> 24 & 31 {
                kind::STRUCT => Named::Struct,
                kind::TYPEDEF => Named::Typedef,
                kind::FUNCTION => Named::Function,
                kind::ENUM => Named::Enum,
                _ => continue,
            };
            let name = self.name(self.word(*begin as usize));
            if by_name.get(name).is_some_and(|kinds| kinds.contains(&named))
                && let Some(ids) = names.get_mut(&(named, name.to_vec()))
            {
                ids.push(index as u32 + 1);
            }
        }
        self.names = names;
    }

    fn name(&self, offset: u32) -> &[u8] {
        let from = self.strings.start.saturating_add(offset as usize).min(self.strings.end);
        let rest = &self.bytes[from..self.strings.end];
        &rest[..rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len())]
    }

    /// The id of a wanted name; the first if the kernel has several.
    pub fn id(&self, named: Named, name: &str) -> Option<u32> {
        self.ids(named, name).first().copied()
    }

    /// Every id of a wanted name.
    fn ids(&self, named: Named, name: &str) -> &[u32] {
        self.names.get(&(named, name.as_bytes().to_vec())).map_or(&[], Vec::as_slice)
    }

    /// Whether the wanted enumeration has a value of this name.
    pub fn enumerates(&self, name: &str, value: &str) -> bool {
        let Some(begin) = self.id(Named::Enum, name).and_then(|id| self.begin(id)) else { return false };
        let count = (self.word(begin + 4) & 0xffff) as usize;
        (0..count).any(|index| self.name(self.word(begin + 12 + index * 8)) == value.as_bytes())
    }

    fn begin(&self, id: u32) -> Option<usize> {
        self.begins.get((id as usize).checked_sub(1)?).map(|begin| *begin as usize)
    }

    fn kind(&self, id: u32) -> Option<u32> {
        Some(self.word(self.begin(id)? + 4) >> 24 & 31)
    }

    /// The type behind typedefs and qualifiers.
    fn bare(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_DEPTH {
            match self.kind(id) {
                Some(kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG) => {
                    id = self.begin(id).map_or(0, |begin| self.word(begin + 8));
                }
                _ => return id,
            }
        }
        id
    }

    /// The element type of an array.
    fn array(&self, id: u32) -> Option<u32> {
        let begin = self.begin(self.bare(id))?;
        (self.kind(self.bare(id))? == kind::ARRAY).then(|| self.word(begin + 12))
    }

    fn size(&self, id: u32, depth: usize) -> Option<u32> {
        if depth > MAX_DEPTH {
            return None;
        }
        let id = self.bare(id);
        let begin = self.begin(id)?;
        match self.kind(id)? {
            kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 | kind::FLOAT => {
                Some(self.word(begin + 8))
            }
            kind::POINTER => Some(size_of::<usize>() as u32),
            kind::ARRAY => self.size(self.word(begin + 12), depth + 1)?.checked_mul(self.word(begin + 20)),
            _ => None,
        }
    }
}
