//! The table of its own variables that a JVM exports for debuggers (`gHotSpotVMStructs`).
//!
//! With `-XX:+PerfDisableSharedMem` the counters are in private memory, with no name in `/proc/PID/maps`. The table
//! still leads to them. Its shape has been the same from JDK 8 to 25.

use std::fs::File;

use crate::{
    elf::{self, Elf, u64_at},
    heap::Known,
    memory::Memory,
};

/// Bytes of an entry, and where in it the names of type and field and the address of a variable are.
const ENTRY: usize = 48;
const TYPE: usize = 0;
const FIELD: usize = 8;
const ADDRESS: usize = 40;
/// JDK 11 has 838.
const MOST: u64 = 4096;

/// Where the counters of the JVM with this library begin, and how many bytes they have. `start` is where the library
/// is mapped. `None` if the JVM keeps none.
///
/// # Errors
/// As [`Memory::read`].
pub fn counters(library: &File, start: u64, memory: &Memory) -> Known<Option<(u64, u64)>> {
    let Some(elf) = Elf::open(library) else { return Ok(None) };
    let [table] = elf.symbols(elf::DYNAMIC, ["gHotSpotVMStructs"]);
    let Some(table) = table else { return Ok(None) };
    let table = memory.u64(start.wrapping_sub(elf.base).wrapping_add(table.address))?;
    let (mut begin, mut size) = (0, 0);
    for index in 0..MOST {
        let mut entry = [0; ENTRY];
        memory.read(table.wrapping_add(index * ENTRY as u64), &mut entry)?;
        let (name, field) = (u64_at(&entry, TYPE), u64_at(&entry, FIELD));
        if name == 0 || begin != 0 && size != 0 {
            break;
        }
        if !is(memory, name, b"PerfMemory\0")? {
            continue;
        }
        if is(memory, field, b"_start\0")? {
            begin = memory.u64(u64_at(&entry, ADDRESS))?;
        } else if is(memory, field, b"_capacity\0")? {
            size = memory.u64(u64_at(&entry, ADDRESS))?;
        }
    }
    Ok((begin != 0 && size != 0).then_some((begin, size)))
}

/// Whether the text at `address` is this one.
fn is<const N: usize>(memory: &Memory, address: u64, text: &[u8; N]) -> Known<bool> {
    let mut bytes = [0; N];
    memory.read(address, &mut bytes)?;
    Ok(&bytes == text)
}
