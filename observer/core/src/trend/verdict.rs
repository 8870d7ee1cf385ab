//! The verdict about a series of bytes, in one word, and its evidence in one sentence.
//!
//! There are two questions: where the series is going ([`assess`], over the requested window), and, if it is known for
//! long enough, whether that will ever end ([`assess_life`], over all of it; see `leak.rs`).
//!
//! A verdict does not know why something grows. A cache that fills at a steady rate for longer than the confirmation
//! time is called a leak, until it is full. How often this and other mistakes happen is measured: docs/leaks.md.

use super::{
    envelope::{self, EnvelopeGrowth},
    leak::{self, Finding},
    series::Series,
    slope::{self, Trend},
    window::Window,
};
use crate::units;

/// Changes below this, and below [`NOISE_SHARE`], do not count: the kernel counts resident pages per CPU in batches of
/// 32 and more, so an idle process seems to change by 128 KiB (32 pages of 4 KiB).
pub const NOISE_BYTES: f64 = 128.0 * 1024.0;

/// See [`NOISE_BYTES`]: for a small process, 128 KiB can be much, so a change must be small in proportion too.
pub const NOISE_SHARE: f64 = 0.005;

/// The smallest share of the growth that the second half of the window has if a series still grows. Steady growth has
/// half.
const STILL: f64 = 0.1;

/// The second half of growth that becomes faster has at least so many times the first half's: a line has as much in
/// both, give or take what its segments cut off.
const FASTER: f64 = 1.25;

/// The number of segments in a window, for comparing their low points: ten seconds each in a window of a minute.
const LOW_POINTS: u64 = 6;

/// The answer in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It grows without bound, as far as is known.
    Leak,
    /// It grows, and it is too early for another verdict.
    Growing,
    /// It grew, and is levelling off.
    Warmup,
    Stable,
    Shrinking,
    Unknown,
}

impl Verdict {
    /// Whether it means growth of any kind.
    #[must_use]
    pub const fn grows(self) -> bool {
        matches!(self, Self::Growing | Self::Leak | Self::Warmup)
    }

    /// Its name in JSON and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::Growing => "growing",
            Self::Warmup => "warmup",
            Self::Stable => "stable",
            Self::Shrinking => "shrinking",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known about a series at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Bytes over the window; `None` until there are two times.
    pub growth: Option<f64>,
    /// Bytes per second; `None` while too little is known.
    pub trend: Option<Trend>,
    pub verdict: Verdict,
    /// The evidence: one sentence without a full stop.
    pub reason: String,
}

/// The assessment of `window`, a series of bytes, at `now`.
#[must_use]
pub fn assess(window: &Window, now: u64) -> Assessment {
    let (growth, trend) = (window.growth(now), slope::trend(window, now));
    let (verdict, reason) = match (growth, trend) {
        (Some(growth), Some(trend)) => judge(window, now, growth, trend),
        _ => (Verdict::Unknown, needs(slope::needed(window) - window.known(now))),
    };
    Assessment { growth, trend, verdict, reason }
}

/// The assessment of `series`, the memory that something holds, at `now`, if `left` bytes are left until a limit.
#[must_use]
pub fn assess_life(series: &Series, now: u64, left: Option<f64>) -> Assessment {
    let mut assessment = assess(&series.window, now);
    assessment.trend = assessment.trend.map(envelope::widened);
    let known = series.history.known(now);
    let grows = assessment.verdict == Verdict::Growing;
    match leak::find(&series.history, now, left) {
        // Memory that is being given back right now may be all of it.
        Finding::Leak(growth) if assessment.verdict != Verdict::Shrinking => {
            (assessment.verdict, assessment.reason) = (Verdict::Leak, lost(&growth));
            // The whole growth shows its rate better than the last minute.
            assessment.trend = Some(growth.rate);
        }
        Finding::LevelsOff(growth) if grows => {
            (assessment.verdict, assessment.reason) = (Verdict::Warmup, levelling(&growth));
        }
        Finding::Early { left, growth } if grows => {
            assessment.reason = format!("{}; {} to rule out a warm-up", assessment.reason, needs(left));
            // Growth that took much longer than the window shows its rate better.
            let longer = growth.filter(|growth| growth.seconds >= 2.0 * series.window.length());
            assessment.trend = longer.map(|growth| growth.rate).or(assessment.trend);
        }
        Finding::No if grows && known < leak::confirmation_time(None) => {
            assessment.reason = format!(
                "{}; {} to rule out a warm-up",
                assessment.reason,
                needs(leak::confirmation_time(None) - known)
            );
        }
        _ => {}
    }
    if matches!(assessment.verdict, Verdict::Warmup | Verdict::Stable | Verdict::Unknown) {
        // Growth by steps may be between two of them now: its rate is that of the last minute or of the life.
        let lifetime = leak::lifetime_rate(&series.history, now, series.window.length());
        assessment.trend =
            assessment.trend.map(|trend| lifetime.map_or(trend, |lifetime| trend.or(&lifetime)));
    }
    assessment
}

