//! A condition: what a domain finds in one report, before time decides whether it is a problem.

use super::{Harm, Problem, ProblemKind};
use crate::{
    facts::TaskId,
    report::{Subject, Total, Value},
    severity::Severity,
};

/// A condition of a kind of problem that holds in this report.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub kind: &'static ProblemKind,
    /// Whether it is clear enough to begin a problem. Otherwise it only continues an existing one, so that a value near
    /// its threshold does not cause a problem again and again.
    pub begins: bool,
    /// The problem that it would be. `since` is the time from which the condition is known to hold, at the latest the
    /// time of this report.
    pub problem: Problem,
}

/// What the overview needs from a domain for one report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    pub conditions: Vec<Condition>,
    /// Everything that can run out, however far it is from that.
    pub capacities: Vec<Capacity>,
    pub totals: Vec<Total>,
    /// Bytes that could not be attributed to a process.
    pub unattributed: u64,
}

/// Something that can run out.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// How full it is: a sentence without a full stop. Printable.
    pub text: String,
    /// The used part, 0 to 1.
    pub used: f64,
    /// Seconds until it is full, if a trend gives a time.
    pub full_in: Option<f64>,
}

impl Condition {
    /// A condition that begins a problem, in the report of `now`, nanoseconds of the boot clock. `text`: one sentence,
    /// printable.
    #[must_use]
    pub const fn new(
        kind: &'static ProblemKind,
        severity: Severity,
        subject: Subject,
        text: String,
        now: u64,
    ) -> Self {
        Self {
            kind,
            begins: true,
            problem: Problem {
                severity,
                kind: kind.name,
                subject,
                about: Vec::new(),
                processes: Vec::new(),
                text,
                evidence: String::new(),
                since: now,
                harm_in: None,
                next: None,
            },
        }
    }

    /// The same, beginning a problem only if `clear`.
    #[must_use]
    pub fn clear(mut self, clear: bool) -> Self {
        self.begins = clear;
        self
    }

    /// The same with the measurements that support it.
    #[must_use]
    pub fn because(mut self, evidence: impl Into<String>) -> Self {
        self.problem.evidence = evidence.into();
        self
    }

    /// The same with the time until harm.
    #[must_use]
    pub fn harming_in(mut self, harm: Option<Harm>) -> Self {
        self.problem.harm_in = harm;
        self
    }

    /// The same with a command to run next.
    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.problem.next = Some(command.into());
        self
    }

    /// The same with the members of its subject in JSON. Those of a process need not be given.
    #[must_use]
    pub fn about(mut self, members: Vec<(&'static str, Value)>) -> Self {
        self.problem.about = members;
        self
    }

    /// The same, caused by these processes, the main one first.
    #[must_use]
    pub fn by(mut self, processes: impl IntoIterator<Item = TaskId>) -> Self {
        self.problem.processes.extend(processes);
        self
    }

    /// The same, holding since `at`, nanoseconds of the boot clock, if that is earlier.
    #[must_use]
    pub fn since(mut self, at: u64) -> Self {
        self.problem.since = self.problem.since.min(at);
        self
    }
}
