//! Whether memory is lost for good: what of a series never came back, and how that grew.
//!
//! A straight line through a process's memory is fooled by everything that programs do: a collector's sawtooth rises
//! steeply before it falls, a cache grows until it is full, a table is loaded once. What a leak does that they do not:
//! its *floor*, the memory that at no later moment was given back, rises all the time, in many steps, and as fast in
//! the end as in the beginning. So the time looked at is parted into [`STRETCHES`]; the floor of a stretch is the
//! lowest value in it and after it; and what is judged is how that floor rose from stretch to stretch:
//!
//! - *many steps*: the effective number of rises (the square of their sum over the sum of their squares) is 1 for a
//!   single step, however high, and the number of stretches for a line;
//! - *no levelling off*: the second half of the time has at least [`KEEPS_ON`] of the first half's growth, and so it is
//!   over the process's whole observed life;
//! - *no rest at the end* that is longer than any rest before it: a cache that is just full rests for the first time;
//!   load that comes and goes rests again and again.
//!
//! None of this tells a leak from a cache that fills at a steady pace and is not full yet, or from a collected heap in
//! which garbage lies until it is worth collecting: only time does. How long to wait is weighed against what waiting
//! costs ([`patience`]): the sooner the memory will be full, the sooner the word is said.

use super::{
    history::{History, Stretch},
    slope::{Trend, student},
};

/// Into so many stretches of equal length the time is parted.
const STRETCHES: usize = 12;

/// The longest that is waited before a leak is called, seconds: caches of ordinary size are full by then, and collectors
/// of small heaps have been at work.
const PATIENCE: f64 = 900.0;

/// The shortest, seconds: twelve stretches of less see too little of any rhythm.
const HASTE: f64 = 90.0;

/// What a process takes when it starts says nothing about what it will do: so many seconds are not looked at, or a tenth
/// of what is known where that is less.
const STARTUP: f64 = 30.0;

/// A verdict may take this share of the time that is left until the limit.
const SHARE_OF_TIME_LEFT: f64 = 1.0 / 24.0;

/// Bytes that count as growth: several times what the kernel's per-CPU counters keep back, and what a program's buffers
/// come to that are used for the first time.
const LEAST: f64 = 1024.0 * 1024.0;

/// Growth counts from this share of what is held.
const LEAST_SHARE: f64 = 0.004;

/// The share of the growth that the first half must have: what began later is looked at later.
const BEGAN: f64 = 0.2;

/// The second half's growth over the first's, at least.
pub const KEEPS_ON: f64 = 0.8;

/// The effective number of rises, of at most eleven.
const MANY: f64 = 4.0;

/// The longest rest within the growth, in stretches.
const LONG_REST: usize = 5;

/// The growth over the deepest fall of the low points within it, at least.
const SWING: f64 = 4.0;

/// A rise of less than this share of the mean rise is a rest.
const REST: f64 = 0.15;

/// Asked of the kernel over grown: below it, the growth is of memory that had been asked for before.
const ASKS: f64 = 0.3;

/// More bytes than an allocator asks for in advance: beyond it, memory that had been asked for before is a pool (a
/// buffer cache, a virtual machine's memory) that is used for the first time, and no leak.
const POOL: f64 = 64.0 * 1024.0 * 1024.0;

/// The rate's interval over that of independent rises. They are not independent: what one stretch gained late, the next
/// one lacks, and the sum is surer than its parts. Calibrated on the part of the corpus that this was built on.
const SURER: f64 = 0.65;

/// No rate is surer than this share of it: no load is steadier. Calibrated likewise.
const SUREST: f64 = 0.02;

/// A life says how fast something grows once it is known for so many windows.
const WINDOWS: f64 = 2.0;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// It grows without bound, as far as can be told.
    Leak(Growth),
    /// It grows, but the second half much less than the first.
    LevelsOff(Growth),
    /// It may be one; so many seconds of such growth more would tell. How it grew, unless it has only begun to.
    Early { left: f64, growth: Option<Growth> },
    /// It does not grow, or not as a leak does.
    No,
}

/// How the floor rose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Seconds looked at.
    pub seconds: f64,
    /// Bytes.
    pub gain: f64,
    /// From so many stretches to the next it rose,
    pub rises: usize,
    /// of so many.
    pub of: usize,
    /// Bytes of the second half of the time.
    pub recent: f64,
    /// Bytes asked of the kernel and not given back in that time.
    pub asked: f64,
    /// Bytes per second, by its low points.
    pub rate: Trend,
}

/// How the floor rose over some time, and what it lacks to be a leak's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Look {
    Leaks(Growth),
    Levels(Growth),
    /// It began lately.
    Began,
    No,
}

