//! Series whose truth is known: leaks, caches, swings and steps.

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
    let starts = |second: u64| if second < 28 { second as f64 } else { 28.0 + 0.01 * (second - 28) as f64 };
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
