//! The format of netlink answers: messages, and the attributes in them.

/// Lengths of the headers of a message and of an attribute.
pub const MESSAGE: usize = 16;
pub const ATTRIBUTE: usize = 4;
/// The type of an attribute without its two flag bits.
const TYPE: u16 = 0x3fff;

/// The value of the first attribute with this type.
pub fn attribute(mut rest: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let (length, found) = (usize::from(half(rest, 0)?), half(rest, 2)? & TYPE);
        let value = rest.get(ATTRIBUTE..length)?;
        if found == kind {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// Four bytes at this offset, in native byte order.
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Two bytes at this offset, in native byte order.
pub fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