/// How many seconds of growth are waited for where `full_in` seconds are left until a limit, if one is known.
#[must_use]
pub fn patience(full_in: Option<f64>) -> f64 {
    full_in.map_or(PATIENCE, |left| (left * SHARE_OF_TIME_LEFT).clamp(HASTE, PATIENCE))
}

/// Whether `history` is certainly no leak's, at little cost: it did not grow, or has been at rest for too long.
#[must_use]
pub fn ruled_out(history: &History, now: u64) -> bool {
    history.rested(now) > PATIENCE * LONG_REST as f64 / STRETCHES as f64 || history.risen() < LEAST
}

/// What `history` says at `now`, where `left` bytes are left until a limit.
#[must_use]
pub fn find(history: &History, now: u64, left: Option<f64>) -> Finding {
    if ruled_out(history, now) {
        return Finding::No;
    }
    let known = settled(history, now);
    let whole = look(history, now, known);
    if let Look::Levels(growth) = whole {
        return Finding::LevelsOff(growth);
    }
    let hurry = |growth: &Growth| patience(left.map(|left| left.max(0.0) * growth.seconds / growth.gain));
    // Over all that is known, and the last minutes of it: what came before a leak began may hide it.
    let mut soonest: Option<f64> = None;
    let mut longest = None;
    let mut seconds = known;
    while seconds >= HASTE.min(known) && seconds > 0.0 {
        match look(history, now, seconds) {
            Look::Leaks(growth) if growth.asked < ASKS * growth.gain && growth.gain > POOL => {}
            Look::Leaks(growth) => {
                let left = hurry(&growth) - seconds;
                if left <= 0.0 {
                    return Finding::Leak(growth);
                }
                soonest = Some(soonest.map_or(left, |soonest| soonest.min(left)));
                longest = longest.or(Some(growth));
            }
            Look::Began if seconds <= PATIENCE => {
                soonest = soonest.or(Some(PATIENCE / 2.0));
            }
            _ => {}
        }
        seconds /= std::f64::consts::SQRT_2;
    }
    soonest.map_or(Finding::No, |left| Finding::Early { left, growth: longest })
}

/// Seconds that are known, without the start.
fn settled(history: &History, now: u64) -> f64 {
    let known = history.known(now);
    known - STARTUP.min(known / 10.0)
}

fn look(history: &History, now: u64, seconds: f64) -> Look {
    let stretches = history.stretches(now, seconds, STRETCHES);
    let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else { return Look::No };
    let mut floor = [last.low; STRETCHES];
    for index in (0..STRETCHES - 1).rev() {
        floor[index] = floor[index + 1].min(stretches[index].low);
    }
    let gain = last.low - floor[0];
    if gain < LEAST || gain < LEAST_SHARE * last.last {
        return Look::No;
    }
    let mut rises = [0.0; STRETCHES - 1];
    for (rise, pair) in rises.iter_mut().zip(floor.windows(2)) {
        *rise = pair[1] - pair[0];
    }
    let rests = |rise: &&f64| **rise < REST * gain / rises.len() as f64;
    let resting = rises.iter().rev().take_while(rests).count();
    let (early, recent) = (floor[STRETCHES / 2] - floor[0], floor[STRETCHES - 1] - floor[STRETCHES / 2 - 1]);
    // A swing may stand at its top now: what the deepest one gave back, the newest may give back, too.
    let mut fall: f64 = 0.0;
    let mut top = f64::NEG_INFINITY;
    for stretch in &stretches {
        top = top.max(stretch.low);
        fall = fall.max(top - stretch.low);
    }
    let growth = Growth {
        seconds,
        gain,
        rises: rises.iter().filter(|rise| !rests(rise)).count(),
        of: rises.len(),
        recent,
        asked: last.asked - first.asked,
        rate: rate(&stretches, seconds),
    };
    if early < BEGAN * gain {
        return Look::Began;
    }
    if recent - fall < KEEPS_ON * early {
        return Look::Levels(growth);
    }
    let steps = gain * gain / rises.iter().map(|rise| rise * rise).sum::<f64>();
    let before = longest(&rises[..rises.len() - resting], rests);
    if gain < SWING * fall || steps < MANY || before > LONG_REST || resting > before {
        return Look::No;
    }
    Look::Leaks(growth)
}

/// The trend with an interval no narrower than any load allows.
#[must_use]
pub fn sure(trend: Trend) -> Trend {
    let half = SUREST * trend.rate.abs();
    Trend { rate: trend.rate, low: trend.low.min(trend.rate - half), high: trend.high.max(trend.rate + half) }
}

