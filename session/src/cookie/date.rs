//! Dates of stored cookies: milliseconds since 1970 and their ISO 8601 form, for the years 1970 to 9999.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time that every date format of the protocol can show, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(i64);

impl Date {
    /// Moves a time that no format can show to the nearest one that they can.
    pub(super) fn clamped(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(0, LAST))
    }

    /// Returns `None` for a time outside of the years 1970 to 9999.
    pub(super) fn new(milliseconds: i64) -> Option<Self> {
        (0..=LAST).contains(&milliseconds).then_some(Self(milliseconds))
    }

    pub(super) fn milliseconds(self) -> i64 {
        self.0
    }

    /// Reads `2026-11-23T04:01:24.953Z`; seconds' fraction is optional and an offset may stand for `Z`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T')?;
        let zone = time.find(['Z', '+', '-'])?;
        let (time, zone) = time.split_at(zone);
        let [year, month, day] = numbers(date.split('-'))?;
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [hour, minute, second] = numbers(clock.split(':'))?;
        let valid = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !valid || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let milliseconds: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
        let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset(zone)?;
        Self::new((minutes * 60 + second) * 1000 + milliseconds)
    }

    /// Writes the form of JavaScript's `toISOString`.
    pub(super) fn to_iso(self) -> String {
        let (day, rest) = (self.0 / DAY, self.0 % DAY);
        let (year, month, day) = civil(day);
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let (second, millisecond) = (rest / 1000 % 60, rest % 1000);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

impl From<SystemTime> for Date {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Self::clamped(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

impl From<Date> for SystemTime {
    fn from(date: Date) -> Self {
        UNIX_EPOCH + Duration::from_millis(date.0.unsigned_abs())
    }
}

fn numbers<'a>(mut parts: impl Iterator<Item = &'a str>) -> Option<[i64; 3]> {
    let mut next =
        || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok();
    let found = [next()?, next()?, next()?];
    parts.next().is_none().then_some(found)
}

/// Returns the minutes that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    let (sign, zone) = match zone.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", zone) => (1, zone),
        ("-", zone) => (-1, zone),
        _ => return None,
    };
    let (hours, minutes) = zone.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 60 + i64::from(minutes)))
}

/// Days since 1970 of a Gregorian date, after Howard Hinnant's `days_from_civil`: years begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

const DAY: i64 = 86_400_000;

/// 9999-12-31T23:59:59.999Z: neither `Expires` nor a four-digit ISO year goes further.
const LAST: i64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_stores_hold() {
        for (text, milliseconds) in [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2030-01-02T03:04:05.678Z", Some(1_893_553_445_678)),
            ("2030-01-02T03:04:05Z", Some(1_893_553_445_000)),
            ("2030-01-02T03:04:05.6Z", Some(1_893_553_445_600)),
            ("2030-01-02T03:04:05.678+02:00", Some(1_893_546_245_678)),
            ("2030-01-02T03:04:05.678-00:30", Some(1_893_555_245_678)),
            ("9999-12-31T23:59:59.999Z", Some(LAST)),
            ("9999-12-31T23:59:59.999-00:01", None),
            ("1969-12-31T23:59:59.999Z", None),
            ("2030-13-02T03:04:05Z", None),
            ("2030-01-02T03:04:05", None),
            ("2030-01-02T03:04:05.é678Z", None),
            ("2030-01-02T03:04:05+é:00", None),
            ("garbage", None),
            ("", None),
        ] {
            assert_eq!(Date::parse(text).map(Date::milliseconds), milliseconds, "{text}");
        }
    }

    proptest! {
        #[test]
        fn iso_form_round_trips(milliseconds in 0..=LAST) {
            let date = Date::new(milliseconds).unwrap();
            prop_assert_eq!(Date::parse(&date.to_iso()), Some(date));
            // A second opinion on the calendar.
            let http = httpdate::fmt_http_date(date.into());
            let iso = date.to_iso();
            prop_assert_eq!(&http[12..16], &iso[..4]);
            prop_assert_eq!(&http[5..7], &iso[8..10]);
        }

        #[test]
        fn any_text_is_survived(text in "[0-9TZ:.+é-]{0,30}") {
            Date::parse(&text);
        }
    }
}
