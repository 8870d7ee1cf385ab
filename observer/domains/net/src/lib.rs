//! The net domain: which process sends and receives how much, over which connections, and how full each link is.
//!
//! Bytes are payload, as processes write and read them. Bytes of TCP come from the kernel's own counters and are exact,
//! also for connections that are shorter than an interval and for sockets that several processes share. Over the
//! loopback interface each byte is sent once and received once.
//!
//! What cannot be seen: protocols other than TCP, UDP, UDP-Lite and MPTCP; the peer of a datagram socket that is not
//! connected; connections in other network namespaces without any descriptor, until they close; Unix sockets, which are
//! no network traffic; the receiver of data on a connection that no process accepted. A connection that was opened and
//! closed between two scans belongs to its opener, or to the process that closed its accepted end. One that only reads
//! descriptors of others, and releases the last reference, is not taken for that process (from Linux 5.15 on).

#![cfg_attr(not(test), deny(unsafe_code))]

use std::path::Path;

use observer_common::names::net as names;
use observer_core::{
    domain::{Declaration, Decode, HostSide, KernelSide, ReadHost, State, Views},
    kernel_object,
    problem::ProblemKind,
    report::note::NoteKind,
    view::{Request, View},
};

mod bottleneck;
mod bytes;
mod capacity;
mod clocks;
mod connection;
mod connections;
pub mod decode;
mod diagnoses;
mod diagnosis;
mod domain;
mod failed_peers;
mod failures;
mod headline;
mod history;
pub mod hooks;
#[allow(clippy::disallowed_methods, clippy::disallowed_types, unsafe_code, reason = "readers of the machine")]
mod host;
mod link;
mod links;
mod listener;
mod namespace;
mod notes;
mod peer_names;
mod peer_totals;
mod problems;
pub mod queries;
mod queue;
mod rates;
pub mod report;
mod routes;
mod sockets;
pub mod state;
#[cfg(test)]
mod tests;
mod traffic;
pub mod views;

/// The kernel side of the domain.
const DECLARATION: Declaration = Declaration {
    name: "net",
    objects: &[
        kernel_object!("net", "../../../objects/net.o", hooks::STORAGE),
        kernel_object!("net_older", "../../../objects/net_older.o", hooks::OLDER),
    ],
    hooks: hooks::HOOKS,
    fields: observer_common::net::FIELDS,
    optional_fields: observer_common::net::OPTIONAL_FIELDS,
    totals: &[names::FLOWS, names::CLOSED, names::ENDED, names::FAILED],
    attributing: &[],
    reports_exits: true,
    end_hook: Some(hooks::LIFE),
};

/// The domain.
#[derive(Clone, Copy, Debug)]
pub struct Net;

impl KernelSide for Net {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn decoder(&self, _page_size: u64) -> Box<dyn Decode> {
        Box::new(decode::NetDecoder::default())
    }
}

impl HostSide for Net {
    fn reader(&self, root: &Path) -> Box<dyn ReadHost> {
        Box::new(host::NetReader::new(root))
    }
}

impl Views for Net {
    fn views(&self) -> &'static [View] {
        views::ALL
    }

    fn recorded(&self) -> View {
        views::NET
    }

    fn notes(&self) -> &'static [NoteKind] {
        notes::NetNote::ALL
    }

    fn problems(&self) -> &'static [&'static ProblemKind] {
        problems::KINDS
    }

    fn state(&self, request: &Request) -> Box<dyn State> {
        Box::new(state::NetState::new(request))
    }
}
