//! Packs a fact about a connection into a tenth of its bytes, for very many connections that are mostly idle.
//!
//! A fact is a row of whole numbers. Only the differences to the row of an earlier fact, the model, are stored. For
//! each eight numbers, one byte marks the numbers that differ. Their differences follow, in either direction, with
//! seven bits a byte, the lowest bits first; the highest bit of a byte marks that more bytes follow. Zeroes at the end
//! are left out.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use smallvec::SmallVec;
use triomphe::ThinArc;

use super::{
    connection::ConnectionFact,
    endpoint::{Endpoint, Endpoints},
};
use crate::facts::TaskId;

/// A fact that takes more bytes than this is unlike the models, and becomes one …
const ALIKE: usize = 16;
/// … if the last one was made as many facts ago as this: a model takes the memory of ten facts, and stays while one of
/// them does.
const LIKE_ONE: u32 = 512;

/// The members of a fact. The members of a connection with ten holders fit in place.
type Row = SmallVec<[u64; 64]>;
type Bytes = SmallVec<[u8; 128]>;
/// The row of a fact that other facts are similar to.
type Model = ThinArc<(), u64>;

/// A shared fact about a connection, with its times, in few bytes.
#[derive(Clone)]
pub struct Packed(ThinArc<Model, u8>);

const _: () = assert!(size_of::<Option<Packed>>() == 8);

impl Packed {
    /// The kernel's number of the socket.
    pub fn cookie(&self) -> u64 {
        self.members().next()
    }

    /// The fact.
    pub fn unpack(&self) -> ConnectionFact {
        let mut fact = ConnectionFact::default();
        visit(&mut fact, &mut self.members());
        fact
    }

    /// Whether it is this fact.
    pub fn is(&self, fact: &ConnectionFact) -> bool {
        // Most facts differ in their first number, if at all.
        self.cookie() == fact.cookie && self.unpack() == *fact
    }

    fn members(&self) -> Members<'_> {
        Members { model: &self.0.header.header.slice, bytes: &self.0.slice, provides: 0, left: 0 }
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        // The same fact has other bytes with another model.
        std::ptr::eq(&raw const self.0.slice, &raw const other.0.slice) || self.is(&other.unpack())
    }
}

impl Eq for Packed {}

impl fmt::Debug for Packed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unpack().fmt(formatter)
    }
}

/// Packs facts, each with a similar model.
#[derive(Debug, Default)]
pub struct Packer {
    /// The latest two models: connections that follow each other in a scan are of two kinds, opened and accepted.
    models: [Option<Model>; 2],
    /// The number of facts that the latest model can still be used for.
    left: u32,
}

