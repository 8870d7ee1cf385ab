//! What a cell looks like to people.

use observer_core::{
    report::{Kind, Value},
    units::{self, NOTHING},
};

/// Columns that a series takes.
const SERIES_WIDTH: usize = 8;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A series that moves by less than this part of its largest value is drawn flat: noise is no trend.
const FLAT: f64 = 0.03;

/// Whether cells of this kind stand at the right of their column.
pub(super) const fn stands_right(kind: Kind) -> bool {
    !matches!(kind, Kind::Text | Kind::Series)
}

/// A cell as text; `–` where there is no value.
pub(super) fn text(cell: &Value, kind: Kind) -> String {
    match cell {
        Value::Missing | Value::Object(_) | Value::List(_) => NOTHING.to_owned(),
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Series(values) => sparkline(values),
        Value::Unsigned(number) => match kind {
            // Exact where a float would not be.
            Kind::Text | Kind::Number => number.to_string(),
            Kind::Count => units::count(*number),
            Kind::Bytes => units::bytes(*number),
            _ => measured(*number as f64, kind),
        },
        Value::Signed(number) => match kind {
            Kind::Text | Kind::Number | Kind::Count => number.to_string(),
            Kind::Change => units::change(*number),
            _ => measured(*number as f64, kind),
        },
        Value::Real(number) => measured(*number, kind),
        Value::Interval { value, low, high } => match kind {
            Kind::ByteRateMinute => units::minute_rate(*value, Some((high - low) / 2.0)),
            _ => measured(*value, kind),
        },
    }
}

fn measured(number: f64, kind: Kind) -> String {
    match kind {
        _ if !number.is_finite() => NOTHING.to_owned(),
        Kind::Text | Kind::Number | Kind::Series => number.to_string(),
        Kind::Count => units::count(number.round().max(0.0) as u64),
        Kind::Bytes => units::bytes(number),
        Kind::Change => units::change(number),
        Kind::ByteRate => units::byte_rate(number),
        Kind::ChangeRate => units::change_rate(number),
        Kind::ByteRateMinute => units::minute_rate(number, None),
        Kind::BitRate => units::bit_rate(number),
        Kind::BitSpeed => units::bits(number),
        Kind::Duration => units::duration(number),
        Kind::Share => units::share(number),
    }
}

/// A series as blocks between its lowest and its highest value, the last of each part standing for it.
fn sparkline(values: &[f64]) -> String {
    let shown: Vec<f64> = if values.len() <= SERIES_WIDTH {
        values.to_vec()
    } else {
        (1..=SERIES_WIDTH).map(|part| values[part * values.len() / SERIES_WIDTH - 1]).collect()
    };
    let known = || shown.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return NOTHING.to_owned();
    }
    let middle = f64::midpoint(low, high);
    let range = (high - low).max(FLAT * high.abs().max(low.abs()));
    shown
        .iter()
        .map(|value| {
            if !value.is_finite() {
                return ' ';
            }
            if range == 0.0 {
                return LEVELS[0];
            }
            let place = ((value - middle) / range + 0.5) * LEVELS.len() as f64;
            LEVELS[(place.max(0.0) as usize).min(LEVELS.len() - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_never_shown_as_zero() {
        for kind in [Kind::Text, Kind::Bytes, Kind::BitRate, Kind::Share, Kind::Count] {
            assert_eq!(text(&Value::Missing, kind), "–");
            assert_ne!(text(&Value::Unsigned(0), kind), "–");
        }
    }

    #[test]
    fn a_kind_gives_its_unit() {
        let mib = f64::from(1 << 20);
        assert_eq!(text(&Value::Unsigned(24117), Kind::Number), "24117");
        assert_eq!(text(&Value::Unsigned(24117), Kind::Count), "24,117");
        assert_eq!(text(&Value::Real(4.4 * mib), Kind::ChangeRate), "+4.4 MiB/s");
        assert_eq!(text(&Value::Real(96e6), Kind::BitRate), "768 Mbit/s");
        assert_eq!(text(&Value::Unsigned(1_000_000_000), Kind::BitSpeed), "1 Gbit/s");
        let interval =
            Value::Interval { value: 38.1 * mib / 60.0, low: 37.7 * mib / 60.0, high: 38.5 * mib / 60.0 };
        assert_eq!(text(&interval, Kind::ByteRateMinute), "+38.1 ±0.4 MiB");
    }

    #[test]
    fn a_series_rises_as_its_values_do() {
        assert_eq!(sparkline(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), "▁▂▃▄▅▆▇█");
        let long: Vec<f64> = (0..800).map(f64::from).collect();
        assert_eq!(sparkline(&long), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[]), "–");
    }

    #[test]
    fn noise_is_drawn_flat() {
        let drawn = sparkline(&[1000.0, 1001.0, 1000.5, 1001.0]);
        assert!(drawn.chars().all(|level| "▄▅".contains(level)), "{drawn}");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
    }
}
