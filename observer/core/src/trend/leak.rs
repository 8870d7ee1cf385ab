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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MIB: f64 = 1024.0 * 1024.0;

    /// What is found after `seconds` of a series in MiB that asks for what it takes, and 20 GiB are left.
    fn after(seconds: u64, value: impl Fn(u64) -> f64) -> Finding {
        found(seconds, &value, &value, 20_480.0)
    }

    fn found(seconds: u64, value: &dyn Fn(u64) -> f64, asked: &dyn Fn(u64) -> f64, left: f64) -> Finding {
        let mut history = History::default();
        for second in 0..=seconds {
            history.push((500 + second) * SECOND, value(second) * MIB, asked(second) * MIB);
        }
        find(&history, (500 + seconds) * SECOND, Some(left * MIB))
    }

    fn leaks(finding: Finding) -> bool {
        matches!(finding, Finding::Leak(_))
    }

    fn ever(seconds: u64, value: impl Fn(u64) -> f64) -> bool {
        let mut history = History::default();
        (0..=seconds).any(|second| {
            let now = (500 + second) * SECOND;
            history.push(now, value(second) * MIB, value(second) * MIB);
            second % 10 == 0 && leaks(find(&history, now, Some(20_480.0 * MIB)))
        })
    }

    #[test]
    fn a_steady_leak_is_called_after_the_confirmation_time() {
        let leak = |second: u64| 50.0 + 0.01 * second as f64;
        let early = after(860, leak);
        assert!(matches!(early, Finding::Early { left, .. } if (60.0..80.0).contains(&left)), "{early:?}");
        let Finding::Leak(growth) = after(940, leak) else { panic!("{:?}", after(940, leak)) };
        // From the beginning of the first of twelve segments to the beginning of the last.
        assert!((growth.gain / MIB - 0.01 * 910.0 * 11.0 / 12.0).abs() < 0.1, "{growth:?}");
        assert_eq!((growth.rises, growth.transitions), (11, 11));
    }

    #[test]
    fn a_leak_is_called_sooner_if_less_time_is_left() {
        let leak = |second: u64| 50.0 + second as f64;
        assert!(!leaks(found(130, &leak, &leak, 20_480.0)));
        assert!(leaks(found(130, &leak, &leak, 2_000.0)), "it is full in 33 min");
        assert!(!leaks(found(90, &leak, &leak, 10.0)), "never from less than a minute and a half");
    }

    #[test]
    fn a_saw_is_no_leak_and_hides_none() {
        let saw = |second: u64| 100.0 + 3.0 * (second % 17) as f64;
        assert!(!ever(1500, saw));
        assert!(leaks(after(1200, |second| saw(second) + 0.05 * second as f64)));
    }

    #[test]
    fn a_cache_that_fills_is_no_leak() {
        for bound in [40, 200, 600] {
            assert!(!ever(1500, |second| 20.0 + 0.1 * second.min(bound) as f64), "steadily, in {bound} s");
            let random = |second: u64| 20.0 - 30.0 * (-(second as f64) / bound as f64).exp();
            assert!(!ever(1500, random), "at random, with a time constant of {bound} s");
        }
    }

    #[test]
    fn a_series_that_levels_off_is_found_to() {
        let finding = after(300, |second| 20.0 - 30.0 * (-(second as f64) / 100.0).exp());
        assert!(matches!(finding, Finding::LevelsOff(_)), "{finding:?}");
    }

    #[test]
    fn single_steps_are_no_leak() {
        assert!(!ever(1500, |second| if second < 300 { 30.0 } else { 80.0 }));
        assert!(!ever(1500, |second| 30.0 + 20.0 * (second / 500) as f64));
    }

    #[test]
    fn load_that_comes_and_goes_is_no_leak_and_hides_none() {
        let wave = |second: u64| 60.0 + 20.0 * (second as f64 / 12.0).sin();
        assert!(!ever(1500, wave));
        let loaded = |second: u64| second / 90 * 50 + (second % 90).min(50);
        assert!(leaks(after(1100, |second| 20.0 + 0.1 * loaded(second) as f64)));
    }

    #[test]
    fn a_leak_after_a_long_pause_is_called() {
        assert!(leaks(after(3100, |second| 40.0 + 0.1 * second.saturating_sub(2000) as f64)));
    }

    #[test]
    fn a_pool_that_is_used_for_the_first_time_is_no_leak() {
        let touched = |second: u64| 10.0 + second as f64;
        assert!(leaks(found(960, &touched, &touched, 20_480.0)));
        assert!(!leaks(found(1000, &touched, &|_| 5_000.0, 20_480.0)));
    }

    #[test]
    fn growth_in_memory_asked_for_before_may_be_a_leak() {
        let grows = |second: u64| 10.0 + 0.05 * second as f64;
        assert!(leaks(found(960, &grows, &|_| 64.0, 20_480.0)));
    }

    #[test]
    fn memory_taken_at_the_start_hides_no_leak() {
        let starts =
            |second: u64| if second < 28 { second as f64 } else { 28.0 + 0.01 * (second - 28) as f64 };
        assert!(leaks(after(960, starts)), "{:?}", after(960, starts));
    }

    #[test]
    fn growth_that_slows_down_forever_is_no_leak() {
        // A full heap with more and more garbage: like the logarithm of time, like its root.
        assert!(!ever(4000, |second| 20.0 + 10.0 * (1.0 + second as f64).ln()));
        assert!(!ever(4000, |second| 20.0 + (second as f64).sqrt()));
    }

    /// The size of a heap that grows by `factor` whenever `live` fills it.
    fn heap(live: f64, factor: f64) -> f64 {
        let mut heap = 4.0;
        while heap < live {
            heap *= factor;
        }
        heap
    }

    #[test]
    fn a_heap_that_doubles_as_it_fills_is_called() {
        for factor in [1.5, 1.8, 2.0] {
            let grows = |second: u64| 20.0 + heap(0.05 * second as f64, factor);
            assert!(ever(1500, grows), "by {factor}");
            let bounded = |second: u64| grows(second.min(350));
            assert!(!ever(3000, bounded), "by {factor}, full after 350 s");
        }
    }

    #[test]
    fn a_few_steps_count_at_a_step_and_not_in_a_pause() {
        // After a pause as long as the next one.
        let steps = |second: u64| 20.0 + 2.0 * (second.saturating_sub(700) / 200).min(3) as f64;
        assert!(leaks(after(1450, steps)), "{:?}", after(1450, steps));
        assert!(!leaks(after(1660, steps)), "{:?}", after(1660, steps));
    }

    #[test]
    fn a_few_steps_in_memory_asked_for_before_are_no_leak() {
        let grows = |second: u64| 20.0 + heap(0.05 * second as f64, 2.0);
        let called = |asked: &dyn Fn(u64) -> f64| {
            (900..1500).step_by(10).any(|second| leaks(found(second, &grows, asked, 20_480.0)))
        };
        assert!(called(&grows));
        assert!(!called(&|_| 100.0));
    }

    #[test]
    fn a_few_steps_need_the_longest_confirmation_time() {
        // It is full in half an hour, and has taken three steps in three minutes.
        let steps = |second: u64| 50.0 + heap(second as f64, 2.0);
        for second in 90..400 {
            assert!(!leaks(found(second, &steps, &steps, 2_000.0)), "after {second} s");
        }
    }

    #[test]
    fn a_warm_up_hides_no_leak_forever() {
        let settles = |second: u64| 20.0 + 0.05 * second.min(240) as f64;
        assert!(!ever(3000, settles));
        assert!(ever(1500, |second| settles(second) + 0.01 * second as f64));
        assert!(!ever(1500, |second| settles(second) + 0.002 * second as f64), "it hardly continues");
        let fills = |second: u64| settles(second) + 0.02 * second.min(800) as f64;
        assert!(!ever(1500, fills), "a cache, full after 800 s");
    }

    #[test]
    fn steps_after_a_warm_up_are_no_leak() {
        let settles = |second: u64| 20.0 + 0.05 * second.min(240) as f64;
        assert!(!ever(1500, |second| settles(second) + 3.0 * (second / 260) as f64));
    }

    #[test]
    fn swinging_low_points_are_no_leak_until_it_outgrows_them() {
        let swings = |second: u64| 50.0 + 3.0 * (second as f64 / 150.0).sin();
        assert!(!ever(1500, |second| swings(second) + 0.005 * second as f64));
        assert!(ever(1500, |second| swings(second) + 0.03 * second as f64));
    }

    #[test]
    fn growth_that_began_lately_is_examined_later() {
        let finding = after(240, |second| 40.0 + 0.2 * second.saturating_sub(190) as f64);
        assert!(matches!(finding, Finding::Early { growth: None, .. }), "{finding:?}");
    }

    #[test]
    fn growth_before_and_after_a_long_pause_is_no_leak() {
        let loads_twice = |second: u64| 40.0 + 0.2 * (second.min(280) + second.saturating_sub(880)) as f64;
        assert!(!leaks(after(1160, loads_twice)), "{:?}", after(1160, loads_twice));
    }

    #[test]
    fn too_little_is_no_growth() {
        assert!(!ever(1500, |second| 30.0 + 0.0005 * second as f64));
        assert!(!ever(1500, |second| 30_000.0 + 0.07 * second as f64), "a three-thousandth of it");
    }

    #[test]
    fn the_lifetime_rate_contains_those_of_its_halves() {
        let mut history = History::default();
        for second in 0..=1200u64 {
            let value = 0.1 * second.min(600) as f64 + 0.05 * second.saturating_sub(600) as f64;
            history.push(second * SECOND, value * MIB, 0.0);
            let trend = lifetime_rate(&history, second * SECOND, 60.0);
            assert_eq!(trend.is_some(), second >= 134, "after {second} s: {trend:?}");
        }
        let trend = lifetime_rate(&history, 1200 * SECOND, 60.0).unwrap();
        assert!(trend.low <= 0.051 * MIB && trend.high >= 0.099 * MIB, "{trend:?}");
        assert_eq!(lifetime_rate(&history, 1800 * SECOND, 60.0), None, "it no longer grows");
    }
}
