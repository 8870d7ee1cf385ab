//! Peers in words: names and addresses.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use super::traffic::To;
use observer_core::text::printable;

/// The number of names to keep: more than a human reads. Beyond that all are removed, and asked for again.
const KEPT: usize = 4096;

/// The names of addresses.
#[derive(Clone, Debug, Default)]
pub struct PeerNames(HashMap<IpAddr, Option<String>>);

impl PeerNames {
    /// Stores the answer for an address; `None` if it has no name.
    pub fn answer(&mut self, address: IpAddr, name: Option<&[u8]>) {
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        self.0.insert(address, name.map(printable));
    }

    /// Whether there is no answer for the address yet.
    pub fn lack(&self, address: IpAddr) -> bool {
        !self.0.contains_key(&address)
    }

    /// The peer with its name, if it has one.
    pub fn shown(&self, to: To) -> String {
        match (self.0.get(&to.0), to.1) {
            (Some(Some(name)), Some(port)) => format!("{name}:{port}"),
            (Some(Some(name)), None) => name.clone(),
            _ => number(to),
        }
    }
}

/// `address:port`, or the address alone if there were several ports.
pub fn number((ip, port): To) -> String {
    port.map_or_else(|| ip.to_string(), |port| SocketAddr::new(ip, port).to_string())
}
