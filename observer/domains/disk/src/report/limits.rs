//! Finds the limit that a filesystem reaches first (blocks, inodes, or another limit), and the time.

use crate::space::{Filesystem, Limited};
use observer_core::{
    facts::disk::{LimitKind, Mount},
    text::printable,
    trend::{
        slope::{Trend, trend},
        window::Window,
    },
    units,
};

/// A filesystem does not count as filling if it takes longer than this many seconds (ten years).
const NEVER: f64 = 10.0 * 365.25 * 86400.0;

/// One limit of a filesystem, and how near it is.
#[derive(Debug)]
pub struct Bound {
    pub kind: BoundKind,
    /// The owner of the limit, if that is not the filesystem.
    pub of: Option<String>,
    used: u64,
    left: u64,
    trend: Option<Trend>,
    pub full_in: Full,
}

/// The kind of a [`Bound`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundKind {
    Space,
    Inodes,
    Other(LimitKind),
}

impl BoundKind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::Inodes => "inodes",
            Self::Other(LimitKind::Metadata) => "metadata",
            Self::Other(LimitKind::Quota) => "quota",
            Self::Other(LimitKind::Backing) => "backing",
        }
    }
}

impl Bound {
    fn new(kind: BoundKind, used: u64, left: u64, series: &Window, now: u64) -> Self {
        let trend = trend(series, now);
        Self { kind, of: None, used, left, trend, full_in: Full::of(left, trend) }
    }

    fn limited(limited: &Limited, now: u64) -> Self {
        let limit = &limited.limit;
        let of = Some(printable(&limit.of)).filter(|of| !of.is_empty());
        Self { of, ..Self::new(BoundKind::Other(limit.kind), limit.used, limit.left, &limited.rest, now) }
    }

    /// The used part, 0 to 1. For blocks as `df` counts it: relative to the space that a user without privileges can
    /// use.
    pub fn full(&self) -> f64 {
        let usable = self.used.saturating_add(self.left);
        if usable == 0 { 0.0 } else { self.used as f64 / usable as f64 }
    }

    /// Whether all of it is used.
    pub const fn is_reached(&self) -> bool {
        self.left == 0 && self.used > 0
    }

    /// What is left of it: bytes or inodes.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The time until the limit is reached, as text for readers.
    pub fn words(&self) -> String {
        let words = if self.is_reached() { "full".to_owned() } else { self.full_in.words(self.trend) };
        match self.kind {
            BoundKind::Space => words,
            _ if words == units::NOTHING => words,
            kind => format!("{words} ({})", kind.name()),
        }
    }

    /// A sentence about the filesystem of `mount`. `reserved`: its bytes for privileged users.
    pub fn sentence(&self, mount: &Mount, reserved: u64) -> String {
        let point = printable(&mount.point);
        let full = units::share(self.full());
        let left = units::bytes(self.left);
        let of = self.of.as_deref().unwrap_or_default();
        let state = match self.kind {
            BoundKind::Space if self.left == 0 && reserved > 0 => {
                format!("{point} is {full} full, {left} left ({} more for root only)", units::bytes(reserved))
            }
            BoundKind::Space => format!("{point} is {full} full, {left} left"),
            BoundKind::Inodes if self.left == 0 => {
                return format!("{point} is out of inodes: all {} are used.", units::count(self.used));
            }
            BoundKind::Inodes => {
                format!("{point} has {full} of its inodes in use, {} left", units::count(self.left))
            }
            BoundKind::Other(LimitKind::Metadata) => {
                format!("{point} has {full} of the space for its metadata in use, {left} left")
            }
            BoundKind::Other(LimitKind::Quota) => {
                format!("{point} has {full} of quota {of} in use, {left} left")
            }
            BoundKind::Other(LimitKind::Backing) => {
                format!("{point} is in a sparse image on {of}, which has only {left} left")
            }
        };
        match self.full_in.expected {
            Some(_) => format!("{state}, full in {}.", self.full_in.words(self.trend)),
            None => format!("{state}."),
        }
    }
}

/// The time until a limit is reached, in seconds: expected, earliest and latest by the trend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Full {
    pub expected: Option<f64>,
    pub earliest: Option<f64>,
    pub latest: Option<f64>,
}

impl Full {
    /// Only a trend that certainly rises gives a time: its interval does not contain zero.
    fn of(left: u64, trend: Option<Trend>) -> Self {
        let Some(trend) = trend.filter(|trend| trend.low > 0.0) else { return Self::default() };
        let within = |rate: f64| Some(left as f64 / rate).filter(|seconds| *seconds < NEVER);
        Self { expected: within(trend.rate), earliest: within(trend.high), latest: within(trend.low) }
    }

    fn words(self, trend: Option<Trend>) -> String {
        match (self.expected, self.earliest, self.latest) {
            (Some(_), Some(earliest), Some(latest))
                if units::duration(earliest) != units::duration(latest) =>
            {
                format!("{} to {}", units::duration(earliest), units::duration(latest))
            }
            (Some(seconds), ..) => units::duration(seconds),
            _ if trend.is_some() => "not filling".to_owned(),
            _ => units::NOTHING.to_owned(),
        }
    }
}

/// The limits of a filesystem, sorted by the time at which they are reached, or else by how full they are. Among
/// equals, blocks come first, unless nothing is left.
pub fn bounds(filesystem: &Filesystem, now: u64) -> Vec<Bound> {
    let space = filesystem.space;
    let mut bounds = vec![Bound::new(BoundKind::Space, space.used, space.available, &filesystem.used, now)];
    if space.inodes > 0 {
        let left = space.inodes.saturating_sub(space.inodes_used);
        bounds.push(Bound::new(BoundKind::Inodes, space.inodes_used, left, &filesystem.inodes_used, now));
    }
    bounds.extend(filesystem.limits.iter().map(|limited| Bound::limited(limited, now)));
    let time = |bound: &Bound| match bound.full_in.expected {
        _ if bound.is_reached() => 0.0,
        Some(seconds) => seconds,
        None => f64::INFINITY,
    };
    // If nothing is left, a limit other than the blocks is the reason.
    let is_why = |bound: &Bound| time(bound) == 0.0 && bound.kind != BoundKind::Space;
    bounds.sort_by(|left, right| {
        let by_time = time(left).total_cmp(&time(right)).then(is_why(right).cmp(&is_why(left)));
        by_time.then(right.full().total_cmp(&left.full()))
    });
    bounds
}
