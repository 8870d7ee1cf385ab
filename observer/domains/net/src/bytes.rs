//! The kernel side's records, field by field.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use observer_common::{
    net::{
        ClosedRecord, FAMILY_V4, PROTOCOL_MPTCP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE, PaceRecord,
        SOCKET_PASSIVE, SOCKET_SEEN, STATE_LISTEN, SocketRecord,
    },
    record::RecordHeader,
    task::{TaskId, TaskRecord},
};

use observer_core::{
    bytes::Reader,
    domain::Malformed,
    facts::net::{
        ClosedFact, ConnectionFact, Counters, Endpoint, Endpoints, Holders, Pace, PacedFact, Protocol,
        SocketFact, SocketHandle, TcpMeasures,
    },
};

/// The members that only this domain's records have.
pub trait Members {
    fn socket(&mut self) -> Result<SocketRecord, Malformed>;
    /// What follows the header.
    fn closed(&mut self, header: RecordHeader) -> Result<ClosedRecord, Malformed>;
    fn pace(&mut self) -> Result<PaceRecord, Malformed>;
}

impl Members for Reader<'_> {
    fn socket(&mut self) -> Result<SocketRecord, Malformed> {
        Ok(SocketRecord {
            cookie: self.u64()?,
            owner: self.task()?,
            opened: self.u64()?,
            tx: self.u64()?,
            rx: self.u64()?,
            retransmitted: self.u64()?,
            pacing_rate: self.u64()?,
            local: self.bytes()?,
            remote: self.bytes()?,
            netns: self.u32()?,
            local_port: self.u16()?,
            remote_port: self.u16()?,
            family: self.u16()?,
            protocol: self.u16()?,
            state: self.u32()?,
            flags: self.u32()?,
            srtt: self.u32()?,
            rtt_min: self.u32()?,
            mss: self.u32()?,
            cwnd: self.u32()?,
            packets_out: self.u32()?,
            rate_delivered: self.u32()?,
            rate_interval: self.u32()?,
            delivered: self.u32()?,
            unsent: self.u32()?,
            unacked: self.u32()?,
            window: self.u32()?,
            queued: self.u32()?,
            queue_limit: self.u32()?,
            drops: self.u32()?,
            chrono: [self.u32()?, self.u32()?, self.u32()?],
            pace: self.pace()?,
        })
    }

    fn closed(&mut self, header: RecordHeader) -> Result<ClosedRecord, Malformed> {
        Ok(ClosedRecord {
            header,
            cookie: self.u64()?,
            owner: self.task()?,
            opened: self.u64()?,
            tx: self.u64()?,
            rx: self.u64()?,
            retransmitted: self.u64()?,
            seen_tx: self.u64()?,
            seen_rx: self.u64()?,
            seen_retransmitted: self.u64()?,
            local: self.bytes()?,
            remote: self.bytes()?,
            netns: self.u32()?,
            local_port: self.u16()?,
            remote_port: self.u16()?,
            family: self.u32()?,
            state: self.u32()?,
            flags: self.u32()?,
            srtt: self.u32()?,
            rtt_min: self.u32()?,
            mss: self.u32()?,
            rate_delivered: self.u32()?,
            rate_interval: self.u32()?,
        })
    }

    fn pace(&mut self) -> Result<PaceRecord, Malformed> {
        Ok(PaceRecord {
            jiffies: self.u32()?,
            last_sent: self.u32()?,
            last_received: self.u32()?,
            ssthresh: self.u32()?,
            lost: self.u32()?,
            app_limited: self.u32()?,
            segments_out: self.u32()?,
            segments_in: self.u32()?,
            send_buffer: self.u32()?,
            send_queued: self.u32()?,
            receive_buffer: self.u32()?,
            receive_window: self.u32()?,
        })
    }
}

/// The key of `NET_FLOWS` as bytes.
pub fn flow_key(task: TaskId, cookie: u64) -> Vec<u8> {
    [task.start, task.tgid, cookie].into_iter().flat_map(u64::to_ne_bytes).collect()
}

/// The protocol by its number.
pub const fn protocol(number: u32) -> Option<Protocol> {
    const TCP: u32 = PROTOCOL_TCP as u32;
    const UDP: u32 = PROTOCOL_UDP as u32;
    const UDPLITE: u32 = PROTOCOL_UDPLITE as u32;
    const MPTCP: u32 = PROTOCOL_MPTCP as u32;
    match number {
        TCP => Some(Protocol::Tcp),
        UDP => Some(Protocol::Udp),
        UDPLITE => Some(Protocol::UdpLite),
        MPTCP => Some(Protocol::Mptcp),
        _ => None,
    }
}

