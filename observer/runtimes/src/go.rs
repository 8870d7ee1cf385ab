//! Go's runtime: the variables that its collector keeps, found by symbol, or by the code that refers to them.
//!
//! `runtime.gcController` has the bytes that the last collection marked and the memory limit, `runtime.memstats` the
//! number of collections and their pauses. Where their fields are depends on the version, which the binary states.

use std::{fs::File, time::Duration};

use observer_core::text;

use self::fields::Fields;
use crate::{
    elf::{self, Elf},
    heap::{Basis, Heap, Known, Reason},
    memory::Memory,
};

mod fields;
mod stripped;

/// The version is a short text. Module names, which follow it, are not needed.
const MOST_BUILD_INFO: usize = 4096;
/// Magic number, flags, and unused bytes; then texts, each with its length before it.
const BUILD_INFO: &[u8; 14] = b"\xff Go buildinf:";
const BUILD_INFO_HEADER: usize = 32;
const TEXTS_FOLLOW: u8 = 2;
/// Collections change several variables one after the other, so they are read until they agree, at most so many times.
const ATTEMPTS: usize = 4;
/// `GOMEMLIMIT=off`.
const NO_LIMIT: u64 = i64::MAX as u64;
const GC_PERCENT_OFF: i32 = -1;
/// While a page is returned, it may be counted twice, or not at all.
const SLACK: u64 = 64 << 20;

/// What a Go binary says about itself.
#[derive(Clone, Debug)]
pub struct Binary {
    pub version: String,
    variables: Known<Variables>,
}

/// Addresses in the file, before the loader relocates it, and the layout.
#[derive(Clone, Copy, Debug)]
struct Variables {
    controller: u64,
    stats: u64,
    fields: Fields,
    headers: u64,
}

/// At the same offset in all versions.
const PERCENT: u64 = 0;
const LIMIT: u64 = 8;

impl Binary {
    /// `None` if the file was not built by Go 1.18 or later.
    pub fn of(file: &File) -> Option<Self> {
        let elf = Elf::open(file)?;
        let version = version(&elf.section(".go.buildinfo", MOST_BUILD_INFO)?)?;
        let variables = minor(&version)
            .and_then(Fields::of)
            .ok_or_else(|| Reason::UnknownVersion(text::printable(&version)))
            .and_then(|fields| variables(&elf, fields));
        Some(Self { version: text::printable(&version), variables })
    }

    /// The runtime in memory, with its program headers at `headers`.
    ///
    /// # Errors
    /// [`Reason::NoSymbolTable`] and [`Reason::UnknownVersion`].
    pub fn at(&self, headers: Option<u64>) -> Known<Go> {
        let variables = self.variables.clone()?;
        let headers = headers.ok_or(Reason::Ended)?;
        let moved = headers.wrapping_sub(variables.headers);
        Ok(Go {
            controller: variables.controller.wrapping_add(moved),
            stats: variables.stats.wrapping_add(moved),
            fields: variables.fields,
        })
    }
}

fn variables(elf: &Elf<'_>, fields: Fields) -> Known<Variables> {
    let names = ["runtime.gcController", "runtime.memstats"];
    let [controller, stats] = elf.symbols(elf::ALL, names);
    let symbols = controller.zip(stats).map(|(controller, stats)| (controller.address, stats.address));
    let found = symbols.or_else(|| stripped::variables(elf, fields));
    let (controller, stats) = found.ok_or(Reason::NoSymbolTable)?;
    Ok(Variables { controller, stats, fields, headers: elf.headers })
}

fn version(section: &[u8]) -> Option<Vec<u8>> {
    if !section.starts_with(BUILD_INFO) || section.get(15)? & TEXTS_FOLLOW == 0 {
        return None;
    }
    // A version is shorter than 128 bytes, so its length is one byte.
    let length = usize::from(*section.get(BUILD_INFO_HEADER)?);
    let start = BUILD_INFO_HEADER + 1;
    section.get(start..start + length).filter(|version| version.starts_with(b"go1.")).map(<[u8]>::to_vec)
}

