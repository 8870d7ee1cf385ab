//! Unread data in sockets of observer's network namespace, from the kernel's socket monitoring (`sock_diag`).

use observer_host::netlink::{self, attribute, word};
use rustix::io;

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

/// Asks one question through a socket of its own.
fn dump(request: &[u32], each: impl FnMut(&[u8])) -> io::Result<()> {
    // The family is the first byte of the request, on machines of either byte order.
    let Some((family, rest)) = request.split_first() else { return Ok(()) };
    let mut bytes = vec![*family as u8, 0, 0, 0];
    bytes.extend(rest.iter().flat_map(|word| word.to_ne_bytes()));
    netlink::sockets(&netlink::socket_diag()?, &bytes, each)
}