/// An address in network order with its port; IPv4 mapped into IPv6 is IPv4.
pub fn address(family: u16, bytes: [u8; 16], port: u16) -> Endpoint {
    let ip = if family == FAMILY_V4 {
        let [a, b, c, d, ..] = bytes;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    };
    Endpoint::new(ip, port)
}

/// What a record of a socket means.
pub trait Meaning {
    fn connection(self, holders: Holders) -> ConnectionFact;
    fn fact(self, holders: Holders) -> Option<SocketHandle>;
}

impl Meaning for SocketRecord {
    fn connection(self, holders: Holders) -> ConnectionFact {
        ConnectionFact {
            cookie: self.cookie,
            opened: self.opened,
            passive: self.flags & SOCKET_PASSIVE != 0,
            owner: owner(&self.owner),
            holders,
            ends: ends(&self),
            state: self.state as u8,
            counters: Counters { tx: self.tx, rx: self.rx, retransmitted: self.retransmitted },
            measures: TcpMeasures {
                srtt: self.srtt,
                rtt_min: round_trip(self.rtt_min),
                mss: self.mss,
                cwnd: self.cwnd,
                packets_out: self.packets_out,
                rate_delivered: self.rate_delivered,
                rate_interval: self.rate_interval,
                delivered: self.delivered,
                unsent: self.unsent,
                unacked: self.unacked,
                window: self.window,
                unread: self.queued,
                pacing_rate: self.pacing_rate,
                chrono: self.chrono,
            },
        }
    }

    /// `None` for a protocol that this version does not know.
    fn fact(self, holders: Holders) -> Option<SocketHandle> {
        let protocol = protocol(u32::from(self.protocol))?;
        let listening = self.state == u32::from(STATE_LISTEN);
        if protocol == Protocol::Tcp && !listening {
            let pace = pace(&self.pace);
            let connection = self.connection(holders);
            return Some(SocketHandle::Paced(PacedFact { connection, pace }.into()));
        }
        Some(SocketHandle::Socket(Arc::new(SocketFact {
            cookie: self.cookie,
            protocol,
            listening,
            ends: ends(&self),
            queued: self.queued,
            queue_limit: (listening && protocol == Protocol::Tcp).then_some(self.queue_limit),
            drops: self.drops,
            holders,
        })))
    }
}

/// What the end of a connection means. Of its measures there are those that still say something.
pub fn closed(record: &ClosedRecord) -> ClosedFact {
    let seen = Counters { tx: record.seen_tx, rx: record.seen_rx, retransmitted: record.seen_retransmitted };
    ClosedFact {
        connection: Arc::new(ConnectionFact {
            cookie: record.cookie,
            opened: record.opened,
            passive: record.flags & SOCKET_PASSIVE != 0,
            owner: owner(&record.owner),
            holders: Holders::new(),
            ends: Endpoints {
                netns: record.netns,
                local: address(record.family as u16, record.local, record.local_port),
                remote: (record.remote_port != 0)
                    .then(|| address(record.family as u16, record.remote, record.remote_port)),
            },
            state: record.state as u8,
            counters: Counters { tx: record.tx, rx: record.rx, retransmitted: record.retransmitted },
            measures: TcpMeasures {
                srtt: record.srtt,
                rtt_min: round_trip(record.rtt_min),
                mss: record.mss,
                rate_delivered: record.rate_delivered,
                rate_interval: record.rate_interval,
                ..TcpMeasures::default()
            },
        }),
        seen: (record.flags & SOCKET_SEEN != 0).then_some(seen),
        at: record.header.at,
    }
}

fn owner(record: &TaskRecord) -> Option<TaskId> {
    (record.id.tgid != 0).then_some(record.id)
}

/// Microseconds, once there is a sample.
fn round_trip(micros: u32) -> Option<u32> {
    (micros != u32::MAX).then_some(micros)
}

fn pace(record: &PaceRecord) -> Pace {
    Pace {
        last_sent: record.last_sent,
        last_received: record.last_received,
        ssthresh: record.ssthresh,
        lost: record.lost,
        app_limited: record.app_limited,
        segments_out: record.segments_out,
        segments_in: record.segments_in,
        send_buffer: record.send_buffer,
        send_queued: record.send_queued,
        receive_buffer: record.receive_buffer,
        receive_window: record.receive_window,
    }
}

fn ends(record: &SocketRecord) -> Endpoints {
    Endpoints {
        netns: record.netns,
        local: address(record.family, record.local, record.local_port),
        remote: (record.remote_port != 0).then(|| address(record.family, record.remote, record.remote_port)),
    }
}
