//! The state of the net domain, made from its facts.
//!
//! The counters of a TCP connection are cumulative, so the next fact makes up for a missed one. Its bytes are
//! attributed with each new fact about the connection.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hashbrown::{HashMap, HashSet};

use super::{
    bytes::Bytes,
    clocks::Clocks,
    connection::{Connection, Phase},
    connections::Connections,
    diagnoses::Diagnoses,
    failed_peers::{self, FailedPeers},
    hooks::LIFE,
    link::Links,
    listener::{self, Listeners},
    namespace::Namespaces,
    peer_names::{self, PeerNames},
    peer_totals::{PeerTotals, Tally},
    traffic::{To, Traffic},
};
use observer_core::{
    context::Context,
    facts::{
        TaskId,
        net::{
            CapacityFact, ClosedFact, ClosedTotalsFact, ConnectionHandle, Counters, Descriptors, Endpoint,
            FlowFact, FlowSlot, NetFact, Protocol, SocketFact, SocketQueueFact,
        },
        session::{SessionFact, Timestamp},
    },
    view::{GroupBy, Request},
};

/// Nanoseconds that a vanished connection is remembered while its close has not been reported.
const VANISHED: u64 = 60_000_000_000;

/// The state of the net domain.
#[derive(Debug, Default)]
pub struct NetState {
    /// Whether connections are only known from scans, without events.
    scans_only: bool,
    /// Whether a report, or the baseline, was delivered.
    started: bool,
    now: Timestamp,
    /// The kernel's clock at the last scan of sockets.
    jiffies: Option<u32>,
    /// The clocks at the last report.
    clocks: Clocks,
    /// The bottlenecks at the time of the report, found on first use.
    diagnoses: OnceCell<Diagnoses>,
    pub(super) names: PeerNames,
    pub(super) connections: Connections,
    /// Numbers of open connections.
    pub(super) tally: Tally,
    pub(super) processes: HashMap<TaskId, Traffic>,
    /// Traffic by process and peer, only if rows are grouped by peer: a server has more peers than a human reads.
    pub(super) remotes: Option<HashMap<PeerTotals, Traffic>>,
    /// Ended processes, until the second report after their end: their last bytes may be read after the end.
    pub(super) ended: HashMap<TaskId, End>,
    /// Bytes of processes that have left the report.
    pub(super) left: Bytes,
    pub(super) flows: HashMap<FlowSlot, FlowTotals>,
    pub(super) sockets: HashMap<u64, Arc<SocketFact>>,
    pub(super) failed: FailedPeers,
    pub(super) listeners: Listeners,
    pub(super) links: Links,
    /// Bytes of other processes than the owner through TCP connections, by cookie. They can be known before the
    /// connection.
    shared: HashMap<u64, Bytes>,
    /// The last totals of connections that closed without a record each, by owner.
    closed_totals: HashMap<TaskId, ClosedTotalsFact>,
    pub(super) unattributed: u64,
    /// Bytes of connections that several processes may have used between two scans.
    pub(super) shared_unseen: u64,
    /// The socket of such a connection, which closes with the next fact.
    closes_shared: Option<u64>,
    /// Datagrams that passed while the hooks for them were not attached, by network namespace; `None` is observer's own
    /// in older recordings.
    pub(super) unseen: BTreeMap<Option<u32>, u64>,
    pub(super) room: Option<CapacityFact>,
    pub(super) namespaces: Namespaces,
    /// Network namespaces without socket queues from the kernel.
    queues_unknown: HashSet<u32>,
    /// Whether the kernel refuses a connection if the accept queue is full, as far as known.
    pub(super) refuses: bool,
    /// Answers to the host queries of the report that is due.
    pub(super) descriptors: HashMap<TaskId, Descriptors>,
}

/// Whether the end of a process has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    NotYet,
    Once,
}

/// Bytes of a process through a socket that does not count them.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowTotals {
    pub fact: FlowFact,
    /// Bytes at the last report.
    pub reported: (u64, u64),
}

impl NetState {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(request: &Request) -> Self {
        let by_remote = request.by == GroupBy::Remote;
        Self { remotes: by_remote.then(HashMap::new), tally: Tally::new(by_remote), ..Self::default() }
    }

    /// Observation begins.
    pub fn begin(&mut self, session: &SessionFact) {
        self.now = session.began;
        self.scans_only = session.missing.iter().any(|missing| missing.hook == LIFE);
    }

