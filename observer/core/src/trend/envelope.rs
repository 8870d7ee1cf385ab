//! The lower envelope of a series: growth that never came back.
//!
//! The examined time has [`SEGMENTS`]. The envelope of a segment is the lowest value in it and after it. The envelope
//! of a leak rises all the time:
//!
//! - *it does not level off*: the second half of the time has at least [`LATER_SHARE`] of the growth of the first half;
//! - *it does not pause at the end* for longer than any time before: a cache that is just full pauses for the first
//!   time, load that comes and goes pauses again and again;
//! - *it does not swing*: the growth is several times what the low points gave back meanwhile.
//!
//! The number of steps is returned, and not assessed. The effective number of rises (the square of their sum over the
//! sum of their squares) is 1 for a single step of any height, and the number of segments for a line.

use super::{
    history::{History, Segment},
    slope::{Trend, student},
};

/// Segments of equal length.
pub const SEGMENTS: usize = 12;

/// The fewest bytes of growth: several times the per-CPU remainders of the kernel's counters, and the buffers that a
/// program uses for the first time.
pub const MIN_GROWTH: f64 = 1024.0 * 1024.0;

/// The smallest growth as a share of what is held.
const MIN_SHARE: f64 = 0.004;

/// The share of the growth that the first half must have. Growth that began later is examined later.
const EARLY_SHARE: f64 = 0.2;

/// The smallest growth of the second half, as a share of that of the first.
pub const LATER_SHARE: f64 = 0.8;

/// The longest pause within the growth, in segments.
pub const LONGEST_PAUSE: usize = 5;

/// The growth over the deepest fall of the low points within it, at least.
const SWING: f64 = 6.0;

/// A rise of less than this share of the mean rise is a pause.
const PAUSE: f64 = 0.15;

/// The interval of the rate over that of independent rises. They are not independent: what one segment gained late, the
/// next one lacks, and the sum is more certain than its parts. Calibrated on the training part of the corpus.
const DEPENDENCE: f64 = 0.65;

/// The narrowest interval as a share of the rate: no load is steadier. Calibrated likewise.
const NARROWEST: f64 = 0.02;

/// How the lower envelope rose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnvelopeGrowth {
    /// Seconds examined.
    pub seconds: f64,
    /// Bytes.
    pub gain: f64,
    /// How often it rose from one segment to the next.
    pub rises: usize,
    /// How often it could have risen.
    pub transitions: usize,
    /// The effective number of rises.
    pub steps: f64,
    /// Segments since the last rise.
    pub pause: usize,
    /// Bytes in the first half of the time.
    pub early: f64,
    /// Bytes in the second half.
    pub recent: f64,
    /// Bytes asked of the kernel and not given back in that time.
    pub asked: f64,
    /// Bytes per second, by its low points.
    pub rate: Trend,
}

/// How the lower envelope rose over some time, compared with a leak's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Examination {
    /// As a leak's, except perhaps for the number of steps.
    Rises(EnvelopeGrowth),
    LevelsOff(EnvelopeGrowth),
    /// It began lately.
    BeganLately,
    No,
}

/// Examines the last `seconds` of `history` up to `now`.
pub fn examine(history: &History, now: u64, seconds: f64) -> Examination {
    let segments = history.segments(now, seconds, SEGMENTS);
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return Examination::No };
    let mut envelope = [last.low; SEGMENTS];
    for index in (0..SEGMENTS - 1).rev() {
        envelope[index] = envelope[index + 1].min(segments[index].low);
    }
    let gain = last.low - envelope[0];
    if gain < MIN_GROWTH || gain < MIN_SHARE * last.last {
        return Examination::No;
    }
    let mut rises = [0.0; SEGMENTS - 1];
    for (rise, pair) in rises.iter_mut().zip(envelope.windows(2)) {
        *rise = pair[1] - pair[0];
    }
    let pauses = |rise: &&f64| **rise < PAUSE * gain / rises.len() as f64;
    let pause = rises.iter().rev().take_while(pauses).count();
    let (early, recent) =
        (envelope[SEGMENTS / 2] - envelope[0], envelope[SEGMENTS - 1] - envelope[SEGMENTS / 2 - 1]);
    // The newest swing may be at its top: it may give back as much as the deepest one did.
    let mut fall: f64 = 0.0;
    let mut top = f64::NEG_INFINITY;
    for segment in &segments {
        top = top.max(segment.low);
        fall = fall.max(top - segment.low);
    }
    let growth = EnvelopeGrowth {
        seconds,
        gain,
        rises: rises.iter().filter(|rise| !pauses(rise)).count(),
        transitions: rises.len(),
        steps: gain * gain / rises.iter().map(|rise| rise * rise).sum::<f64>(),
        early,
        recent,
        pause,
        asked: last.asked - first.asked,
        rate: rate(&segments, seconds),
    };
    if early < EARLY_SHARE * gain {
        return Examination::BeganLately;
    }
    if recent - fall < LATER_SHARE * early {
        return Examination::LevelsOff(growth);
    }
    let before = longest(&rises[..rises.len() - pause], pauses);
    if gain < SWING * fall || before > LONGEST_PAUSE || pause > before {
        return Examination::No;
    }
    Examination::Rises(growth)
}

/// The trend with an interval that is not narrower than that of the steadiest load.
pub fn widened(trend: Trend) -> Trend {
    let half = NARROWEST * trend.rate.abs();
    Trend { rate: trend.rate, low: trend.low.min(trend.rate - half), high: trend.high.max(trend.rate + half) }
}

/// How fast the low points rise, in bytes per second.
pub fn rate(segments: &[Segment], seconds: f64) -> Trend {
    let length = seconds / SEGMENTS as f64;
    let mean =
        |from: usize, to: usize| (segments[to].low - segments[from].low) / (length * (to - from) as f64);
    let last = segments.len() - 1;
    let (n, rate, middle) = (last as f64, mean(0, last), last.div_ceil(2));
    let variance = (0..last).map(|each| (mean(each, each + 1) - rate).powi(2)).sum::<f64>() / (n - 1.0);
    // A rate that changed once may change again.
    let unsteady = (mean(middle, last) - mean(0, middle)).abs();
    let half = (DEPENDENCE * student(n - 1.0) * (variance / n).sqrt()).max(unsteady);
    widened(Trend { rate, low: rate - half, high: rate + half })
}

/// The longest run of rises that `are`.
fn longest(rises: &[f64], are: impl Fn(&&f64) -> bool) -> usize {
    rises.split(|rise| !are(&rise)).map(<[f64]>::len).max().unwrap_or(0)
}
