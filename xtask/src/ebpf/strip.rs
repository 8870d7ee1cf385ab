//! Takes DWARF out of an object and leaves BTF in: the kernel and the loader read only the latter.

use anyhow::{Context, Result};
use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
    write::StreamingBuffer,
};

/// The object without its `.debug_*` sections, their relocations, and the symbols that only these used.
///
/// # Errors
/// When it is no ELF object.
pub fn strip(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object).context("the linker's output cannot be read")?;
    for section in builder.sections.iter_mut() {
        let name = section.name.to_vec();
        let debug =
            [&b".debug_"[..], b".rel.debug_", b".rela.debug_"].iter().any(|prefix| name.starts_with(prefix));
        section.delete |= debug;
    }
    builder.delete_orphans();
    // LLVM keeps the names of sections and symbols in one table; the writer wants two.
    if !builder.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        let names = builder.sections.add();
        names.name = b".shstrtab"[..].into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    let mut stripped = StreamingBuffer::new(Vec::new());
    builder.write(&mut stripped).context("the stripped object cannot be written")?;
    stripped.result().context("the stripped object cannot be written")?;
    Ok(stripped.into_inner())
}
