//! What a series of bytes means, in one word, and the evidence for it in one sentence.
//!
//! Two questions are asked: where it goes ([`assess`], over the window that was asked for), and, of what lives long
//! enough, whether that will ever end ([`assess_life`], over all that is known of it; `leak.rs` says how).
//!
//! What a verdict cannot know: why something grows. A cache that fills at a steady pace for longer than a verdict has
//! patience is called a leak, until it is full. How often that and other mistakes happen is measured: docs/leaks.md.

use super::{
    envelope::{self, EnvelopeGrowth},
    leak::{self, Finding},
    series::Series,
    slope::{self, Trend},
    window::Window,
};
use crate::units;

/// Changes below this, and below [`NOISE_SHARE`], are nothing: the kernel counts resident pages per CPU in batches of up
/// to 32 and more, so an idle process seems to move by 128 KiB (32 pages of 4 KiB) for no reason of its own.
pub const NOISE_BYTES: f64 = 128.0 * 1024.0;

/// See [`NOISE_BYTES`]: for a small process or file, 128 KiB can be much, so a change must be small in proportion too.
pub const NOISE_SHARE: f64 = 0.005;

/// What grew must still be growing: at least this share of the growth falls into the second half of the window (half
/// would be steady), or it came to rest.
const STILL: f64 = 0.1;

/// Parts of a window whose low points are compared: as many as a window of a minute has tens of seconds.
const LOW_POINTS: u64 = 6;

/// The answer in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It grows without bound, as far as can be told.
    Leak,
    /// It grows, and it is too early to say more.
    Growing,
    /// It grew, and is levelling off.
    Warmup,
    Stable,
    Shrinking,
    Unknown,
}

impl Verdict {
    /// Whether it says of a thing that it grows, for whatever reason.
    #[must_use]
    pub const fn grows(self) -> bool {
        matches!(self, Self::Growing | Self::Leak | Self::Warmup)
    }

    /// As JSON and people read it.
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

/// Everything that a series says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Bytes over the window; `None` until there are two moments.
    pub growth: Option<f64>,
    /// Bytes per second; `None` while too little is known.
    pub trend: Option<Trend>,
    pub verdict: Verdict,
    /// The evidence: one sentence for people, without a full stop.
    pub reason: String,
}

/// What `window`, a series of bytes, says at `now`.
#[must_use]
pub fn assess(window: &Window, now: u64) -> Assessment {
    let (growth, trend) = (window.growth(now), slope::trend(window, now));
    let (verdict, reason) = match (growth, trend) {
        (Some(growth), Some(trend)) => judge(window, now, growth, trend),
        _ => (Verdict::Unknown, needs(slope::needed(window) - window.known(now))),
    };
    Assessment { growth, trend, verdict, reason }
}

/// What `series`, memory that something holds, says at `now`, where `left` bytes are left until a limit.
#[must_use]
pub fn assess_life(series: &Series, now: u64, left: Option<f64>) -> Assessment {
    let mut says = assess(&series.window, now);
    says.trend = says.trend.map(envelope::sure);
    let known = series.history.known(now);
    let grows = says.verdict == Verdict::Growing;
    match leak::find(&series.history, now, left) {
        // What is being given back right now will show whether it is all.
        Finding::Leak(growth) if says.verdict != Verdict::Shrinking => {
            (says.verdict, says.reason) = (Verdict::Leak, lost(&growth));
            // All of the growth tells more of its pace than the last minute.
            says.trend = Some(growth.rate);
        }
        Finding::LevelsOff(growth) if grows => {
            (says.verdict, says.reason) = (Verdict::Warmup, levelling(&growth));
        }
        Finding::Early { left, growth } if grows => {
            says.reason = format!("{}; {} from a warm-up", says.reason, needs(left));
            // Growth that took much longer than the window tells more of its pace.
            let longer = growth.filter(|growth| growth.seconds >= 2.0 * series.window.length());
            says.trend = longer.map(|growth| growth.rate).or(says.trend);
        }
        Finding::No if grows && known < leak::patience(None) => {
            says.reason = format!("{}; {} from a warm-up", says.reason, needs(leak::patience(None) - known));
        }
        _ => {}
    }
    if matches!(says.verdict, Verdict::Warmup | Verdict::Stable | Verdict::Unknown) {
        // What grows by steps may be between two of them now: its pace is the last minute's or its life's.
        let pace = leak::pace(&series.history, now, series.window.length());
        says.trend = says.trend.map(|trend| pace.map_or(trend, |pace| trend.or(&pace)));
    }
    says
}