/// How fast the low points rose over all that is known, in bytes per second; `None` while that is hardly more than the
/// `window` seconds that were looked at anyway, and of what has come to rest or never grew.
#[must_use]
pub fn pace(history: &History, now: u64, window: f64) -> Option<Trend> {
    let known = settled(history, now);
    if known < WINDOWS * window || ruled_out(history, now) {
        return None;
    }
    Some(rate(&history.stretches(now, known, STRETCHES), known))
}

/// How fast the low points rise, in bytes per second.
fn rate(stretches: &[Stretch], seconds: f64) -> Trend {
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
    fn a_steady_leak_is_called_when_patience_is_over() {
        let leak = |second: u64| 50.0 + 0.01 * second as f64;
        let early = after(860, leak);
        assert!(matches!(early, Finding::Early { left, .. } if (60.0..80.0).contains(&left)), "{early:?}");
        let Finding::Leak(growth) = after(940, leak) else { panic!("{:?}", after(940, leak)) };
        // From the beginning of the first of twelve stretches to the beginning of the last.
        assert!((growth.gain / MIB - 0.01 * 910.0 * 11.0 / 12.0).abs() < 0.1, "{growth:?}");
        assert_eq!((growth.rises, growth.of), (11, 11));
    }

    #[test]
    fn the_less_time_is_left_the_sooner_it_is_called() {
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
    fn what_levels_off_is_said_to() {
        let told = after(300, |second| 20.0 - 30.0 * (-(second as f64) / 100.0).exp());
        assert!(matches!(told, Finding::LevelsOff(_)), "{told:?}");
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
    fn a_leak_after_a_long_rest_is_called() {
        assert!(leaks(after(3100, |second| 40.0 + 0.1 * second.saturating_sub(2000) as f64)));
    }

    #[test]
    fn a_pool_that_is_used_for_the_first_time_is_no_leak() {
        let touched = |second: u64| 10.0 + second as f64;
        assert!(leaks(found(960, &touched, &touched, 20_480.0)));
        assert!(!leaks(found(1000, &touched, &|_| 5_000.0, 20_480.0)));
    }

    #[test]
    fn growth_of_what_was_asked_for_before_may_be_a_leak() {
        let grows = |second: u64| 10.0 + 0.05 * second as f64;
        assert!(leaks(found(960, &grows, &|_| 64.0, 20_480.0)));
    }

    #[test]
    fn what_a_process_takes_when_it_starts_hides_no_leak() {
        let starts =
            |second: u64| if second < 28 { second as f64 } else { 28.0 + 0.01 * (second - 28) as f64 };
        assert!(leaks(after(960, starts)), "{:?}", after(960, starts));
    }

    #[test]
    fn what_creeps_ever_slower_is_no_leak() {
        // A heap that is full, and whose garbage takes ever more room: like the logarithm of time, like its root.
        assert!(!ever(1500, |second| 20.0 + 10.0 * (1.0 + second as f64).ln()));
        assert!(!ever(1500, |second| 20.0 + (second as f64).sqrt()));
    }

    #[test]
    fn what_began_lately_is_looked_at_later() {
        let told = after(240, |second| 40.0 + 0.2 * second.saturating_sub(190) as f64);
        assert!(matches!(told, Finding::Early { growth: None, .. }), "{told:?}");
    }

    #[test]
    fn growth_before_and_after_a_long_rest_is_no_leak() {
        let loads_twice = |second: u64| 40.0 + 0.2 * (second.min(280) + second.saturating_sub(880)) as f64;
        assert!(!leaks(after(1160, loads_twice)), "{:?}", after(1160, loads_twice));
    }

    #[test]
    fn too_little_is_no_growth() {
        assert!(!ever(1500, |second| 30.0 + 0.0005 * second as f64));
        assert!(!ever(1500, |second| 30_000.0 + 0.07 * second as f64), "a three-thousandth of it");
    }

    #[test]
    fn a_life_s_pace_holds_that_of_its_halves() {
        let mut history = History::default();
        for second in 0..=1200u64 {
            let value = 0.1 * second.min(600) as f64 + 0.05 * second.saturating_sub(600) as f64;
            history.push(second * SECOND, value * MIB, 0.0);
            let told = pace(&history, second * SECOND, 60.0);
            assert_eq!(told.is_some(), second >= 134, "after {second} s: {told:?}");
        }
        let told = pace(&history, 1200 * SECOND, 60.0).unwrap();
        assert!(told.low <= 0.051 * MIB && told.high >= 0.099 * MIB, "{told:?}");
        assert_eq!(pace(&history, 1800 * SECOND, 60.0), None, "it has come to rest");
    }
}
