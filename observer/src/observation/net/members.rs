//! The members of a fact as few bytes: what is usual takes a bit.
//!
//! A fact is a row of whole numbers. Eight of them have a byte that says which are not 0, and these follow, seven bits a
//! byte, the lowest first, the highest bit of a byte saying that more follow. Zeroes at the end are left out, so that
//! there is one way to write a fact and facts are equal where their bytes are. Each fact names its members once, for
//! writing and for reading ([`super::packed::Form`]), and says what is usual there.

use std::net::{IpAddr, Ipv4Addr};

use smallvec::SmallVec;

use super::{Endpoint, Holders};
use crate::observation::TaskId;

/// Bytes of a fact: there is room in place for that of most.
pub type Bytes = SmallVec<[u8; 128]>;

/// One after the other, the members of a fact are written, or read in place of those that are given.
pub trait Members {
    /// The next member.
    fn next(&mut self, member: u64) -> u64;

    fn half(&mut self, member: u32) -> u32 {
        self.next(member.into()) as u32
    }

    fn byte(&mut self, member: u8) -> u8 {
        self.next(member.into()) as u8
    }

    fn flag(&mut self, member: bool) -> bool {
        self.next(member.into()) != 0
    }

    /// One that is most often absent, or small.
    fn option(&mut self, member: Option<u32>) -> Option<u32> {
        let next = self.next(member.map_or(0, |member| u64::from(member) + 1));
        next.checked_sub(1).map(|member| member as u32)
    }

    /// One that most often is `usual`.
    fn unless(&mut self, member: u32, usual: u32) -> u32 {
        self.option((member != usual).then_some(member)).unwrap_or(usual)
    }

    /// One that most often is close to another, `beside` it.
    fn near(&mut self, member: u64, beside: u64) -> u64 {
        joined(self.next(apart(member, beside)), beside)
    }

    fn near_half(&mut self, member: u32, beside: u32) -> u32 {
        self.near(member.into(), beside.into()) as u32
    }

    /// One that is near another, or equal to it most often, or absent.
    fn option_near(&mut self, member: Option<u32>, beside: u32) -> Option<u32> {
        const ABSENT: u64 = 1;
        let beside = u64::from(beside);
        let next = self.next(member.map_or(ABSENT, |member| match apart(member.into(), beside) {
            0 => 0,
            apart => apart + 1,
        }));
        (next != ABSENT).then(|| joined(next.saturating_sub(1), beside) as u32)
    }

    fn task(&mut self, member: TaskId, beside: TaskId) -> TaskId {
        TaskId { start: self.near(member.start, beside.start), tgid: self.near(member.tgid, beside.tgid) }
    }

    /// Whose something is: most often its owner's, who alone holds it.
    fn tasks(&mut self, owner: Option<TaskId>, holders: Holders) -> (Option<TaskId>, Holders) {
        const USUAL: u64 = 0b11;
        let shape = self.next(((holders.len() as u64) << 1 | u64::from(owner.is_some())) ^ USUAL) ^ USUAL;
        let mut before = TaskId::default();
        let owner = (shape & 1 == 1).then(|| self.task(owner.unwrap_or_default(), before));
        before = owner.unwrap_or_default();
        let holders = (0..(shape >> 1) as usize).map(|number| {
            before = self.task(holders.get(number).copied().unwrap_or_default(), before);
            before
        });
        (owner, holders.collect())
    }

    /// Most often of IPv4, and close to another.
    fn address(&mut self, member: IpAddr, beside: IpAddr) -> IpAddr {
        let beside = if let IpAddr::V4(beside) = beside { beside.to_bits() } else { 0 };
        if self.flag(member.is_ipv6()) {
            let bits = if let IpAddr::V6(member) = member { member.to_bits() } else { 0 };
            let (high, low) = (self.next((bits >> 64) as u64), self.next(bits as u64));
            return IpAddr::V6((u128::from(high) << 64 | u128::from(low)).into());
        }
        let bits = if let IpAddr::V4(member) = member { member.to_bits() } else { 0 };
        IpAddr::V4((self.half(bits ^ beside) ^ beside).into())
    }

    /// Where both ends of a socket are; the second may be absent.
    fn ends(&mut self, local: Endpoint, remote: Option<Endpoint>) -> (Endpoint, Option<Endpoint>) {
        let ip = self.address(local.ip(), Ipv4Addr::UNSPECIFIED.into());
        let remote = if self.flag(remote.is_none()) { None } else { Some(remote.unwrap_or(local)) };
        let remote_ip = remote.map(|remote| self.address(remote.ip(), ip));
        let remote_port = remote.map_or(0, |remote| u32::from(remote.port()));
        let ports = self.half(remote_port << 16 | u32::from(local.port()));
        (Endpoint::new(ip, ports as u16), remote_ip.map(|ip| Endpoint::new(ip, (ports >> 16) as u16)))
    }
}

/// How far a number is from another, in either direction: small where they are near.
const fn apart(member: u64, beside: u64) -> u64 {
    let distance = member.wrapping_sub(beside).cast_signed();
    ((distance << 1) ^ (distance >> 63)).cast_unsigned()
}

/// The number that is so far from another.
const fn joined(apart: u64, beside: u64) -> u64 {
    beside.wrapping_add((apart >> 1) ^ (apart & 1).wrapping_neg())
}

/// Writes members.
#[derive(Debug)]
pub struct Packing {
    bytes: Bytes,
    /// Where the byte is that tells of the last eight, and how many of these were written.
    tells: usize,
    written: u32,
}

impl Packing {
    pub fn new() -> Self {
        Self { bytes: Bytes::new(), tells: 0, written: u8::BITS }
    }

    pub fn finish(mut self) -> Bytes {
        while self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }
}

impl Members for Packing {
    fn next(&mut self, member: u64) -> u64 {
        if self.written == u8::BITS {
            self.tells = self.bytes.len();
            self.written = 0;
            self.bytes.push(0);
        }
        if member != 0 {
            self.bytes[self.tells] |= 1 << self.written;
            let mut rest = member;
            while rest > 0x7f {
                self.bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            self.bytes.push(rest as u8);
        }
        self.written += 1;
        member
    }
}

/// Reads members; beyond the last they are 0.
#[derive(Debug)]
pub struct Unpacking<'a> {
    bytes: &'a [u8],
    tells: u8,
    left: u32,
}

impl<'a> Unpacking<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, tells: 0, left: 0 }
    }

    fn take(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }
}

impl Members for Unpacking<'_> {
    fn next(&mut self, _member: u64) -> u64 {
        if self.left == 0 {
            self.tells = self.take();
            self.left = u8::BITS;
        }
        let is_there = self.tells & 1 == 1;
        self.tells >>= 1;
        self.left -= 1;
        if !is_there {
            return 0;
        }
        let (mut member, mut shift) = (0, 0);
        loop {
            let byte = self.take();
            member |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return member;
            }
            shift += 7;
        }
    }
}
