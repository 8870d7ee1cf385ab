//! What is said of a connection's pace, and what is made of that for a process.

use std::collections::{BTreeMap, HashMap};

use super::{
    connection::{Clocks, Connection, Phase},
    queue::{self, Filled, Sharer},
    report::whose,
    why::Limit,
};
use crate::{observation::TaskId, units::share};

/// What limits a connection, and why that is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub limit: Limit,
    /// A few words for a table; empty where nothing is known.
    pub brief: String,
    /// One sentence, without its full stop.
    pub evidence: String,
    /// Seconds that a standing queue adds to each round trip; `None` where that cannot be told.
    pub queue: Option<f64>,
    pub gains: Gain,
}

/// What would make it faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gain {
    /// A shorter way, and no faster link.
    Nearness,
    /// A larger buffer, or a shorter way.
    Buffer,
    /// A faster link, and no shorter way.
    Bandwidth,
    /// Neither.
    #[default]
    Neither,
}

impl Judgement {
    /// Neither a queue nor a gain is known.
    #[must_use]
    pub fn of(limit: Limit, brief: String, evidence: String) -> Self {
        Self { limit, brief, evidence, queue: None, gains: Gain::Neither }
    }

    /// The same, and what would make the connection faster.
    #[must_use]
    pub fn gaining(self, gains: Gain) -> Self {
        Self { gains, ..self }
    }

    /// Nobody can tell, and why not.
    #[must_use]
    pub fn unknown(evidence: &str) -> Self {
        Self::of(Limit::Unknown, String::new(), evidence.to_owned())
    }
}

/// What limits the connections at one moment, and the processes.
#[derive(Clone, Debug, Default)]
pub struct Judgements {
    connections: HashMap<u64, Judgement>,
    processes: HashMap<TaskId, Together>,
    filled: Vec<Filled>,
}

impl Judgements {
    /// Judges every connection that is open.
    pub fn of<'a>(connections: impl Iterator<Item = &'a Connection>, clocks: Clocks) -> Self {
        let mut judged = Self::default();
        let open: Vec<&Connection> =
            connections.filter(|connection| connection.phase == Phase::Open).collect();
        let mut first: Vec<Judgement> = open.iter().map(|connection| connection.judge(clocks, 0.0)).collect();
        let sharers = |judgements: &[Judgement]| -> Vec<Sharer> {
            let both = open.iter().zip(judgements);
            both.filter_map(|(connection, judgement)| Sharer::of(connection, judgement)).collect()
        };
        // Who fills a queue is known from itself; who waits in it only once that is known.
        for filled in queue::filled(&sharers(&first)) {
            for (connection, judgement) in open.iter().zip(&mut first) {
                if filled.is_on_the_way_of(connection) && judgement.limit == Limit::Peer {
                    *judgement = connection.judge(clocks, filled.adds);
                }
            }
        }
        judged.filled = queue::filled(&sharers(&first));
        for (connection, judgement) in open.into_iter().zip(first) {
            let (tx, rx) = connection.interval();
            for id in whose(connection) {
                judged.processes.entry(id).or_default().add(&judgement, tx.saturating_add(rx));
            }
            judged.connections.insert(connection.fact.cookie, judgement);
        }
        judged
    }

    /// What limits the connection.
    #[must_use]
    pub fn connection(&self, cookie: u64) -> Judgement {
        let ended = || Judgement::unknown("it ended before it was read again");
        self.connections.get(&cookie).cloned().unwrap_or_else(ended)
    }

    /// Queues that somebody fills.
    #[must_use]
    pub fn filled(&self) -> &[Filled] {
        &self.filled
    }

    /// The queue that the connection waits in, where another process fills it.
    #[must_use]
    pub fn waits_in(&self, cookie: u64) -> Option<&Filled> {
        self.filled.iter().find(|filled| filled.waiting.contains(&cookie))
    }

    /// What limits most of what the process moves over its open connections.
    #[must_use]
    pub fn process(&self, id: TaskId) -> Judgement {
        let judged = self.processes.get(&id).and_then(Together::judged);
        judged.unwrap_or_else(|| Judgement::unknown("it has no open TCP connection"))
    }
}

/// The judgements of one process's connections, each with the bytes that it carried in the interval.
#[derive(Clone, Debug, Default)]
pub struct Together {
    limits: BTreeMap<Limit, (u64, u64, Option<Judgement>)>,
    bytes: u64,
}

impl Together {
    /// Adds a connection.
    pub fn add(&mut self, judgement: &Judgement, bytes: u64) {
        let (all, most, of) = self.limits.entry(judgement.limit).or_default();
        *all = all.saturating_add(bytes);
        if of.is_none() || bytes > *most {
            (*most, *of) = (bytes, Some(judgement.clone()));
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// What limits most of what the process moves, in the words of the connection that moves most of that.
    #[must_use]
    pub fn judged(&self) -> Option<Judgement> {
        // Of what moves nothing, what is known says more; among equals, the first in the order of the judgement.
        let rank = |(limit, (bytes, ..)): &(&Limit, &(u64, u64, Option<Judgement>))| {
            (*bytes, **limit != Limit::Unknown, std::cmp::Reverse(**limit))
        };
        let (_, (bytes, _, judgement)) = self.limits.iter().max_by_key(rank)?;
        let mut judgement = judgement.clone()?;
        if *bytes < self.bytes {
            let part = share(*bytes as f64 / self.bytes as f64);
            judgement.evidence = format!("{} ({part} of what it moves is limited so)", judgement.evidence);
        }
        Some(judgement)
    }
}
