//! From the conditions of each report to problems that begin and end without flapping.
//!
//! A condition must hold for the confirmation time of its kind before it is a problem, and must be absent for its
//! lingering time before the problem is over. Both also apply to a change of severity. A condition
//! that holds when observation begins may be old, so it is shown at once. Its severity is `watch` until confirmed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, condition::Condition};
use crate::{report::Subject, severity::Severity};

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Nanoseconds after the first report. A condition that holds by then counts as old: rates are known one report later
/// than levels.
const BEGINNING: u64 = 2 * SECOND;

/// Tolerance of a confirmation time, nanoseconds: reports come a little early or late.
const EARLY: u64 = SECOND / 10;

/// Two conditions are one problem if they have the same kind and the same subject.
type Key = (&'static str, Subject);

/// The problems of a machine over time.
#[derive(Debug, Default)]
pub struct ProblemTracker {
    known: BTreeMap<Key, Tracked>,
    /// The time of the first report, nanoseconds of the boot clock.
    began: Option<u64>,
}

/// A condition that holds or held a moment ago.
#[derive(Debug)]
struct Tracked {
    problem: Problem,
    /// Confirmation and lingering time, nanoseconds.
    confirm: u64,
    linger: u64,
    /// When the condition was found first, without a gap since.
    found: u64,
    /// When it was last found.
    seen: u64,
    is_shown: bool,
    /// The severity in the last report, and the time from which it has differed in this direction from the shown one.
    differs: Option<(Severity, u64)>,
}

impl ProblemTracker {
    /// Takes in the conditions of the report of `now`, nanoseconds of the boot clock. `exists`: whether the subject still
    /// exists; if not, its problems are over at once.
    pub fn update(&mut self, conditions: Vec<Condition>, now: u64, exists: impl Fn(&Subject) -> bool) {
        let began = *self.began.get_or_insert(now);
        let is_beginning = now.saturating_sub(began) <= BEGINNING;
        let mut found = BTreeSet::new();
        for condition in conditions {
            let key = (condition.kind.name, condition.problem.subject.clone());
            if !found.insert(key.clone()) {
                continue;
            }
            match self.known.get_mut(&key) {
                Some(tracked) => tracked.continues(condition, now),
                None if condition.begins => {
                    self.known.insert(key, Tracked::new(condition, now, is_beginning));
                }
                None => {}
            }
        }
        self.known.retain(|key, tracked| {
            let lasts = tracked.is_shown && now.saturating_sub(tracked.seen) < tracked.linger;
            exists(&key.1) && (found.contains(key) && tracked.seen == now || lasts)
        });
    }

    /// The problems, the most urgent first.
    #[must_use]
    pub fn problems(&self) -> Vec<&Problem> {
        let shown = self.known.values().filter(|tracked| tracked.is_shown);
        let mut problems: Vec<&Problem> = shown.map(|tracked| &tracked.problem).collect();
        problems.sort_by(|one, other| one.by_urgency(other));
        problems
    }
}

impl Tracked {
    fn new(Condition { kind, mut problem, .. }: Condition, now: u64, is_beginning: bool) -> Self {
        let confirm = (kind.confirm * SECOND).saturating_sub(EARLY);
        let linger = kind.linger * SECOND;
        let mut differs = None;
        if is_beginning && confirm > 0 && problem.severity < Severity::Watch {
            differs = Some((problem.severity, now));
            problem.severity = Severity::Watch;
        }
        let is_shown = is_beginning || confirm == 0;
        Self { problem, confirm, linger, found: now, seen: now, is_shown, differs }
    }

    /// The condition holds again.
    fn continues(&mut self, Condition { begins, mut problem, .. }: Condition, now: u64) {
        if !self.is_shown {
            // The confirmation time starts again with the next clear condition.
            if !begins {
                return;
            }
            self.is_shown = now.saturating_sub(self.found) >= self.confirm;
            problem.since = problem.since.min(self.problem.since);
            (self.problem, self.seen) = (problem, now);
            return;
        }
        self.seen = now;
        problem.since = problem.since.min(self.problem.since);
        problem.severity = self.severity(problem.severity, now);
        self.problem = problem;
    }

    /// The severity to show if the condition has the severity `found`.
    fn severity(&mut self, found: Severity, now: u64) -> Severity {
        let shown = self.problem.severity;
        if found == shown {
            self.differs = None;
            return shown;
        }
        let rises = |severity: Severity| severity < shown;
        let since = match self.differs {
            Some((last, since)) if rises(last) == rises(found) => since,
            _ => now,
        };
        let needed = if rises(found) { self.confirm } else { self.linger };
        if now.saturating_sub(since) >= needed {
            self.differs = None;
            return found;
        }
        self.differs = Some((found, since));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ProblemKind;

    static SLOW: ProblemKind = ProblemKind { name: "slow", confirm: 3, linger: 5 };
    static PLAIN: ProblemKind = ProblemKind { name: "plain", confirm: 0, linger: 5 };

    fn condition(kind: &'static ProblemKind, severity: Severity, begins: bool, now: u64) -> Condition {
        let problem = Problem {
            severity,
            kind: kind.name,
            subject: Subject::Machine,
            about: Vec::new(),
            processes: Vec::new(),
            text: format!("at {}", now / SECOND),
            evidence: String::new(),
            since: now,
            harm_in: None,
            next: None,
        };
        Condition { kind, begins, problem }
    }

    /// The severity of the only problem after each second. `script`: for each second the severity of the condition,
    /// upper case if it is clear, a space if it does not hold.
    fn shown(kind: &'static ProblemKind, script: &str) -> String {
        let mut tracker = ProblemTracker::default();
        let letter = |severity| match severity {
            Severity::Now => 'n',
            Severity::Soon => 's',
            _ => 'w',
        };
        let each = script.chars().zip(100..).map(|(character, second)| {
            let severity = match character.to_ascii_lowercase() {
                'n' => Severity::Now,
                's' => Severity::Soon,
                _ => Severity::Watch,
            };
            let now = second * SECOND;
            let holds = !character.is_whitespace() && character != '.';
            let found = holds.then(|| condition(kind, severity, character.is_uppercase(), now));
            tracker.update(found.into_iter().collect(), now, |_| true);
            tracker.problems().first().map_or('.', |problem| letter(problem.severity))
        });
        each.collect()
    }

    #[test]
    fn a_condition_is_confirmed_before_it_is_a_problem() {
        assert_eq!(shown(&SLOW, "....SSSSSS"), ".......sss");
        assert_eq!(shown(&SLOW, "....SS.SSS"), "..........", "it did not hold without a break");
        assert_eq!(shown(&PLAIN, "....S"), "....s");
    }

    #[test]
    fn a_condition_that_is_not_clear_only_continues_a_problem() {
        assert_eq!(shown(&PLAIN, "....ssss"), "........");
        assert_eq!(shown(&PLAIN, "....Ssssssssss"), "....ssssssssss");
    }

    #[test]
    fn a_problem_lingers_and_then_is_over() {
        assert_eq!(shown(&PLAIN, "....S.........."), "....sssss......");
        assert_eq!(shown(&PLAIN, "....S...s...s..."), "....ssssssssssss");
    }

    #[test]
    fn severity_rises_when_confirmed_and_falls_after_a_while() {
        assert_eq!(shown(&SLOW, "....WWWWNNNNNN"), ".......wwwwnnn");
        assert_eq!(shown(&SLOW, "....WWWWNNWNNW"), ".......wwwwwww");
        assert_eq!(shown(&PLAIN, "....NWWWWWWWW"), "....nnnnnnwww");
        assert_eq!(shown(&PLAIN, "....NWWNWWNWW"), "....nnnnnnnnn");
    }

    #[test]
    fn what_holds_at_the_beginning_is_shown_at_once_and_urgent_once_confirmed() {
        assert_eq!(shown(&SLOW, "NNNNNN"), "wwwnnn");
        assert_eq!(shown(&SLOW, ".NNNNN"), ".wwwnn", "rates are known one report later");
        assert_eq!(shown(&PLAIN, "NNN"), "nnn");
    }

    #[test]
    fn a_problem_is_as_old_as_its_condition_and_gone_with_its_subject() {
        let mut tracker = ProblemTracker::default();
        for second in 100..110 {
            let found = condition(&SLOW, Severity::Soon, true, second * SECOND);
            tracker.update(vec![found], second * SECOND, |_| true);
        }
        let problems = tracker.problems();
        assert_eq!((problems[0].since, problems[0].text.as_str()), (100 * SECOND, "at 109"));
        tracker.update(Vec::new(), 110 * SECOND, |_| false);
        assert!(tracker.problems().is_empty());
    }
}
