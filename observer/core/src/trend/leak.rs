//! Whether memory is lost for good.
//!
//! The slope of a process's memory misleads: a collector's sawtooth rises steeply before it falls, a cache grows until
//! it is full, a table is loaded once. Unlike these, the lower envelope of a leak ([`super::envelope`]), the memory
//! that was never given back later, rises all the time, and in the end as fast as in the beginning. It must have done
//! so over the whole observed life of the process, or over most of it, evenly ([`continues`]).
//!
//! This does not separate a leak from a cache that fills at a steady rate and is not full yet, or from a collected heap
//! with garbage that is not worth collecting yet. Only time separates them. How long to wait depends on the cost of
//! waiting ([`confirmation_time`]): the sooner the memory will be full, the sooner the verdict.
//!
//! Nor does a leak always rise in many steps. A heap with a collector, and a vector, grow by a share of what they hold.
//! If their content grows steadily, each step is higher than the last and each pause longer, so there are only a few.
//! They count if there was time for them, and if each brought new memory ([`steps_needed`]).

use super::{
    envelope::{EnvelopeGrowth, Examination, LONGEST_PAUSE, MIN_GROWTH, SEGMENTS, examine, rate},
    history::History,
    slope::Trend,
};

#[cfg(test)]
mod tests;

/// The longest confirmation time, seconds: ordinary caches are full by then, and collectors of small heaps have run.
const CONFIRMATION: f64 = 900.0;

/// The shortest, seconds: twelve segments of less time see too little of any rhythm.
const SHORTEST_CONFIRMATION: f64 = 90.0;

/// What a process takes when it starts does not predict its growth: this many seconds are ignored, or a tenth of the
/// known time if that is less.
const STARTUP: f64 = 30.0;

/// The confirmation time as a share of the time that is left until the limit.
const SHARE_OF_TIME_LEFT: f64 = 1.0 / 24.0;

/// The effective number of rises, of at most eleven, that is needed in less than [`CONFIRMATION`] or in memory that had
/// been asked for before.
const MANY_STEPS: f64 = 4.0;

/// The same for growth that asks for memory: three doublings, each twice as high as the one before, are 49/21, and a
/// part of one may be lost between two segments.
const FEW_STEPS: f64 = 2.2;

/// A few steps count while the last of them is at most this many segments ago: in a longer pause they may have ended.
const STEP_PAUSE: usize = 1;

/// The effective number of rises of growth that was faster at first.
const EVEN: f64 = 8.0;

/// Growth that was faster at first continues if the second half of the life has at least this share of the growth of
/// the first half.
const SLOWED: f64 = 0.2;

/// Bytes asked of the kernel over bytes of growth: below it, the growth is in memory that had been asked for before.
const ASKS: f64 = 0.3;

/// More bytes than an allocator asks for in advance. Beyond it, memory that had been asked for before is a pool (a
/// buffer cache, the memory of a virtual machine) that is used for the first time, and no leak.
const POOL: f64 = 64.0 * 1024.0 * 1024.0;

/// The rate of a whole life is known after this many windows.
const WINDOWS: f64 = 2.0;

/// The result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// It grows without bound, as far as is known.
    Leak(EnvelopeGrowth),
    /// It grows, but the second half much less than the first.
    LevelsOff(EnvelopeGrowth),
    /// It may be one: `left` more seconds of such growth are needed. How it grew, unless it has only begun to.
    Early { left: f64, growth: Option<EnvelopeGrowth> },
    /// It does not grow, or not as a leak does.
    No,
}

/// How many seconds growth must last before it is called a leak, if `full_in` seconds are left until a limit.
#[must_use]
pub fn confirmation_time(full_in: Option<f64>) -> f64 {
    full_in
        .map_or(CONFIRMATION, |left| (left * SHARE_OF_TIME_LEFT).clamp(SHORTEST_CONFIRMATION, CONFIRMATION))
}

/// Whether `history` is certainly no leak's, at little cost: it did not grow, or has not changed for too long.
#[must_use]
pub fn ruled_out(history: &History, now: u64) -> bool {
    history.flat_for(now) > CONFIRMATION * LONGEST_PAUSE as f64 / SEGMENTS as f64
        || history.rise() < MIN_GROWTH
}