/// The evidence of a leak.
fn lost(growth: &EnvelopeGrowth) -> String {
    let EnvelopeGrowth { seconds: past, gain, rises, transitions, early, recent, asked, .. } = *growth;
    let pace = if recent > FASTER * early { "ever faster" } else { "no slower in the second half" };
    let asks = match asked / gain {
        share if share < 0.3 => "; it fills what it had asked for before",
        _ => "; it keeps asking for more",
    };
    format!(
        "never gave back {} of the last {}: its low points rose in {rises} of {transitions} parts, {pace}{asks}",
        units::bytes(gain),
        seconds(past)
    )
}

/// The evidence of a warm-up.
fn levelling(growth: &EnvelopeGrowth) -> String {
    format!(
        "grew {} in {}, {} of it in the second half: levelling off",
        units::bytes(growth.gain),
        seconds(growth.seconds),
        units::bytes(growth.recent)
    )
}

fn judge(window: &Window, now: u64, growth: f64, trend: Trend) -> (Verdict, String) {
    let known = window.known(now);
    let past = seconds(known);
    let trended = trend.rate * known;
    if growth == 0.0 && trended == 0.0 {
        return (Verdict::Stable, format!("as much as {past} ago"));
    }
    let level = window.latest().unwrap_or_default().abs();
    if is_noise(growth, level) && is_noise(trended, level) {
        return (
            Verdict::Stable,
            format!("{} in the last {past}, too little to matter", units::change(growth)),
        );
    }
    if trend.low <= 0.0 && trend.high >= 0.0 {
        // A part of the window may be too short; all of it is enough.
        let left = window.length() - known;
        let unsteady = format!(
            "{} in the last {past}, within its ups and downs: {} to {} a minute",
            units::change(growth),
            units::change(60.0 * trend.low),
            units::change(60.0 * trend.high)
        );
        return if left < 0.5 {
            (Verdict::Stable, unsteady)
        } else {
            (Verdict::Unknown, format!("{unsteady}; {}", needs(left)))
        };
    }
    let up = trend.rate > 0.0;
    let sign = if up { 1.0 } else { -1.0 };
    let change = if growth * sign > 0.0 { growth } else { trended } * sign;
    let lows = window.lows(now, LOW_POINTS);
    if let Some(recent) = stopped(window, now, &lows, change, sign) {
        let came = if up { "grew" } else { "shrank" };
        return (
            Verdict::Stable,
            format!(
                "{came} {} in the last {past}, but only {} of it in the second half",
                units::bytes(change),
                units::bytes(recent)
            ),
        );
    }
    let steady = lows.windows(2).all(|pair| (pair[1] - pair[0]) * sign > 0.0);
    let evidence = match (steady, up) {
        (true, true) => "every low point higher than the last".to_owned(),
        (true, false) => "every low point lower than the last".to_owned(),
        (false, _) => {
            let bounds = (60.0 * trend.low * sign, 60.0 * trend.high * sign);
            let (least, most) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
            format!("{} to {} a minute", units::bytes(least), units::bytes(most))
        }
    };
    let (verdict, verb) = if up { (Verdict::Growing, "grew") } else { (Verdict::Shrinking, "shrank") };
    (verdict, format!("{verb} {} in the last {past}, {evidence}", units::bytes(change)))
}

/// Whether a change at a level of `level` bytes may be an idle process's.
fn is_noise(change: f64, level: f64) -> bool {
    change.abs() < NOISE_BYTES && change.abs() < NOISE_SHARE * level
}

/// The part of `change` in the second half of the known time, if the change has stopped: neither the value nor its low
/// points continued in the same direction.
fn stopped(window: &Window, now: u64, lows: &[f64], change: f64, sign: f64) -> Option<f64> {
    let begin = window.begin(now)?;
    let recent = (window.value_at(now)? - window.value_at(begin + (now - begin) / 2)?) * sign;
    let lows = (lows.last()? - lows.get(lows.len() / 2)?) * sign;
    (recent.max(lows) < STILL * change).then_some(recent.max(0.0))
}

fn needs(left: f64) -> String {
    format!("{} more needed", seconds(left.ceil().max(1.0)))
}