/// Why it is called a leak.
fn lost(growth: &EnvelopeGrowth) -> String {
    let EnvelopeGrowth { seconds: past, gain, rises, of, recent, asked, .. } = *growth;
    let pace = if recent > 0.55 * gain { "ever faster" } else { "no slower in the second half" };
    let asks = match asked / gain {
        share if share < 0.3 => "; it fills what it had asked for before",
        _ => "; it keeps asking for more",
    };
    format!(
        "never gave back {} of the last {}: its low points rose in {rises} of {of} parts, {pace}{asks}",
        units::bytes(gain),
        seconds(past)
    )
}

/// Why it is called a warm-up.
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
        // Part of a window may be too short to tell; all of it was enough.
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
    if let Some(recent) = rested(window, now, &lows, change, sign) {
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

/// Whether a change is too small to be told from an idle process's, beside a level of `level` bytes.
fn is_noise(change: f64, level: f64) -> bool {
    change.abs() < NOISE_BYTES && change.abs() < NOISE_SHARE * level
}

/// How little of `change` fell into the second half of what is known, if it came to rest: neither the value nor its low
/// points went on in the same direction.
fn rested(window: &Window, now: u64, lows: &[f64], change: f64, sign: f64) -> Option<f64> {
    let begin = window.begin(now)?;
    let recent = (window.value_at(now)? - window.value_at(begin + (now - begin) / 2)?) * sign;
    let lows = (lows.last()? - lows.get(lows.len() / 2)?) * sign;
    (recent.max(lows) < STILL * change).then_some(recent.max(0.0))
}

fn needs(left: f64) -> String {
    format!("{} more to tell", seconds(left.ceil().max(1.0)))
}

/// A time as sentences here say it: `60 s`, not `1 min`, as it is the window's length that was asked for in seconds.
fn seconds(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { units::duration(seconds) }
}

/// When something is full, seconds from now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FullIn {
    /// By the rate itself; `None` where it does not fill.
    pub seconds: Option<f64>,
    /// The soonest: by the upper end of the rate's interval.
    pub low: Option<f64>,
    /// The latest: by the lower end of the rate's interval; `None` where that does not fill.
    pub high: Option<f64>,
}

