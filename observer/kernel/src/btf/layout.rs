//! The layout of type information: the kinds of types, and where each type begins.

use std::ops::Range;

/// The kinds that are looked up by name or followed; numbers as in the format.
pub mod kind {
    pub const INT: u32 = 1;
    pub const POINTER: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FORWARD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNCTION: u32 = 12;
    pub const PROTOTYPE: u32 = 13;
    pub const VARIABLE: u32 = 14;
    pub const SECTION: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECLARATION_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// The first bytes of BTF, in the byte order of its machine.
pub const MAGIC: u16 = 0xeb9f;

/// Why bytes are not type information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("no kernel type information: shorter than its header")]
    ShortHeader,
    #[error("no kernel type information: the first bytes are not those of BTF in this machine's byte order")]
    OtherMagic,
    #[error("no kernel type information: its types extend beyond its end")]
    LongTypes,
    #[error("no kernel type information: its names extend beyond its end")]
    LongNames,
    #[error("the types end in the middle of one")]
    CutType,
    #[error("the last type extends beyond the end of the types")]
    LongType,
    /// The types after it cannot be located.
    #[error("kind {kind} of type {id} is not known")]
    UnknownKind { kind: u32, id: usize },
}

/// The number at a position; `None` beyond the end.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Where each type begins.
///
/// # Errors
/// When the types are cut off, or one is of an unknown kind.
pub fn begins(bytes: &[u8], types: Range<usize>) -> Result<Vec<u32>, Damage> {
    let mut begins = Vec::with_capacity(types.len() / 24);
    let mut at = types.start;
    while at < types.end {
        let info = word(bytes, at + 4).ok_or(Damage::CutType)?;
        let count = (info & 0xffff) as usize;
        let more = match info >> 24 & 31 {
            kind::POINTER
            | kind::FORWARD
            | kind::TYPEDEF
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT
            | kind::FUNCTION
            | kind::FLOAT
            | kind::TYPE_TAG => 0,
            kind::INT | kind::VARIABLE | kind::DECLARATION_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::SECTION | kind::ENUM64 => count * 12,
            kind::ENUM | kind::PROTOTYPE => count * 8,
            unknown => {
                return Err(Damage::UnknownKind { kind: unknown, id: begins.len() + 1 });
            }
        };
        begins.push(at as u32);
        at += 12 + more;
    }
    if at > types.end {
        return Err(Damage::LongType);
    }
    Ok(begins)
}
