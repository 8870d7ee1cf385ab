//! Points in time as text, in UTC: the time zone of whoever reads is not known here.

/// RFC 3339 with milliseconds: `2026-11-20T10:00:00.123Z`; `wall` is nanoseconds since the Unix epoch.
pub(super) fn rfc3339(wall: u64) -> String {
    let (year, month, day) = date(wall);
    let (hour, minute, second) = time(wall);
    let millisecond = wall / 1_000_000 % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// For people: `2026-11-20 10:00:00 UTC`.
pub(super) fn human(wall: u64) -> String {
    let (year, month, day) = date(wall);
    let (hour, minute, second) = time(wall);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

fn time(wall: u64) -> (u64, u64, u64) {
    let seconds = wall / 1_000_000_000 % 86_400;
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day of the Gregorian calendar. Counted in eras of 400 years, each of which has as many days, from
/// the first of March of the year 0, so that the leap day is the last of its year (H. Hinnant, "chrono-compatible
/// low-level date algorithms").
fn date(wall: u64) -> (u64, u64, u64) {
    let days = wall / 86_400_000_000_000 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_168_800, "2026-11-20T10:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000), text);
        }
        assert_eq!(rfc3339(1_795_168_800_123_999_999), "2026-11-20T10:00:00.123Z");
        assert_eq!(human(1_795_168_800_123_999_999), "2026-11-20 10:00:00 UTC");
    }
}
