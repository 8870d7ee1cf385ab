//! What was told of a connection in a tenth of the bytes: as it is kept where there are very many, most of which stand
//! still.
//!
//! A fact is a row of whole numbers, and what is written of it is where that differs from the row of an earlier fact, its
//! model. Eight numbers have a byte that says which of them differ; by how much follows, in either direction, seven bits a
//! byte, the lowest first, the highest bit of a byte saying that more follow. Zeroes at the end are left out.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use smallvec::SmallVec;
use triomphe::ThinArc;

use super::{ConnectionFact, Counters, Endpoint, Endpoints, Holders, Pace, PacedFact, TcpMeasures};
use crate::facts::TaskId;

/// A fact that is not written in so many bytes is unlike the models, and becomes one …
const ALIKE: usize = 16;
/// … unless one was made so few facts ago: a model takes the room of ten facts, and stays while one of those is kept.
const LIKE_ONE: u32 = 512;

/// The members of a fact. There is room in place for those of a connection that ten processes hold.
type Row = SmallVec<[u64; 64]>;
type Bytes = SmallVec<[u8; 128]>;
/// The row of a fact that others are like.
type Model = ThinArc<(), u64>;

/// A fact about a connection in few bytes, shared by whoever keeps it.
#[derive(Clone)]
pub struct Packed(ThinArc<Model, u8>);

const _: () = assert!(size_of::<Option<Packed>>() == 8);

impl Packed {
    /// The kernel's number of the socket.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        self.members().next()
    }

    /// The fact.
    #[must_use]
    pub fn unpack(&self) -> PacedFact {
        fact(self.members())
    }

    /// Whether it is this fact.
    #[must_use]
    pub fn is(&self, fact: &PacedFact) -> bool {
        // Most differ in their first number, if at all.
        self.cookie() == fact.connection.cookie && self.unpack() == *fact
    }

    fn members(&self) -> Members<'_> {
        Members { model: &self.0.header.header.slice, bytes: &self.0.slice, provides: 0, left: 0 }
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        // After another model the same fact is other bytes.
        std::ptr::eq(&raw const self.0.slice, &raw const other.0.slice) || self.is(&other.unpack())
    }
}

impl Eq for Packed {}

impl fmt::Debug for Packed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(formatter)
    }
}

/// Packs facts, the one like the other.
#[derive(Debug, Default)]
pub struct Packer {
    /// The latest models: of what is near each other in a pass, some was opened and some was accepted.
    models: [Option<Model>; 2],
    /// Facts that the latest is still to be the model of.
    left: u32,
}

impl Packer {
    /// The fact in few bytes: like the one of the models that makes them the fewest.
    pub fn pack(&mut self, fact: &PacedFact) -> Packed {
        let row = row(fact);
        let like = |model: &Model| (written(&row, &model.slice), model.clone());
        let best = self.models.iter().flatten().map(like).min_by_key(|(bytes, _)| bytes.len());
        self.left = self.left.saturating_sub(1);
        let (bytes, model) =
            best.filter(|(bytes, _)| bytes.len() <= ALIKE || self.left > 0).unwrap_or_else(|| {
                let model = Model::from_header_and_slice((), &row);
                self.models.rotate_right(1);
                self.models[0] = Some(model.clone());
                self.left = LIKE_ONE;
                (Bytes::new(), model)
            });
        Packed(ThinArc::from_header_and_slice(model, &bytes))
    }
}

