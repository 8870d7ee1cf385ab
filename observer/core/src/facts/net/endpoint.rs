//! An address and a port, and both ends of a socket.

use std::{
    fmt,
    net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// An address and a port: a [`SocketAddr`] without the scope and the label of IPv6, which no fact has. It takes five
/// eighths of the memory, and recordings hold it as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "SocketAddr", into = "SocketAddr")]
pub struct Endpoint {
    ip: IpAddr,
    port: u16,
}

const _: () = assert!(size_of::<Option<Endpoint>>() <= 20);

impl Endpoint {
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip, port }
    }

    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// The default is no address that a socket has.
impl Default for Endpoint {
    fn default() -> Self {
        Self::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: address.port() }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(Endpoint { ip, port }: Endpoint) -> Self {
        Self::new(ip, port)
    }
}

impl FromStr for Endpoint {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<SocketAddr>().map(Self::from)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(formatter)
    }
}

/// The ends of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Inode number of its network namespace.
    pub netns: u32,
    /// IPv4 mapped into IPv6 is IPv4.
    pub local: Endpoint,
    /// `None` without peer.
    pub remote: Option<Endpoint>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_hold_it_as_they_held_the_address_of_a_socket() {
        for text in ["10.0.0.1:80", "[2001:db8::1]:65535"] {
            let (address, endpoint): (SocketAddr, Endpoint) = (text.parse().unwrap(), text.parse().unwrap());
            let bytes = postcard::to_stdvec(&address).unwrap();
            assert_eq!(postcard::to_stdvec(&endpoint).unwrap(), bytes);
            assert_eq!(postcard::from_bytes::<Endpoint>(&bytes).unwrap(), endpoint);
            assert_eq!(endpoint.to_string(), text);
        }
    }
}
