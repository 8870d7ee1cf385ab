//! Queues of listeners and of datagram sockets, as the kernel's `sock_diag` reports them. It has the drops of a
//! datagram socket, which newer kernels count apart from the socket, and the accept queue of an MPTCP listener, which
//! is the accept queue of its first subflow.
//!
//! A netlink socket belongs to the network namespace in which it was created. So there is one for each namespace,
//! created by a thread that enters the namespace.

use std::{
    collections::HashMap,
    fs::{self, File},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::io;

use super::netns::{inside, namespace};
use crate::queries::NetQueries;
use observer_core::facts::{
    Fact,
    net::{NetFact, SocketQueueFact},
};
use observer_host::netlink::{self, attribute, word};

/// Lengths of `inet_diag_req_v2` and `inet_diag_msg`.
const REQUEST: usize = 56;
const ANSWER: usize = 72;
/// Offsets in `inet_diag_msg`.
const STATE: usize = 1;
const LOCAL: std::ops::Range<usize> = 4..6;
const LOCAL_ADDRESS: std::ops::Range<usize> = 8..24;
const COOKIE: usize = 44;
const QUEUED: usize = 56;
const LIMIT: usize = 60;
/// `INET_DIAG_SKMEMINFO`, and the drops in it.
const MEMORY: u16 = 7;
const DROPS: usize = 32;
/// `INET_DIAG_REQ_PROTOCOL`, for a protocol number that does not fit in a byte.
const PROTOCOL: u16 = 3;
const LISTEN: u8 = 10;

/// The netlink sockets, by network namespace.
#[derive(Debug, Default)]
pub struct SocketQueues {
    sockets: HashMap<u32, OwnedFd>,
}

impl SocketQueues {
    /// Answers for every namespace in `wants`.
    pub fn answer(&mut self, root: &Path, wants: &NetQueries, out: &mut Vec<Fact>) {
        self.sockets.retain(|netns, _| wants.queues.contains(netns));
        for &netns in &wants.queues {
            let sockets = self.read(root, netns);
            let refuses = fs::read_to_string(root.join("proc/sys/net/ipv4/tcp_abort_on_overflow"));
            let refuses = refuses.ok().map(|text| text.trim() != "0");
            out.push(Fact::Net(NetFact::SocketQueues { netns, sockets, refuses }));
        }
    }

    /// `None` if the kernel does not answer.
    fn read(&mut self, root: &Path, netns: u32) -> Option<Vec<SocketQueueFact>> {
        let socket = match self.sockets.remove(&netns) {
            Some(socket) => socket,
            None => socket_in(root, netns)?,
        };
        let found = all(&socket).ok()?;
        // After a malformed answer the socket is not kept: more of that answer may come.
        self.sockets.insert(netns, socket);
        Some(found)
    }
}

/// A netlink socket in this namespace.
fn socket_in(root: &Path, netns: u32) -> Option<OwnedFd> {
    if namespace(&root.join("proc/self")) == Some(netns) {
        return netlink::socket_diag().ok();
    }
    let folders = fs::read_dir(root.join("proc")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let folder: PathBuf = folders.into_iter().find(|folder| namespace(folder) == Some(netns))?;
    let file = File::open(folder.join("ns/net")).ok()?;
    inside(file, netlink::socket_diag)?.ok()
}

/// Listeners of MPTCP, and all datagram sockets.
fn all(socket: &OwnedFd) -> io::Result<Vec<SocketQueueFact>> {
    let (mut found, mut listeners) = (Vec::new(), HashMap::<Vec<u8>, Vec<u32>>::new());
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [libc::IPPROTO_UDP, libc::IPPROTO_UDPLITE] {
            // A kernel can lack one of these protocols.
            let _ = ask(socket, family, protocol, u32::MAX, |answer| found.extend(datagrams(answer)));
        }
        let listening = 1 << LISTEN;
        ask(socket, family, libc::IPPROTO_TCP, listening, |answer| {
            if let (Some(local), Some(drops)) = (local(answer), drops(answer)) {
                listeners.entry(local).or_default().push(drops);
            }
        })?;
        let _ = ask(socket, family, libc::IPPROTO_MPTCP, listening, |answer| {
            // The first subflow listens at the same address. If other sockets do so too, it is unknown which one is the
            // subflow.
            let drops = local(answer).and_then(|local| match listeners.get(&local)?[..] {
                [drops] => Some(drops),
                _ => None,
            });
            found.extend(multipath(answer, drops));
        });
    }
    Ok(found)
}

fn datagrams(answer: &[u8]) -> Option<SocketQueueFact> {
    Some(SocketQueueFact { cookie: cookie(answer)?, queued: None, queue_limit: None, drops: drops(answer) })
}

fn multipath(answer: &[u8], drops: Option<u32>) -> Option<SocketQueueFact> {
    let (queued, queue_limit) = (word(answer, QUEUED), word(answer, LIMIT));
    (*answer.get(STATE)? == LISTEN).then_some(())?;
    Some(SocketQueueFact { cookie: cookie(answer)?, queued, queue_limit, drops })
}

fn cookie(answer: &[u8]) -> Option<u64> {
    Some(u64::from(word(answer, COOKIE)?) | u64::from(word(answer, COOKIE + 4)?) << 32)
}

fn local(answer: &[u8]) -> Option<Vec<u8>> {
    Some([answer.get(LOCAL)?, answer.get(LOCAL_ADDRESS)?].concat())
}

fn drops(answer: &[u8]) -> Option<u32> {
    word(attribute(answer.get(ANSWER..)?, MEMORY)?, DROPS)
}

/// Calls `each` for every socket of this kind in one of these `states`.
fn ask(socket: &OwnedFd, family: i32, protocol: i32, states: u32, each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut request = vec![0; REQUEST];
    request[0] = family as u8;
    request[1] = u8::try_from(protocol).unwrap_or(u8::MAX);
    request[2] = 1 << (MEMORY - 1);
    request[4..8].copy_from_slice(&states.to_ne_bytes());
    if protocol > i32::from(u8::MAX) {
        request.extend(8u16.to_ne_bytes());
        request.extend(PROTOCOL.to_ne_bytes());
        request.extend(protocol.to_ne_bytes());
    }
    netlink::sockets(socket, &request, each)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn the_kernel_reports_the_drops_of_a_socket_for_datagrams() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = receiver.local_addr().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..1000 {
            sender.send_to(&[7; 1000], local).unwrap();
        }
        let mut queues = SocketQueues::default();
        let netns = namespace(Path::new("/proc/self")).unwrap();
        let found = queues.read(Path::new("/"), netns).unwrap();
        assert!(found.iter().any(|socket| socket.drops.is_some_and(|drops| drops > 0)), "{found:?}");
    }
}
