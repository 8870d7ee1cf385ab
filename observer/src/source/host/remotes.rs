//! Names of remote addresses, asked for in the background: a name server that does not answer holds up no report.

use std::{
    collections::HashSet,
    ffi::CStr,
    net::{IpAddr, SocketAddr},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use crate::observation::{Observation, net::NetFact};

/// Addresses that are remembered as asked for; beyond, all may be asked for again.
const REMEMBERED: usize = 4096;

/// A thread that asks, one address at a time. It ends with this.
pub struct Remotes {
    questions: Sender<IpAddr>,
    answers: Receiver<(IpAddr, Option<Vec<u8>>)>,
    asked: HashSet<IpAddr>,
}

impl Remotes {
    /// Starts the thread; `None` where there can be no more of them.
    #[must_use]
    pub fn start() -> Option<Self> {
        let (questions, asked) = channel();
        let (answer, answers) = channel();
        let ask = move || {
            for address in asked {
                if answer.send((address, name(address))).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("names".to_owned()).spawn(ask).ok()?;
        Some(Self { questions, answers, asked: HashSet::new() })
    }

    /// Asks for what was not asked for before.
    pub fn ask(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            if self.asked.len() >= REMEMBERED {
                self.asked.clear();
            }
            if self.asked.insert(address) {
                // The thread is gone only when this is.
                let _ = self.questions.send(address);
            }
        }
    }

    /// What has been answered meanwhile.
    pub fn answered(&self) -> impl Iterator<Item = Observation> + '_ {
        self.answers.try_iter().map(|(address, name)| Observation::Net(NetFact::RemoteName { address, name }))
    }
}

/// The name of an address as the machine's resolver knows it; `None` where it knows none.
fn name(address: IpAddr) -> Option<Vec<u8>> {
    let mut host = [0_u8; 1025];
    let address = SocketAddr::new(address, 0);
    // SAFETY: the address is a valid one of the length that is given, and so is the room for the name.
    let found = unsafe {
        let (v4, v6);
        let (place, length): (*const libc::sockaddr, usize) = match address {
            SocketAddr::V4(address) => {
                let mut place: libc::sockaddr_in = std::mem::zeroed();
                place.sin_family = libc::AF_INET as libc::sa_family_t;
                place.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
                v4 = place;
                ((&raw const v4).cast(), size_of_val(&v4))
            }
            SocketAddr::V6(address) => {
                let mut place: libc::sockaddr_in6 = std::mem::zeroed();
                place.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                place.sin6_addr.s6_addr = address.ip().octets();
                v6 = place;
                ((&raw const v6).cast(), size_of_val(&v6))
            }
        };
        libc::getnameinfo(
            place,
            length as libc::socklen_t,
            host.as_mut_ptr().cast(),
            host.len() as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if found != 0 {
        return None;
    }
    Some(CStr::from_bytes_until_nul(&host).ok()?.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_is_asked_for_once_and_told_whether_it_has_a_name_or_not() {
        let mut remotes = Remotes::start().unwrap();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        remotes.ask([address, address]);
        remotes.ask([address]);
        let (told, name) = remotes.answers.recv().unwrap();
        assert_eq!(told, address);
        // The machine's own table of names says what it is called, if it has one.
        let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let line = table.lines().find(|line| line.split_whitespace().next() == Some("127.0.0.1"));
        if let Some(first) = line.and_then(|line| line.split_whitespace().nth(1)) {
            assert_eq!(name.as_deref(), Some(first.as_bytes()));
        }
        drop(remotes.questions);
        assert!(remotes.answers.recv().is_err(), "it was asked for once");
    }
}
