//! The format of a recording: a head that every version can read, then frames, each of which can be read by itself.
//! See docs/recording.md.
//!
//! All numbers are little-endian. The head is fixed for all versions: the magic, the format's version (`u32`), the
//! length (`u8`) and bytes of the writer's own version, and the CRC-32 of all these. A frame is a header of
//! [`HEADER`] bytes and a payload: facts in postcard's encoding, one after the other, compressed with zstd.
//! Lengths are known and bounded before anything is allocated for them.

use std::io::{self, BufRead, Read as _, Seek};

/// First bytes of every recording.
pub const MAGIC: [u8; 8] = *b"observer";
/// The format that is written. It changes if an older reader would misread it; new kinds of facts do not change it.
pub const VERSION: u32 = 1;
/// The most bytes of a frame after decompression: more is neither written nor accepted.
pub const MAX_RAW: usize = 16 << 20;
/// The most bytes that zstd can make of them, with a margin.
const MAX_PACKED: usize = MAX_RAW + (MAX_RAW >> 7);
/// Size of a frame's header.
pub const HEADER: usize = 24;
/// First bytes of every frame: a reader searches for them after a damaged one.
const MARKER: [u8; 4] = [0xf7, b'o', b'b', 0x9e];

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Facts in their order.
    Changes,
    /// A part of the values of all slots at this position: useful only if something before it was lost.
    Key { first: bool, last: bool },
    /// The recording ends here, complete.
    End,
    /// From a later version, to be ignored.
    Unknown,
}

impl Kind {
    const fn code(self) -> [u8; 4] {
        match self {
            Self::Changes => [1, 0, 0, 0],
            Self::Key { first, last } => [2, first as u8 | (last as u8) << 1, 0, 0],
            Self::End => [3, 0, 0, 0],
            Self::Unknown => [0; 4],
        }
    }

    const fn from_code(code: [u8; 4]) -> Self {
        match code[0] {
            1 => Self::Changes,
            2 => Self::Key { first: code[1] & 1 != 0, last: code[1] & 2 != 0 },
            3 => Self::End,
            _ => Self::Unknown,
        }
    }
}

/// The head of a recording written by this version.
pub fn head() -> Vec<u8> {
    let writer = env!("CARGO_PKG_VERSION").as_bytes();
    let mut head = Vec::from(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.push(writer.len() as u8);
    head.extend(writer);
    head.extend(crc32fast::hash(&head).to_le_bytes());
    head
}

/// The bytes of a frame; `packed` is the compressed form of `raw` bytes.
pub fn frame(kind: Kind, raw: usize, packed: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + packed.len());
    frame.extend(MARKER);
    frame.extend(kind.code());
    frame.extend((packed.len() as u32).to_le_bytes());
    frame.extend((raw as u32).to_le_bytes());
    frame.extend(crc32fast::hash(packed).to_le_bytes());
    frame.extend(crc32fast::hash(&frame).to_le_bytes());
    frame.extend(packed);
    frame
}

/// The head of a recording, as read.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// Format version, and the version of observer that wrote it.
    Recording(u32, String),
    /// It begins like a recording, but its head is cut off or its checksum is wrong.
    Damaged,
    Foreign,
}

/// Why there is no next frame at this position.
#[derive(Debug)]
pub enum Fault {
    Read(io::Error),
    /// The file ends inside a frame, or between two frames without an end frame.
    Cut,
    /// No header where one should be.
    Header,
    /// The header is valid and its payload is not; the reader is after the frame.
    Payload(Kind),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Reads a recording frame by frame.
#[derive(Debug)]
pub struct Frames<R> {
    reader: R,
    at: u64,
    packed: Vec<u8>,
}

impl<R: BufRead + Seek> Frames<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(mut reader: R) -> io::Result<(Head, Self)> {
        let mut head = Vec::new();
        reader.by_ref().take(13).read_to_end(&mut head)?;
        if !head.starts_with(&MAGIC) {
            return Ok((Head::Foreign, Self { reader, at: 0, packed: Vec::new() }));
        }
        let writer = head.get(12).copied().map_or(0, usize::from);
        reader.by_ref().take(writer as u64 + 4).read_to_end(&mut head)?;
        let frames = Self { reader, at: head.len() as u64, packed: Vec::new() };
        if head.len() != 13 + writer + 4
            || crc32fast::hash(&head[..13 + writer]) != number(&head[13 + writer..])
        {
            return Ok((Head::Damaged, frames));
        }
        // A version is ASCII; other bytes of a hostile file must not reach a terminal.
        let writer = head[13..13 + writer].iter().copied().filter(u8::is_ascii_graphic).map(char::from);
        Ok((Head::Recording(number(&head[8..]), writer.collect()), frames))
    }

