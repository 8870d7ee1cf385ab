//! How many connections share a route: each of them needs a port of its own.
//!
//! Whether this side opened a connection from before observation is not known. The peer's port of an accepted connection
//! is the peer's own, so that connection is the only one of its route. Little is stored of a route with one connection.

use std::{cmp::Reverse, hash::BuildHasher as _, net::IpAddr};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};

use observer_core::facts::net::{ConnectionFact, Endpoint};

/// A peer, and the address that connections to it come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Inode number of the network namespace.
    pub netns: u32,
    pub local: IpAddr,
    pub remote: Endpoint,
}

/// The route that most connections take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fullest {
    pub connections: u64,
    /// `None` where no route has more than one connection: then the route does not matter.
    pub route: Option<Route>,
}

impl Route {
    /// `None` where the peer opened the connection.
    pub fn of(fact: &ConnectionFact) -> Option<Self> {
        let ends = &fact.ends;
        let remote = ends.remote.filter(|_| !fact.passive)?;
        Some(Self { netns: ends.netns, local: ends.local.ip(), remote })
    }
}

/// The routes of open connections.
#[derive(Debug, Default)]
pub struct Routes {
    /// Those that several connections take, with how many.
    shared: HashMap<Route, u64>,
    /// Of those that one takes the hashes, by network namespace.
    single: HashMap<u32, HashSet<u64>>,
    hasher: DefaultHashBuilder,
}

impl Routes {
    /// One more connection takes it.
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

    /// One that took it no longer does.
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

    /// That of most connections in a network namespace; of several the first.
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