/// `go1.22.10`, `go1.27rc1`, `go1.26.1 X:…` → 22, 27, 26.
fn minor(version: &[u8]) -> Option<u32> {
    let version = str::from_utf8(version.strip_prefix(b"go1.")?).ok()?;
    let end = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

/// Where a Go program keeps what it knows about its heap.
#[derive(Clone, Copy, Debug)]
pub struct Go {
    controller: u64,
    stats: u64,
    fields: Fields,
}

impl Go {
    /// # Errors
    /// [`Reason::Ended`], [`Reason::NotPermitted`] and [`Reason::Inconsistent`].
    pub fn heap(&self, memory: &Memory) -> Known<Heap> {
        for _ in 0..ATTEMPTS {
            let before = memory.u32(self.stats.wrapping_add(self.fields.count))?;
            let heap = self.read(memory, before)?;
            if memory.u32(self.stats.wrapping_add(self.fields.count))? == before {
                return Ok(heap);
            }
        }
        Err(Reason::Inconsistent("the program collects faster than its variables can be read"))
    }

    fn read(&self, memory: &Memory, count: u32) -> Known<Heap> {
        let controller = |field| memory.u64(self.controller.wrapping_add(field));
        let stats = |field| memory.u64(self.stats.wrapping_add(field));
        let (live, marked) = (controller(self.fields.live)?, controller(self.fields.marked)?);
        let (in_use, mapped) = (controller(self.fields.in_use)?, controller(self.fields.mapped)?);
        let limit = controller(LIMIT)?;
        let percent = memory.u32(self.controller.wrapping_add(PERCENT))?.cast_signed();
        // A wrong layout, or another program's memory, hardly ever passes this.
        let most = mapped.saturating_add(SLACK);
        let fits = percent >= GC_PERCENT_OFF && (1..=NO_LIMIT).contains(&limit);
        if !fits || marked > live.saturating_add(SLACK) || live > most || in_use > most || mapped >> 47 != 0 {
            return Err(Reason::Inconsistent("the sizes of the Go heap contradict one another"));
        }
        let ended = stats(self.fields.ended)?;
        Ok(Heap {
            live: if count == 0 { Err(Reason::NoCollection) } else { Ok(marked) },
            basis: Basis::WholeHeap,
            live_after_full: (count > 0).then_some(marked),
            objects: None,
            metadata: None,
            capacity: Some(in_use),
            limit: (limit < NO_LIMIT).then_some(limit),
            collections: Ok(u64::from(count)),
            full_collections: Ok(u64::from(count)),
            paused: stats(self.fields.paused).map(Duration::from_nanos),
            last_full: (count > 0).then(|| Duration::from_nanos(ended)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{BUILD_INFO, minor, version};

    fn section(length: u8, text: &[u8]) -> Vec<u8> {
        [&BUILD_INFO[..], &[8, 2], &[0; 16], &[length], text].concat()
    }

    #[test]
    fn the_version_is_read_from_the_build_information() {
        assert_eq!(version(&section(9, b"go1.22.10rest")).as_deref(), Some(&b"go1.22.10"[..]));
        assert_eq!(version(&section(9, b"go1.22")), None);
        assert_eq!(version(&section(3, b"abc")), None);
        assert_eq!(version(&BUILD_INFO[..]), None);
    }

    #[test]
    fn a_minor_version_ends_where_its_digits_end() {
        for (text, expected) in [
            ("go1.22.10", Some(22)),
            ("go1.27rc1", Some(27)),
            ("go1.26.1 X:nosynchashtriemap", Some(26)),
            ("go1.", None),
            ("go1.99999999999", None),
        ] {
            assert_eq!(minor(text.as_bytes()), expected, "{text}");
        }
    }
}
