//! The little of an ELF file that is needed: sections, symbols by name, where it is loaded. 64 bits, little endian.
//!
//! Tables are read in pieces, so that a binary of a gigabyte costs time but no memory.

use std::{fs::File, os::unix::fs::FileExt};

use memchr::memmem;

/// Section headers are at most this many; the largest binaries have some hundred.
const MOST_SECTIONS: u16 = 4096;
/// Symbol and string tables over this size are not read.
const MOST_TABLE: u64 = 128 << 20;
/// Tables are read in pieces of this size, a multiple of a symbol's.
const PIECE: usize = SYMBOL * (1 << 14);
const SYMBOL: usize = 24;
/// The same name may end several longer names. More than these are not a linker's work.
const MOST_PLACES: usize = 16;

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
    table: Table,
    link: u32,
}

/// Bytes of the file, and their address before the file is moved.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub address: u64,
    pub offset: u64,
    pub size: u64,
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
                    table: Table {
                        address: u64_at(&entry, 16),
                        offset: u64_at(&entry, 24),
                        size: u64_at(&entry, 32),
                    },
                    link: u32_at(&entry, 40),
                });
            }
        }
        let names = elf.sections.get(usize::from(u16_at(&header, 62))).copied();
        let strings = names.map_or(0, |names| names.table.offset);
        for section in &mut elf.sections {
            section.name = section.name.saturating_add(strings);
        }
        Some(elf)
    }

    /// Where the section with this name is.
    pub fn table(&self, name: &str) -> Option<Table> {
        let wanted = [name.as_bytes(), b"\0"].concat();
        let found = self.sections.iter().find(|section| {
            let mut bytes = vec![0; wanted.len()];
            self.file.read_exact_at(&mut bytes, section.name).is_ok() && bytes == wanted
        })?;
        (found.kind != NO_BITS && found.table.offset.checked_add(found.table.size).is_some())
            .then_some(found.table)
    }

    /// The first bytes of the section with this name, up to `most`.
    pub fn section(&self, name: &str, most: usize) -> Option<Vec<u8>> {
        let table = self.table(name)?;
        self.bytes(&table, 0, usize::try_from(table.size).ok()?.min(most))
    }

    /// `count` bytes of a table.
    pub fn bytes(&self, table: &Table, offset: u64, count: usize) -> Option<Vec<u8>> {
        let fits = offset.checked_add(count as u64).is_some_and(|end| end <= table.size);
        let mut content = vec![0; if fits { count } else { return None }];
        self.file.read_exact_at(&mut content, table.offset.checked_add(offset)?).ok()?;
        Some(content)
    }

    /// The symbols with these names in the table of type `kind`, in this order.
    pub fn symbols<const N: usize>(&self, kind: u32, names: [&str; N]) -> [Option<Symbol>; N] {
        let mut found = [None; N];
        let Some(table) = self.sections.iter().find(|section| section.kind == kind) else { return found };
        let Some(strings) = self.sections.get(table.link as usize) else { return found };
        let places =
            names.map(|name| self.places(&strings.table, &[name.as_bytes(), b"\0"].concat(), MOST_PLACES));
        self.pieces(&table.table, 0, |_, piece| {
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

    /// Where in a table these bytes are, the first `most` places. A name may also be the end of a longer one.
    pub fn places(&self, table: &Table, wanted: &[u8], most: usize) -> Vec<u64> {
        let finder = memmem::Finder::new(wanted);
        let mut places = Vec::new();
        self.pieces(table, wanted.len() - 1, |offset, piece| {
            let left = most.saturating_sub(places.len());
            places.extend(finder.find_iter(piece).take(left).map(|at| offset + at as u64));
        });
        places
    }

    /// Calls `each` with every piece of a table and its offset. A piece begins with the last `overlap` bytes of the one
    /// before.
    fn pieces(&self, table: &Table, overlap: usize, mut each: impl FnMut(u64, &[u8])) {
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

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, process};

    use super::{ALL, DYNAMIC, Elf, PT_LOAD, SYMBOL, Symbol, WRITABLE};

    const SECTIONS: usize = 4;

    /// A file with one segment and the sections `.symtab`, `.strtab`, `.shstrtab`, and the symbols `b` at 0x1234 and
    /// `a.b` at 0x5678. The linker has merged their names.
    fn made() -> Vec<u8> {
        let (symbols, strings, names) = (64 + 56, 64 + 56 + 3 * SYMBOL, 64 + 56 + 3 * SYMBOL + 8);
        let sections = names + 32;
        let mut file = vec![0; sections + SECTIONS * 64];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01");
        put(32, &64_u64.to_le_bytes());
        put(40, &(sections as u64).to_le_bytes());
        for (at, value) in [(56, 1), (58, 64), (60, SECTIONS as u16), (62, 3)] {
            put(at, &value.to_le_bytes());
        }
        put(64, &PT_LOAD.to_le_bytes());
        put(68, &WRITABLE.to_le_bytes());
        put(64 + 16, &0x1000_u64.to_le_bytes());
        put(64 + 40, &0x2000_u64.to_le_bytes());
        for (index, name, address) in [(1, 3_u32, 0x1234_u64), (2, 1, 0x5678)] {
            let at = symbols + index * SYMBOL;
            put(at, &name.to_le_bytes());
            put(at + 6, &[1]);
            put(at + 8, &address.to_le_bytes());
            put(at + 16, &4_u64.to_le_bytes());
        }
        put(strings, b"\0a.b\0");
        put(names, b"\0.symtab\0.strtab\0.shstrtab\0");
        let table = [(1, ALL, symbols, 3 * SYMBOL, 2), (9, 3, strings, 8, 0), (17, 3, names, 32, 0)];
        for (index, (name, kind, offset, size, link)) in table.into_iter().enumerate() {
            let at = sections + (index + 1) * 64;
            put(at, &(name as u32).to_le_bytes());
            put(at + 4, &kind.to_le_bytes());
            put(at + 24, &(offset as u64).to_le_bytes());
            put(at + 32, &(size as u64).to_le_bytes());
            put(at + 40, &(link as u32).to_le_bytes());
        }
        file
    }

    fn with<T>(bytes: &[u8], read: impl FnOnce(Option<Elf<'_>>) -> T) -> T {
        let path = std::env::temp_dir().join(format!("observer-elf-{}-{:p}", process::id(), bytes));
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        read(Elf::open(&file))
    }

    #[test]
    fn symbols_are_found_by_their_whole_name() {
        with(&made(), |elf| {
            let elf = elf.unwrap();
            assert_eq!((elf.base, elf.headers), (0x1000, 0x1040));
            assert_eq!(elf.writable, [(0x1000, 0x3000)]);
            let symbol = |address| Some(Symbol { address, size: 4 });
            assert_eq!(
                elf.symbols(ALL, ["a.b", "b", "a", ".b"]),
                [symbol(0x5678), symbol(0x1234), None, None]
            );
            assert_eq!(elf.symbols(DYNAMIC, ["b"]), [None]);
            assert_eq!(elf.section(".strtab", 6).as_deref(), Some(&b"\0a.b\0\0"[..6]));
            assert_eq!(elf.section(".strta", 6), None);
        });
    }

    #[test]
    fn damaged_files_are_no_error() {
        let good = made();
        for length in (0..good.len()).step_by(7) {
            with(&good[..length], |elf| elf.map(|elf| elf.symbols(ALL, ["b"])));
        }
        for at in 0..good.len() {
            for value in [0, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                with(&bad, |elf| elf.map(|elf| (elf.symbols(ALL, ["b"]), elf.section(".strtab", 8))));
            }
        }
    }
}
