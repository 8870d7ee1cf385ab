//! The collector's variables in a Go binary without symbols.
//!
//! Stripping leaves the table of functions (`.gopclntab`), which a Go program needs for its own stack traces. It leads
//! to `runtime.gcMarkTermination`, which is in every program. That function updates the wanted fields, and
//! refers to them relative to its instructions. A variable is at the address for which it refers to address plus offset
//! of each wanted field.

use std::collections::BTreeSet;

use super::fields::Fields;
use crate::elf::{Elf, Table, u32_at, u64_at};

const FUNCTION: &[u8] = b"\0runtime.gcMarkTermination\0";
/// The longest known has 3,904 bytes.
const MOST_CODE: u32 = 16 << 10;
/// The table's header since Go 1.18 and since 1.20.
const MAGIC: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
const HEADER: usize = 72;
/// Bytes of an entry of the list of functions: its address relative to the text, and where its description is.
const ENTRY: u64 = 8;
/// The same four bytes may occur elsewhere in the table. After this many occurrences, the table is not what it claims
/// to be.
const MOST_HITS: usize = 4096;
/// `moduledata.text`, for versions that leave the start of the text out of the table.
const MODULE_TEXT: usize = 176;

/// The addresses of `gcController` and `memstats` in the file, before the loader relocates it.
pub fn variables(elf: &Elf<'_>, fields: Fields) -> Option<(u64, u64)> {
    let referred = referred(elf)?;
    let Fields { live, in_use, ended, paused, count, .. } = fields;
    // Beside the wanted fields: the goal, the globals to scan, and the times of marking, which this function updates.
    let updated = [live, live - 8, live + 40, live + 88, live + 96, live + 104, live + 112, in_use];
    let controller = from(&referred, updated)?;
    let stats = from(&referred, [count, count + 4, ended, paused, paused + 8])?;
    Some((controller, stats))
}

/// The one address from which all of these offsets lead to `referred`.
fn from<const N: usize>(referred: &BTreeSet<u64>, offsets: [u64; N]) -> Option<u64> {
    let mut fitting = referred
        .iter()
        .map(|address| address.wrapping_sub(offsets[0]))
        .filter(|start| offsets.iter().all(|offset| referred.contains(&start.wrapping_add(*offset))));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// Addresses of variables that the instructions of the function may refer to, relative to themselves.
fn referred(elf: &Elf<'_>) -> Option<BTreeSet<u64>> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let (start, length) = function(elf)?;
    let text = elf.table(".text")?;
    let code = elf.bytes(&text, start.checked_sub(text.address)?, length.min(MOST_CODE) as usize)?;
    let target = |(at, window): (usize, &[u8])| {
        let distance = i64::from(u32_at(window, 0).cast_signed());
        start.wrapping_add(at as u64 + 4).wrapping_add_signed(distance)
    };
    let is_variable = |target: &u64| elf.writable.iter().any(|(from, to)| (*from..*to).contains(target));
    Some(code.windows(4).enumerate().map(target).filter(is_variable).collect())
}

/// The address of the function and its length.
fn function(elf: &Elf<'_>) -> Option<(u64, u32)> {
    let table = elf.table(".gopclntab").or_else(|| elf.table(".data.rel.ro.gopclntab"))?;
    let header = elf.bytes(&table, 0, HEADER)?;
    if !MAGIC.contains(&u32_at(&header, 0)) || header[7] != 8 {
        return None;
    }
    let [functions, text, names, units, list] = [8, 24, 32, 40, 64].map(|at| u64_at(&header, at));
    let name = *elf.places(&part(table, names, units)?, FUNCTION, 1).first()? + 1;
    let descriptions = part(table, list, table.size)?;
    let entries = part(descriptions, 0, functions.checked_mul(ENTRY)?.checked_add(ENTRY)?)?;
    // A description begins with the address, and the place of the name.
    let name = u32::try_from(name).ok()?.to_le_bytes();
    let index = elf.places(&descriptions, &name, MOST_HITS).into_iter().find_map(|at| {
        let description = at.checked_sub(4)?;
        let address = elf.bytes(&descriptions, description, 4)?;
        let entry = [&address[..], &u32::try_from(description).ok()?.to_le_bytes()].concat();
        elf.places(&entries, &entry, 1).first().copied().filter(|at| at.is_multiple_of(ENTRY))
    })?;
    let entry = elf.bytes(&descriptions, index, 2 * ENTRY as usize)?;
    let (address, next) = (u32_at(&entry, 0), u32_at(&entry, ENTRY as usize));
    let text = if text == 0 { module_text(elf)? } else { text };
    Some((text.checked_add(u64::from(address))?, next.checked_sub(address)?))
}

fn module_text(elf: &Elf<'_>) -> Option<u64> {
    let module = elf.section(".go.module", MODULE_TEXT + 8)?;
    (module.len() == MODULE_TEXT + 8).then(|| u64_at(&module, MODULE_TEXT)).filter(|text| *text != 0)
}

/// The bytes of a table between two offsets.
fn part(table: Table, from: u64, to: u64) -> Option<Table> {
    let fits = from <= to && to <= table.size;
    fits.then(|| Table { offset: table.offset + from, size: to - from, ..table })
}

#[cfg(test)]
mod tests {
    use super::from;

    #[test]
    fn a_variable_begins_where_all_of_its_offsets_fit_and_nowhere_else() {
        let referred = [1000, 1008, 1100, 2000, 2008].into();
        assert_eq!(from(&referred, [100, 0, 8]), Some(1000));
        assert_eq!(from(&referred, [8, 0]), None, "1000 and 2000");
        assert_eq!(from(&referred, [4, 0]), None);
    }
}
