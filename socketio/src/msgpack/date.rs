//! Dates as `JSON.stringify` writes them.

/// Most milliseconds from 1970 that a `Date` of JavaScript takes, in both directions.
const MAX_MILLISECONDS: u64 = 8_640_000_000_000_000;

/// A time in milliseconds since 1970, as `2024-01-02T03:04:05.678Z`; none beyond what a `Date` takes.
pub(super) fn iso8601(milliseconds: i64) -> Option<String> {
    if milliseconds.unsigned_abs() > MAX_MILLISECONDS {
        return None;
    }
    let (days, time) = (milliseconds.div_euclid(86_400_000), milliseconds.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let sign = match year {
        0..=9999 => "",
        ..0 => "-",
        10_000.. => "+",
    };
    let (year, width) = (year.abs(), if sign.is_empty() { 4 } else { 6 });
    let (hours, minutes) = (time / 3_600_000, time / 60_000 % 60);
    let (seconds, milliseconds) = (time / 1000 % 60, time % 1000);
    Some(format!(
        "{sign}{year:0width$}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}Z"
    ))
}

/// Year, month and day of a day since 1970, in the Gregorian calendar.
///
/// Years are taken to begin in March, so that the leap day is their last, and counted in eras of 400, which
/// are all of the same length.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / (ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `new Date(milliseconds).toISOString()`.
    #[test]
    fn agrees_with_javascript() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (68_255_999_999, "1972-02-29T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_704_164_645_678, "2024-01-02T03:04:05.678Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
            (-2_208_988_800_000, "1900-01-01T00:00:00.000Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-000001-12-31T23:59:59.999Z"),
            (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
            (-8_640_000_000_000_000, "-271821-04-20T00:00:00.000Z"),
        ] {
            assert_eq!(iso8601(milliseconds).as_deref(), Some(text));
        }
        for milliseconds in [8_640_000_000_000_001, -8_640_000_000_000_001, i64::MAX, i64::MIN] {
            assert_eq!(iso8601(milliseconds), None);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let length = |year: i64, month| match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut expected = (-401, 1, 1);
        // From the first day of the year -401, for more than two eras.
        for days in -865_990..-865_990 + 300_000 {
            assert_eq!(civil(days), expected);
            let (year, month, day) = expected;
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                _ if day == length(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }
}
