//! What net answers: which process sends and receives how much, over which connections, and how full each link is.
//!
//! Bytes are payload, as processes write and read them; those of TCP are the kernel's own counters and exact, also for
//! connections that live shorter than an interval and for sockets that several processes share. Over the loopback
//! interface each byte is sent once and received once.
//!
//! What cannot be seen: protocols other than TCP, UDP, UDP-Lite and MPTCP; the peer of a datagram socket that is not
//! connected; connections in other network namespaces that no descriptor holds, until they end; Unix sockets, which are
//! no network traffic; who would have got what arrived on a connection that nobody accepted. A connection that was opened
//! and closed between two passes belongs to who closed it, where nobody acted on it before: that can be another program
//! that looked at the descriptors in that moment (a second observer, for one) and was the last to let go of it.

#![cfg_attr(not(test), forbid(unsafe_code))]

use observer_core::{domain::Declaration, view::View};

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
mod headline;
mod history;
pub mod hooks;
mod link;
mod links;
mod listener;
mod namespace;
mod notes;
mod peer_names;
mod peer_totals;
mod queue;
mod rates;
pub mod report;
mod routes;
mod sockets;
pub mod state;
#[cfg(test)]
mod tests;
mod traffic;

/// The domain's entry in the list of domains.
pub const DECLARATION: Declaration = Declaration {
    name: "net",
    objects: &[("net", hooks::STORAGE), ("net_older", hooks::OLDER)],
    hooks: hooks::HOOKS,
    fields: observer_common::net::FIELDS,
    optional_fields: observer_common::net::OPTIONAL_FIELDS,
    decoder: |_page_size| Box::new(decode::NetDecoder::default()),
    views: &[View::Net, View::Connections, View::Listen],
    notes: notes::NetNote::ALL,
    state: |request| Box::new(state::NetState::new(request)),
};
