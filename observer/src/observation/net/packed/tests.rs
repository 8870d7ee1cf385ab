//! What is packed is what is unpacked, whatever its members are.

use std::net::{IpAddr, Ipv6Addr};

use super::*;
use crate::observation::{Observation, TaskId, net::NetFact};

/// Numbers as they may come: none, one, the least and the most of each width, and any.
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
            3 => [NEVER_LOWERED, NEVER_LOWERED - 1, NEVER_LOWERED + 1, NAMESPACES][(any % 4) as usize],
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

    fn ends(&mut self) -> Ends {
        let (netns, local) = (self.half(), self.endpoint());
        let remote = match self.below(3) {
            0 => None,
            1 => Some(Endpoint::new(local.ip(), self.half() as u16)),
            _ => Some(self.endpoint()),
        };
        Ends { netns, local, remote }
    }

    fn connection(&mut self) -> ConnectionFact {
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
            measures: Measures {
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
        }
    }

    fn pace(&mut self) -> Pace {
        Pace {
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

    fn socket(&mut self) -> SocketFact {
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Mptcp];
        SocketFact {
            cookie: self.next(),
            holders: self.holders(None),
            protocol: protocols[self.below(4) as usize],
            listening: self.flag(),
            ends: self.ends(),
            queued: self.half(),
            queue_limit: self.flag().then(|| self.half()),
            drops: self.half(),
        }
    }
}

/// It comes out as it went in, with its type and without, and a recording holds it as it is.
fn comes_back<F>(fact: F, into: impl Fn(Packed<F>) -> NetFact)
where
    F: Form + Clone + PartialEq + fmt::Debug + Serialize + for<'de> Deserialize<'de>,
{
    let packed = Packed::new(fact.clone());
    assert_eq!(packed.unpack(), fact);
    let bytes = postcard::to_stdvec(&fact).unwrap();
    assert_eq!(postcard::to_stdvec(&packed).unwrap(), bytes);
    assert_eq!(postcard::from_bytes::<Packed<F>>(&bytes).unwrap(), packed);
    let handle = packed.handle().clone();
    assert_eq!(Packed::<F>::from_handle(&handle).as_ref(), Some(&packed));
    assert_eq!(Observation::from(handle), Observation::Net(into(packed)));
}

#[test]
fn every_fact_comes_back_as_it_was() {
    let mut numbers = Numbers(7);
    for _ in 0..2_000 {
        let connection = numbers.connection();
        assert_eq!(Packed::new(connection.clone()).handle().cookie(), connection.cookie);
        assert_eq!(Packed::new(connection.clone()).handle().holders(), connection.holders);
        let paced = PacedFact { connection: connection.clone(), pace: numbers.pace() };
        assert_eq!(
            Packed::new(paced.clone()).handle().connection(),
            Some((connection.clone(), Some(paced.pace)))
        );
        comes_back(paced, NetFact::Paced);
        comes_back(connection, NetFact::Connection);
        comes_back(numbers.socket(), NetFact::Socket);
    }
}

#[test]
fn facts_are_equal_where_their_members_are() {
    let mut numbers = Numbers(9);
    for _ in 0..2_000 {
        let one = PacedFact { connection: numbers.connection(), pace: numbers.pace() };
        let mut other = one.clone();
        assert_eq!(Packed::new(one.clone()), Packed::new(other.clone()));
        match numbers.below(4) {
            0 => other.pace.receive_window = numbers.half(),
            1 => other.connection.holders = numbers.holders(one.connection.owner),
            2 => other.connection.measures.rtt_min = numbers.flag().then(|| numbers.half()),
            _ => other.connection.counters.rx = numbers.next(),
        }
        assert_eq!(Packed::new(one.clone()) == Packed::new(other.clone()), one == other);
    }
}

#[test]
fn a_fact_of_other_holders_is_else_the_same() {
    let mut numbers = Numbers(11);
    for _ in 0..500 {
        let (connection, pace) = (numbers.connection(), numbers.pace());
        let holders = numbers.holders(connection.owner);
        let held = ConnectionFact { holders: holders.clone(), ..connection.clone() };
        let expected = Packed::new(PacedFact { connection: held, pace });
        assert_eq!(&Packed::new(PacedFact { connection, pace }).handle().held_by(holders), expected.handle());
    }
}
