//! The bottlenecks of all connections at one moment, and of their processes.

use std::{cmp::Reverse, collections::BTreeMap};

use hashbrown::HashMap;

use super::{
    clocks::Clocks,
    connection::{Connection, Phase},
    diagnosis::{Bottleneck, Diagnosis, STILL, UNREAD},
    queue::{self, FilledQueue, QueueUser},
};
use observer_core::{facts::TaskId, units::share};

/// The bottlenecks of connections and processes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Diagnoses {
    clocks: Clocks,
    /// By cookie, without quiet connections.
    connections: HashMap<u64, Diagnosis>,
    processes: HashMap<TaskId, ProcessDiagnosis>,
    filled: Vec<FilledQueue>,
}

impl Diagnoses {
    /// Finds the bottleneck of every open connection that is not quiet.
    pub fn of<'a>(connections: impl Iterator<Item = &'a Connection>, clocks: Clocks) -> Self {
        let mut all = Self { clocks, ..Self::default() };
        if clocks.hz.is_none() {
            return all;
        }
        let moving = |connection: &&Connection| connection.phase == Phase::Open && !connection.is_quiet();
        let open: Vec<&Connection> = connections.filter(moving).collect();
        let mut first: Vec<Diagnosis> = open.iter().map(|connection| connection.judge(clocks, 0.0)).collect();
        let users = |diagnoses: &[Diagnosis]| -> Vec<QueueUser> {
            let both = open.iter().zip(diagnoses);
            both.filter_map(|(connection, diagnosis)| QueueUser::of(connection, diagnosis)).collect()
        };
        // A connection that fills a queue shows this without knowledge of others. Only then it is known which others
        // wait in the queue.
        for filled in queue::filled(&users(&first)) {
            for (connection, diagnosis) in open.iter().zip(&mut first) {
                if filled.is_in_path_of(connection) && diagnosis.limit == Bottleneck::Peer {
                    *diagnosis = connection.judge(clocks, filled.adds);
                }
            }
        }
        all.filled = queue::filled(&users(&first));
        for (connection, diagnosis) in open.into_iter().zip(first) {
            let (tx, rx) = connection.interval();
            let cookie = connection.fact.cookie;
            for id in connection.fact.processes() {
                all.processes.entry(id).or_default().add(cookie, &diagnosis, tx.saturating_add(rx));
            }
            all.connections.insert(cookie, diagnosis);
        }
        all
    }

    /// The bottleneck of the connection.
    #[must_use]
    pub fn connection(&self, connection: &Connection) -> Diagnosis {
        if let Some(diagnosis) = self.connections.get(&connection.fact.cookie) {
            return diagnosis.clone();
        }
        if connection.phase == Phase::Open {
            return connection.judge(self.clocks, 0.0);
        }
        Diagnosis::unknown("it ended before it was read again")
    }

    /// Queues that one process fills.
    #[must_use]
    pub fn filled(&self) -> &[FilledQueue] {
        &self.filled
    }

    /// The queue that the connection waits in, where another process fills it.
    #[must_use]
    pub fn waits_in(&self, cookie: u64) -> Option<&FilledQueue> {
        self.filled.iter().find(|filled| filled.waiting.contains(&cookie))
    }

    /// The bottleneck of most bytes of the process, over its open connections.
    #[must_use]
    pub fn process(&self, id: TaskId, connected: bool) -> Diagnosis {
        let judged = self.processes.get(&id).and_then(ProcessDiagnosis::judged);
        judged.unwrap_or_else(|| {
            Diagnosis::unknown(match (connected, self.clocks.hz) {
                (false, _) => "it has no open TCP connection",
                (true, None) => UNREAD,
                (true, Some(_)) => STILL,
            })
        })
    }
}

/// The diagnoses of the connections of one process, each with its bytes in the interval.
#[derive(Clone, Debug, Default)]
pub struct ProcessDiagnosis {
    limits: BTreeMap<Bottleneck, Limited>,
    bytes: u64,
}

/// The connections with one bottleneck.
#[derive(Clone, Debug)]
struct Limited {
    bytes: u64,
    /// The bytes and the cookie of the connection that moves most bytes; the lowest cookie if several do.
    most: (u64, Reverse<u64>),
    diagnosis: Diagnosis,
}

impl ProcessDiagnosis {
    /// Adds a connection. The order of calls does not matter.
    pub fn add(&mut self, cookie: u64, diagnosis: &Diagnosis, bytes: u64) {
        let this = (bytes, Reverse(cookie));
        let new = || Limited { bytes: 0, most: this, diagnosis: diagnosis.clone() };
        let limited = self.limits.entry(diagnosis.limit).or_insert_with(new);
        limited.bytes = limited.bytes.saturating_add(bytes);
        if this > limited.most {
            (limited.most, limited.diagnosis) = (this, diagnosis.clone());
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The bottleneck of most bytes of the process, with the evidence of the connection that moves most of these bytes.
    #[must_use]
    pub fn judged(&self) -> Option<Diagnosis> {
        // A known bottleneck comes before an unknown one with equal bytes. After that, the first in the order of the
        // checks wins.
        let rank = |(limit, limited): &(&Bottleneck, &Limited)| {
            (limited.bytes, **limit != Bottleneck::Unknown, Reverse(**limit))
        };
        let (_, limited) = self.limits.iter().max_by_key(rank)?;
        let mut diagnosis = limited.diagnosis.clone();
        if limited.bytes < self.bytes {
            let part = share(limited.bytes as f64 / self.bytes as f64);
            diagnosis.evidence = format!("{} ({part} of its traffic is limited by this)", diagnosis.evidence);
        }
        Some(diagnosis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_connection_speaks_for_its_process_does_not_hang_on_their_order() {
        let of =
            |cookie: u64| Diagnosis::of(Bottleneck::Application, String::new(), format!("{cookie} waits"));
        let judged = |cookies: [u64; 3]| {
            let mut together = ProcessDiagnosis::default();
            cookies
                .iter()
                .for_each(|cookie| together.add(*cookie, &of(*cookie), if *cookie == 9 { 1 } else { 2 }));
            together.judged().map(|diagnosis| diagnosis.evidence)
        };
        assert_eq!(judged([7, 9, 8]).as_deref(), Some("7 waits"));
        assert_eq!(judged([8, 9, 7]), judged([7, 9, 8]));
    }
}