impl Packer {
    /// Packs a fact that has times, with the model that gives the fewest bytes.
    pub(super) fn pack(&mut self, fact: &ConnectionFact) -> Packed {
        let mut row = Row::new();
        visit(&mut fact.clone(), &mut row);
        let like = |model: &Model| (differences(&row, &model.slice), model.clone());
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

/// The differences between a row and a model, as bytes.
fn differences(row: &[u64], model: &[u64]) -> Bytes {
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

/// The distance between two numbers, in either direction: small if they are close.
const fn apart(number: u64, other: u64) -> u64 {
    let distance = number.wrapping_sub(other).cast_signed();
    ((distance << 1) ^ (distance >> 63)).cast_unsigned()
}

/// The number at this distance from another.
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

/// Takes the members of a fact one after the other: reads each of them, or sets it.
trait Visit {
    fn number(&mut self, number: &mut u64);

    fn half(&mut self, half: &mut u32) {
        let mut number = u64::from(*half);
        self.number(&mut number);
        *half = number as u32;
    }

    fn numbers<const N: usize>(&mut self, numbers: [&mut u64; N]) {
        numbers.into_iter().for_each(|number| self.number(number));
    }

    fn halves<const N: usize>(&mut self, halves: [&mut u32; N]) {
        halves.into_iter().for_each(|half| self.half(half));
    }
}

impl Visit for Row {
    fn number(&mut self, number: &mut u64) {
        self.push(*number);
    }
}

impl Visit for Members<'_> {
    fn number(&mut self, number: &mut u64) {
        *number = self.next();
    }
}

/// Which optional members a fact has, and the families of its addresses: the bits of one number of each row.
mod shape {
    pub const PASSIVE: u64 = 1;
    pub const OWNER: u64 = 1 << 1;
    pub const REMOTE: u64 = 1 << 2;
    pub const LOCAL_V6: u64 = 1 << 3;
    pub const REMOTE_V6: u64 = 1 << 4;
    pub const ROUND_TRIP: u64 = 1 << 5;
}

/// Visits every member of a fact with times. The members that change most often come first, so that they share one
/// marking byte.
fn visit(fact: &mut ConnectionFact, with: &mut impl Visit) {
    let ConnectionFact { cookie, opened, passive, owner, holders, ends, state, counters, measures, times } =
        fact;
    let Endpoints { netns, local, remote } = ends;
    let bits = [
        (*passive, shape::PASSIVE),
        (owner.is_some(), shape::OWNER),
        (remote.is_some(), shape::REMOTE),
        (local.ip().is_ipv6(), shape::LOCAL_V6),
        (remote.is_some_and(|remote| remote.ip().is_ipv6()), shape::REMOTE_V6),
        (measures.rtt_min.is_some(), shape::ROUND_TRIP),
    ];
    let mut shape = bits.iter().filter(|(is_so, _)| *is_so).map(|(_, bit)| bit).sum();
    let (mut near, mut far) = (Address::from(*local), remote.map(Address::from).unwrap_or_default());
    let (mut id, mut rtt_min) = (owner.unwrap_or_default(), measures.rtt_min.unwrap_or_default());
    let (mut state_number, times) = (u32::from(*state), times.get_or_insert_default());
    let [busy, receiver, buffer] = &mut measures.chrono;

    with.numbers([cookie, &mut counters.tx, &mut counters.rx, &mut measures.pacing_rate, &mut far.low]);
    with.halves([&mut near.port, &mut far.port, &mut measures.srtt, &mut rtt_min, &mut times.last_sent]);
    // Usually both are from about the same moment.
    let mut later = times.last_received.wrapping_sub(times.last_sent);
    with.half(&mut later);
    times.last_received = times.last_sent.wrapping_add(later);
    with.halves([
        &mut measures.delivered,
        &mut times.segments_out,
        &mut times.segments_in,
        &mut measures.rate_interval,
        busy,
        &mut measures.window,
        &mut measures.cwnd,
        &mut measures.rate_delivered,
        &mut times.receive_buffer,
        &mut times.receive_window,
        &mut times.send_buffer,
    ]);
    with.numbers([opened, &mut far.high, &mut near.high, &mut near.low, &mut shape]);
    with.halves([netns, &mut state_number]);
    with.numbers([&mut id.start, &mut id.tgid, &mut counters.retransmitted]);
    with.halves([
        &mut measures.mss,
        &mut measures.packets_out,
        &mut measures.unsent,
        &mut measures.unacked,
        &mut measures.unread,
        receiver,
        buffer,
        &mut times.ssthresh,
        &mut times.lost,
        &mut times.app_limited,
        &mut times.send_queued,
    ]);
    let mut count = holders.len() as u64;
    with.number(&mut count);
    holders.resize(count as usize, TaskId::default());
    for holder in holders {
        // Usually the owner alone holds it.
        let mut from_owner = [holder.start.wrapping_sub(id.start), holder.tgid.wrapping_sub(id.tgid)];
        with.numbers(from_owner.each_mut());
        let [start, tgid] = from_owner;
        *holder = TaskId { start: id.start.wrapping_add(start), tgid: id.tgid.wrapping_add(tgid) };
    }

    let has = |bit| shape & bit != 0;
    *passive = has(shape::PASSIVE);
    *owner = has(shape::OWNER).then_some(id);
    *local = near.endpoint(has(shape::LOCAL_V6));
    *remote = has(shape::REMOTE).then(|| far.endpoint(has(shape::REMOTE_V6)));
    *state = state_number as u8;
    measures.rtt_min = has(shape::ROUND_TRIP).then_some(rtt_min);
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

impl From<Endpoint> for Address {
    fn from(endpoint: Endpoint) -> Self {
        let bits = match endpoint.ip() {
            IpAddr::V4(ip) => ip.to_bits().into(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        Self { high: (bits >> 64) as u64, low: bits as u64, port: endpoint.port().into() }
    }
}

#[cfg(test)]
mod tests;
