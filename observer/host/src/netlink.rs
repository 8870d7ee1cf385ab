//! Netlink: questions to the kernel that it answers with many messages, and the format of messages and of the attributes
//! in them.

use std::os::fd::OwnedFd;

use rustix::{
    io,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv, send,
        socket_with,
    },
};

/// Lengths of the headers of a message and of an attribute.
pub const MESSAGE: usize = 16;
pub const ATTRIBUTE: usize = 4;
/// The type of an attribute without its two flag bits.
const TYPE: u16 = 0x3fff;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// The size of the buffer for answers, in bytes: the kernel sends no larger piece.
const PIECE: usize = 32_768;

/// A socket for questions about sockets (`sock_diag`) of the current network namespace.
///
/// # Errors
/// When the kernel creates none.
pub fn socket_diag() -> io::Result<OwnedFd> {
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))
}

/// Asks for every socket that `request` selects (`unix_diag_req`, `inet_diag_req_v2` and the like), and passes each
/// message of the answer, without its header, to `each`.
///
/// # Errors
/// When the kernel does not answer such a question, or its answer is malformed: more of that answer may come.
pub fn sockets(socket: &OwnedFd, request: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = Vec::from(((MESSAGE + request.len()) as u32).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(request);
    send(socket, &bytes, SendFlags::empty())?;
    let mut piece = vec![0; PIECE];
    loop {
        let (_, length) = recv(socket, &mut piece[..], RecvFlags::TRUNC)?;
        let mut rest = piece.get(..length).ok_or(io::Errno::MSGSIZE)?;
        while !rest.is_empty() {
            let length = word(rest, 0).ok_or(io::Errno::BADMSG)? as usize;
            let message = rest.get(MESSAGE..length).ok_or(io::Errno::BADMSG)?;
            match half(rest, 4).map(i32::from) {
                Some(libc::NLMSG_DONE) => return Ok(()),
                Some(libc::NLMSG_ERROR) => return Err(io::Errno::OPNOTSUPP),
                _ => each(message),
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_behind_others_and_a_cut_one_is_none() {
        let bytes = [5_u8, 0, 1, 0, 9, 0, 0, 0, 8, 0, 2, 0, 1, 2, 3, 4];
        assert_eq!(attribute(&bytes, 2), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&bytes[..14], 2), None);
        assert_eq!(attribute(&[0; 8], 2), None);
    }
}
