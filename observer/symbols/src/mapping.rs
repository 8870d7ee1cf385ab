//! One line of `/proc/PID/maps`: a range of addresses and the file behind it.

/// A range of executable memory, or of another kind if it has a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    /// Bytes from the start of the file.
    pub offset: u64,
    pub executable: bool,
    /// The path as the process has it; empty for memory without a file, in brackets for what the kernel made (`[vdso]`).
    pub path: Vec<u8>,
}

impl Mapping {
    /// Parses `start-end rwxp offset major:minor inode path`. `None` for a line of another form.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut rest = line;
        let [addresses, permissions, offset, _, _] = std::array::from_fn(|_| field(&mut rest));
        let (start, end) = str::from_utf8(addresses).ok()?.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        Some(Self {
            start: number(start)?,
            end: number(end)?,
            offset: number(str::from_utf8(offset).ok()?)?,
            executable: permissions.contains(&b'x'),
            path: rest.trim_ascii_start().to_vec(),
        })
    }

    /// Whether a file is behind it.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.path.starts_with(b"/")
    }

    /// The place of `address` in the file, in bytes; `None` outside of the range.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        (self.start..self.end).contains(&address).then(|| address - self.start + self.offset)
    }
}

/// Takes the next field and the spaces before it.
fn field<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let text = rest.trim_ascii_start();
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let (field, after) = text.split_at(end);
    *rest = after;
    field
}

#[cfg(test)]
mod tests {
    use super::Mapping;

    #[test]
    fn a_line_has_addresses_a_place_in_the_file_and_a_path_with_spaces() {
        let line = b"7f00-8000 r-xp 0001a000 fe:00 42                         /tmp/a b (deleted)";
        let mapping = Mapping::parse(line).expect("a line as the kernel writes it");
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f00, 0x8000, 0x1a000));
        assert!(mapping.executable && mapping.has_file());
        assert_eq!(mapping.path, b"/tmp/a b (deleted)");
        assert_eq!(mapping.file_offset(0x7f10), Some(0x1a010));
        assert_eq!(mapping.file_offset(0x8000), None);
    }

    #[test]
    fn memory_without_a_file_has_no_path() {
        let mapping = Mapping::parse(b"7f00-7fff rw-p 00000000 00:00 0 ").expect("a line");
        assert!(mapping.path.is_empty() && !mapping.executable && !mapping.has_file());
        assert!(!Mapping::parse(b"7f00-7fff r-xp 00000000 00:00 0 [vdso]").expect("a line").has_file());
        for line in [&b""[..], b"zz-1 r-xp 0 0 0 /", b"7f00 r-xp 0 0 0 /", b"1-2"] {
            assert_eq!(Mapping::parse(line), None, "{line:?}");
        }
    }
}
