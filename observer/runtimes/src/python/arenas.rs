//! CPython's allocator of small objects: arenas, which consist of pools, which consist of blocks of one size.

use crate::{
    elf::{u32_at, u64_at},
    heap::{Known, Reason},
    memory::Memory,
};

/// An entry of the list of arenas, in bytes.
const ARENA: usize = 48;
/// With arenas of a mebibyte, 128 GiB of small objects.
const MOST_ARENAS: usize = 1 << 17;
/// Entries are read in pieces of this number.
const PIECE: usize = 1 << 14;
/// The head of a pool, in bytes.
const HEAD: usize = 48;
/// The most heads that are read. If there are more pools, every second, third… is read and counts for all.
const MOST_HEADS: usize = 1 << 13;
/// Blocks are multiples of this, up to 512 bytes.
const UNIT: u64 = 16;
const SIZES: u64 = 32;
const PAGE: u64 = 4096;

/// Bytes of an arena and of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    arena: u64,
    pool: u64,
}

impl Sizes {
    /// Those of CPython 3.`minor`.
    pub const fn of(minor: u32) -> Self {
        if minor < 10 {
            Self { arena: 256 << 10, pool: 4 << 10 }
        } else {
            Self { arena: 1 << 20, pool: 16 << 10 }
        }
    }
}

/// The arenas in use.
#[derive(Debug)]
pub struct Arenas {
    sizes: Sizes,
    arenas: Vec<Arena>,
}

#[derive(Clone, Copy, Debug)]
struct Arena {
    /// Its place in the list, which its pools repeat.
    index: u32,
    first_pool: u64,
    /// Pools that have been used at least once.
    pools: u64,
}

impl Arenas {
    /// Reads the list with its address at `list` and its length at `count`.
    ///
    /// # Errors
    /// [`Reason::Inconsistent`] if there is no such list, or no arena in it.
    pub fn read(memory: &Memory, list: u64, count: u64, sizes: Sizes) -> Known<Self> {
        let (list, count) = (memory.u64(list)?, memory.u32(count)? as usize);
        if list == 0 || !list.is_multiple_of(8) || count == 0 || count > MOST_ARENAS {
            return Err(NO_LIST);
        }
        let mut arenas = Vec::new();
        for first in (0..count).step_by(PIECE) {
            let at = list.wrapping_add((first * ARENA) as u64);
            let piece = memory.bytes(at, PIECE.min(count - first) * ARENA)?;
            for (entry, index) in piece.as_chunks::<ARENA>().0.iter().zip(first..) {
                let index = u32::try_from(index).map_err(|_| NO_LIST)?;
                arenas.extend(arena(entry, index, sizes)?);
            }
        }
        let arenas = Self { sizes, arenas };
        // A pool that was used states the arena that it is in. This makes a chance hit impossible.
        let first = arenas.arenas.iter().find(|arena| arena.pools > 0).ok_or(NO_LIST)?;
        let mut head = [0; HEAD];
        memory.read(first.first_pool, &mut head)?;
        if u32_at(&head, 32) != first.index { Err(NO_LIST) } else { Ok(arenas) }
    }

    /// Bytes of all arenas.
    pub fn capacity(&self) -> u64 {
        self.sizes.arena * self.arenas.len() as u64
    }

