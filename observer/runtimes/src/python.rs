//! CPython: what its allocator and its cycle collector know.
//!
//! Objects of up to 512 bytes are in pools, pools in arenas. Bytes in use are counted from the heads of the pools.
//! Larger objects are in the C library's heap, which has no counters: they are not in these numbers.
//! The state of the interpreter begins at `_PyRuntime`. In a stripped build of 3.8 to 3.11 the list of
//! arenas has no symbol: it is found as a pair of variables that functions for extensions refer to.

use std::{collections::BTreeSet, fmt, fs::File, sync::Arc};

use memchr::memmem;

use crate::{
    elf::{self, Elf, Symbol},
    heap::{Basis, Heap, Known, Reason},
    memory::Memory,
};

use self::arenas::{Arenas, Sizes};

mod arenas;

/// Functions that go through all arenas, where the compiler has not moved that part to a function of its own.
const WALKERS: [&str; 2] = ["_PyObject_DebugMallocStats", "_Py_GetAllocatedBlocks"];
/// The longest of them is shorter than this.
const MOST_CODE: u64 = 8192;
/// The list of arenas has this length at first, and doubles.
const FIRST_ARENAS: u32 = 16;
/// What 3.13 and later begin their state with.
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
/// From 3.13 on: whether the build is free-threaded, and where in an interpreter's state the collector's is.
const FREE_THREADED: u64 = 16;
const COLLECTOR: u64 = 80;
/// The counts of the three generations in the collector's state, and the bytes of each.
const GENERATIONS: u64 = 128;
const GENERATION: usize = 24;
/// The number of objects that survived the last full collection, after these counts.
const LONG_LIVED: usize = 96;
const MOST_COLLECTIONS: u64 = 1 << 48;
/// The list of arenas in the allocator's state, from 3.12 on. Its length follows.
const LIST: u64 = 512;

/// What an executable or a library with CPython in it says about itself.
#[derive(Clone, Debug)]
pub struct Binary {
    runtime: Symbol,
    version: Option<Symbol>,
    /// The list of arenas and its length, unless stripped.
    list: Option<(Symbol, Symbol)>,
    walkers: [Option<Symbol>; 2],
    pub base: u64,
    pub headers: u64,
    writable: Vec<(u64, u64)>,
}

/// Offsets in `_PyRuntimeState` and `PyInterpreterState`, read from the headers of these versions.
#[derive(Clone, Copy, Debug)]
struct Fields {
    main: u64,
    /// The collector's counts, in the interpreter's state, or in the runtime's.
    generations: u64,
    in_interpreter: bool,
    /// The allocator's state, in the interpreter's.
    allocator: Option<u64>,
}

fn fields(minor: u32) -> Option<Fields> {
    let (main, generations, in_interpreter, allocator) = match minor {
        8 => (40, 472, false, None),
        9 | 10 => (40, 744, true, None),
        11 => (48, 776, true, None),
        12 => (48, 240, true, Some(3960)),
        13 => (640, 7528, true, Some(10800)),
        _ => return None,
    };
    Some(Fields { main, generations, in_interpreter, allocator })
}

/// Whether a mapped file is the library of a Python interpreter.
pub fn is_library(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(b"libpython3."))
}

impl Binary {
    /// `None` if the file does not contain CPython with its symbols for extensions.
    pub fn of(file: &File) -> Option<Self> {
        let elf = Elf::open(file)?;
        let [stats, blocks] = WALKERS;
        let [runtime, version, stats, blocks] =
            elf.symbols(elf::DYNAMIC, ["_PyRuntime", "Py_Version", stats, blocks]);
        let runtime = runtime?;
        let [list, count] = elf.symbols(elf::ALL, ["arenas", "maxarenas"]);
        let (list, base, headers) = (list.zip(count), elf.base, elf.headers);
        Some(Self { runtime, version, list, walkers: [stats, blocks], base, headers, writable: elf.writable })
    }

    /// The version of the interpreter, moved by `moved`. `path` is the file's: before 3.11 only its name has the
    /// version.
    fn version(&self, moved: u64, path: &[u8], memory: &Memory) -> Option<Version> {
        let number = self.version.and_then(|symbol| memory.u32(symbol.address.wrapping_add(moved)).ok());
        let stated = number.map(|number| Version {
            major: number >> 24,
            minor: number >> 16 & 0xff,
            patch: Some(number >> 8 & 0xff),
        });
        stated.or_else(|| named(path))
    }
}

/// A version of CPython, without its patch level where it is not stated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Version {
    major: u32,
    minor: u32,
    patch: Option<u32>,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

