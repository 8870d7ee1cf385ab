//! Numbers with units, as filters spell them: `1G`, `4.4MiB/s`, `40mbit`, `5min`, `80%`.

use observer_core::report::Unit;

const BINARY: [(&str, f64); 5] = [
    ("k", 1024.0),
    ("m", 1_048_576.0),
    ("g", 1_073_741_824.0),
    ("t", 1_099_511_627_776.0),
    ("p", 1_125_899_906_842_624.0),
];
const DECIMAL: [(&str, f64); 5] = [("k", 1e3), ("m", 1e6), ("g", 1e9), ("t", 1e12), ("p", 1e15)];
const TIME: [(&str, f64); 9] = [
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("min", 60.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

/// The number that `text` means in a column of this unit; `None` if it means none.
#[must_use]
pub fn parse(text: &str, unit: Unit) -> Option<f64> {
    let text = text.trim();
    let end = text
        .char_indices()
        .find(|(at, character)| {
            !(character.is_ascii_digit() || *character == '.' || (*at == 0 && matches!(character, '-' | '+')))
        })
        .map_or(text.len(), |(at, _)| at);
    let number: f64 = text[..end].parse().ok()?;
    let suffix = text[end..].trim().to_lowercase();
    Some(number * factor(&suffix, unit)?)
}

fn factor(suffix: &str, unit: Unit) -> Option<f64> {
    if suffix.is_empty() {
        return Some(1.0);
    }
    match unit {
        Unit::None | Unit::Count => find(&DECIMAL, suffix),
        Unit::Bytes => bytes(suffix),
        Unit::BytesPerSecond => {
            let each = suffix.strip_suffix("/s");
            bits(suffix).map(|bits| bits / 8.0).or_else(|| bytes(each.unwrap_or(suffix)))
        }
        Unit::BitsPerSecond => bits(suffix).or_else(|| find(&DECIMAL, suffix)),
        Unit::Seconds => find(&TIME, suffix),
        Unit::Ratio => (suffix == "%").then_some(0.01),
    }
}

/// `b`, `k`, `kb`, `kib`: all powers of 1024, as the tables show them.
fn bytes(suffix: &str) -> Option<f64> {
    if suffix == "b" {
        return Some(1.0);
    }
    let prefix = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(suffix);
    find(&BINARY, prefix)
}

/// `bit`, `kbit`, `mbit/s`: powers of 1000.
fn bits(suffix: &str) -> Option<f64> {
    let prefix = suffix.strip_suffix("/s").unwrap_or(suffix).strip_suffix("bit")?;
    if prefix.is_empty() { Some(1.0) } else { find(&DECIMAL, prefix) }
}

fn find(units: &[(&str, f64)], name: &str) -> Option<f64> {
    units.iter().find(|(known, _)| *known == name).map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_unit_of_its_column() {
        for (text, unit, number) in [
            ("1G", Unit::Bytes, 1_073_741_824.0),
            ("1.5 MiB", Unit::Bytes, 1_572_864.0),
            ("512", Unit::Bytes, 512.0),
            ("4k", Unit::Count, 4000.0),
            ("40mbit", Unit::BytesPerSecond, 5e6),
            ("8 kbit/s", Unit::BytesPerSecond, 1000.0),
            ("1MiB/s", Unit::BytesPerSecond, 1_048_576.0),
            ("1G", Unit::BitsPerSecond, 1e9),
            ("80%", Unit::Ratio, 0.8),
            ("0.8", Unit::Ratio, 0.8),
            ("5min", Unit::Seconds, 300.0),
            ("20ms", Unit::Seconds, 0.02),
            ("-3m", Unit::Bytes, -3_145_728.0),
        ] {
            let parsed = parse(text, unit).unwrap();
            assert!((parsed - number).abs() <= number.abs() * 1e-12, "{text}: {parsed}");
        }
    }

    #[test]
    fn a_unit_of_another_kind_is_no_number() {
        for (text, unit) in [
            ("5min", Unit::Bytes),
            ("1G", Unit::Seconds),
            ("x", Unit::Bytes),
            ("", Unit::Count),
            ("80%", Unit::Bytes),
        ] {
            assert_eq!(parse(text, unit), None, "{text}");
        }
    }
}
