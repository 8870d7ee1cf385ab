//! Numbers for human readers: binary units for bytes, decimal ones for bits, words for durations.
//!
//! Three digits are shown, because more cannot be compared at a glance. A whole number without decimals ("64 MiB") is
//! exact or has three digits; "64.0 MiB" is rounded. A value that is not a number is shown as [`NOTHING`].

/// Shown if there is no value.
pub const NOTHING: &str = "–";

const BINARY: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const BITS: [&str; 6] = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s"];

/// A number of bytes, counted or calculated.
pub trait Amount: Copy {
    /// The number, rounded to the nearest that a float holds.
    fn amount(self) -> f64;
}

impl Amount for f64 {
    fn amount(self) -> f64 {
        self
    }
}

impl Amount for u64 {
    fn amount(self) -> f64 {
        self as f64
    }
}

impl Amount for i64 {
    fn amount(self) -> f64 {
        self as f64
    }
}

/// Bytes: `1.9 GiB`, `64 MiB`, `812 B`.
pub fn bytes(bytes: impl Amount) -> String {
    scaled(bytes.amount(), 1024.0, &BINARY, Sign::Negative)
}

/// A change in bytes, always with its sign: `+38.2 MiB`, `-4 KiB`, `0`.
pub fn change(bytes: impl Amount) -> String {
    if bytes.amount() == 0.0 {
        return "0".to_owned();
    }
    scaled(bytes.amount(), 1024.0, &BINARY, Sign::Both)
}

/// Bytes per second: `4.4 MiB/s`, `0`.
pub fn byte_rate(bytes_per_second: f64) -> String {
    rate(bytes_per_second, Sign::Negative)
}

/// Growth in bytes per second, always with its sign: `+4.4 MiB/s`, `0`.
pub fn change_rate(bytes_per_second: f64) -> String {
    rate(bytes_per_second, Sign::Both)
}

/// Growth, given in bytes per second and shown in bytes per minute, without the words "a minute": `+38.1 MiB`; with
/// half the width of its interval, in the same unit: `+38.1 ±0.4 MiB`.
pub fn minute_rate(bytes_per_second: f64, half_width: Option<f64>) -> String {
    let value = 60.0 * bytes_per_second;
    let Some(half_width) = half_width.map(|width| 60.0 * width.abs()).filter(|width| width.is_finite())
    else {
        return if value.abs() < 0.5 { "0".to_owned() } else { change(value.round()) };
    };
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    if value.abs() < 0.5 && half_width < 0.5 {
        return "0".to_owned();
    }
    let (power, divisor) = scale(value.abs().max(half_width), 1024.0, BINARY.len());
    let sign = if value < 0.0 { "-" } else { "+" };
    let whole = power == 0;
    format!(
        "{sign}{} ±{} {}",
        digits(value.abs() / divisor, whole),
        digits(half_width / divisor, whole),
        BINARY[power]
    )
}

/// A network rate in bits, given in bytes per second: `768 Mbit/s`, `0`.
pub fn bit_rate(bytes_per_second: f64) -> String {
    bits(8.0 * bytes_per_second)
}

/// The speed of a link, in bits per second: `1 Gbit/s`, `2.5 Gbit/s`.
pub fn bits(bits_per_second: f64) -> String {
    if bits_per_second.abs() < 0.5 {
        return "0".to_owned();
    }
    scaled(bits_per_second, 1000.0, &BITS, Sign::Negative)
}

/// Seconds in words, the two largest units: `2 d 3 h`, `3 h 40 min`, `12 min`, `1.5 s`, `81 ms`, `350 µs`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NOTHING.to_owned();
    }
    if seconds < 0.0 {
        return format!("-{}", duration(-seconds));
    }
    if seconds < 59.95 {
        return match seconds {
            0.0 => "0 s".to_owned(),
            s if s < 0.000_999_5 => format!("{:.0} µs", (s * 1e6).max(1.0)),
            s if s < 0.999_5 => format!("{} ms", digits(s * 1e3, s >= 0.009_95)),
            s => format!("{} s", digits(s, s >= 9.95 || s.fract() == 0.0)),
        };
    }
    let minutes = (seconds / 60.0).round() as u64;
    let hours = (seconds / 3600.0).round() as u64;
    if seconds < 599.5 {
        let seconds = seconds.round() as u64;
        two(seconds / 60, "min", seconds % 60, "s")
    } else if minutes < 60 {
        format!("{minutes} min")
    } else if minutes < 24 * 60 {
        two(minutes / 60, "h", minutes % 60, "min")
    } else if hours < 10 * 24 {
        two(hours / 24, "d", hours % 24, "h")
    } else {
        format!("{} d", count((seconds / 86400.0).round() as u64))
    }
}

/// A fraction of one in per cent: `84 %`, `0.4 %`, `<0.1 %`. Only a whole is `100 %`.
pub fn share(fraction: f64) -> String {
    let percent = 100.0 * fraction;
    match percent {
        p if !p.is_finite() => NOTHING.to_owned(),
        0.0 => "0 %".to_owned(),
        p if p < 0.0 => format!("-{}", share(-fraction)),
        p if p < 0.05 => "<0.1 %".to_owned(),
        p if p < 0.95 => format!("{p:.1} %"),
        p if (99.5..100.0).contains(&p) => format!("{:.1} %", p.min(99.9)),
        p => format!("{p:.0} %"),
    }
}

