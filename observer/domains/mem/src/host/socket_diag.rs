//! Unread data in sockets of observer's network namespace, from the kernel's socket monitoring (`sock_diag`).

use rustix::{
    io,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG, recv, send,
        socket_with,
    },
};

/// The size of the buffer for answers, in bytes: the kernel sends no larger piece.
const PIECE: usize = 32_768;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// Bytes of a message header.
const MESSAGE: usize = 16;
/// `UDIAG_SHOW_PEER | UDIAG_SHOW_MEMINFO`, and the attributes of the answer.
const SHOW_UNIX: u32 = 0x4 | 0x20;
const UNIX_PEER: u16 = 2;
const UNIX_MEMINFO: u16 = 5;
/// `PACKET_SHOW_RING_CFG`, and the attributes of the answer: the receive ring and the send ring.
const SHOW_RINGS: u32 = 0x4;
const PACKET_RINGS: [u16; 2] = [2, 3];
/// `SK_MEMINFO_WMEM_ALLOC`: the position in `UNIX_MEMINFO` of the memory of all sent and unread data, in bytes.
const WRITTEN: usize = 2;

/// Memory of the data that a unix socket has sent and its peer has not read, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnixQueue {
    /// Inode of the sending socket.
    pub writer: u64,
    /// Inode of the receiving socket; `None` without a connection.
    pub reader: Option<u64>,
    pub bytes: u64,
}

/// Every unix socket that has sent data that is still unread.
pub(super) fn unix_queues() -> io::Result<Vec<UnixQueue>> {
    // unix_diag_req: family, protocol, padding, states, inode, attributes to show, cookie.
    let request = [1_u32, u32::MAX, 0, SHOW_UNIX, u32::MAX, u32::MAX];
    let mut queues = Vec::new();
    dump(&request, |message| {
        // unix_diag_msg: family, type, state, padding, inode, cookie.
        let (Some(inode), Some(attributes)) = (word(message, 4), message.get(16..)) else { return };
        let written = attribute(attributes, UNIX_MEMINFO).and_then(|memory| word(memory, 4 * WRITTEN));
        let reader = attribute(attributes, UNIX_PEER).and_then(|peer| word(peer, 0));
        if let Some(bytes) = written.filter(|bytes| *bytes > 0) {
            queues.push(UnixQueue {
                writer: inode.into(),
                reader: reader.map(u64::from),
                bytes: bytes.into(),
            });
        }
    })?;
    Ok(queues)
}

/// Every packet socket with rings: inode, bytes of its rings.
pub(super) fn packet_rings() -> io::Result<Vec<(u64, u64)>> {
    // packet_diag_req: family, protocol, padding, inode, attributes to show, cookie.
    let request = [17_u32, 0, SHOW_RINGS, u32::MAX, u32::MAX];
    let mut rings = Vec::new();
    dump(&request, |message| {
        // packet_diag_msg: family, type, number, inode, cookie. packet_diag_ring: block size, number of blocks, …
        let (Some(inode), Some(attributes)) = (word(message, 4), message.get(16..)) else { return };
        let ring = |kind: &u16| {
            let ring = attribute(attributes, *kind)?;
            Some(u64::from(word(ring, 0)?) * u64::from(word(ring, 4)?))
        };
        let bytes = PACKET_RINGS.iter().filter_map(ring).fold(0, u64::saturating_add);
        if bytes > 0 {
            rings.push((inode.into(), bytes));
        }
    })?;
    Ok(rings)
}

/// Sends `request`, and passes each message of the answer, without its header, to `each`.
fn dump(request: &[u32], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut bytes = Vec::new();
    bytes.extend(((MESSAGE + 4 * request.len()) as u32).to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    // The family is the first byte of the request, on machines of either byte order.
    if let Some((family, rest)) = request.split_first() {
        bytes.extend([*family as u8, 0, 0, 0]);
        bytes.extend(rest.iter().flat_map(|word| word.to_ne_bytes()));
    }
    send(&socket, &bytes, SendFlags::empty())?;
    let mut piece = vec![0; PIECE];
    loop {
        let (_, length) = recv(&socket, &mut piece[..], RecvFlags::TRUNC)?;
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

/// The value of the first attribute of type `kind`.
fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(half(bytes, 0)?);
        let value = bytes.get(4..length)?;
        if half(bytes, 2)? == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
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
