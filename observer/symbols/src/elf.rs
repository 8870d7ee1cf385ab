//! The parts of an ELF file that unwinding needs, and its build id.

use std::{fs::File, ops::Range, sync::Arc};

use object::{Endianness, Object as _, ObjectSection as _, elf::FileHeader64, read::ReadCache};

use crate::mapping::Mapping;

/// `.eh_frame` of the largest programs has some 20 MiB.
const MOST_SECTION: u64 = 64 << 20;
/// Code is read for instructions at the start and the end of functions. Larger code is unwound without that.
const MOST_TEXT: u64 = 8 << 20;

type ElfFile<'a> = object::read::elf::ElfFile64<'a, Endianness, &'a ReadCache<&'a File>>;

/// What unwinding needs of a file.
#[derive(Clone, Debug, Default)]
pub struct UnwindSections {
    pub eh_frame: Option<Section>,
    pub eh_frame_hdr: Option<Section>,
    pub text: Option<Section>,
    /// For each segment of code: place in the file, address before the file is moved, size in the file. Linkers put the
    /// end of one segment and the start of the next one into the same page, so the others would be ambiguous.
    pub segments: Vec<(u64, u64, u64)>,
}

/// A section's bytes and their addresses before the file is moved.
#[derive(Clone, Debug)]
pub struct Section {
    pub addresses: Range<u64>,
    pub bytes: Arc<[u8]>,
}

impl UnwindSections {
    /// Reads them; `None` for what is no ELF file of 64 bits.
    pub fn read(file: &File) -> Option<Self> {
        let cache = ReadCache::new(file);
        let elf = parse(&cache)?;
        let section = |name, most| {
            let section = elf.section_by_name(name)?;
            let (_, size) = section.file_range()?;
            if size > most || size > file.metadata().ok()?.len() {
                return None;
            }
            let end = section.address().checked_add(size)?;
            Some(Section { addresses: section.address()..end, bytes: section.data().ok()?.into() })
        };
        Some(Self {
            eh_frame: section(".eh_frame", MOST_SECTION),
            eh_frame_hdr: section(".eh_frame_hdr", MOST_SECTION),
            text: section(".text", MOST_TEXT),
            segments: segments(&elf),
        })
    }

    /// How far the file was moved, if the code at `offset` of it is at `address`.
    pub fn bias(&self, offset: u64, address: u64) -> Option<u64> {
        // A mapping begins at the start of a page, which may be before its segment.
        const PAGE: u64 = 0xfff;
        let (start, moved, _) = self
            .segments
            .iter()
            .copied()
            .find(|(start, _, size)| (start & !PAGE..start.saturating_add(*size)).contains(&offset))?;
        Some(address.wrapping_sub(moved.wrapping_add(offset).wrapping_sub(start)))
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        [&self.eh_frame, &self.eh_frame_hdr, &self.text]
            .into_iter()
            .flatten()
            .map(|section| section.bytes.len())
            .sum()
    }
}

/// The build id of an ELF file: the same for a stripped file and its debug information.
#[must_use]
pub fn build_id(file: &File) -> Option<Vec<u8>> {
    let cache = ReadCache::new(file);
    // Usually 20 bytes; the format allows any number.
    parse(&cache)?.build_id().ok().flatten().map(|id| id[..id.len().min(32)].to_vec())
}

/// The address in the process of the global variable `name` of a file. `mapping` must be one of the file's code.
#[must_use]
pub fn variable(file: &File, mapping: &Mapping, name: &str) -> Option<u64> {
    use object::ObjectSymbol as _;
    let cache = ReadCache::new(file);
    let elf = parse(&cache)?;
    let symbol = elf.dynamic_symbols().find(|symbol| symbol.name() == Ok(name))?;
    let bias = UnwindSections { segments: segments(&elf), ..UnwindSections::default() }
        .bias(mapping.offset, mapping.start)?;
    Some(symbol.address().wrapping_add(bias))
}

/// The segments of code, as in [`UnwindSections`].
fn segments(elf: &ElfFile<'_>) -> Vec<(u64, u64, u64)> {
    use object::read::elf::ProgramHeader as _;
    let endian = elf.endian();
    let code = elf.elf_program_headers().iter().filter(|header| {
        header.p_type(endian) == object::elf::PT_LOAD && header.p_flags(endian) & object::elf::PF_X != 0
    });
    code.map(|header| (header.p_offset(endian), header.p_vaddr(endian), header.p_filesz(endian))).collect()
}

fn parse<'a>(cache: &'a ReadCache<&'a File>) -> Option<ElfFile<'a>> {
    object::read::elf::ElfFile::<FileHeader64<Endianness>, _>::parse(cache).ok()
}
