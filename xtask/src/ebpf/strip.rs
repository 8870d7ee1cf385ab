//! Removes DWARF from an object and keeps BTF, because the kernel and the loader read only BTF.

use anyhow::{Context, Result};
use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
    write::StreamingBuffer,
};

/// The object without its `.debug_*` sections, their relocations, and the symbols that only these used.
///
/// # Errors
/// When it is not an ELF object.
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use object::{Object, ObjectSection, ObjectSymbol};

    use super::*;

    /// The sections that affect a program or the kernel's knowledge about it, with their content.
    fn sections(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let file = object::File::parse(bytes).unwrap();
        let named = file
            .sections()
            .map(|section| (section.name().unwrap().to_owned(), section.data().unwrap().to_vec()));
        named.filter(|(name, _)| !name.is_empty() && !name.ends_with("strtab") && name != ".symtab").collect()
    }

    fn symbols(bytes: &[u8]) -> Vec<(String, u64, u64)> {
        let file = object::File::parse(bytes).unwrap();
        let named = file.symbols().filter(|symbol| symbol.is_definition() || symbol.is_undefined());
        named.map(|symbol| (symbol.name().unwrap().to_owned(), symbol.address(), symbol.size())).collect()
    }

    #[test]
    fn an_object_loses_dwarf_and_nothing_else() {
        let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../observer/objects");
        for name in crate::ebpf::OBSERVER.objects {
            let whole = fs::read(objects.join(format!("{name}.o"))).unwrap();
            let stripped = strip(&whole).unwrap();
            let kept = sections(&stripped);
            assert!(kept.contains_key(".BTF") && kept.contains_key(".BTF.ext"), "{:?}", kept.keys());
            assert!(!kept.keys().any(|name| name.contains("debug")), "{:?}", kept.keys());
            let mut before = sections(&whole);
            before.retain(|name, _| !name.contains("debug"));
            // Relocations refer to symbols by number, and the numbers change. The symbols are compared below.
            let relocations = |name: &String, _: &mut Vec<u8>| !name.starts_with(".rel");
            let mut after = kept;
            before.retain(relocations);
            after.retain(relocations);
            assert_eq!(before, after, "{name}");
            let mut symbols_before = symbols(&whole);
            symbols_before.sort();
            let mut symbols_after = symbols(&stripped);
            symbols_after.sort();
            assert_eq!(symbols_before, symbols_after, "{name}");
            assert_eq!(strip(&stripped).unwrap(), stripped, "stripping again changes nothing");
        }
    }
}
