// SPDX-License-Identifier: Apache-2.0
//! The two time formats of signed requests, as pure arithmetic.

use std::fmt;

/// A time to the second, as signatures carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    unix_seconds: u64,
}

/// A timestamp in calendar parts (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampParts {
    /// Year, 1970 to 9999.
    pub year: u64,
    /// Month, 1 to 12.
    pub month: u64,
    /// Day, 1 to 31.
    pub day: u64,
    /// Hour, 0 to 23.
    pub hour: u64,
    /// Minute, 0 to 59.
    pub minute: u64,
    /// Second, 0 to 59.
    pub second: u64,
}

impl Timestamp {
    /// The second that contains this millisecond.
    pub fn from_unix_ms(ms: u64) -> Self {
        Self {
            unix_seconds: (ms / 1000).min(LAST_SECOND),
        }
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> u64 {
        self.unix_seconds.saturating_mul(1000)
    }

    /// Reads `YYYYMMDDTHHMMSSZ`.
    pub fn parse_amz(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes.get(8) != Some(&b'T') || bytes.get(15) != Some(&b'Z') {
            return None;
        }
        Self::from_parts(TimestampParts {
            year: digits(bytes, 0, 4)?,
            month: digits(bytes, 4, 2)?,
            day: digits(bytes, 6, 2)?,
            hour: digits(bytes, 9, 2)?,
            minute: digits(bytes, 11, 2)?,
            second: digits(bytes, 13, 2)?,
        })
    }

    /// Reads an HTTP date: `Fri, 24 May 2013 00:00:00 GMT` (also `+0000` for `GMT`).
    pub fn parse_http(text: &str) -> Option<Self> {
        let (weekday, rest) = text.split_once(", ")?;
        if !WEEKDAYS.contains(&weekday) {
            return None;
        }
        let mut words = rest.split(' ');
        let day = words.next()?;
        let month_name = words.next()?;
        let year = words.next()?;
        let clock = words.next()?.as_bytes();
        let zone = words.next()?;
        let well_formed = matches!(day.len(), 1 | 2)
            && year.len() == 4
            && clock.len() == 8
            && clock.get(2) == Some(&b':')
            && clock.get(5) == Some(&b':')
            && matches!(zone, "GMT" | "UTC" | "+0000")
            && words.next().is_none();
        if !well_formed {
            return None;
        }
        let month = MONTHS
            .iter()
            .zip(1u64..)
            .find(|(name, _)| **name == month_name)?
            .1;
        Self::from_parts(TimestampParts {
            year: digits(year.as_bytes(), 0, 4)?,
            month,
            day: digits(day.as_bytes(), 0, day.len())?,
            hour: digits(clock, 0, 2)?,
            minute: digits(clock, 3, 2)?,
            second: digits(clock, 6, 2)?,
        })
    }

    /// The first eight characters of the long format: `YYYYMMDD`.
    pub fn date(self) -> String {
        let parts = self.parts();
        format!("{:04}{:02}{:02}", parts.year, parts.month, parts.day)
    }

    /// This time in calendar parts.
    pub fn parts(self) -> TimestampParts {
        let days = self.unix_seconds / SECONDS_PER_DAY;
        let second_of_day = self.unix_seconds % SECONDS_PER_DAY;
        let (year, month, day) = civil_from_days(days);
        TimestampParts {
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
        }
    }

    fn from_parts(parts: TimestampParts) -> Option<Self> {
        let in_range = (1970..=9999).contains(&parts.year)
            && (1..=12).contains(&parts.month)
            && (1..=days_in_month(parts.year, parts.month)).contains(&parts.day)
            && parts.hour < 24
            && parts.minute < 60
            && parts.second < 60;
        if !in_range {
            return None;
        }
        let days = days_from_civil(parts.year, parts.month, parts.day);
        let second_of_day = parts.hour * 3600 + parts.minute * 60 + parts.second;
        Some(Self {
            unix_seconds: days * SECONDS_PER_DAY + second_of_day,
        })
    }
}

/// The long format, `YYYYMMDDTHHMMSSZ`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = self.parts();
        write!(
            f,
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            p.year, p.month, p.day, p.hour, p.minute, p.second
        )
    }
}

fn digits(bytes: &[u8], start: usize, len: usize) -> Option<u64> {
    let mut value = 0u64;
    for byte in bytes.get(start..start.checked_add(len)?)? {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    Some(value)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, for dates from then on: Howard Hinnant, "chrono-compatible low-level
/// date algorithms", `days_from_civil`, in unsigned arithmetic.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - DAYS_BEFORE_1970
}

/// Inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + DAYS_BEFORE_1970;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

const SECONDS_PER_DAY: u64 = 86_400;
const DAYS_BEFORE_1970: u64 = 719_468;
/// 9999-12-31T23:59:59Z: the last second that four digits of year can show.
const LAST_SECOND: u64 = 253_402_300_799;
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_read_and_print() {
        let time = Timestamp::parse_amz("20130524T000000Z").unwrap();
        assert_eq!(time.unix_ms(), 1_369_353_600_000);
        assert_eq!(time.to_string(), "20130524T000000Z");
        assert_eq!(time.date(), "20130524");
        assert_eq!(
            Timestamp::parse_http("Fri, 24 May 2013 00:00:00 GMT"),
            Some(time)
        );
        assert_eq!(
            Timestamp::from_unix_ms(u64::MAX).to_string(),
            "99991231T235959Z"
        );
        assert_eq!(Timestamp::from_unix_ms(999).to_string(), "19700101T000000Z");
    }

    #[test]
    fn every_day_of_eight_centuries_round_trips() {
        for day in 0..=292_194 {
            let time = Timestamp {
                unix_seconds: day * SECONDS_PER_DAY + 86_399,
            };
            assert_eq!(Timestamp::parse_amz(&time.to_string()), Some(time));
        }
    }

    #[test]
    fn malformed_times_are_refused() {
        for text in [
            "",
            "20130524",
            "20130524T000000",
            "20130524T000000z",
            "20130524t000000Z",
            "20130524T000000Z ",
            " 20130524T000000Z",
            "+0130524T000000Z",
            "20131324T000000Z",
            "20130024T000000Z",
            "20130532T000000Z",
            "20130500T000000Z",
            "20130229T000000Z",
            "20130524T240000Z",
            "20130524T006000Z",
            "20130524T000060Z",
            "19691231T235959Z",
            "2013-05-24T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse_amz(text), None, "{text}");
        }
        for text in [
            "",
            "Fri, 24 May 2013",
            "Fri, 24 May 2013 00:00:00",
            "Fri, 24 May 2013 00:00:00 CET",
            "Fri, 24 may 2013 00:00:00 GMT",
            "Fri, 24 May 13 00:00:00 GMT",
            "Fri, 31 Jun 2013 00:00:00 GMT",
            "Foo, 24 May 2013 00:00:00 GMT",
            "Fri, 24 May 2013 0:00:00 GMT",
            "Fri, 24 May 2013 00:00:00 GMT x",
            "Friday, 24-May-13 00:00:00 GMT",
        ] {
            assert_eq!(Timestamp::parse_http(text), None, "{text}");
        }
    }
}
