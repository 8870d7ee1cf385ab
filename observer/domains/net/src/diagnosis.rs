//! The bottleneck of a connection or a process, with its evidence.

/// The evidence while the bottleneck is not known yet, and if there is none.
pub const UNREAD: &str = "its pace is not observed, or was read once only";
pub const STILL: &str = "nothing flows";

/// What limits a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bottleneck {
    /// The process at this end does not read.
    Reader,
    Link,
    Receiver,
    SendBuffer,
    Loss,
    Latency,
    Peer,
    Application,
    #[default]
    Unknown,
}

impl Bottleneck {
    /// The value of `limited_by` in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Link => "link",
            Self::Receiver => "receiver",
            Self::SendBuffer => "send_buffer",
            Self::Loss => "loss",
            Self::Latency => "latency",
            Self::Peer => "peer",
            Self::Application => "application",
            Self::Unknown => "unknown",
        }
    }
}

/// A bottleneck with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    pub limit: Bottleneck,
    /// A few words for a table; empty where nothing is known.
    pub brief: String,
    /// One sentence without full stop.
    pub evidence: String,
    /// Seconds of queueing delay in each round trip; `None` if unknown.
    pub queue: Option<f64>,
    pub gains: Remedy,
}

/// What would make the connection faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remedy {
    /// A shorter path, but no faster link.
    Nearness,
    /// A larger buffer, or a shorter path.
    Buffer,
    /// A faster link, but no shorter path.
    Bandwidth,
    /// Neither.
    #[default]
    Neither,
}

impl Diagnosis {
    /// Neither a queue nor a gain is known.
    #[must_use]
    pub fn of(limit: Bottleneck, brief: String, evidence: String) -> Self {
        Self { limit, brief, evidence, queue: None, gains: Remedy::Neither }
    }

    /// The same diagnosis, with what would make the connection faster.
    #[must_use]
    pub fn gaining(self, gains: Remedy) -> Self {
        Self { gains, ..self }
    }

    /// An unknown bottleneck, for the reason in `evidence`.
    #[must_use]
    pub fn unknown(evidence: &str) -> Self {
        Self::of(Bottleneck::Unknown, String::new(), evidence.to_owned())
    }
}
