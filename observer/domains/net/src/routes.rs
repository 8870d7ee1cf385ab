//! Numbers of connections on the same route: each connection needs its own port.
//!
//! For a connection from before observation, it is not known which side opened it. An accepted connection uses a port
//! that its peer chose, so it is the only one of its route. A route with one connection is stored as a hash only.

use std::{cmp::Reverse, hash::BuildHasher as _, net::IpAddr};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};

use observer_core::facts::net::{ConnectionFact, Endpoint};

/// A peer, and the local address of connections to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Inode number of the network namespace.
    pub netns: u32,
    pub local: IpAddr,
    pub remote: Endpoint,
}

/// The route with the most connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fullest {
    pub connections: u64,
    /// `None` if no route has more than one connection: then the route does not matter.
    pub route: Option<Route>,
}

impl Route {
    /// `None` if the peer opened the connection.
    pub fn of(fact: &ConnectionFact) -> Option<Self> {
        let ends = &fact.ends;
        let remote = ends.remote.filter(|_| !fact.passive)?;
        Some(Self { netns: ends.netns, local: ends.local.ip(), remote })
    }
}

/// The routes of open connections.
#[derive(Debug, Default)]
pub struct Routes {
    /// Routes with several connections, and their number.
    shared: HashMap<Route, u64>,
    /// Hashes of the routes with one connection, by network namespace.
    single: HashMap<u32, HashSet<u64>>,
    hasher: DefaultHashBuilder,
}

impl Routes {
    /// Counts one more connection on the route.
    pub fn add(&mut self, route: Route) {
        if let Some(connections) = self.shared.get_mut(&route) {
            *connections += 1;
            return;
        }
        let hash = self.hasher.hash_one(route);
        let single = self.single.entry(route.netns).or_default();
        if single.remove(&hash) {
            self.shared.insert(route, 2);
        } else {
            single.insert(hash);
        }
    }

    /// Counts one connection less on the route.
    pub fn remove(&mut self, route: &Route) {
        let hash = self.hasher.hash_one(route);
        let single = self.single.entry(route.netns).or_default();
        match self.shared.get_mut(route) {
            Some(2) => {
                self.shared.remove(route);
                single.insert(hash);
            }
            Some(connections) => *connections -= 1,
            None => {
                single.remove(&hash);
            }
        }
        if single.is_empty() {
            self.single.remove(&route.netns);
        }
    }

    /// The route with the most connections in a network namespace; the first one of several.
    pub fn fullest(&self, netns: u32) -> Option<Fullest> {
        let here = self.shared.iter().filter(|(route, _)| route.netns == netns);
        let most = here.max_by_key(|(route, connections)| (**connections, Reverse(**route)));
        let shared =
            most.map(|(route, connections)| Fullest { connections: *connections, route: Some(*route) });
        let single = || self.single.get(&netns).is_some_and(|single| !single.is_empty());
        shared.or_else(|| single().then_some(Fullest { connections: 1, route: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_is_that_of_most_connections_here() {
        let route = |netns, remote: &str| Route {
            netns,
            local: "10.0.0.1".parse().unwrap(),
            remote: remote.parse().unwrap(),
        };
        let (one, other) = (route(1, "10.0.0.2:80"), route(1, "10.0.0.2:81"));
        let fullest = |connections, route| Some(Fullest { connections, route });
        let mut routes = Routes::default();
        assert_eq!(routes.fullest(1), None);
        routes.add(one);
        routes.add(other);
        (0..5).for_each(|_| routes.add(route(2, "10.0.0.2:80")));
        assert_eq!(routes.fullest(1), fullest(1, None));
        assert_eq!(routes.fullest(2), fullest(5, Some(route(2, "10.0.0.2:80"))));
        (0..2).for_each(|_| routes.add(other));
        routes.add(one);
        assert_eq!(routes.fullest(1), fullest(3, Some(other)));
        routes.remove(&other);
        assert_eq!(routes.fullest(1), fullest(2, Some(one)), "the first of two");
        routes.remove(&one);
        routes.remove(&one);
        assert_eq!(routes.fullest(1), fullest(2, Some(other)));
        (0..2).for_each(|_| routes.remove(&other));
        assert_eq!(routes.fullest(1), None);
    }
}
