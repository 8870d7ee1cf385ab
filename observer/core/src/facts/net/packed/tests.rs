//! An unpacked fact equals the packed one, whatever its members are.

use super::*;
use crate::facts::net::{ConnectionHandle, Counters, Holders, NetFact, SocketHandle, TcpMeasures, TcpTimes};

/// Random numbers, among them many of the edges: 0, 1, the greatest of each width.
struct Numbers(u64);

impl Numbers {
    fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, most: u64) -> u64 {
        (self.any() >> 33) % most
    }

    fn next(&mut self) -> u64 {
        let any = self.any();
        match self.below(8) {
            0 | 1 => 0,
            2 => 1,
            3 => u64::MAX,
            4 => 1 << (any % 64),
            5 => (1 << (any % 64)) - 1,
            _ => any >> (any % 64),
        }
    }

    fn half(&mut self) -> u32 {
        let any = self.any();
        match self.below(8) {
            0 | 1 => 0,
            2 => u32::MAX,
            3 => 1,
            4 => 1 << (any % 32),
            _ => any as u32 >> (any % 32),
        }
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    fn task(&mut self) -> TaskId {
        TaskId { start: self.next(), tgid: self.next() }
    }

    fn holders(&mut self, owner: Option<TaskId>) -> Holders {
        let count = [0, 1, 1, 2, 300][self.below(5) as usize];
        (0..count).map(|_| owner.filter(|_| self.flag()).unwrap_or_else(|| self.task())).collect()
    }

    fn endpoint(&mut self) -> Endpoint {
        let ip: IpAddr = match self.below(4) {
            0 => self.half().to_be_bytes().into(),
            1 => Ipv6Addr::from(u128::from(self.next()) << 64 | u128::from(self.next())).into(),
            // Mapped into IPv6 it is another address than the same of IPv4.
            2 => std::net::Ipv4Addr::from(self.half()).to_ipv6_mapped().into(),
            _ => IpAddr::from([127, 0, 0, 1]),
        };
        Endpoint::new(ip, self.half() as u16)
    }

    fn ends(&mut self) -> Endpoints {
        let (netns, local) = (self.half(), self.endpoint());
        let remote = match self.below(3) {
            0 => None,
            1 => Some(Endpoint::new(local.ip(), self.half() as u16)),
            _ => Some(self.endpoint()),
        };
        Endpoints { netns, local, remote }
    }

    fn fact(&mut self) -> ConnectionFact {
        let owner = self.flag().then(|| self.task());
        ConnectionFact {
            cookie: self.next(),
            opened: self.next(),
            passive: self.flag(),
            owner,
            holders: self.holders(owner),
            ends: self.ends(),
            state: self.half() as u8,
            counters: Counters { tx: self.next(), rx: self.next(), retransmitted: self.next() },
            measures: TcpMeasures {
                srtt: self.half(),
                rtt_min: self.flag().then(|| self.half()),
                mss: self.half(),
                cwnd: self.half(),
                packets_out: self.half(),
                rate_delivered: self.half(),
                rate_interval: self.half(),
                delivered: self.half(),
                unsent: self.half(),
                unacked: self.half(),
                window: self.half(),
                unread: self.half(),
                pacing_rate: self.next(),
                chrono: [self.half(), self.half(), self.half()],
            },
            times: Some(self.times()),
        }
    }

    fn times(&mut self) -> TcpTimes {
        TcpTimes {
            last_sent: self.half(),
            last_received: self.half(),
            ssthresh: self.half(),
            lost: self.half(),
            app_limited: self.half(),
            segments_out: self.half(),
            segments_in: self.half(),
            send_buffer: self.half(),
            send_queued: self.half(),
            receive_buffer: self.half(),
            receive_window: self.half(),
        }
    }
}

#[test]
fn a_fact_unpacks_to_itself_whatever_was_packed_before() {
    let (mut numbers, mut packer) = (Numbers(7), Packer::default());
    for _ in 0..4_000 {
        let fact = numbers.fact();
        let packed = packer.pack(&fact);
        assert_eq!(packed.unpack(), fact);
        assert_eq!(packed.cookie(), fact.cookie);
    }
}

#[test]
fn packed_facts_are_equal_if_their_members_are_whatever_their_models() {
    let (mut numbers, mut packer) = (Numbers(9), Packer::default());
    for _ in 0..2_000 {
        let one = numbers.fact();
        let mut other = one.clone();
        match numbers.below(5) {
            0 => other.times = Some(numbers.times()),
            1 => other.holders = numbers.holders(one.owner),
            2 => other.measures.rtt_min = numbers.flag().then(|| numbers.half()),
            3 => other.ends.remote = None,
            _ => other.counters.rx = numbers.next(),
        }
        let (packed, again) = (packer.pack(&one), Packer::default().pack(&one));
        assert_eq!(packed, again);
        assert_eq!(packed == packer.pack(&other), one == other);
        assert_eq!(packed.is(&other), one == other);
    }
}

#[test]
fn a_fact_similar_to_its_model_takes_few_bytes() {
    let (mut numbers, mut packer) = (Numbers(15), Packer::default());
    let mut fact = numbers.fact();
    packer.pack(&fact);
    fact.cookie = fact.cookie.wrapping_add(200);
    let times = fact.times.as_mut().unwrap();
    times.last_sent = times.last_sent.wrapping_add(50);
    times.last_received = times.last_received.wrapping_add(50);
    assert!(packer.pack(&fact).0.slice.len() <= 6);
}

#[test]
fn a_holder_is_added_to_a_packed_fact_and_not_to_those_that_share_it() {
    let fact = Numbers(21).fact();
    let mut packed = ConnectionHandle::from(fact.clone());
    packed.pack(&mut Packer::default());
    let kept = SocketHandle::Connection(packed);
    let (mut changed, id) = (kept.clone(), TaskId { start: 5, tgid: 77 });
    changed.add_holder(id);
    assert!(changed.is_held_by(id) && !kept.is_held_by(id));
    let mut expected = fact.clone();
    expected.holders.push(id);
    assert_eq!(changed, SocketHandle::Connection(expected.into()));
    assert_eq!(kept, SocketHandle::Connection(fact.into()));
}

#[test]
fn a_recording_holds_the_members_and_then_the_times_whether_packed_or_not() {
    let mut numbers = Numbers(17);
    for _ in 0..200 {
        let fact = numbers.fact();
        let mut handle = ConnectionHandle::from(fact.clone());
        let plain = NetFact::Connection(handle.clone());
        handle.pack(&mut Packer::default());
        assert!(handle.packed().is_some());
        let bytes = postcard::to_stdvec(&(8_u32, &fact, fact.times.unwrap())).unwrap();
        for fact in [plain, NetFact::Connection(handle)] {
            assert_eq!(postcard::to_stdvec(&fact).unwrap(), bytes);
            assert_eq!(postcard::from_bytes::<NetFact>(&bytes).unwrap(), fact);
        }
    }
}

#[test]
fn a_connection_without_times_is_recorded_as_such_and_never_packed() {
    let fact = ConnectionFact { times: None, ..Numbers(19).fact() };
    let mut handle = ConnectionHandle::from(fact.clone());
    handle.pack(&mut Packer::default());
    assert!(handle.packed().is_none());
    let bytes = postcard::to_stdvec(&(0_u32, &fact)).unwrap();
    let fact = NetFact::UntimedConnection(handle);
    assert_eq!(postcard::to_stdvec(&fact).unwrap(), bytes);
    assert_eq!(postcard::from_bytes::<NetFact>(&bytes).unwrap(), fact);
}