/// `/usr/bin/python3.9`, `/usr/lib/libpython3.9.so.1.0` → 3.9.
fn named(path: &[u8]) -> Option<Version> {
    let start = memmem::rfind(path, b"python3.")? + b"python3.".len();
    let digits = path[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let minor = str::from_utf8(&path[start..start + digits]).ok()?.parse().ok()?;
    Some(Version { major: 3, minor, patch: None })
}

/// Where a Python program keeps what it knows about its heap.
#[derive(Debug)]
pub struct Python {
    binary: Arc<Binary>,
    moved: u64,
    minor: u32,
    fields: Fields,
}

impl Python {
    /// The interpreter of `binary`, moved by `moved`, and its version. `path` is the file's.
    ///
    /// # Errors
    /// [`Reason::UnknownVersion`] and [`Reason::ForeignAllocator`].
    pub fn of(
        binary: Arc<Binary>,
        moved: u64,
        path: &[u8],
        memory: &Memory,
    ) -> (Option<String>, Known<Self>) {
        let Some(version) = binary.version(moved, path, memory) else {
            return (None, Err(Reason::UnknownVersion("this Python".to_owned())));
        };
        let unknown = || Reason::UnknownVersion(format!("CPython {version}"));
        let fields = Some(version.minor).filter(|_| version.major == 3).and_then(fields).ok_or_else(unknown);
        let python = fields.and_then(|fields| {
            let state = binary.runtime.address.wrapping_add(moved);
            if version.minor >= 13 {
                let begins = memory.u64(state)? == COOKIE;
                let collector = memory.u64(state.wrapping_add(COLLECTOR))?.wrapping_add(GENERATIONS);
                if memory.u64(state.wrapping_add(FREE_THREADED))? == 1 {
                    return Err(Reason::ForeignAllocator);
                }
                if !begins || collector != fields.generations {
                    return Err(unknown());
                }
            }
            Ok(Self { binary, moved, minor: version.minor, fields })
        });
        (Some(version.to_string()), python)
    }

    /// # Errors
    /// [`Reason::Ended`], [`Reason::NotPermitted`], [`Reason::Inconsistent`], and [`Reason::NoCollection`] while the
    /// interpreter starts.
    pub fn heap(&self, memory: &Memory) -> Known<Heap> {
        let runtime = self.binary.runtime.address.wrapping_add(self.moved);
        let interpreter = memory.u64(runtime.wrapping_add(self.fields.main))?;
        if interpreter == 0 {
            return Err(Reason::NoCollection);
        }
        let state = if self.fields.in_interpreter { interpreter } else { runtime };
        let counts = memory.bytes(state.wrapping_add(self.fields.generations), LONG_LIVED + 8)?;
        let [young, middle, old] = [0, 1, 2].map(|generation| elf::u64_at(&counts, generation * GENERATION));
        if [young, middle, old].iter().any(|count| *count > MOST_COLLECTIONS) {
            return Err(Reason::Inconsistent("Python counts more collections than can have been"));
        }
        let arenas = self.arenas(interpreter, memory)?;
        Ok(Heap {
            live: arenas.as_ref().map_or(Err(Reason::ForeignAllocator), |arenas| arenas.in_use(memory)),
            basis: Basis::InUse,
            live_after_full: None,
            objects: (old > 0).then(|| elf::u64_at(&counts, LONG_LIVED)),
            metadata: None,
            capacity: arenas.map(|arenas| arenas.capacity()),
            limit: None,
            collections: Ok(young + middle + old),
            full_collections: Ok(old),
            paused: Err(Reason::NotRecorded("CPython".to_owned())),
            last_full: None,
        })
    }

    /// `None` if there is no arena.
    fn arenas(&self, interpreter: u64, memory: &Memory) -> Known<Option<Arenas>> {
        let sizes = Sizes::of(self.minor);
        let candidates: Vec<(u64, u64)> = match self.fields.allocator {
            Some(offset) => {
                let embedded = interpreter.wrapping_add(offset);
                // 3.12 has it in the interpreter's state; 3.13, and perhaps a later 3.12, has a pointer to it there.
                let states = [embedded, memory.u64(embedded)?];
                states
                    .iter()
                    .map(|state| state.wrapping_add(LIST))
                    .map(|list| (list, list.wrapping_add(8)))
                    .collect()
            }
            None => {
                let moved = |symbol: Symbol| symbol.address.wrapping_add(self.moved);
                let known = self.binary.list.map(|(list, count)| (moved(list), moved(count)));
                known.map_or_else(|| self.referred(memory), |known| Ok(vec![known]))?
            }
        };
        for (list, count) in candidates {
            match Arenas::read(memory, list, count, sizes) {
                Ok(arenas) => return Ok(Some(arenas)),
                Err(Reason::Inconsistent(_)) => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(None)
    }

    /// Pairs of variables that may be the list of arenas and its length: those that the functions which go through it
    /// refer to, relative to their instructions, and that have values for it.
    fn referred(&self, memory: &Memory) -> Known<Vec<(u64, u64)>> {
        let (mut lists, mut counts) = (BTreeSet::new(), BTreeSet::new());
        if !cfg!(target_arch = "x86_64") {
            return Ok(Vec::new());
        }
        for function in self.binary.walkers.into_iter().flatten() {
            let length = usize::try_from(function.size.min(MOST_CODE)).unwrap_or(0);
            let start = function.address.wrapping_add(self.moved);
            let code = memory.bytes(start, length)?;
            for (at, window) in code.windows(4).enumerate() {
                let distance = i64::from(elf::u32_at(window, 0).cast_signed());
                let target = start.wrapping_add(at as u64 + 4).wrapping_add_signed(distance);
                let before = target.wrapping_sub(self.moved);
                if !self.binary.writable.iter().any(|(from, to)| (*from..*to).contains(&before)) {
                    continue;
                }
                let Ok(value) = memory.u64(target) else { continue };
                if value != 0 && value.is_multiple_of(8) && value >> 47 == 0 {
                    lists.insert(target);
                }
                // The upper half belongs to another variable.
                let length = value as u32;
                if length >= FIRST_ARENAS && length.is_power_of_two() {
                    counts.insert(target);
                }
            }
        }
        Ok(lists.iter().flat_map(|list| counts.iter().map(move |count| (*list, *count))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, named};

    #[test]
    fn a_file_name_has_the_version() {
        let version = |minor| Some(Version { major: 3, minor, patch: None });
        assert_eq!(named(b"/usr/bin/python3.9"), version(9));
        assert_eq!(named(b"/opt/python3.8/lib/libpython3.10.so.1.0"), version(10));
        assert_eq!(named(b"/usr/bin/python3"), None);
        assert_eq!(named(b"/usr/bin/python3."), None);
        assert_eq!(named(b"/usr/bin/python3.99999999999"), None);
    }
}
