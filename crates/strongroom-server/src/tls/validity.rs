// SPDX-License-Identifier: Apache-2.0
//! From when to when a certificate is valid: the one thing that is read of it here (RFC 5280, 4.1).
//!
//! ```text
//! Certificate { TBSCertificate { [0] version?, serial, signature, issuer,
//!                                validity { notBefore, notAfter }, .. }, .. }
//! ```

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::control::date;

/// The first and the last moment, Unix time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
}

impl Validity {
    /// Of a certificate in DER; `None` if it is not understood.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = value(certificate, SEQUENCE)?;
        let (mut rest, _) = value(certificate, SEQUENCE)?;
        if let Some((_version, behind)) = value(rest, VERSION) {
            rest = behind;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, rest) = value(rest, tag)?;
        }
        let (validity, _) = value(rest, SEQUENCE)?;
        let (from_ms, rest) = time(validity)?;
        let (until_ms, _) = time(rest)?;
        Some(Self { from_ms, until_ms })
    }

    /// Why it is not valid at this moment, in words.
    pub(crate) fn trouble(self, now_ms: u64) -> Option<String> {
        if now_ms < self.from_ms {
            Some(format!("is not valid before {}", date(self.from_ms)))
        } else if now_ms > self.until_ms {
            Some(format!("has expired on {}", date(self.until_ms)))
        } else {
            None
        }
    }
}

/// The content of the first value, which must have this tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (len, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        // A length in so many bytes of its own; no certificate is longer than four say.
        0x81..=0x84 => {
            let (long, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let mut bytes = [0; 4];
            bytes
                .get_mut(4_usize.checked_sub(long.len())?..)?
                .copy_from_slice(long);
            (usize::try_from(u32::from_be_bytes(bytes)).ok()?, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// A UTCTime or a GeneralizedTime, in the form that certificates have: seconds, and in UTC.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    let utc = value(der, UTC_TIME);
    let year_digits = if utc.is_some() { 2 } else { 4 };
    let (text, rest) = utc.or_else(|| value(der, GENERALIZED_TIME))?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, text) = text.split_at_checked(year_digits)?;
    let mut year = digits(year)?;
    if year_digits == 2 {
        year = year.checked_add(if year < 50 { 2_000 } else { 1_900 })?;
    }
    let mut parts = [0_i8; 5];
    let mut left = text;
    for part in &mut parts {
        let (two, behind) = left.split_at_checked(2)?;
        *part = i8::try_from(digits(two)?).ok()?;
        left = behind;
    }
    let [month, day, hour, minute, second] = parts;
    let at = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // What lies before 1970 is long ago all the same.
    let at_ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
    left.is_empty().then_some((at_ms, rest))
}

fn digits(text: &str) -> Option<i16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let der = made((2026, 1, 2), (2051, 12, 31));
        let of = Validity::of(&der).unwrap();
        assert_eq!(date(of.from_ms), "2026-01-02T00:00:00Z");
        assert_eq!(date(of.until_ms), "2051-12-31T00:00:00Z");
        assert!(of.trouble(of.from_ms).is_none() && of.trouble(of.until_ms).is_none());
        let early = of.trouble(of.from_ms - 1).unwrap();
        assert_eq!(early, "is not valid before 2026-01-02T00:00:00Z");
        let late = of.trouble(of.until_ms + 1).unwrap();
        assert_eq!(late, "has expired on 2051-12-31T00:00:00Z");
        let old = Validity::of(&made((1950, 1, 1), (1999, 1, 1))).unwrap();
        assert_eq!(
            (old.from_ms, date(old.until_ms)),
            (0, "1999-01-01T00:00:00Z".to_owned())
        );
    }

    #[test]
    fn what_is_cut_or_changed_is_not_understood_and_no_panic() {
        let der = made((2026, 1, 2), (2027, 1, 2));
        for len in 0..der.len() {
            assert!(Validity::of(&der[..len]).is_none(), "{len}");
        }
        for at in 0..der.len() {
            let mut other = der.clone();
            other[at] ^= 0x80;
            let _understood = Validity::of(&other);
        }
    }
}