/// When `room` bytes are used up by `trend`; at once where there is none left.
#[must_use]
pub fn full_in(trend: Option<&Trend>, room: f64) -> FullIn {
    let Some(trend) = trend.filter(|trend| trend.rate > 0.0) else { return FullIn::default() };
    let at = |rate: f64| Some(room.max(0.0) / rate).filter(|seconds| rate > 0.0 && seconds.is_finite());
    FullIn { seconds: at(trend.rate), low: at(trend.high), high: at(trend.low) }
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
        let told = after(100, |second| (100 + second) as f64 * MIB);
        assert_eq!(told.verdict, Verdict::Growing);
        assert_eq!(told.growth, Some(60.0 * MIB));
        assert_eq!(told.reason, "grew 60 MiB in the last 60 s, every low point higher than the last");
    }

    #[test]
    fn a_slow_leak_in_a_big_process_is_growing() {
        let told = after(60, |second| 4096.0 * MIB + 4096.0 * second as f64);
        assert_eq!(told.verdict, Verdict::Growing, "240 KiB are 0.006 % of it, but steady: {}", told.reason);
    }

    #[test]
    fn before_ten_seconds_nothing_is_told() {
        let told = after(3, |second| (100 + 50 * second) as f64 * MIB);
        assert_eq!((told.verdict, told.reason.as_str()), (Verdict::Unknown, "7 s more to tell"));
        assert_eq!(told.growth, Some(150.0 * MIB));
        assert_eq!(told.trend, None);
        assert_eq!(after(0, |_| 1.0).reason, "10 s more to tell");
        assert_eq!(assess(&Window::default(), SECOND).verdict, Verdict::Unknown);
    }

    #[test]
    fn what_does_not_move_is_stable() {
        let told = after(30, |_| 7.0 * MIB);
        assert_eq!((told.verdict, told.reason.as_str()), (Verdict::Stable, "as much as 30 s ago"));
    }

    #[test]
    fn what_moves_by_a_batch_of_pages_is_stable() {
        let told = after(60, |second| 100.0 * MIB + 2048.0 * second as f64);
        assert_eq!(told.verdict, Verdict::Stable);
        assert_eq!(told.reason, "+120 KiB in the last 60 s, too little to matter");
        let small = after(60, |second| 4096.0 + 100.0 * second as f64);
        assert_eq!(small.verdict, Verdict::Growing, "it more than doubled: {}", small.reason);
    }

    #[test]
    fn a_jump_is_not_growth() {
        let jump = |second| if second < 35 { 10.0 * MIB } else { 60.0 * MIB };
        let told = after(60, jump);
        assert_eq!(told.verdict, Verdict::Stable, "{}", told.reason);
        assert!(
            told.reason.starts_with("+50 MiB in the last 60 s, within its ups and downs: "),
            "{}",
            told.reason
        );
        let told = after(40, jump);
        assert_eq!(told.verdict, Verdict::Unknown);
        assert!(told.reason.ends_with("; 20 s more to tell"), "{}", told.reason);
    }

    #[test]
    fn a_collected_heap_is_stable() {
        let told = after(60, |second| (100 + 7 * (second % 13)) as f64 * MIB);
        assert_eq!(told.verdict, Verdict::Stable, "{}", told.reason);
    }

    #[test]
    fn what_has_come_to_rest_is_stable() {
        let told = after(60, |second| (100 + 10 * second.min(25)) as f64 * MIB);
        assert_eq!(told.verdict, Verdict::Stable);
        assert_eq!(told.reason, "grew 250 MiB in the last 60 s, but only 0 B of it in the second half");
    }

    #[test]
    fn what_is_freed_is_shrinking() {
        let told = after(60, |second| (1000 - 10 * second) as f64 * MIB);
        assert_eq!(told.verdict, Verdict::Shrinking);
        assert_eq!(told.reason, "shrank 600 MiB in the last 60 s, every low point lower than the last");
    }

    #[test]
    fn a_saw_that_rises_tells_its_rate() {
        let told = after(60, |second| (100 + 8 * second + 5 * (second % 3)) as f64 * MIB);
        assert_eq!(told.verdict, Verdict::Growing);
        assert!(told.reason.starts_with("grew 480 MiB in the last 60 s, "), "{}", told.reason);
    }

    #[test]
    fn no_leak_is_ever_claimed_yet() {
        for growth in 0..50u64 {
            let told = after(60, |second| (growth * second * second) as f64 * 1000.0);
            assert!(!matches!(told.verdict, Verdict::Leak | Verdict::Warmup));
        }
    }

    #[test]
    fn between_two_steps_the_interval_holds_the_life_s_pace() {
        let mut series = Series::new(60.0);
        for second in 0..=790u64 {
            series.push(second * SECOND, (50 + 10 * (second / 100)) as f64 * MIB, 0.0);
        }
        let told = assess_life(&series, 790 * SECOND, None);
        let trend = told.trend.unwrap();
        assert_eq!((told.verdict, trend.rate), (Verdict::Stable, 0.0), "{}", told.reason);
        assert!(trend.low <= 0.0 && trend.high >= 0.09 * MIB, "{trend:?}");
    }

    #[test]
    fn full_in_has_its_range_and_is_never_negative() {
        let trend = |rate, low, high| Trend { rate, low, high };
        let full = full_in(Some(&trend(10.0, 5.0, 20.0)), 1000.0);
        assert_eq!(full, FullIn { seconds: Some(100.0), low: Some(50.0), high: Some(200.0) });
        let maybe = full_in(Some(&trend(10.0, -1.0, 20.0)), 1000.0);
        assert_eq!(maybe, FullIn { seconds: Some(100.0), low: Some(50.0), high: None });
        for none in [None, Some(&trend(0.0, 0.0, 0.0)), Some(&trend(-1.0, -2.0, 5.0))] {
            assert_eq!(full_in(none, 1000.0), FullIn::default());
        }
        let full = full_in(Some(&trend(10.0, 5.0, 20.0)), -3.0);
        assert_eq!(full, FullIn { seconds: Some(0.0), low: Some(0.0), high: Some(0.0) });
        assert_eq!(full_in(Some(&trend(f64::MIN_POSITIVE, 0.0, 1.0)), 1e300).seconds, None);
    }
}