    /// The position of the reader, in bytes from the start of the file.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Reads the next frame, its payload decompressed into `raw`.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn next(&mut self, raw: &mut Vec<u8>) -> Result<Kind, Fault> {
        let mut header = Vec::with_capacity(HEADER);
        self.reader.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        if header.len() < HEADER {
            self.at += header.len() as u64;
            return Err(Fault::Cut);
        }
        let Some((kind, packed, length, checksum)) = parse(&header) else {
            self.reader.seek_relative(-(HEADER as i64))?;
            return Err(Fault::Header);
        };
        self.packed.clear();
        self.reader.by_ref().take(packed as u64).read_to_end(&mut self.packed)?;
        self.at += (HEADER + self.packed.len()) as u64;
        if self.packed.len() < packed {
            return Err(Fault::Cut);
        }
        if crc32fast::hash(&self.packed) != checksum {
            return Err(Fault::Payload(kind));
        }
        raw.clear();
        if length > 0 && !matches!(kind, Kind::Unknown) {
            // A buffer of exactly the announced size: zstd rejects a frame that unpacks to more.
            *raw = zstd::bulk::decompress(&self.packed, length).map_err(|_| Fault::Payload(kind))?;
        }
        Ok(kind)
    }

    /// Reads the header of the next frame and moves behind the frame. Returns its kind and the length of its payload
    /// after decompression.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn skip(&mut self) -> Result<(Kind, usize), Fault> {
        let mut header = Vec::with_capacity(HEADER);
        self.reader.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        if header.len() < HEADER {
            return Err(Fault::Cut);
        }
        let Some((kind, packed, raw, _)) = parse(&header) else {
            self.reader.seek_relative(-(HEADER as i64))?;
            return Err(Fault::Header);
        };
        self.reader.seek_relative(packed as i64)?;
        self.at += (HEADER + packed) as u64;
        Ok((kind, raw))
    }

    /// Moves to the frame that begins at this position, as [`Self::at`] gave it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn go_to(&mut self, at: u64) -> io::Result<()> {
        self.reader.seek(io::SeekFrom::Start(at))?;
        self.at = at;
        Ok(())
    }

    /// Moves to the next position that can be a frame; returns `false` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn resynchronise(&mut self) -> io::Result<bool> {
        let mut window = [0; HEADER];
        let mut filled = 0;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let length = buffer.len();
            for (used, byte) in buffer.iter().enumerate() {
                window.rotate_left(1);
                window[HEADER - 1] = *byte;
                filled += 1;
                // The first position is the current one, and has no valid header.
                if filled > HEADER && window.starts_with(&MARKER) && parse(&window).is_some() {
                    self.reader.consume(used + 1);
                    self.reader.seek_relative(-(HEADER as i64))?;
                    self.at += used as u64 + 1 - HEADER as u64;
                    return Ok(true);
                }
            }
            self.reader.consume(length);
            self.at += length as u64;
        }
    }
}

/// Kind, lengths (packed, raw) and the payload's checksum; `None` for an invalid header.
fn parse(header: &[u8]) -> Option<(Kind, usize, usize, u32)> {
    let whole = header.starts_with(&MARKER) && crc32fast::hash(&header[..20]) == number(&header[20..]);
    let (packed, raw) = (number(&header[8..]) as usize, number(&header[12..]) as usize);
    if !whole || packed > MAX_PACKED || raw > MAX_RAW {
        return None;
    }
    let kind = Kind::from_code([header[4], header[5], header[6], header[7]]);
    Some((kind, packed, raw, number(&header[16..])))
}

/// The first four bytes as a number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
