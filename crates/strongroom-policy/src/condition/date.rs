// SPDX-License-Identifier: Apache-2.0
//! Dates: W3C's profile of ISO 8601, or seconds since 1970.

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(i128);

impl Instant {
    /// A number is seconds, a year alone too: `2024` is 33 minutes after midnight in 1970. In a
    /// policy a year alone is refused before.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let mut scan = Scan { rest: text };
        if let Some(instant) = scan.epoch() {
            return Some(instant);
        }
        scan.calendar()
    }
}

struct Scan<'a> {
    rest: &'a str,
}

impl Scan<'_> {
    /// `-? digits (. digits{1,9})?`
    fn epoch(&self) -> Option<Instant> {
        let (negative, digits) = match self.rest.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, self.rest),
        };
        let (seconds, nanos) = match digits.split_once('.') {
            Some((seconds, fraction)) => (seconds, nanos(fraction)?),
            None => (digits, 0),
        };
        // Enough for a hundred thousand years, and no overflow.
        if seconds.len() > 15 {
            return None;
        }
        let seconds = i128::from(number(seconds)?);
        let total = seconds.checked_mul(NANOS)?.checked_add(nanos)?;
        Some(Instant(if negative {
            total.checked_neg()?
        } else {
            total
        }))
    }

    /// `YYYY-MM[-DD[Thh:mm[:ss[.s]]ZONE]]`; without a zone a time of day means nothing.
    fn calendar(&mut self) -> Option<Instant> {
        let year = self.number(4)?;
        self.expect('-')?;
        let month = self.number(2)?;
        let day = if self.take('-') { self.number(2)? } else { 1 };
        let days = days_since_1970(year, month, day)?;
        let (mut seconds, mut fraction) = (0, 0);
        if !self.rest.is_empty() {
            if !self.take('T') {
                self.expect('t')?;
            }
            (seconds, fraction) = self.time_of_day()?;
        }
        let total = days.checked_mul(86_400)?.checked_add(seconds)?;
        if !self.rest.is_empty() {
            return None;
        }
        let nanos = i128::from(total).checked_mul(NANOS)?;
        Some(Instant(nanos.checked_add(fraction)?))
    }

    /// Seconds since midnight UTC, which may be those of the day before or after, and nanoseconds.
    fn time_of_day(&mut self) -> Option<(i64, i128)> {
        let hour = self.number(2)?;
        self.expect(':')?;
        let minute = self.number(2)?;
        let second = if self.take(':') { self.number(2)? } else { 0 };
        let mut fraction = 0;
        if self.take('.') {
            let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, rest) = self.rest.split_at_checked(length)?;
            fraction = nanos(digits)?;
            self.rest = rest;
        }
        // A leap second is the first of the next minute.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let offset = self.zone()?;
        let seconds = clock(hour, minute)?.checked_add(second)?;
        Some((seconds.checked_sub(offset)?, fraction))
    }

    /// `Z`, `+hh:mm` or `-hh:mm`, in seconds.
    fn zone(&mut self) -> Option<i64> {
        if self.take('Z') || self.take('z') {
            return Some(0);
        }
        let east = self.take('+');
        if !east {
            self.expect('-')?;
        }
        let hour = self.number(2)?;
        self.expect(':')?;
        let minute = self.number(2)?;
        if hour > 23 || minute > 59 {
            return None;
        }
        let offset = clock(hour, minute)?;
        if east {
            Some(offset)
        } else {
            offset.checked_neg()
        }
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number(digits)
    }

    fn take(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, character: char) -> Option<()> {
        self.take(character).then_some(())
    }
}

fn number(digits: &str) -> Option<i64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    (all_digits && !digits.is_empty()).then(|| digits.parse().ok())?
}

fn nanos(fraction: &str) -> Option<i128> {
    let scale = 9_usize.checked_sub(fraction.len())?;
    let scale = 10_i64.checked_pow(u32::try_from(scale).ok()?)?;
    number(fraction)?.checked_mul(scale).map(i128::from)
}

fn clock(hours: i64, minutes: i64) -> Option<i64> {
    hours
        .checked_mul(3_600)?
        .checked_add(minutes.checked_mul(60)?)
}

/// Days of the Gregorian calendar, for years 0 to 9999.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [
        31,
        if is_leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let month_index = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = *lengths.get(month_index)?;
    if day < 1 || day > length {
        return None;
    }
    let before: i64 = lengths.iter().take(month_index).sum();
    // Leap years before this one, counted from year 0, which is one.
    let leaps = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let days = year * 365 + leaps + before + day - 1;
    Some(days - DAYS_TO_1970)
}

const NANOS: i128 = 1_000_000_000;
/// From 0000-01-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_528;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_instant() {
        let seconds = |text: &str| Instant::parse(text).unwrap_or_else(|| panic!("{text}")).0;
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0_i64),
            ("0", 0),
            ("1577836800", 1_577_836_800),
            ("2020-01", 1_577_836_800),
            ("2020-01-01", 1_577_836_800),
            ("2020-01-01T00:00Z", 1_577_836_800),
            ("2020-01-01T01:00:00+01:00", 1_577_836_800),
            ("2019-12-31T19:30:00-04:30", 1_577_836_800),
            ("2020-01-01t00:00:00.000z", 1_577_836_800),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2100-03-01", 4_107_542_400),
            ("0000-01-01", -62_167_219_200),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("2024", 2024),
            ("-5", -5),
        ] {
            assert_eq!(seconds(text), i128::from(expected) * NANOS, "{text}");
        }
        assert_eq!(seconds("2020-01-01T00:00:00.25Z"), seconds("1577836800.25"));
        assert!(seconds("1577836800.250000001") > seconds("1577836800.25"));
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "-",
            "now",
            "2020-13",
            "2020-00-01",
            "2020-02-30",
            "2021-02-29",
            "2020-1-1",
            "20200101T",
            "2020-01-01T00:00:00",
            "2020-01-01T24:00:00Z",
            "2020-01-01T00:60Z",
            "2020-01-01 00:00Z",
            "2020-01-01T00:00:00Zx",
            "2020-01-01T00Z",
            "2020-01-01T00:00+1",
            "1e9",
            "1.",
            "1.0000000001",
            "1234567890123456",
            "Wed, 01 Jan 2020 00:00:00 GMT",
            "2020-01-01T00:00:00.Z",
            "+5",
            "2020-",
            "2020-01-01T",
        ] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }
}
