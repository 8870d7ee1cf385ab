//! How the floor of a series rose: what of it never came back.
//!
//! The time looked at is parted into [`STRETCHES`]; the floor of a stretch is the lowest value in it and after it. A
//! leak's floor rises all the time:
//!
//! - *no levelling off*: the second half of the time has at least [`KEEPS_ON`] of the first half's growth;
//! - *no rest at the end* that is longer than any rest before it: a cache that is just full rests for the first time;
//!   load that comes and goes rests again and again;
//! - *no swing*: the growth is several times what the low points gave back within it.
//!
//! In how many steps it rose is told, and not judged: the effective number of rises (the square of their sum over the
//! sum of their squares) is 1 for a single step, however high, and the number of stretches for a line.

use super::{
    history::{History, Segment},
    slope::{Trend, student},
};

/// Into so many stretches of equal length the time is parted.
pub const STRETCHES: usize = 12;

/// Bytes that count as growth: several times what the kernel's per-CPU counters keep back, and what a program's buffers
/// come to that are used for the first time.
pub const LEAST: f64 = 1024.0 * 1024.0;

/// Growth counts from this share of what is held.
const LEAST_SHARE: f64 = 0.004;

/// The share of the growth that the first half must have: what began later is looked at later.
const BEGAN: f64 = 0.2;

/// The second half's growth over the first's, at least.
pub const KEEPS_ON: f64 = 0.8;

/// The longest rest within the growth, in stretches.
pub const LONG_REST: usize = 5;

/// The growth over the deepest fall of the low points within it, at least.
const SWING: f64 = 6.0;

/// A rise of less than this share of the mean rise is a rest.
const REST: f64 = 0.15;

/// The rate's interval over that of independent rises. They are not independent: what one stretch gained late, the next
/// one lacks, and the sum is surer than its parts. Calibrated on the part of the corpus that this was built on.
const SURER: f64 = 0.65;

/// No rate is surer than this share of it: no load is steadier. Calibrated likewise.
const SUREST: f64 = 0.02;

/// How the floor rose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnvelopeGrowth {
    /// Seconds looked at.
    pub seconds: f64,
    /// Bytes.
    pub gain: f64,
    /// From so many stretches to the next it rose,
    pub rises: usize,
    /// of so many.
    pub of: usize,
    /// The effective number of rises.
    pub steps: f64,
    /// Stretches since the last rise.
    pub resting: usize,
    /// Bytes of the first half of the time, and
    pub early: f64,
    /// of the second.
    pub recent: f64,
    /// Bytes asked of the kernel and not given back in that time.
    pub asked: f64,
    /// Bytes per second, by its low points.
    pub rate: Trend,
}

/// How the floor rose over some time, and what it lacks to be a leak's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Examination {
    /// Nothing but, perhaps, steps enough.
    Rises(EnvelopeGrowth),
    Levels(EnvelopeGrowth),
    /// It began lately.
    Began,
    No,
}

/// The last `seconds` of `history` up to `now`.
#[must_use]
pub fn look(history: &History, now: u64, seconds: f64) -> Examination {
    let stretches = history.stretches(now, seconds, STRETCHES);
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return Examination::No };
    let mut envelope = [last.low; STRETCHES];
    for index in (0..STRETCHES - 1).rev() {
        envelope[index] = envelope[index + 1].min(stretches[index].low);
    }
    let gain = last.low - envelope[0];
    if gain < LEAST || gain < LEAST_SHARE * last.last {
        return Examination::No;
    }
    let mut rises = [0.0; STRETCHES - 1];
    for (rise, pair) in rises.iter_mut().zip(envelope.windows(2)) {
        *rise = pair[1] - pair[0];
    }
    let rests = |rise: &&f64| **rise < REST * gain / rises.len() as f64;
    let resting = rises.iter().rev().take_while(rests).count();
    let (early, recent) =
        (envelope[STRETCHES / 2] - envelope[0], envelope[STRETCHES - 1] - envelope[STRETCHES / 2 - 1]);
    // A swing may stand at its top now: what the deepest one gave back, the newest may give back, too.
    let mut fall: f64 = 0.0;
    let mut top = f64::NEG_INFINITY;
    for stretch in &stretches {
        top = top.max(stretch.low);
        fall = fall.max(top - stretch.low);
    }
    let growth = EnvelopeGrowth {
        seconds,
        gain,
        rises: rises.iter().filter(|rise| !rests(rise)).count(),
        of: rises.len(),
        steps: gain * gain / rises.iter().map(|rise| rise * rise).sum::<f64>(),
        early,
        recent,
        resting,
        asked: last.asked - first.asked,
        rate: rate(&stretches, seconds),
    };
    if early < BEGAN * gain {
        return Examination::Began;
    }
    if recent - fall < KEEPS_ON * early {
        return Examination::Levels(growth);
    }
    let before = longest(&rises[..rises.len() - resting], rests);
    if gain < SWING * fall || before > LONG_REST || resting > before {
        return Examination::No;
    }
    Examination::Rises(growth)
}

/// The trend with an interval no narrower than any load allows.
#[must_use]
pub fn sure(trend: Trend) -> Trend {
    let half = SUREST * trend.rate.abs();
    Trend { rate: trend.rate, low: trend.low.min(trend.rate - half), high: trend.high.max(trend.rate + half) }
}

/// How fast the low points rise, in bytes per second.
#[must_use]
pub fn rate(stretches: &[Segment], seconds: f64) -> Trend {
    let length = seconds / STRETCHES as f64;
    let mean =
        |from: usize, to: usize| (stretches[to].low - stretches[from].low) / (length * (to - from) as f64);
    let last = stretches.len() - 1;
    let (n, rate, middle) = (last as f64, mean(0, last), last.div_ceil(2));
    let variance = (0..last).map(|each| (mean(each, each + 1) - rate).powi(2)).sum::<f64>() / (n - 1.0);
    // What changed its pace once may do so again.
    let unsteady = (mean(middle, last) - mean(0, middle)).abs();
    let half = (SURER * student(n - 1.0) * (variance / n).sqrt()).max(unsteady);
    sure(Trend { rate, low: rate - half, high: rate + half })
}

/// The longest run of rises that `are`.
fn longest(rises: &[f64], are: impl Fn(&&f64) -> bool) -> usize {
    rises.split(|rise| !are(&rise)).map(<[f64]>::len).max().unwrap_or(0)
}
