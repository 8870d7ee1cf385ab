//! Converts records of sockets to facts.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use observer_common::{
    net::{
        ClosedRecord, FAMILY_V4, PROTOCOL_MPTCP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_UDPLITE,
        SOCKET_PASSIVE, SOCKET_SEEN, STATE_LISTEN, SocketRecord,
    },
    task::{TaskId, TaskRecord},
};
use observer_core::facts::net::{
    ClosedFact, ConnectionFact, Counters, Endpoint, Endpoints, Holders, Protocol, SocketFact, SocketHandle,
    TcpMeasures,
};

/// The protocol with this number.
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

/// An address in network byte order with its port. IPv4 mapped into IPv6 becomes IPv4.
pub fn address(family: u16, bytes: [u8; 16], port: u16) -> Endpoint {
    let ip = if family == FAMILY_V4 {
        let [a, b, c, d, ..] = bytes;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    };
    Endpoint::new(ip, port)
}

/// The fact about an open socket. `None` for an unknown protocol.
pub fn socket(record: &SocketRecord, holders: Holders) -> Option<SocketHandle> {
    let protocol = protocol(record.protocol.into())?;
    let listening = record.state == u32::from(STATE_LISTEN);
    if protocol == Protocol::Tcp && !listening {
        return Some(SocketHandle::Connection(connection(record, holders).into()));
    }
    Some(SocketHandle::Socket(Arc::new(SocketFact {
        cookie: record.cookie,
        protocol,
        listening,
        ends: ends(record),
        queued: record.queued,
        queue_limit: (listening && protocol == Protocol::Tcp).then_some(record.queue_limit),
        drops: record.drops,
        holders,
    })))
}

fn connection(record: &SocketRecord, holders: Holders) -> ConnectionFact {
    ConnectionFact {
        cookie: record.cookie,
        opened: record.opened,
        passive: record.flags & SOCKET_PASSIVE != 0,
        owner: owner(&record.owner),
        holders,
        ends: ends(record),
        state: record.state as u8,
        counters: Counters { tx: record.tx, rx: record.rx, retransmitted: record.retransmitted },
        measures: TcpMeasures {
            srtt: record.srtt,
            rtt_min: round_trip(record.rtt_min),
            mss: record.mss,
            cwnd: record.cwnd,
            packets_out: record.packets_out,
            rate_delivered: record.rate_delivered,
            rate_interval: record.rate_interval,
            delivered: record.delivered,
            unsent: record.unsent,
            unacked: record.unacked,
            window: record.window,
            unread: record.queued,
            pacing_rate: record.pacing_rate,
            chrono: record.chrono,
        },
        times: Some(record.times),
    }
}

/// The fact about a closed connection, with the measures that are still valid after the close.
pub fn closed(record: &ClosedRecord) -> ClosedFact {
    let seen = Counters { tx: record.seen_tx, rx: record.seen_rx, retransmitted: record.seen_retransmitted };
    let address = |bytes, port| address(record.family as u16, bytes, port);
    let remote = (record.remote_port != 0).then(|| address(record.remote, record.remote_port));
    ClosedFact {
        connection: Arc::new(ConnectionFact {
            cookie: record.cookie,
            opened: record.opened,
            passive: record.flags & SOCKET_PASSIVE != 0,
            owner: owner(&record.owner),
            holders: Holders::new(),
            ends: Endpoints { netns: record.netns, local: address(record.local, record.local_port), remote },
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
            times: None,
        }),
        seen: (record.flags & SOCKET_SEEN != 0).then_some(seen),
        at: record.header.at,
    }
}

fn owner(record: &TaskRecord) -> Option<TaskId> {
    (record.id.tgid != 0).then_some(record.id)
}

/// Microseconds; `None` before the first sample.
fn round_trip(micros: u32) -> Option<u32> {
    (micros != u32::MAX).then_some(micros)
}

fn ends(record: &SocketRecord) -> Endpoints {
    let address = |bytes, port| address(record.family, bytes, port);
    Endpoints {
        netns: record.netns,
        local: address(record.local, record.local_port),
        remote: (record.remote_port != 0).then(|| address(record.remote, record.remote_port)),
    }
}
