//! Times as typed after `j`: `14:30`, `14:30:05`, `2026-11-30 14:30`, `-5min`, `+30s`. In UTC, as all times that are
//! shown.

use observer_core::report::Unit;

use crate::quantity;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// The time that `text` means, in nanoseconds since the Unix epoch. `shown` is the time on the screen, and `newest` the
/// newest one: a time of day is the last such time that is not later.
///
/// # Errors
/// With what can be typed.
pub fn parse(text: &str, shown: u64, newest: u64) -> Result<u64, String> {
    let text = text.trim();
    let advice = || format!("`{text}` is no time: type 14:30, 2026-11-30 14:30, -5min or +30s (UTC)");
    if let Some(ago) = text.strip_prefix('-') {
        let seconds = quantity::parse(ago, Unit::Seconds).ok_or_else(advice)?;
        return Ok(shown.saturating_sub((seconds * SECOND as f64) as u64));
    }
    if let Some(later) = text.strip_prefix('+') {
        let seconds = quantity::parse(later, Unit::Seconds).ok_or_else(advice)?;
        return Ok(shown.saturating_add((seconds * SECOND as f64) as u64));
    }
    if let Some((date, time)) = text.split_once([' ', 'T']) {
        let days = days(date).ok_or_else(advice)?;
        return Ok(days * DAY + time_of_day(time.trim().trim_end_matches('Z')).ok_or_else(advice)?);
    }
    let time = time_of_day(text).ok_or_else(advice)?;
    let today = newest / DAY * DAY + time;
    Ok(if today > newest { today.saturating_sub(DAY) } else { today })
}

/// `14:30` or `14:30:05`, in nanoseconds since midnight. To the end of the minute or second, so that the report of that
/// second is found.
fn time_of_day(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |text: &str, limit: u64| text.parse::<u64>().ok().filter(|number| *number < limit);
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (number(hours, 24)?, number(minutes, 60)?, 0),
        [hours, minutes, seconds] => (number(hours, 24)?, number(minutes, 60)?, number(seconds, 60)?),
        _ => return None,
    };
    Some((hours * 3600 + minutes * 60 + seconds) * SECOND + SECOND - 1)
}

/// `2026-11-30`, in days since 1970-01-01.
fn days(text: &str) -> Option<u64> {
    let mut parts = text.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some()
        || !(1970..=2554).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    // Days from the civil calendar, with years that begin in March (Hinnant, "chrono-Compatible Low-Level Date
    // Algorithms").
    let shifted = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + of_year;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 10:00:00 UTC.
    const NEWEST: u64 = 1_795_168_800 * SECOND;

    fn seconds(text: &str) -> i64 {
        (parse(text, NEWEST - 60 * SECOND, NEWEST).unwrap() / SECOND) as i64 - 1_795_168_800
    }

    #[test]
    fn a_time_of_day_is_the_last_such_time() {
        assert_eq!(seconds("9:30"), -1800);
        assert_eq!(seconds("09:59:58"), -2);
        assert_eq!(seconds("10:30"), 1800 - 86_400, "yesterday's");
        assert_eq!(seconds("2026-11-20 09:00"), -3600);
        assert_eq!(seconds("2026-11-19T10:00:00Z"), -86_400);
        assert_eq!(seconds("-5min"), -360);
        assert_eq!(seconds("+30s"), -30);
    }

    #[test]
    fn what_is_no_time_is_an_error_with_advice() {
        for text in ["", "25:00", "10:60", "1:2:3:4", "soon", "-x", "2026-13-01 10:00"] {
            assert!(parse(text, NEWEST, NEWEST).unwrap_err().contains("14:30"), "{text}");
        }
    }
}
