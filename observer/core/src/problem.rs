//! What runs out on this machine, or soon will, and what causes it: shared by the overview, notes and WHY columns.
//!
//! A problem is derived from the states of the domains. It is a plain value: it uses no clock, and its times are those
//! of the boot clock.

use std::cmp::Ordering;

use crate::{
    facts::TaskId,
    report::{Value, subject::Subject},
    severity::Severity,
};

pub mod condition;
pub mod tracker;

/// The properties that all problems of one kind share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// Its name in JSON: docs/problems.md has a row for each.
    pub name: &'static str,
    /// Seconds for which its condition must hold before it is a problem, or before its severity rises.
    pub confirm: u64,
    /// Seconds without its condition after which it is over, or after which its severity falls.
    pub linger: u64,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub severity: Severity,
    /// Its kind, for scripts: a stable name such as `filesystem-fills`.
    pub kind: &'static str,
    /// What it is about. Two problems of one kind and subject are the same problem.
    pub subject: Subject,
    /// The subject as members of a JSON object, without its type; empty for a process, which has the usual ones.
    pub about: Vec<(&'static str, Value)>,
    /// The processes that cause it, the main one first.
    pub processes: Vec<TaskId>,
    /// One sentence: what runs out, when, and what causes it. Printable.
    pub text: String,
    /// The measurements that support it. Printable.
    pub evidence: String,
    /// When its condition began to hold, in nanoseconds of the boot clock.
    pub since: u64,
    /// When harm is expected; `None` if harm has begun, or no time can be given.
    pub harm_in: Option<Harm>,
    /// What to do or to run next; `None` if nothing is known to help. Printable.
    pub next: Option<String>,
}

/// Time until harm, in seconds, with the ends of its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Harm {
    /// The most likely time.
    pub expected: f64,
    /// The earliest.
    pub low: f64,
    /// The latest; infinite if harm may never come.
    pub high: f64,
}

impl Problem {
    /// The order of urgency: by severity, then by the time until harm, then by duration, the longest first. Equally
    /// urgent problems keep one order in every report.
    pub fn by_urgency(&self, other: &Self) -> Ordering {
        let harm = |problem: &Self| match problem.harm_in {
            Some(harm) => harm.expected,
            // Harm that has begun comes first, harm without a known time last.
            None if problem.severity == Severity::Now => 0.0,
            None => f64::INFINITY,
        };
        self.severity
            .cmp(&other.severity)
            .then_with(|| harm(self).total_cmp(&harm(other)))
            .then_with(|| self.since.cmp(&other.since))
            .then_with(|| self.kind.cmp(other.kind))
            .then_with(|| self.subject.cmp(&other.subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::TaskId;

    fn problem(kind: &'static str, severity: Severity, expected: Option<f64>, since: u64) -> Problem {
        Problem {
            severity,
            kind,
            subject: Subject::Machine,
            about: Vec::new(),
            processes: Vec::new(),
            text: String::new(),
            evidence: String::new(),
            since,
            harm_in: expected.map(|expected| Harm { expected, low: expected / 2.0, high: f64::INFINITY }),
            next: None,
        }
    }

    #[test]
    fn the_most_urgent_problem_comes_first() {
        let mut problems = [
            problem("watched", Severity::Watch, Some(1.0), 1),
            problem("soon-without-time", Severity::Soon, None, 1),
            problem("soon-later", Severity::Soon, Some(900.0), 1),
            problem("now-in-a-minute", Severity::Now, Some(60.0), 1),
            problem("soon-new", Severity::Soon, Some(90.0), 7),
            problem("soon-old", Severity::Soon, Some(90.0), 3),
            problem("now-begun", Severity::Now, None, 9),
        ];
        problems.sort_by(Problem::by_urgency);
        let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(
            kinds,
            [
                "now-begun",
                "now-in-a-minute",
                "soon-old",
                "soon-new",
                "soon-later",
                "soon-without-time",
                "watched"
            ]
        );
    }

    #[test]
    fn equally_urgent_problems_keep_one_order() {
        let of = |tgid| Problem {
            subject: Subject::Process(TaskId { start: 1, tgid }),
            ..problem("leak", Severity::Soon, Some(f64::NAN), 1)
        };
        let mut problems = [of(3), of(1), of(2)];
        problems.sort_by(Problem::by_urgency);
        assert!(problems.is_sorted_by_key(|problem| problem.subject.clone()), "{problems:?}");
    }
}
