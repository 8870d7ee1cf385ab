//! The counters that a JVM keeps in shared memory (`hsperfdata`, version 2), by name.
//!
//! A header of 32 bytes is followed by entries. Each has a name and either a number of 64 bits or a text.

use std::collections::HashMap;

use crate::elf::{u32_at, u64_at};

const HEADER: usize = 32;
const ENTRY: usize = 20;
const LITTLE_ENDIAN: u8 = 1;
/// JDK 17 has some 250, with every debugging flag some 900.
const MOST: u32 = 8192;

/// Counters of one reading.
#[derive(Debug)]
pub struct Counters<'a>(HashMap<&'a [u8], Value<'a>>);

#[derive(Debug)]
enum Value<'a> {
    Number(u64),
    Text(&'a [u8]),
}

impl<'a> Counters<'a> {
    /// Finds the counters in a copy of the shared memory.
    ///
    /// # Errors
    /// In words, how the bytes contradict the format.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        if bytes.len() < HEADER {
            return Err("the JVM's counters are cut off");
        }
        // The magic number is big endian on every machine.
        if bytes[..4] != [0xca, 0xfe, 0xc0, 0xc0] || bytes[4] != LITTLE_ENDIAN || bytes[5] != 2 {
            return Err("the JVM's counters are not of the known format");
        }
        if bytes[7] == 0 {
            return Err("the JVM has not finished writing its list of counters");
        }
        let used = bytes.get(..u32_at(bytes, 8) as usize).ok_or("the JVM's counters are cut off")?;
        let (mut at, count) = (u32_at(bytes, 24) as usize, u32_at(bytes, 28));
        if count > MOST || at < HEADER {
            return Err("the JVM's list of counters is larger than any that makes sense");
        }
        let mut counters = HashMap::with_capacity(count as usize);
        for _ in 0..count {
            let rest = used.get(at..).filter(|rest| rest.len() >= ENTRY);
            let rest = rest.ok_or("the JVM's list of counters is cut off")?;
            let length = u32_at(rest, 0) as usize;
            let entry = rest.get(..length).filter(|_| length >= ENTRY);
            let entry = entry.ok_or("a counter of the JVM has no possible length")?;
            let (name, value) = counter(entry).ok_or("a counter of the JVM is outside its entry")?;
            counters.insert(name, value);
            at += length;
        }
        Ok(Self(counters))
    }

    /// The number with this name; `None` if it is negative.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name.as_bytes())? {
            Value::Number(number) => i64::try_from(*number).is_ok().then_some(*number),
            Value::Text(_) => None,
        }
    }

    /// The text with this name.
    pub fn text(&self, name: &str) -> Option<&'a [u8]> {
        match self.0.get(name.as_bytes())? {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        }
    }
}

fn counter(entry: &[u8]) -> Option<(&[u8], Value<'_>)> {
    let name = until_zero(entry.get(u32_at(entry, 4) as usize..)?);
    let (elements, kind) = (u32_at(entry, 8) as usize, entry[12]);
    let value = entry.get(u32_at(entry, 16) as usize..)?;
    let value = match (kind, elements) {
        (b'J', 0) if value.len() >= 8 => Value::Number(u64_at(value, 0)),
        (b'B', 1..) => Value::Text(until_zero(value.get(..elements)?)),
        _ => return None,
    };
    Some((name, value))
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    memchr::memchr(0, bytes).map_or(bytes, |end| &bytes[..end])
}

/// Shared memory with these counters, as a JVM writes it.
#[cfg(test)]
pub fn made(numbers: &[(&str, u64)], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut entries = Vec::new();
    let numbers = numbers.iter().map(|(name, number)| (*name, 0, b'J', number.to_le_bytes().to_vec()));
    let texts = texts.iter().map(|(name, text)| {
        (*name, u32::try_from(text.len() + 1).unwrap(), b'B', [text.as_bytes(), b"\0"].concat())
    });
    let mut count = 0_u32;
    for (name, elements, kind, value) in numbers.chain(texts) {
        let data = (ENTRY + name.len() + 1).next_multiple_of(8);
        let length = (data + value.len()).next_multiple_of(8);
        let mut entry = Vec::new();
        for word in
            [u32::try_from(length).unwrap(), 20, elements, u32::from(kind), u32::try_from(data).unwrap()]
        {
            entry.extend(word.to_le_bytes());
        }
        entry.extend(name.as_bytes());
        entry.resize(data, 0);
        entry.extend(value);
        entry.resize(length, 0);
        entries.extend(entry);
        count += 1;
    }
    let mut bytes = vec![0xca, 0xfe, 0xc0, 0xc0, LITTLE_ENDIAN, 2, 0, 1];
    bytes.extend(u32::try_from(HEADER + entries.len()).unwrap().to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(32_u32.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(entries);
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Counters, HEADER, made};

    fn example() -> Vec<u8> {
        made(&[("a.number", 7), ("a.negative", u64::MAX)], &[("a.text", "G1")])
    }

    #[test]
    fn counters_are_found_by_name_and_type() {
        let bytes = example();
        let counters = Counters::parse(&bytes).unwrap();
        assert_eq!(counters.number("a.number"), Some(7));
        assert_eq!(counters.text("a.text"), Some(&b"G1"[..]));
        assert_eq!(counters.number("a.negative"), None);
        assert_eq!(counters.number("a.text"), None);
        assert_eq!(counters.text("a.number"), None);
    }

    #[test]
    fn a_cut_off_copy_is_an_error_at_every_length() {
        let bytes = example();
        let used = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        for length in 0..used {
            Counters::parse(&bytes[..length]).unwrap_err();
        }
    }

    #[test]
    fn a_copy_with_any_byte_replaced_is_read_or_an_error_and_never_a_panic() {
        let bytes = example();
        for at in 0..bytes.len().min(300) {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut torn = bytes.clone();
                torn[at] = value;
                if let Ok(counters) = Counters::parse(&torn) {
                    let _ = (counters.number("a.number"), counters.text("a.text"));
                }
            }
        }
    }

    #[test]
    fn an_entry_of_length_zero_does_not_hold_the_reader() {
        let mut bytes = example();
        bytes[HEADER..HEADER + 4].fill(0);
        assert_eq!(Counters::parse(&bytes).unwrap_err(), "a counter of the JVM has no possible length");
        let mut bytes = example();
        bytes[8..12].copy_from_slice(&100_u32.to_le_bytes());
        Counters::parse(&bytes).expect_err("entries go on behind what is used");
        let mut bytes = example();
        bytes[28..32].fill(0xff);
        Counters::parse(&bytes).unwrap_err();
    }
}