/// Whether `history` is a leak's at `now`, if `left` bytes are left until a limit.
#[must_use]
pub fn find(history: &History, now: u64, left: Option<f64>) -> Finding {
    if ruled_out(history, now) {
        return Finding::No;
    }
    let known = after_startup(history, now);
    let whole = examine(history, now, known);
    if let Examination::LevelsOff(growth) = whole {
        return continues(history, now, known, &growth).map_or(Finding::LevelsOff(growth), Finding::Leak);
    }
    let needed = |growth: &EnvelopeGrowth| {
        confirmation_time(left.map(|left| left.max(0.0) * growth.seconds / growth.gain))
    };
    // Over all of the known time, and over the last minutes: what came before a leak may hide it.
    let mut soonest: Option<f64> = None;
    let mut longest = None;
    let mut seconds = known;
    while seconds >= SHORTEST_CONFIRMATION.min(known) && seconds > 0.0 {
        match examine(history, now, seconds) {
            Examination::Rises(growth) if fills_a_pool(&growth) || growth.steps < steps_needed(&growth) => {}
            Examination::Rises(growth) => {
                let left = needed(&growth) - seconds;
                if left <= 0.0 {
                    return Finding::Leak(growth);
                }
                soonest = Some(soonest.map_or(left, |soonest| soonest.min(left)));
                longest = longest.or(Some(growth));
            }
            Examination::BeganLately if seconds <= CONFIRMATION => {
                soonest = soonest.or(Some(CONFIRMATION / 2.0));
            }
            _ => {}
        }
        seconds /= std::f64::consts::SQRT_2;
    }
    soonest.map_or(Finding::No, |left| Finding::Early { left, growth: longest })
}

/// Whether it asked the kernel for what it grew by.
fn asks(growth: &EnvelopeGrowth) -> bool {
    growth.asked >= ASKS * growth.gain
}

/// Whether it grew within memory that had been set aside.
fn fills_a_pool(growth: &EnvelopeGrowth) -> bool {
    !asks(growth) && growth.gain > POOL
}

/// The effective number of rises that a leak must have.
fn steps_needed(growth: &EnvelopeGrowth) -> f64 {
    let pauses = growth.pause > STEP_PAUSE;
    if growth.seconds >= CONFIRMATION && asks(growth) && !pauses { FEW_STEPS } else { MANY_STEPS }
}

/// Whether it is as even as a line: in about equal steps, and not slower in the second half.
fn is_even(growth: &EnvelopeGrowth) -> bool {
    growth.steps >= EVEN && growth.recent >= growth.early
}

/// The growth of the later part of a life that as a `whole` levels off, if it continues: the first collection of a
/// heap, or an arena, must not hide a later leak forever.
///
/// That part is always seven tenths of the life, and must be as even as a line: growth that slows down forever, like
/// the logarithm of time or its root, levels off in that part as well.
fn continues(history: &History, now: u64, known: f64, whole: &EnvelopeGrowth) -> Option<EnvelopeGrowth> {
    let later = known * std::f64::consts::FRAC_1_SQRT_2;
    if later < CONFIRMATION || whole.recent < SLOWED * whole.early {
        return None;
    }
    match examine(history, now, later) {
        Examination::Rises(growth) if is_even(&growth) && !fills_a_pool(&growth) => Some(growth),
        _ => None,
    }
}

/// Known seconds without the start.
fn after_startup(history: &History, now: u64) -> f64 {
    let known = history.known(now);
    known - STARTUP.min(known / 10.0)
}

/// How fast the low points rose over the whole life, in bytes per second. `None` while that is hardly longer than the
/// window of `window` seconds, and for a series that no longer grows or never grew.
#[must_use]
pub fn lifetime_rate(history: &History, now: u64, window: f64) -> Option<Trend> {
    let known = after_startup(history, now);
    if known < WINDOWS * window || ruled_out(history, now) {
        return None;
    }
    Some(rate(&history.segments(now, known, SEGMENTS), known))
}