/// A time in these sentences: `60 s`, not `1 min`, because the window is requested in seconds.
fn seconds(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { units::duration(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MIB: f64 = 1024.0 * 1024.0;

    fn after(seconds: u64, value: impl Fn(u64) -> f64) -> Assessment {
        let mut window = Window::new(60.0);
        for second in 0..=seconds {
            window.push((500 + second) * SECOND, value(second));
        }
        assess(&window, (500 + seconds) * SECOND)
    }

    #[test]
    fn a_leak_of_a_mebibyte_a_second_is_growing() {
        let assessment = after(100, |second| (100 + second) as f64 * MIB);
        assert_eq!(assessment.verdict, Verdict::Growing);
        assert_eq!(assessment.growth, Some(60.0 * MIB));
        assert_eq!(assessment.reason, "grew 60 MiB in the last 60 s, every low point higher than the last");
    }

    #[test]
    fn a_slow_leak_in_a_big_process_is_growing() {
        let assessment = after(60, |second| 4096.0 * MIB + 4096.0 * second as f64);
        assert_eq!(
            assessment.verdict,
            Verdict::Growing,
            "240 KiB are 0.006 % of it, but steady: {}",
            assessment.reason
        );
    }

    #[test]
    fn there_is_no_verdict_before_ten_seconds() {
        let assessment = after(3, |second| (100 + 50 * second) as f64 * MIB);
        assert_eq!((assessment.verdict, assessment.reason.as_str()), (Verdict::Unknown, "7 s more needed"));
        assert_eq!(assessment.growth, Some(150.0 * MIB));
        assert_eq!(assessment.trend, None);
        assert_eq!(after(0, |_| 1.0).reason, "10 s more needed");
        assert_eq!(assess(&Window::default(), SECOND).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_constant_series_is_stable() {
        let assessment = after(30, |_| 7.0 * MIB);
        assert_eq!(
            (assessment.verdict, assessment.reason.as_str()),
            (Verdict::Stable, "as much as 30 s ago")
        );
    }

    #[test]
    fn a_change_by_a_batch_of_pages_is_stable() {
        let assessment = after(60, |second| 100.0 * MIB + 2048.0 * second as f64);
        assert_eq!(assessment.verdict, Verdict::Stable);
        assert_eq!(assessment.reason, "+120 KiB in the last 60 s, too little to matter");
        let small = after(60, |second| 4096.0 + 100.0 * second as f64);
        assert_eq!(small.verdict, Verdict::Growing, "it more than doubled: {}", small.reason);
    }

    #[test]
    fn a_jump_is_not_growth() {
        let jump = |second| if second < 35 { 10.0 * MIB } else { 60.0 * MIB };
        let assessment = after(60, jump);
        assert_eq!(assessment.verdict, Verdict::Stable, "{}", assessment.reason);
        assert!(
            assessment.reason.starts_with("+50 MiB in the last 60 s, within its ups and downs: "),
            "{}",
            assessment.reason
        );
        let assessment = after(40, jump);
        assert_eq!(assessment.verdict, Verdict::Unknown);
        assert!(assessment.reason.ends_with("; 20 s more needed"), "{}", assessment.reason);
    }

    #[test]
    fn a_collected_heap_is_stable() {
        let assessment = after(60, |second| (100 + 7 * (second % 13)) as f64 * MIB);
        assert_eq!(assessment.verdict, Verdict::Stable, "{}", assessment.reason);
    }

    #[test]
    fn growth_that_has_stopped_is_stable() {
        let assessment = after(60, |second| (100 + 10 * second.min(25)) as f64 * MIB);
        assert_eq!(assessment.verdict, Verdict::Stable);
        assert_eq!(assessment.reason, "grew 250 MiB in the last 60 s, but only 0 B of it in the second half");
    }

    #[test]
    fn freed_memory_is_shrinking() {
        let assessment = after(60, |second| (1000 - 10 * second) as f64 * MIB);
        assert_eq!(assessment.verdict, Verdict::Shrinking);
        assert_eq!(assessment.reason, "shrank 600 MiB in the last 60 s, every low point lower than the last");
    }

    #[test]
    fn a_rising_sawtooth_grows() {
        let assessment = after(60, |second| (100 + 8 * second + 5 * (second % 3)) as f64 * MIB);
        assert_eq!(assessment.verdict, Verdict::Growing);
        assert!(assessment.reason.starts_with("grew 480 MiB in the last 60 s, "), "{}", assessment.reason);
    }

    #[test]
    fn a_window_alone_is_never_a_leak() {
        for growth in 0..50u64 {
            let assessment = after(60, |second| (growth * second * second) as f64 * 1000.0);
            assert!(!matches!(assessment.verdict, Verdict::Leak | Verdict::Warmup));
        }
    }

    #[test]
    fn only_a_curve_grows_ever_faster() {
        let reason = |value: &dyn Fn(f64) -> f64| {
            let mut series = Series::new(60.0);
            for second in 0..=1800u64 {
                // Steps of a page allocator, and a little unrest.
                let bytes = value(second as f64) * MIB + (second * 7 % 5) as f64 * 0.1 * MIB;
                series.push(second * SECOND, bytes, bytes);
            }
            assess_life(&series, 1800 * SECOND, None).reason
        };
        let line = reason(&|second| 50.0 + 0.1 * second);
        assert!(line.contains("no slower in the second half"), "{line}");
        let curve = reason(&|second| 50.0 + 0.0001 * second * second);
        assert!(curve.contains("ever faster"), "{curve}");
    }

    #[test]
    fn between_two_steps_the_interval_contains_the_lifetime_rate() {
        let mut series = Series::new(60.0);
        for second in 0..=790u64 {
            series.push(second * SECOND, (50 + 10 * (second / 100)) as f64 * MIB, 0.0);
        }
        let assessment = assess_life(&series, 790 * SECOND, None);
        let trend = assessment.trend.unwrap();
        assert_eq!((assessment.verdict, trend.rate), (Verdict::Stable, 0.0), "{}", assessment.reason);
        assert!(trend.low <= 0.0 && trend.high >= 0.09 * MIB, "{trend:?}");
    }
}
