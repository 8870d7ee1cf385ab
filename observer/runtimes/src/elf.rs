//! The little of an ELF file that is needed: sections, symbols by name, where it is loaded. 64 bits, little endian.
//!
//! Tables are read in pieces, so that a binary of a gigabyte costs time but no memory.

use std::{fs::File, os::unix::fs::FileExt};

use memchr::memmem;

/// Section headers are at most this many; the largest binaries have some hundred.
const MOST_SECTIONS: u16 = 4096;
/// Symbol and string tables over this size are not read.
const MOST_TABLE: u64 = 256 << 20;
/// Tables are read in pieces of this size, a multiple of a symbol's.
const PIECE: usize = SYMBOL * (1 << 14);
const SYMBOL: usize = 24;
/// The same name may end several longer names. More than these are not a linker's work.
const MOST_PLACES: usize = 64;

/// The types of the two symbol tables: `SHT_SYMTAB`, which stripping removes, and `SHT_DYNSYM`, which it leaves.
pub const ALL: u32 = 2;
pub const DYNAMIC: u32 = 11;

const PT_LOAD: u32 = 1;
const WRITABLE: u32 = 2;
const NO_BITS: u32 = 8;

/// An open ELF file.
#[derive(Debug)]
pub struct Elf<'a> {
    file: &'a File,
    sections: Vec<Section>,
    /// Address of the program headers, before the file is moved.
    pub headers: u64,
    /// Address of the first byte of the file, before it is moved.
    pub base: u64,
    /// Addresses of what is writable, before it is moved.
    pub writable: Vec<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Section {
    /// Where its name is in the file.
    name: u64,
    kind: u32,
    offset: u64,
    size: u64,
    link: u32,
}

/// A symbol's address, before the file is moved, and its size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symbol {
    pub address: u64,
    pub size: u64,
}

impl<'a> Elf<'a> {
    /// Reads the headers. `None` for what is no such file.
    pub fn open(file: &'a File) -> Option<Self> {
        let header: [u8; 64] = read(file, 0)?;
        if &header[..6] != b"\x7fELF\x02\x01" {
            return None;
        }
        let (program, programs) = (u64_at(&header, 32), u16_at(&header, 56));
        let (table, size, count) = (u64_at(&header, 40), u16_at(&header, 58), u16_at(&header, 60));
        let mut elf = Self { file, sections: Vec::new(), headers: 0, base: 0, writable: Vec::new() };
        let mut first = true;
        for index in 0..u64::from(programs.min(MOST_SECTIONS)) {
            let entry: [u8; 56] = read(file, program.checked_add(index * 56)?)?;
            if u32_at(&entry, 0) != PT_LOAD {
                continue;
            }
            let (offset, address, length) = (u64_at(&entry, 8), u64_at(&entry, 16), u64_at(&entry, 40));
            if first {
                first = false;
                elf.base = address.wrapping_sub(offset);
                elf.headers = elf.base.wrapping_add(program);
            }
            if u32_at(&entry, 4) & WRITABLE != 0 {
                elf.writable.push((address, address.saturating_add(length)));
            }
        }
        if size == 64 {
            for index in 0..u64::from(count.min(MOST_SECTIONS)) {
                let entry: [u8; 64] = read(file, table.checked_add(index * 64)?)?;
                elf.sections.push(Section {
                    name: u64::from(u32_at(&entry, 0)),
                    kind: u32_at(&entry, 4),
                    offset: u64_at(&entry, 24),
                    size: u64_at(&entry, 32),
                    link: u32_at(&entry, 40),
                });
            }
        }
        let names = elf.sections.get(usize::from(u16_at(&header, 62))).copied();
        let strings = names.map_or(0, |names| names.offset);
        for section in &mut elf.sections {
            section.name = section.name.saturating_add(strings);
        }
        Some(elf)
    }

    /// The first bytes of the section with this name, up to `most`.
    pub fn section(&self, name: &str, most: usize) -> Option<Vec<u8>> {
        let wanted = [name.as_bytes(), b"\0"].concat();
        let found = self.sections.iter().find(|section| {
            let mut bytes = vec![0; wanted.len()];
            self.file.read_exact_at(&mut bytes, section.name).is_ok() && bytes == wanted
        })?;
        if found.kind == NO_BITS {
            return None;
        }
        let mut content = vec![0; usize::try_from(found.size).ok()?.min(most)];
        self.file.read_exact_at(&mut content, found.offset).ok()?;
        Some(content)
    }

    /// The symbols with these names in the table of type `kind`, in this order.
    pub fn symbols<const N: usize>(&self, kind: u32, names: [&str; N]) -> [Option<Symbol>; N] {
        let mut found = [None; N];
        let Some(table) = self.sections.iter().find(|section| section.kind == kind) else { return found };
        let Some(strings) = self.sections.get(table.link as usize) else { return found };
        let places = names.map(|name| self.places(strings, name));
        self.pieces(table, 0, |_, piece| {
            for entry in piece.as_chunks::<SYMBOL>().0 {
                let name = u64::from(u32_at(entry, 0));
                for (place, found) in places.iter().zip(&mut found) {
                    // Section index 0: used here and defined elsewhere.
                    if found.is_none() && place.contains(&name) && u16_at(entry, 6) != 0 {
                        *found = Some(Symbol { address: u64_at(entry, 8), size: u64_at(entry, 16) });
                    }
                }
            }
        });
        found
    }

    /// Where in a string table a name is, also as the end of a longer one.
    fn places(&self, strings: &Section, name: &str) -> Vec<u64> {
        let wanted = [name.as_bytes(), b"\0"].concat();
        let finder = memmem::Finder::new(&wanted);
        let mut places = Vec::new();
        self.pieces(strings, wanted.len() - 1, |offset, piece| {
            let left = MOST_PLACES.saturating_sub(places.len());
            places.extend(finder.find_iter(piece).take(left).map(|at| offset + at as u64));
        });
        places
    }

    /// Calls `each` with every piece of a table and its offset. A piece begins with the last `overlap` bytes of the one
    /// before.
    fn pieces(&self, table: &Section, overlap: usize, mut each: impl FnMut(u64, &[u8])) {
        if table.size > MOST_TABLE {
            return;
        }
        let mut buffer = vec![0; PIECE];
        let (mut offset, mut kept) = (0, 0);
        while offset < table.size {
            let count = usize::try_from(table.size - offset).unwrap_or(PIECE).min(PIECE - kept);
            let Some(at) = table.offset.checked_add(offset) else { return };
            if self.file.read_exact_at(&mut buffer[kept..kept + count], at).is_err() {
                return;
            }
            let end = kept + count;
            each(offset - kept as u64, &buffer[..end]);
            offset += count as u64;
            let next = overlap.min(end);
            buffer.copy_within(end - next..end, 0);
            kept = next;
        }
    }
}

fn read<const N: usize>(file: &File, offset: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The number at `at` of a record that is long enough.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// The number at `at` of a record that is long enough.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
