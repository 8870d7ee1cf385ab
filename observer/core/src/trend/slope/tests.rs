//! A trend is found where there is one, in an interval that contains the truth, and nowhere else.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// SplitMix64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn of(seconds: u64, length: f64, mut value: impl FnMut(u64) -> f64) -> Option<Trend> {
    let mut window = Window::new(length);
    for second in 0..=seconds {
        window.push((1000 + second) * SECOND, value(second));
    }
    trend(&window, (1000 + seconds) * SECOND)
}

/// Share of `runs` series of `seconds` for which `right` holds; `make` gives each series' values one by one.
fn share<F: FnMut(u64) -> f64>(
    seconds: u64,
    mut make: impl FnMut(u64) -> F,
    right: impl Fn(Trend) -> bool,
) -> f64 {
    let runs = 1000;
    let good = (0..runs).filter(|run| right(of(seconds, 60.0, make(*run)).unwrap())).count();
    good as f64 / runs as f64
}

fn autoregressive(phi: f64, slope: f64) -> impl Fn(u64) -> Box<dyn FnMut(u64) -> f64> {
    move |run| {
        let mut random = Random(run * 7919 + 1);
        let mut state = if phi < 1.0 { random.normal() / (1.0 - phi * phi).sqrt() } else { 0.0 };
        Box::new(move |second| {
            state = phi * state + random.normal();
            state + slope * second as f64
        })
    }
}

#[test]
fn a_straight_line_is_exact() {
    let trend = of(60, 60.0, |second| 1e9 + 4096.0 * second as f64).unwrap();
    for rate in [trend.rate, trend.low, trend.high] {
        assert!((rate - 4096.0).abs() < 1e-3, "{trend:?}");
    }
}

#[test]
fn a_straight_line_with_fewer_readings_is_exact() {
    let mut window = Window::new(60.0);
    for second in (0..=60).step_by(5) {
        window.push(second * SECOND, 100.0 * second as f64);
    }
    let trend = trend(&window, 60 * SECOND).unwrap();
    assert!((trend.low - 100.0).abs() < 1e-6 && (trend.high - 100.0).abs() < 1e-6, "{trend:?}");
}

#[test]
fn late_readings_do_not_blur_a_line() {
    let (mut random, mut window) = (Random(3), Window::new(60.0));
    for second in 0..=60 {
        let at = second * SECOND + (random.uniform() * 2e7) as u64;
        window.push(at, at as f64);
    }
    let trend = trend(&window, 60 * SECOND + 20_000_000).unwrap();
    assert!((trend.rate / 1e9 - 1.0).abs() < 0.01, "{trend:?}");
    assert!(trend.low > 0.98e9 && trend.high < 1.02e9, "{trend:?}");
}

#[test]
fn a_constant_series_has_a_rate_of_zero() {
    let zero = Trend { rate: 0.0, low: 0.0, high: 0.0 };
    assert_eq!(of(60, 60.0, |_| 7.0), Some(zero));
    let mut window = Window::new(60.0);
    window.push(0, 1.0);
    window.push(SECOND, 2.0);
    assert_eq!(trend(&window, 3600 * SECOND), Some(zero), "what it was before the window is over");
}

#[test]
fn a_trend_needs_time() {
    assert_eq!(of(9, 60.0, |second| second as f64), None);
    assert!(of(10, 60.0, |second| second as f64).is_some());
    assert!(of(5, 10.0, |second| second as f64).is_some(), "half of a short window");
    assert_eq!(trend(&Window::default(), 60 * SECOND), None);
}

#[test]
fn one_outlier_does_not_move_the_rate() {
    for place in [0, 1, 30, 59, 60] {
        let trend = of(60, 60.0, |second| if second == place { 1e6 } else { 10.0 * second as f64 }).unwrap();
        assert!((trend.rate - 10.0).abs() < 0.5, "outlier at {place}: {trend:?}");
        assert!(trend.low <= 10.0 && trend.high >= 10.0, "outlier at {place}: {trend:?}");
    }
}

#[test]
fn a_single_step_is_no_trend() {
    for place in [1, 10, 30, 50, 60] {
        let trend = of(60, 60.0, |second| if second < place { 0.0 } else { 1e8 }).unwrap();
        assert!(trend.low <= 0.0, "step at {place}: {trend:?}");
    }
}

#[test]
fn a_level_sawtooth_is_no_trend_and_a_rising_one_is_in_its_interval() {
    for period in [3, 7, 13, 29] {
        let level = of(60, 60.0, |second| (second % period) as f64).unwrap();
        assert!(level.low <= 0.0 && level.high >= 0.0, "period {period}: {level:?}");
        let rising = of(60, 60.0, |second| (second % period) as f64 + 0.5 * second as f64).unwrap();
        assert!(rising.low <= 0.5 && rising.high >= 0.5, "period {period}: {rising:?}");
    }
}

#[test]
fn slow_waves_are_no_growth() {
    for phi in [0.0, 0.5, 0.9, 0.95] {
        for seconds in [20, 60] {
            let held =
                share(seconds, autoregressive(phi, 0.0), |trend| trend.low <= 0.0 && trend.high >= 0.0);
            assert!(held >= 0.9, "phi {phi}, {seconds} s: {held}");
        }
    }
}

#[test]
fn the_interval_contains_the_true_rate() {
    for phi in [0.0, 0.2, 0.3, 0.5, 0.9] {
        let held = share(60, autoregressive(phi, 0.3), |trend| trend.low <= 0.3 && trend.high >= 0.3);
        assert!(held >= 0.95, "phi {phi}: {held}");
    }
}

#[test]
fn a_leak_with_every_request_is_found_in_the_noise() {
    let found = share(
        60,
        |run| {
            let (mut random, mut leaked) = (Random(run), 0.0);
            move |_| {
                if random.uniform() < 0.3 {
                    leaked += -random.uniform().ln();
                }
                leaked
            }
        },
        |trend| trend.low > 0.0,
    );
    assert!(found >= 0.98, "three leaks in ten seconds, of any size: {found}");
    let found = share(60, autoregressive(0.0, 0.2), |trend| trend.low > 0.0);
    assert!(found >= 0.95, "a fifth of the noise a second: {found}");
}
