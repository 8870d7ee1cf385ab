//! Reads and removes entries of the kernel's maps as bytes. The decoder of a domain knows what an entry means.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use aya::maps::{Map, MapData};

/// Commands of `bpf(2)`.
const LOOKUP: libc::c_long = 1;
const UPDATE: libc::c_long = 2;
const DELETE: libc::c_long = 3;
const NEXT_KEY: libc::c_long = 4;

/// `union bpf_attr` for the commands on map elements.
#[repr(C)]
#[derive(Default)]
struct Element {
    map: u32,
    _padding: u32,
    key: u64,
    /// Address of the buffer for the value or the next key, or of the value to write.
    out: u64,
    flags: u64,
}

/// Bytes of a map's keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntrySize {
    key: usize,
    value: usize,
}

impl EntrySize {
    /// As the kernel reports it for a hash map or an array. Their values are not per CPU, so the reported size is the
    /// size of a value.
    pub fn of(map: &Map) -> Option<Self> {
        let info = whole(map)?.info().ok()?;
        Some(Self { key: info.key_size() as usize, value: info.value_size() as usize })
    }
}

const fn whole(map: &Map) -> Option<&MapData> {
    match map {
        Map::HashMap(data) | Map::LruHashMap(data) | Map::Array(data) => Some(data),
        _ => None,
    }
}

/// A map of cumulative totals, or of values that control the programs.
pub struct TotalsMap<'a> {
    map: BorrowedFd<'a>,
    size: EntrySize,
}

impl<'a> TotalsMap<'a> {
    /// The map with the size of its entries; `None` if its values are per CPU.
    pub fn new(map: &'a Map, size: EntrySize) -> Option<Self> {
        Some(Self { map: MapData::fd(whole(map)?).as_fd(), size })
    }

    fn call(&self, command: libc::c_long, key: Option<&[u8]>, out: Option<&mut [u8]>) -> io::Result<()> {
        let element = Element {
            map: self.map.as_raw_fd() as u32,
            key: key.map_or(0, |key| key.as_ptr() as u64),
            out: out.map_or(0, |out| out.as_mut_ptr() as u64),
            ..Element::default()
        };
        // SAFETY: key and out outlive the call; the callers below make them as long as the map's keys and values.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, command, &raw const element, size_of::<Element>()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The value at `key`, if there is one.
    ///
    /// # Errors
    /// When the key has the wrong size, or the kernel returns an error.
    pub fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.check(key)?;
        let mut value = vec![0; self.size.value];
        match self.call(LOOKUP, Some(key), Some(&mut value)) {
            Ok(()) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates or replaces the entry at `key`.
    ///
    /// # Errors
    /// When key or value have the wrong size, or the kernel returns an error.
    pub fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.check(key)?;
        if value.len() != self.size.value {
            let text = format!("a value of {} bytes where the map has {}", value.len(), self.size.value);
            return Err(io::Error::other(text));
        }
        // The kernel only reads it.
        self.call(UPDATE, Some(key), Some(&mut value.to_vec()))
    }

    /// Removes the entry at `key`; a missing entry is no error.
    ///
    /// # Errors
    /// When the key has the wrong size, or the kernel returns an error.
    pub fn remove(&self, key: &[u8]) -> io::Result<()> {
        self.check(key)?;
        match self.call(DELETE, Some(key), None) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    /// Every key, once. If a key is removed meanwhile, the kernel starts its iteration again, so keys can repeat;
    /// repeated keys are left out.
    ///
    /// # Errors
    /// When the kernel returns an error.
    pub fn keys(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut seen = std::collections::HashSet::new();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut next = vec![0; self.size.key];
        let mut current: Option<Vec<u8>> = None;
        // Entries that come and go meanwhile could repeat the iteration forever: it ends after a full run without a
        // new key.
        let mut repeated = 0;
        loop {
            match self.call(NEXT_KEY, current.as_deref(), Some(&mut next)) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(keys),
                Err(error) => return Err(error),
            }
            if seen.insert(next.clone()) {
                keys.push(next.clone());
                repeated = 0;
            } else {
                repeated += 1;
                if repeated > keys.len() {
                    return Ok(keys);
                }
            }
            current = Some(next.clone());
        }
    }

    fn check(&self, key: &[u8]) -> io::Result<()> {
        if key.len() == self.size.key {
            Ok(())
        } else {
            Err(io::Error::other(format!("a key of {} bytes where the map has {}", key.len(), self.size.key)))
        }
    }
}
