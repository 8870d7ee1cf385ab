//! Cells as text for humans.

use observer_core::{
    report::{Column, Notation, Role, Row, Unit, Value},
    units::{self, NOTHING},
};

/// Width of a series in terminal columns.
const SERIES_WIDTH: usize = 8;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A series that moves by less than this part of its largest value is drawn flat: noise is no trend.
const FLAT: f64 = 0.03;

/// How the cells of a column are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// At the left: text, which can be cut.
    Text,
    /// At the left, whole: a series.
    Series,
    /// At the right, whole: a cut number would be another number.
    Number,
}

/// How the cells of `column`, which is at `at` in `rows`, are laid out. Names without a unit can be numbers.
pub fn alignment<'a>(column: &Column, at: usize, rows: impl IntoIterator<Item = &'a Row>) -> Alignment {
    match column.role {
        Role::Trend => Alignment::Series,
        Role::Gauge | Role::Counter => Alignment::Number,
        Role::Label | Role::Text => {
            let is_number = |row: &Row| matches!(row.cell(at), Value::Unsigned(_) | Value::Signed(_));
            if rows.into_iter().any(is_number) { Alignment::Number } else { Alignment::Text }
        }
    }
}

/// A cell as text; `–` where there is no value.
pub fn text(cell: &Value, column: &Column) -> String {
    let notation = column.heading.map_or(Notation::Usual, |heading| heading.notation);
    match cell {
        Value::Missing | Value::Object(_) | Value::List(_) => NOTHING.to_owned(),
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Series(values) => sparkline(values),
        // Exact, unlike a float.
        Value::Unsigned(number) => match (column.unit, notation) {
            (Unit::None, _) => number.to_string(),
            (Unit::Count, _) => units::count(*number),
            (Unit::Bytes, Notation::Usual) => units::bytes(*number),
            _ => measured(*number as f64, column.unit, notation),
        },
        Value::Signed(number) => match (column.unit, notation) {
            (Unit::None | Unit::Count, _) => number.to_string(),
            (Unit::Bytes, Notation::Signed) => units::change(*number),
            _ => measured(*number as f64, column.unit, notation),
        },
        Value::Interval { value, low, high } if notation == Notation::PerMinute => {
            units::minute_rate(*value, Some((high - low) / 2.0))
        }
        Value::Real(number) | Value::Interval { value: number, .. } => {
            measured(*number, column.unit, notation)
        }
    }
}

fn measured(number: f64, unit: Unit, notation: Notation) -> String {
    match (unit, notation) {
        _ if !number.is_finite() => NOTHING.to_owned(),
        (Unit::None, _) => number.to_string(),
        (Unit::Count, _) => units::count(number.round().max(0.0) as u64),
        (Unit::Bytes, Notation::Signed) => units::change(number),
        (Unit::Bytes, _) => units::bytes(number),
        (Unit::BytesPerSecond, Notation::Usual | Notation::Sentence) => units::byte_rate(number),
        (Unit::BytesPerSecond, Notation::Signed) => units::change_rate(number),
        (Unit::BytesPerSecond, Notation::PerMinute) => units::minute_rate(number, None),
        (Unit::BytesPerSecond, Notation::Bits) => units::bit_rate(number),
        (Unit::BitsPerSecond, _) => units::bits(number),
        (Unit::Seconds, _) => units::duration(number),
        (Unit::Ratio, _) => units::share(number),
    }
}

/// A series as blocks between its lowest and its highest value; each block shows the last value of its part.
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
            let level = ((value - middle) / range + 0.5) * LEVELS.len() as f64;
            LEVELS[(level.max(0.0) as usize).min(LEVELS.len() - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(unit: Unit, notation: Notation) -> Column {
        Column::gauge("x", unit).shown("X", 0).noted(notation)
    }

    #[test]
    fn a_missing_value_is_never_shown_as_zero() {
        for unit in [Unit::None, Unit::Bytes, Unit::BytesPerSecond, Unit::Ratio, Unit::Count] {
            for notation in [Notation::Usual, Notation::Signed, Notation::Bits, Notation::PerMinute] {
                assert_eq!(text(&Value::Missing, &gauge(unit, notation)), "–");
                assert_ne!(text(&Value::Unsigned(0), &gauge(unit, notation)), "–");
            }
        }
    }

    #[test]
    fn a_column_gives_its_unit_and_its_notation() {
        let mib = f64::from(1 << 20);
        let shown = |value, unit, notation| text(&value, &gauge(unit, notation));
        assert_eq!(text(&Value::Unsigned(24117), &Column::label("pid")), "24117");
        assert_eq!(shown(Value::Unsigned(24117), Unit::Count, Notation::Usual), "24,117");
        assert_eq!(shown(Value::Real(4.4 * mib), Unit::BytesPerSecond, Notation::Signed), "+4.4 MiB/s");
        assert_eq!(shown(Value::Real(96e6), Unit::BytesPerSecond, Notation::Bits), "768 Mbit/s");
        assert_eq!(shown(Value::Unsigned(1_000_000_000), Unit::BitsPerSecond, Notation::Usual), "1 Gbit/s");
        let interval =
            Value::Interval { value: 38.1 * mib / 60.0, low: 37.7 * mib / 60.0, high: 38.5 * mib / 60.0 };
        assert_eq!(shown(interval, Unit::BytesPerSecond, Notation::PerMinute), "+38.1 ±0.4 MiB");
    }

    #[test]
    fn process_ids_are_right_aligned_and_names_left_aligned() {
        let row = |cell| Row { cells: vec![cell], ..Row::default() };
        let of = |column: Column, cells: Vec<Value>| {
            alignment(&column, 0, &cells.into_iter().map(row).collect::<Vec<_>>())
        };
        assert_eq!(of(Column::label("pid"), vec![Value::Missing, Value::Unsigned(1)]), Alignment::Number);
        assert_eq!(of(Column::label("comm"), vec![Value::Text("1".into()), Value::Missing]), Alignment::Text);
        assert_eq!(of(Column::text("growing"), vec![Value::Flag(true)]), Alignment::Text);
        assert_eq!(of(Column::gauge("rtt", Unit::Seconds), vec![Value::Missing]), Alignment::Number);
        assert_eq!(
            of(Column::trend("t", Unit::Bytes, "T", 0), vec![Value::Series(vec![1.0])]),
            Alignment::Series
        );
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
