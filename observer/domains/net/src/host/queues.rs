//! The queueing discipline at the root of every interface of this network namespace, read from the kernel's routing
//! socket: waiting bytes and packets, and drops.
//!
//! What cannot be seen: packets that wait in a device itself, and in the interfaces of other network namespaces.

use std::{collections::HashMap, os::fd::OwnedFd};

use rustix::{
    io,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice::index_to_name, recv, send,
        socket_with,
    },
};

use observer_core::facts::net::QueueFact;
use observer_host::netlink::{MESSAGE, attribute, half, word};

/// The kernel answers in pieces of at most this many bytes. This is its own limit on machines with large pages; with
/// its overhead, it fills two pages of the usual size.
const PIECE: usize = 8192 - 320;
/// Length of the header of a traffic control message.
const CONTROL: usize = 20;
/// `TC_H_ROOT`: the discipline that a packet meets first. A discipline with several queues counts the packets of all of
/// them.
const ROOT: u32 = u32::MAX;
/// `TCA_STATS_QUEUE`, within `TCA_STATS2`.
const STATS_QUEUE: u16 = 3;

/// Asks the kernel repeatedly through one socket.
#[derive(Debug, Default)]
pub struct Queues {
    /// `None` before the first answer, and after a malformed answer, which may have more pieces to come.
    socket: Option<OwnedFd>,
    piece: Vec<u8>,
}

impl Queues {
    /// The queue of each interface that has a discipline, by the interface's name.
    ///
    /// # Errors
    /// When the kernel does not answer, or its answer is malformed.
    pub fn read(&mut self) -> io::Result<HashMap<Vec<u8>, QueueFact>> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?,
        };
        let found = self.ask(&socket)?;
        self.socket = Some(socket);
        Ok(found)
    }

    fn ask(&mut self, socket: &OwnedFd) -> io::Result<HashMap<Vec<u8>, QueueFact>> {
        send(socket, &request(), SendFlags::empty())?;
        let mut found = HashMap::new();
        self.piece.resize(PIECE, 0);
        loop {
            let (_, length) = recv(socket, &mut self.piece[..], RecvFlags::TRUNC)?;
            // A truncated piece is longer than the bytes that were read.
            let bytes = self.piece.get(..length).ok_or(io::Errno::MSGSIZE)?;
            let whole = roots(bytes, |interface, queue| {
                // The interface may have been removed since.
                if let Ok(name) = index_to_name(socket, interface) {
                    found.insert(name.into_bytes(), queue);
                }
            })?;
            if whole {
                return Ok(found);
            }
        }
    }
}

/// A request for all disciplines.
fn request() -> [u8; MESSAGE + CONTROL] {
    let mut bytes = [0; MESSAGE + CONTROL];
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    bytes[..4].copy_from_slice(&((MESSAGE + CONTROL) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&libc::RTM_GETQDISC.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// Calls `each` for every root in one piece of the answer, with the index of its interface. Returns whether this was
/// the last piece.
fn roots(piece: &[u8], mut each: impl FnMut(u32, QueueFact)) -> io::Result<bool> {
    let mut rest = piece;
    while !rest.is_empty() {
        let length = word(rest, 0).ok_or(io::Errno::BADMSG)? as usize;
        let message = rest.get(MESSAGE..length).ok_or(io::Errno::BADMSG)?;
        match half(rest, 4).map(i32::from) {
            Some(libc::NLMSG_DONE) => return Ok(true),
            Some(libc::NLMSG_ERROR) => return Err(io::Errno::BADMSG),
            _ => {
                if let (Some(interface), Some(ROOT)) = (word(message, 4), word(message, 12))
                    && let Some(queue) = message.get(CONTROL..).and_then(queue)
                {
                    each(interface, queue);
                }
            }
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The queue that the attributes of a discipline describe.
fn queue(attributes: &[u8]) -> Option<QueueFact> {
    let of = attribute(attributes, libc::TCA_STATS2).and_then(|stats| attribute(stats, STATS_QUEUE))?;
    Some(QueueFact { packets: word(of, 0)?, bytes: word(of, 4)?, drops: word(of, 8)? })
}

#[cfg(test)]
mod tests {
    use observer_host::netlink::ATTRIBUTE;

    use super::*;

    fn attribute_of(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(((value.len() + ATTRIBUTE) as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(((content.len() + MESSAGE) as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(content);
        bytes
    }

    fn discipline(interface: u32, parent: u32, queue: [u32; 5]) -> Vec<u8> {
        let mut content = Vec::from([0; 4]);
        for number in [interface, 0x8001_0000, parent, 2] {
            content.extend(number.to_ne_bytes());
        }
        content.extend(attribute_of(1, b"fq_codel\0"));
        let queue: Vec<u8> = queue.into_iter().flat_map(u32::to_ne_bytes).collect();
        let basic = attribute_of(1, &[7; 12]);
        let stats = [basic, attribute_of(STATS_QUEUE | 0x8000, &queue)].concat();
        content.extend(attribute_of(libc::TCA_STATS2, &stats));
        message(libc::RTM_NEWQDISC, &content)
    }

    fn of(piece: &[u8]) -> io::Result<(bool, Vec<(u32, QueueFact)>)> {
        let mut found = Vec::new();
        let last = roots(piece, |interface, queue| found.push((interface, queue)))?;
        Ok((last, found))
    }

    #[test]
    fn roots_are_told_and_what_is_below_them_is_not() {
        let piece = [discipline(2, ROOT, [3, 4500, 17, 1, 9]), discipline(2, 0x8001_0001, [9; 5])].concat();
        let queue = QueueFact { packets: 3, bytes: 4500, drops: 17 };
        assert_eq!(of(&piece), Ok((false, vec![(2, queue)])));
        let piece = [discipline(3, ROOT, [0; 5]), message(libc::NLMSG_DONE as u16, &[0; 4])].concat();
        assert_eq!(of(&piece), Ok((true, vec![(3, QueueFact::default())])));
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_what_is_cut_off_too() {
        assert!(of(&message(libc::NLMSG_ERROR as u16, &[0xff; 4])).is_err());
        let piece = discipline(2, ROOT, [0; 5]);
        for length in 1..piece.len() {
            assert!(of(&piece[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_kernel_answers_with_loopback_at_least() {
        let mut queues = Queues::default();
        for _ in 0..2 {
            // `noqueue` has an entry too, while its interface is up.
            let found = queues.read().unwrap();
            assert!(found.contains_key(&b"lo"[..]), "{found:?}");
        }
    }
}
