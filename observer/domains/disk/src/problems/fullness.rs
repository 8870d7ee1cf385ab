//! How urgent it is that a limit of a filesystem is near, for every kind of limit.

use crate::{
    mounted,
    report::limits::{Bound, BoundKind},
    space::Filesystem,
};
use observer_core::{
    context::Context,
    facts::disk::Mount,
    problem::{Harm, ProblemKind, condition::Condition},
    report::{Subject, Value},
    severity::Severity,
    text::printable,
    units,
};

/// A trend predicts at most this many times the time over which it was measured: a copy of a large file, or a build,
/// does not grow for hours.
pub const TRUSTED: f64 = 20.0;
/// The same for `Now`, if the growth is steady, as that of a log is: the latest time is at most this many times the
/// earliest. A build writes in bursts, each of which would fill a disk in minutes.
const STEADILY_TRUSTED: f64 = 10.0;
const STEADY: f64 = 1.6;
/// The same for `Now` if it is not.
const UNSTEADILY_TRUSTED: f64 = 5.0;

/// `Now` if the limit is reached within this many seconds.
const NOW: f64 = 600.0;
/// `Soon` if it is reached within this many seconds.
const SOON: f64 = 3600.0;
/// `Soon` if it is reached within this many seconds and little is left.
const DAY: f64 = 86_400.0;
/// A trend of minutes has a severity only if at least this part is used: an emptier filesystem has room for a copy or a
/// build.
const FILLED: f64 = 0.7;
/// The used part at which little is left.
const HIGH: f64 = 0.9;
/// The used part at which a limit is near even if nothing grows, if at most [`LITTLE`] is left.
const NEARLY: f64 = 0.97;
/// Bytes. A large filesystem can be 98 % full for years.
const LITTLE: u64 = 2 << 30;
/// The used part at which hardly any write succeeds.
const REACHED: f64 = 0.9995;
/// An existing condition ends only at a used part that is lower by `SLACK`, and at times that are longer by the factor
/// `SLOWER`.
const SLACK: f64 = 0.01;
const SLOWER: f64 = 1.5;

/// A limit of a filesystem.
pub struct Bounded<'a> {
    pub mount: &'a Mount,
    pub filesystem: &'a Filesystem,
    pub bound: &'a Bound,
    /// How long it has been observed, seconds.
    pub known: f64,
}

impl Bounded<'_> {
    /// The condition of `kind`, if the limit is near.
    pub fn condition(&self, kind: &'static ProblemKind, context: &Context<'_>) -> Option<Condition> {
        let begins = self.severity(0.0, 1.0);
        let severity = begins.or_else(|| self.severity(SLACK, SLOWER))?;
        let Self { mount, filesystem, bound, .. } = self;
        let space = filesystem.space;
        let reserved = space.size.saturating_sub(space.used).saturating_sub(space.available);
        let about = vec![
            ("mount", Value::Text(printable(&mount.point))),
            ("dev", Value::Text(mounted::device(mount.dev))),
            ("fs", Value::Text(printable(&mount.fs))),
            ("limit", Value::Text(bound.kind.name().to_owned())),
            ("limit_of", Value::text(bound.of.clone())),
        ];
        let subject = Subject::Filesystem { dev: mount.dev };
        let text = bound.sentence(mount, reserved);
        let condition = Condition::new(kind, severity, subject, text, context.now.boot);
        Some(
            condition
                .clear(begins.is_some())
                .about(about)
                .harming_in(self.harm())
                .because(self.evidence(context)),
        )
    }

    /// The severity with thresholds that are lower by `slack`, and times that are longer by the factor `slower`.
    fn severity(&self, slack: f64, slower: f64) -> Option<Severity> {
        let full = self.bound.full() + slack;
        let within = |seconds: f64, trusted: f64| {
            let trusted = seconds.min(trusted * self.known);
            let is_near = |expected: f64| expected <= slower * trusted;
            full >= FILLED && self.bound.full_in.expected.is_some_and(is_near)
        };
        let by_day = self.bound.full_in.expected.is_some_and(|expected| expected <= slower * DAY);
        let little = self.bound.kind == BoundKind::Inodes || self.bound.left() <= LITTLE;
        if self.bound.is_reached()
            || full >= REACHED + slack
            || within(NOW, if self.is_steady() { STEADILY_TRUSTED } else { UNSTEADILY_TRUSTED })
        {
            Some(Severity::Now)
        } else if within(SOON, TRUSTED) || (full >= HIGH && by_day) || (full >= NEARLY && little) {
            Some(Severity::Soon)
        } else if full >= HIGH {
            Some(Severity::Watch)
        } else {
            None
        }
    }

    /// Whether the time until the limit is reached is known well.
    fn is_steady(&self) -> bool {
        let full = self.bound.full_in;
        full.earliest.zip(full.latest).is_some_and(|(earliest, latest)| latest <= STEADY * earliest)
    }

    fn harm(&self) -> Option<Harm> {
        let full = self.bound.full_in;
        if self.bound.is_reached() {
            return None;
        }
        let expected = full.expected?;
        let low = full.earliest.unwrap_or(expected);
        Some(Harm { expected, low, high: full.latest.unwrap_or(f64::INFINITY) })
    }

    fn evidence(&self, context: &Context<'_>) -> String {
        let space = self.filesystem.space;
        let size = units::bytes(space.size);
        let series = match self.bound.kind {
            BoundKind::Inodes => {
                let grew = self.filesystem.inodes_used.growth(context.now.boot).unwrap_or(0.0);
                let change = if grew > 0.0 { units::count(grew as u64) } else { "none".to_owned() };
                return format!(
                    "{} of {} inodes are in use; created in the last {:.0} s, less those removed: {change}",
                    units::count(space.inodes_used),
                    units::count(space.inodes),
                    self.known
                );
            }
            _ => self.filesystem.used.growth(context.now.boot),
        };
        match series {
            Some(grew) => format!(
                "it is {size} large and changed by {} in the last {:.0} s",
                units::change(grew.round()),
                self.known
            ),
            None => format!("it is {size} large"),
        }
    }
}