/// A count, grouped by thousands: `12,345`.
pub fn count(number: u64) -> String {
    let plain = number.to_string();
    let mut grouped = String::with_capacity(plain.len() + plain.len() / 3);
    for (written, digit) in plain.chars().enumerate() {
        if written > 0 && (plain.len() - written).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number and the word for what is counted, in the singular or plural: `1 file`, `12 files`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Only a minus sign is shown.
    Negative,
    Both,
}

fn rate(bytes_per_second: f64, sign: Sign) -> String {
    // Less than half a byte per second is a rounding error of zero.
    if bytes_per_second.abs() < 0.5 {
        return "0".to_owned();
    }
    let text = scaled(bytes_per_second, 1024.0, &BINARY, sign);
    if text == NOTHING { text } else { text + "/s" }
}

fn scaled(value: f64, base: f64, units: &[&str], sign: Sign) -> String {
    if !value.is_finite() {
        return NOTHING.to_owned();
    }
    let (power, divisor) = scale(value.abs(), base, units.len());
    let scaled = value.abs() / divisor;
    let shown = digits(scaled, power == 0 || scaled.fract() == 0.0);
    let sign = match sign {
        _ if value < 0.0 => "-",
        Sign::Both => "+",
        Sign::Negative => "",
    };
    format!("{sign}{shown} {}", units[power])
}

/// The unit in which `value` has at most as many digits as `base` has, after rounding: (its index, its size).
fn scale(value: f64, base: f64, units: usize) -> (usize, f64) {
    let (mut power, mut divisor) = (0, 1.0);
    while power + 1 < units && (value / divisor).round() >= base {
        power += 1;
        divisor *= base;
    }
    (power, divisor)
}

/// One decimal below a hundred, none from there on.
fn digits(value: f64, whole: bool) -> String {
    if whole || value >= 99.95 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn bytes_have_binary_units_and_three_digits() {
        assert_eq!(bytes(0_u64), "0 B");
        assert_eq!(bytes(1023_u64), "1023 B");
        assert_eq!(bytes(4 * KIB), "4 KiB");
        assert_eq!(bytes(64 * MIB), "64 MiB");
        assert_eq!(bytes(64 * MIB + 1), "64.0 MiB");
        assert_eq!(bytes(1.94 * GIB as f64), "1.9 GiB");
        assert_eq!(bytes(180 * MIB + 300 * KIB), "180 MiB");
        assert_eq!(bytes(u64::MAX), "16 EiB");
    }

    #[test]
    fn rounding_up_changes_to_the_next_unit() {
        assert_eq!(bytes(MIB - 1), "1.0 MiB");
        assert_eq!(bytes(99.96 * MIB as f64), "100 MiB");
        assert_eq!(bit_rate(999_999.9 / 8.0), "1.0 Mbit/s");
        assert_eq!(duration(59.96), "1 min");
        assert_eq!(duration(0.999_7), "1.0 s");
        assert_eq!(duration(3599.0), "1 h");
        assert_eq!(duration(86_399.0), "1 d");
    }

    #[test]
    fn a_change_always_shows_its_direction() {
        assert_eq!(change(38 * MIB as i64 + 200 * 1024), "+38.2 MiB");
        assert_eq!(change(-4096_i64), "-4 KiB");
        assert_eq!(change(0_i64), "0");
        assert_eq!(change_rate(4.4 * MIB as f64), "+4.4 MiB/s");
    }

    #[test]
    fn a_rate_and_its_interval_share_a_unit() {
        let mib_a_minute = MIB as f64 / 60.0;
        assert_eq!(minute_rate(38.1 * mib_a_minute, Some(0.4 * mib_a_minute)), "+38.1 ±0.4 MiB");
        assert_eq!(minute_rate(-0.1 * mib_a_minute, Some(2.0 * mib_a_minute)), "-0.1 ±2.0 MiB");
        assert_eq!(minute_rate(0.0, Some(0.0)), "0");
        assert_eq!(minute_rate(3.0 * mib_a_minute, None), "+3 MiB");
    }

    #[test]
    fn network_rates_are_decimal_bits() {
        assert_eq!(bit_rate(96e6), "768 Mbit/s");
        assert_eq!(bit_rate(137_500.0), "1.1 Mbit/s");
        assert_eq!(bit_rate(37_500.0), "300 kbit/s");
        assert_eq!(bit_rate(0.0), "0");
        assert_eq!(bits(1e9), "1 Gbit/s");
        assert_eq!(byte_rate(4.4 * MIB as f64), "4.4 MiB/s");
    }

    #[test]
    fn durations_name_their_two_largest_units() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.000_35, "350 µs"),
            (0.001_2, "1.2 ms"),
            (0.081, "81 ms"),
            (1.5, "1.5 s"),
            (45.0, "45 s"),
            (90.0, "1 min 30 s"),
            (12.0 * 60.0, "12 min"),
            (3.0 * 3600.0 + 40.0 * 60.0, "3 h 40 min"),
            (2.0 * 86_400.0 + 3.0 * 3600.0, "2 d 3 h"),
            (1234.0 * 86_400.0, "1,234 d"),
            (f64::INFINITY, NOTHING),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn only_a_whole_share_is_a_hundred_per_cent() {
        assert_eq!(share(0.84), "84 %");
        assert_eq!(share(0.004), "0.4 %");
        assert_eq!(share(0.0001), "<0.1 %");
        assert_eq!(share(0.0), "0 %");
        assert_eq!(share(0.9999), "99.9 %");
        assert_eq!(share(1.0), "100 %");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(12_345_678), "12,345,678");
        assert_eq!(counted(1, "file", "files"), "1 file");
    }
}