    /// A process has ended.
    pub fn end_process(&mut self, id: TaskId) {
        self.ended.insert(id, End::NotYet);
    }

    /// A report is due at `now`.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.listeners.match_arrivals();
    }

    /// Whether later rows may name the process.
    pub fn remembers(&self, id: TaskId) -> bool {
        self.processes.contains_key(&id) || self.ended.contains_key(&id)
    }

    /// The report of `now` has been delivered.
    pub fn delivered(&mut self, now: Timestamp) {
        self.started = true;
        self.now = now;
        self.listeners.match_arrivals();
        self.diagnoses.take();
        self.clocks = self.clocks.later(now.boot, self.jiffies.take());
        self.leave_connections(now);
        let gone: Vec<TaskId> =
            self.processes.keys().copied().filter(|id| self.ended.contains_key(id)).collect();
        let owners = self.connections.owners(&gone, &self.tally);
        let (ended, left) = (&mut self.ended, &mut self.left);
        self.processes.retain(|id, traffic| {
            let ended = ended.contains_key(id);
            traffic.delivered(ended);
            let keep = !ended || owners.contains(id);
            if !keep {
                left.add(traffic.total());
            }
            keep
        });
        let processes = &self.processes;
        ended.retain(|id, end| {
            let keep = *end == End::NotYet || processes.contains_key(id);
            *end = End::Once;
            keep
        });
        if let Some(remotes) = &mut self.remotes {
            remotes.retain(|(id, _), traffic| {
                traffic.delivered(ended.contains_key(id));
                processes.contains_key(id)
            });
        }
        self.failed.retain(|(id, ..), _| processes.contains_key(id));
        for flow in self.flows.values_mut() {
            flow.reported = (flow.fact.tx, flow.fact.rx);
        }
        self.descriptors.clear();
        self.listeners.delivered();
        self.links.delivered();
        let (connections, sockets) = (&self.connections, &self.sockets);
        let listeners = self.listeners.facts();
        self.namespaces.delivered(now.boot, || {
            let connected = connections.iter().map(|connection| connection.fact.ends.netns);
            connected.chain(sockets.values().chain(listeners).map(|socket| socket.ends.netns)).collect()
        });
    }

    /// Adds to the traffic of a process; also to its traffic with the peer, if rows are grouped by peer.
    fn book(&mut self, id: TaskId, remote: Option<Endpoint>, entry: impl Fn(&mut Traffic)) {
        entry(self.processes.entry(id).or_default());
        if let Some(remotes) = &mut self.remotes {
            entry(remotes.entry((id, remote.map(|remote| remote.ip()))).or_default());
        }
    }

    /// A peer as a human sees it: with its name, unless only numbers were requested.
    pub(super) fn shown(&self, to: To, context: &Context<'_>) -> String {
        if context.request.resolve { self.names.shown(to) } else { peer_names::number(to) }
    }

    /// The bottleneck of each connection at `now`.
    pub(super) fn judgements(&self, now: Timestamp) -> &Diagnoses {
        self.diagnoses.get_or_init(|| {
            let clocks = self.clocks.later(now.boot, self.jiffies);
            Diagnoses::of(self.connections.active(), clocks)
        })
    }

    /// Takes a fact.
    pub fn apply_net(&mut self, fact: &NetFact) {
        self.diagnoses.take();
        match fact {
            NetFact::UntimedConnection(fact) | NetFact::Connection(fact) => self.connection(fact),
            NetFact::Shared { cookie, since } => {
                if let Some(connection) = self.connections.activate(*cookie) {
                    let unclear = connection.share(*since);
                    self.unattributed = self.unattributed.saturating_add(unclear);
                    self.settle(*cookie);
                }
            }
            NetFact::Room(room) => self.room = Some(*room),
            NetFact::Descriptors { id, open } => {
                self.descriptors.insert(*id, *open);
            }
            NetFact::Namespace { netns, cgroup } => self.namespaces.answer(*netns, cgroup.as_deref()),
            NetFact::Unwatched { datagrams } => drop(self.unseen.insert(None, *datagrams)),
            NetFact::UnseenDatagrams { netns, datagrams } => {
                self.unseen.insert(Some(*netns), *datagrams);
            }
            NetFact::RemoteName { address, name } => self.names.answer(*address, name.as_deref()),
            NetFact::Jiffies(jiffies) => self.jiffies = Some(*jiffies),
            NetFact::Failed { id, netns, remote, failures } => {
                failed_peers::add(self.failed.entry((*id, *netns, *remote)).or_default(), *failures);
                self.book(*id, Some(*remote), |traffic| failed_peers::add(&mut traffic.failed, *failures));
            }
            NetFact::SharedUnseen { cookie } => self.closes_shared = Some(*cookie),
            NetFact::Closed(fact) => self.closed(fact),
            NetFact::Vanished { cookie } => self.vanished(*cookie),
            NetFact::Flow(fact) => self.flow(*fact),
            NetFact::FlowEnded { key } => {
                self.flows.remove(key);
                if !self.connections.has(key.cookie) {
                    self.shared.remove(&key.cookie);
                }
            }
            NetFact::ClosedTotals(fact) => self.closed_totals(*fact),
            NetFact::Socket(fact) if fact.listening => {
                self.namespaces.met(fact.ends.netns);
                self.listeners.meet(fact);
            }
            NetFact::Socket(fact) => {
                self.namespaces.met(fact.ends.netns);
                self.sockets.insert(fact.cookie, Arc::clone(fact));
            }
            NetFact::SocketQueues { netns, sockets, refuses } => {
                self.refuses = refuses.unwrap_or(self.refuses);
                self.queues(*netns, sockets.as_deref());
            }
            NetFact::Links(facts) => self.links.update(facts, self.started),
            NetFact::Saturation(facts) => self.links.saturate(facts),
        }
    }

    /// A scan has found a connection.
    fn connection(&mut self, handle: &ConnectionHandle) {
        let (fact, packed) = (handle.shared(), handle.packed().cloned());
        let cookie = fact.cookie;
        match self.connections.activate(cookie) {
            Some(known) if known.is(&fact) => {
                let before = known.update(fact, packed, self.clocks);
                self.tally.count(known, Some(&before));
            }
            _ => {
                // Without events only the first scan finds connections from before observation.
                let new = fact.opened != 0 || (self.scans_only && self.started);
                self.meet(Connection::new(fact, packed, new, None));
            }
        }
        self.settle(cookie);
    }

    /// The kernel has reported the socket queues of a namespace.
    fn queues(&mut self, netns: u32, sockets: Option<&[SocketQueueFact]>) {
        match sockets {
            Some(_) => self.queues_unknown.remove(&netns),
            None => self.queues_unknown.insert(netns),
        };
        for queue in sockets.unwrap_or_default() {
            match self.sockets.get_mut(&queue.cookie) {
                Some(fact) => listener::amend(fact, queue),
                None => self.listeners.amend(queue),
            }
        }
    }

    /// Datagrams or connections that the full queue of a socket dropped. `None` if the kernel does not report the queue
    /// and the scan found no drops: a scan can miss them.
    pub(super) fn drops(&self, socket: &SocketFact) -> Option<u64> {
        let unknown = self.queues_unknown.contains(&socket.ends.netns) && socket.protocol != Protocol::Tcp;
        (!unknown || socket.drops > 0).then_some(socket.drops.into())
    }

    /// Network namespaces with queues that only the kernel's report shows: queues of MPTCP listeners and, with
    /// `datagrams`, of datagram sockets.
    pub(super) fn queues_wanted(&self, datagrams: bool) -> BTreeSet<u32> {
        let multipath = self.listeners.facts().filter(|fact| fact.protocol == Protocol::Mptcp);
        let bound = self.sockets.values().filter(|_| datagrams);
        multipath.chain(bound).map(|fact| fact.ends.netns).collect()
    }

    fn closed(&mut self, fact: &ClosedFact) {
        let connection = &fact.connection;
        // The first scan finds every connection that a descriptor refers to. A connection that no scan has found, and
        // that a process acted on, was opened later.
        let unmet = fact.seen.is_none() && connection.owner.is_some();
        let new = connection.opened != 0 || (self.started && unmet);
        match self.connections.activate(connection.cookie) {
            Some(known) if known.is(connection) => {
                let before = known.close(fact);
                self.tally.count(known, Some(&before));
            }
            _ => {
                let mut known = Connection::new(Arc::clone(connection), None, new, fact.seen);
                known.phase = Phase::Closed;
                if self.closes_shared.take() == Some(connection.cookie) {
                    self.shared_unseen = self.shared_unseen.saturating_add(known.withhold());
                }
                self.meet(known);
            }
        }
        self.settle(connection.cookie);
        let owner = self.connections.activate(connection.cookie).and_then(|connection| connection.owner());
        if let Some(owner) = owner {
            self.book(owner, connection.ends.remote, |traffic| traffic.ended_connections += 1);
        }
    }

    fn vanished(&mut self, cookie: u64) {
        self.sockets.remove(&cookie);
        self.listeners.forget(cookie);
        if let Some(connection) = self.connections.activate(cookie)
            && connection.phase == Phase::Open
        {
            connection.vanish(self.now.boot);
            self.tally.count(connection, None);
        }
    }

    /// Adds a connection, in place of an earlier one over the same socket.
    fn meet(&mut self, mut connection: Connection) {
        self.namespaces.met(connection.fact.ends.netns);
        self.tally.count(&mut connection, None);
        if let Some(mut earlier) = self.connections.insert(connection) {
            earlier.phase = Phase::Closed;
            self.tally.count(&mut earlier, None);
        }
    }

    /// A process moved bytes through a socket that does not count them, or that it does not own.
    fn flow(&mut self, fact: FlowFact) {
        let known = self
            .flows
            .entry(fact.key)
            .or_insert(FlowTotals { fact: FlowFact { tx: 0, rx: 0, ..fact }, reported: (0, 0) });
        let tx = fact.tx.saturating_sub(known.fact.tx);
        let rx = fact.rx.saturating_sub(known.fact.rx);
        known.fact = fact;
        // The entry was read again. Its process may have left the report meanwhile, and nothing brings it back.
        if (tx, rx) == (0, 0) {
            return;
        }
        let tcp = matches!(fact.protocol, Protocol::Tcp | Protocol::Mptcp);
        self.book(fact.key.task, fact.remote, |traffic| traffic.add(tcp, tx, rx, fact.remote));
        if fact.protocol == Protocol::Tcp {
            let shared = self.shared.entry(fact.key.cookie).or_default();
            shared.add(Bytes { tx, rx });
            self.settle(fact.key.cookie);
        }
    }

    fn closed_totals(&mut self, fact: ClosedTotalsFact) {
        // The entry was removed. A later entry counts from 0.
        if fact.connections == 0 {
            self.closed_totals.remove(&fact.owner);
            return;
        }
        let before = self.closed_totals.insert(fact.owner, fact);
        let (before, connections) =
            before.map_or_else(Default::default, |fact| (fact.counters, fact.connections));
        let Counters { tx, rx, retransmitted } = fact.counters;
        self.book(fact.owner, None, |traffic| {
            traffic.add(true, tx.saturating_sub(before.tx), rx.saturating_sub(before.rx), None);
            let retransmitted = retransmitted.saturating_sub(before.retransmitted);
            traffic.retransmitted = traffic.retransmitted.saturating_add(retransmitted);
            let connections = fact.connections.saturating_sub(connections);
            traffic.ended_connections = traffic.ended_connections.saturating_add(connections);
        });
    }

    fn settle(&mut self, cookie: u64) {
        let Some(connection) = self.connections.activate(cookie) else { return };
        self.listeners.accept(connection.arrival());
        let others = self.shared.get(&cookie).copied().unwrap_or_default();
        let credit = connection.settle(others);
        let (remote, round_trip) = (connection.fact.ends.remote, connection.round_trip());
        if connection.idle_form().is_some() {
            self.connections.make_idle(cookie);
        }
        if let Some((owner, credit)) = credit {
            self.book(owner, remote, |traffic| traffic.credit(credit, remote, round_trip));
        }
    }

    /// Connections leave the report one report after their close: the last bytes of other holders may be read after it.
    fn leave_connections(&mut self, now: Timestamp) {
        let (scans_only, clocks, unattributed) = (self.scans_only, self.clocks, &mut self.unattributed);
        let shared = &mut self.shared;
        self.connections.retain_active(|cookie, connection| {
            connection.delivered(clocks);
            let keep = match connection.phase {
                Phase::Open => true,
                Phase::Vanished => !scans_only && !connection.has_vanished_for(VANISHED, now.boot),
                Phase::Closed => {
                    connection.phase = Phase::Settling;
                    true
                }
                Phase::Settling => false,
            };
            if !keep {
                let others = shared.remove(&cookie).unwrap_or_default();
                *unattributed = unattributed.saturating_add(connection.unattributed(others));
            }
            keep
        });
    }
}