/// Where a row differs from a model.
fn written(row: &[u64], model: &[u64]) -> Bytes {
    let mut bytes = Bytes::new();
    let model = model.iter().copied().chain(std::iter::repeat(0));
    let mut provides = 0;
    for (at, (number, model)) in row.iter().zip(model).enumerate() {
        if at % 8 == 0 {
            provides = bytes.len();
            bytes.push(0);
        }
        let mut rest = apart(*number, model);
        if rest != 0 {
            bytes[provides] |= 1 << (at % 8);
            while rest > 0x7f {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// How far a number is from another, in either direction: small where they are near.
const fn apart(number: u64, other: u64) -> u64 {
    let distance = number.wrapping_sub(other).cast_signed();
    ((distance << 1) ^ (distance >> 63)).cast_unsigned()
}

/// The number that is so far from another.
const fn joined(apart: u64, other: u64) -> u64 {
    other.wrapping_add((apart >> 1) ^ (apart & 1).wrapping_neg())
}

/// The numbers of a row, read one after the other; beyond the last they are 0.
struct Members<'a> {
    model: &'a [u64],
    bytes: &'a [u8],
    provides: u8,
    left: u32,
}

impl Members<'_> {
    fn next(&mut self) -> u64 {
        let model = self.model.split_off_first().copied().unwrap_or(0);
        if self.left == 0 {
            self.provides = self.byte();
            self.left = u8::BITS;
        }
        let differs = self.provides & 1 == 1;
        self.provides >>= 1;
        self.left -= 1;
        if differs { joined(self.distance(), model) } else { model }
    }

    fn half(&mut self) -> u32 {
        self.next() as u32
    }

    fn byte(&mut self) -> u8 {
        self.bytes.split_off_first().copied().unwrap_or(0)
    }

    fn distance(&mut self) -> u64 {
        let (mut distance, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            distance |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return distance;
            }
            shift += 7;
        }
    }
}

/// What is there, and of which kind it is: the bits of one number of each row.
mod shape {
    pub const PASSIVE: u64 = 1;
    pub const OWNER: u64 = 1 << 1;
    pub const REMOTE: u64 = 1 << 2;
    pub const LOCAL_V6: u64 = 1 << 3;
    pub const REMOTE_V6: u64 = 1 << 4;
    pub const ROUND_TRIP: u64 = 1 << 5;
}

/// The members of a fact, those that differ most often first, for they are told together; [`fact`] reads them in the same
/// order.
fn row(PacedFact { connection, pace }: &PacedFact) -> Row {
    let ConnectionFact { cookie, opened, passive, owner, holders, ends, state, counters, measures } =
        connection;
    let Endpoints { netns, local, remote } = ends;
    let bits = [
        (*passive, shape::PASSIVE),
        (owner.is_some(), shape::OWNER),
        (remote.is_some(), shape::REMOTE),
        (local.ip().is_ipv6(), shape::LOCAL_V6),
        (remote.is_some_and(|remote| remote.ip().is_ipv6()), shape::REMOTE_V6),
        (measures.rtt_min.is_some(), shape::ROUND_TRIP),
    ];
    let shape = bits.iter().filter(|(is_so, _)| *is_so).map(|(_, bit)| bit).sum();
    let owner = owner.unwrap_or_default();
    let (near, far) = (address(*local), remote.map_or(Address::default(), address));
    let [busy, receiver, buffer] = measures.chrono;
    let mut row = Row::new();
    row.extend([*cookie, counters.tx, counters.rx, measures.pacing_rate, far.low]);
    let often = [
        near.port,
        far.port,
        measures.srtt,
        measures.rtt_min.unwrap_or(0),
        pace.last_sent,
        // Most often both are of about the same moment.
        pace.last_received.wrapping_sub(pace.last_sent),
        measures.delivered,
        pace.segments_out,
        pace.segments_in,
        measures.rate_interval,
        busy,
        measures.window,
        measures.cwnd,
        measures.rate_delivered,
        pace.receive_buffer,
        pace.receive_window,
        pace.send_buffer,
    ];
    row.extend(often.map(u64::from));
    row.extend([*opened, far.high, near.high, near.low, shape, (*netns).into(), (*state).into()]);
    row.extend([owner.start, owner.tgid, counters.retransmitted]);
    let seldom = [
        measures.mss,
        measures.packets_out,
        measures.unsent,
        measures.unacked,
        measures.unread,
        receiver,
        buffer,
        pace.ssthresh,
        pace.lost,
        pace.app_limited,
        pace.send_queued,
    ];
    row.extend(seldom.map(u64::from));
    row.push(holders.len() as u64);
    // Most often the owner alone holds it.
    row.extend(
        holders.iter().flat_map(|holder| {
            [holder.start.wrapping_sub(owner.start), holder.tgid.wrapping_sub(owner.tgid)]
        }),
    );
    row
}

/// The fact of which these are the members.
fn fact(mut members: Members<'_>) -> PacedFact {
    let (cookie, tx, rx, pacing_rate) = (members.next(), members.next(), members.next(), members.next());
    let mut far = Address { low: members.next(), ..Address::default() };
    let mut near = Address { port: members.half(), ..Address::default() };
    far.port = members.half();
    let (srtt, rtt_min, last_sent) = (members.half(), members.half(), members.half());
    let last_received = members.half().wrapping_add(last_sent);
    let (delivered, segments_out, segments_in) = (members.half(), members.half(), members.half());
    let (rate_interval, busy, window, cwnd) =
        (members.half(), members.half(), members.half(), members.half());
    let (rate_delivered, receive_buffer) = (members.half(), members.half());
    let (receive_window, send_buffer) = (members.half(), members.half());
    let opened = members.next();
    far.high = members.next();
    (near.high, near.low) = (members.next(), members.next());
    let shape = members.next();
    let has = |bit| shape & bit != 0;
    let (netns, state) = (members.half(), members.next() as u8);
    let owner = TaskId { start: members.next(), tgid: members.next() };
    let retransmitted = members.next();
    let (mss, packets_out, unsent) = (members.half(), members.half(), members.half());
    let (unacked, unread) = (members.half(), members.half());
    let chrono = [busy, members.half(), members.half()];
    let (ssthresh, lost) = (members.half(), members.half());
    let (app_limited, send_queued) = (members.half(), members.half());
    let holders: Holders = (0..members.next())
        .map(|_| TaskId {
            start: members.next().wrapping_add(owner.start),
            tgid: members.next().wrapping_add(owner.tgid),
        })
        .collect();
    let remote = has(shape::REMOTE).then(|| far.endpoint(has(shape::REMOTE_V6)));
    let measures = TcpMeasures {
        srtt,
        rtt_min: has(shape::ROUND_TRIP).then_some(rtt_min),
        mss,
        cwnd,
        packets_out,
        rate_delivered,
        rate_interval,
        delivered,
        unsent,
        unacked,
        window,
        unread,
        pacing_rate,
        chrono,
    };
    let pace = Pace {
        last_sent,
        last_received,
        ssthresh,
        lost,
        app_limited,
        segments_out,
        segments_in,
        send_buffer,
        send_queued,
        receive_buffer,
        receive_window,
    };
    let connection = ConnectionFact {
        cookie,
        opened,
        passive: has(shape::PASSIVE),
        owner: has(shape::OWNER).then_some(owner),
        holders,
        ends: Endpoints { netns, local: near.endpoint(has(shape::LOCAL_V6)), remote },
        state,
        counters: Counters { tx, rx, retransmitted },
        measures,
    };
    PacedFact { connection, pace }
}

/// An endpoint as numbers.
#[derive(Clone, Copy, Default)]
struct Address {
    high: u64,
    low: u64,
    port: u32,
}

impl Address {
    fn endpoint(self, is_v6: bool) -> Endpoint {
        let ip: IpAddr = if is_v6 {
            Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)).into()
        } else {
            Ipv4Addr::from_bits(self.low as u32).into()
        };
        Endpoint::new(ip, self.port as u16)
    }
}

fn address(endpoint: Endpoint) -> Address {
    let bits = match endpoint.ip() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    Address { high: (bits >> 64) as u64, low: bits as u64, port: endpoint.port().into() }
}

#[cfg(test)]
mod tests;
