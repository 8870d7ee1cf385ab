//! Names of peer addresses, resolved in the background: a name server that does not answer delays no report.

use std::{
    collections::HashSet,
    ffi::CStr,
    net::{IpAddr, SocketAddr},
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

use observer_core::facts::{Fact, net::NetFact};

/// The number of answered addresses to remember. Addresses beyond that may be resolved again.
const REMEMBERED: usize = 4096;
/// Questions that wait for a slow name server. Others are asked later, if they are still needed.
const WAITING: usize = 64;

/// A thread that resolves one address at a time. It ends when this value is dropped.
pub struct Remotes {
    questions: SyncSender<IpAddr>,
    answers: Receiver<(IpAddr, Option<Vec<u8>>)>,
    unanswered: HashSet<IpAddr>,
    answered: HashSet<IpAddr>,
}

impl Remotes {
    /// Starts the thread. `None` if the system allows no more threads.
    pub fn start() -> Option<Self> {
        Self::of(name)
    }

    fn of(name: impl Fn(IpAddr) -> Option<Vec<u8>> + Send + 'static) -> Option<Self> {
        let (questions, asked) = sync_channel(WAITING);
        // The channel holds at most one answer for each question since the last read.
        let (answer, answers) = channel();
        let ask = move || {
            for address in asked {
                if answer.send((address, name(address))).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("names".to_owned()).spawn(ask).ok()?;
        Some(Self { questions, answers, unanswered: HashSet::new(), answered: HashSet::new() })
    }

    /// Asks for addresses that were not asked for before, until the queue of questions is full.
    pub fn ask(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            if self.unanswered.contains(&address) || self.answered.contains(&address) {
                continue;
            }
            if self.questions.try_send(address).is_err() {
                break;
            }
            self.unanswered.insert(address);
        }
    }

    /// The answers since the last call.
    pub fn answered(&mut self) -> Vec<Fact> {
        let told: Vec<_> = self.answers.try_iter().collect();
        told.into_iter().map(|(address, name)| self.told(address, name)).collect()
    }

    fn told(&mut self, address: IpAddr, name: Option<Vec<u8>>) -> Fact {
        self.unanswered.remove(&address);
        if self.answered.len() >= REMEMBERED {
            self.answered.clear();
        }
        self.answered.insert(address);
        Fact::Net(NetFact::RemoteName { address, name })
    }
}

/// The name of an address from the machine's resolver; `None` if the resolver knows none.
fn name(address: IpAddr) -> Option<Vec<u8>> {
    let mut host = [0_u8; 1025];
    let address = SocketAddr::new(address, 0);
    // SAFETY: the address is valid and has the given length, and so has the buffer for the name.
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
    use std::{net::Ipv4Addr, sync::mpsc::RecvTimeoutError, time::Duration};

    use super::*;

    /// The longest time for an answer; a correct run needs far less.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn an_address_is_asked_for_once_and_told_whether_it_has_a_name_or_not() {
        let mut remotes = Remotes::start().unwrap();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        remotes.ask([address, address]);
        remotes.ask([address]);
        let (told, name) = remotes.answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(told, address);
        // The machine's own hosts file has the name, if there is one.
        let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let line = table.lines().find(|line| line.split_whitespace().next() == Some("127.0.0.1"));
        if let Some(first) = line.and_then(|line| line.split_whitespace().nth(1)) {
            assert_eq!(name.as_deref(), Some(first.as_bytes()));
        }
        drop(remotes.questions);
        let more = remotes.answers.recv_timeout(PATIENCE);
        assert_eq!(more, Err(RecvTimeoutError::Disconnected), "it was asked for once");
    }

    #[test]
    fn while_a_name_server_does_not_answer_little_waits_and_nothing_is_asked_for_twice() {
        let (release, held) = channel::<()>();
        let slow = move |address: IpAddr| {
            let _ = held.recv();
            Some(address.to_string().into_bytes())
        };
        let mut remotes = Remotes::of(slow).unwrap();
        let all: Vec<IpAddr> = (0..1000).map(|number| IpAddr::from(Ipv4Addr::from(number))).collect();
        for _ in 0..10 {
            remotes.ask(all.iter().copied());
        }
        // One address is being resolved, the others wait.
        assert!((WAITING..=WAITING + 1).contains(&remotes.unanswered.len()), "{}", remotes.unanswered.len());
        drop(release);
        let mut told = HashSet::new();
        while told.len() < all.len() {
            let (address, name) = remotes.answers.recv_timeout(PATIENCE).unwrap();
            assert_eq!(name, Some(address.to_string().into_bytes()));
            assert!(told.insert(address), "{address} was asked for twice");
            remotes.told(address, name);
            remotes.ask(all.iter().copied());
        }
        assert!(remotes.unanswered.is_empty());
    }

    #[test]
    fn what_is_not_answered_yet_is_not_forgotten() {
        let (release, held) = channel::<()>();
        let slow = move |_: IpAddr| {
            let _ = held.recv();
            None
        };
        let mut remotes = Remotes::of(slow).unwrap();
        let waiting = IpAddr::from(Ipv4Addr::LOCALHOST);
        remotes.ask([waiting]);
        for number in 0..=REMEMBERED as u32 {
            remotes.told(IpAddr::from(Ipv4Addr::from(number)), None);
        }
        assert!(remotes.answered.len() <= REMEMBERED);
        remotes.ask([waiting]);
        drop(release);
        drop(remotes.questions);
        assert_eq!(remotes.answers.iter().collect::<Vec<_>>(), [(waiting, None)]);
    }
}
