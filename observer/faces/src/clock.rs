//! Points in time as text, in UTC: the reader's time zone is not known here.

use jiff::Timestamp;

/// RFC 3339 with milliseconds: `2026-11-20T10:00:00.123Z`; `wall` is nanoseconds since the Unix epoch.
pub fn rfc3339(wall: u64) -> String {
    formatted(wall, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// For humans: `2026-11-20 10:00:00 UTC`.
pub fn human(wall: u64) -> String {
    formatted(wall, "%Y-%m-%d %H:%M:%S UTC")
}

fn formatted(wall: u64, format: &str) -> String {
    // 64 bits of nanoseconds end in the year 2554, which a timestamp can hold.
    Timestamp::from_nanosecond(i128::from(wall)).unwrap_or(Timestamp::MAX).strftime(format).to_string()
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