    /// Bytes of all blocks in use.
    ///
    /// # Errors
    /// [`Reason::Inconsistent`] if many pools have impossible heads.
    pub fn in_use(&self, memory: &Memory) -> Known<u64> {
        let total = self.arenas.iter().map(|arena| arena.pools).sum::<u64>();
        let step = usize::try_from(total).unwrap_or(usize::MAX).div_ceil(MOST_HEADS).max(1);
        let pools = self.arenas.iter().flat_map(|arena| (0..arena.pools).map(move |pool| (arena, pool)));
        let (mut bytes, mut read, mut torn) = (0, 0_u64, 0_u64);
        let mut head = [0; HEAD];
        for (arena, pool) in pools.step_by(step) {
            read += 1;
            match memory.read(arena.first_pool + pool * self.sizes.pool, &mut head) {
                Ok(()) => match blocks(&head, arena.index, self.sizes) {
                    Some(blocks) => bytes += blocks,
                    None => torn += 1,
                },
                // The arena was returned meanwhile.
                Err(Reason::Inconsistent(_)) => torn += 1,
                Err(reason) => return Err(reason),
            }
        }
        if torn * 8 > read {
            return Err(Reason::Inconsistent("Python's pools change faster than they can be read"));
        }
        let scaled = u128::from(bytes) * u128::from(total) / u128::from(read.max(1));
        Ok(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

const NO_LIST: Reason = Reason::Inconsistent("there is no list of arenas");

/// `None` for an unused entry.
fn arena(entry: &[u8; ARENA], index: u32, sizes: Sizes) -> Known<Option<Arena>> {
    let (address, next_pool) = (u64_at(entry, 0), u64_at(entry, 8));
    let (free, total) = (u64::from(u32_at(entry, 16)), u64::from(u32_at(entry, 20)));
    if address == 0 {
        return Ok(None);
    }
    let first_pool = address.checked_next_multiple_of(sizes.pool).ok_or(NO_LIST)?;
    let most = sizes.arena / sizes.pool;
    let used = next_pool.checked_sub(first_pool).ok_or(NO_LIST)?;
    let fits = address.is_multiple_of(PAGE)
        && address >> 47 == 0
        && (most - 1..=most).contains(&total)
        && free <= total
        && used.is_multiple_of(sizes.pool)
        && used <= sizes.arena;
    fits.then_some(Some(Arena { index, first_pool, pools: used / sizes.pool })).ok_or(NO_LIST)
}

/// Bytes of the blocks in use of a pool; `None` for an impossible head.
fn blocks(head: &[u8; HEAD], arena: u32, sizes: Sizes) -> Option<u64> {
    let (count, size) = (u64::from(u32_at(head, 0)), u64::from(u32_at(head, 36)));
    if count == 0 {
        return Some(0);
    }
    let size = (size < SIZES).then_some((size + 1) * UNIT)?;
    let possible = u32_at(head, 32) == arena && count <= (sizes.pool - HEAD as u64) / size;
    possible.then_some(count * size)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::FileExt, path::PathBuf};

    use super::{Arenas, Sizes};
    use crate::{heap::Reason, memory::Memory};

    const LIST: u64 = 0x1000;
    const ARENA: u64 = 0x10_0000;
    const SIZES: Sizes = Sizes::of(13);

    /// A memory with a list of two entries at 4096, the second of them an arena at 1 MiB with three used pools.
    struct Made {
        path: PathBuf,
        file: fs::File,
    }

    impl Made {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("observer-arenas-{}-{name}", std::process::id()));
            let file = fs::File::create(&path).unwrap();
            file.set_len(4 << 20).unwrap();
            let made = Self { path, file };
            made.u64(8, LIST);
            made.u32(16, 2);
            made.u64(LIST + 48, ARENA);
            made.u64(LIST + 56, ARENA + 3 * 0x4000);
            made.u32(LIST + 64, 61);
            made.u32(LIST + 68, 64);
            for (pool, count, size) in [(0, 10, 0), (1, 0, 5), (2, 31, 31)] {
                let head = ARENA + pool * 0x4000;
                made.u32(head, count);
                made.u32(head + 32, 1);
                made.u32(head + 36, size);
            }
            made
        }

        fn u64(&self, at: u64, value: u64) {
            self.file.write_all_at(&value.to_le_bytes(), at).unwrap();
        }

        fn u32(&self, at: u64, value: u32) {
            self.file.write_all_at(&value.to_le_bytes(), at).unwrap();
        }

        fn in_use(&self) -> Result<u64, Reason> {
            let memory = Memory::open(&self.path)?;
            Arenas::read(&memory, 8, 16, SIZES)?.in_use(&memory)
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.path);
        }
    }

    #[test]
    fn blocks_in_use_are_counted_with_their_sizes() {
        assert_eq!(Made::new("counted").in_use(), Ok(10 * 16 + 31 * 512));
    }

    #[test]
    fn a_list_that_contradicts_itself_is_no_list() {
        let no_list = Err(Reason::Inconsistent("there is no list of arenas"));
        for (at, value) in
            [(8, 0), (8, 3), (LIST + 48, 7), (LIST + 48, u64::MAX), (LIST + 56, ARENA + 1), (LIST + 56, 0)]
        {
            let made = Made::new("contradicts");
            made.u64(at, value);
            assert_eq!(made.in_use(), no_list, "{value:#x} at {at:#x}");
        }
        for (at, value) in [(16, 0), (16, u32::MAX), (LIST + 64, 65), (LIST + 68, 1000), (ARENA + 32, 7)] {
            let made = Made::new("contradicts");
            made.u32(at, value);
            assert_eq!(made.in_use(), no_list, "{value:#x} at {at:#x}");
        }
    }

    #[test]
    fn impossible_pools_are_a_reason_and_not_a_number() {
        for (at, value) in [(0, 2000), (36, 32), (36, u32::MAX)] {
            let made = Made::new("impossible");
            made.u32(ARENA + at, value);
            let reason = "Python's pools change faster than they can be read";
            assert_eq!(made.in_use(), Err(Reason::Inconsistent(reason)), "{value} at {at}");
        }
    }
}
