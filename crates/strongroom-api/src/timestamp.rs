// SPDX-License-Identifier: Apache-2.0
//! HTTP dates in headers (RFC 9110, 5.6.7), and times that clients write in documents.

use jiff::Timestamp;

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub(crate) fn http_date(unix_ms: u64) -> String {
    at(unix_ms)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// An HTTP date as Unix seconds: IMF-fixdate, RFC 850 or asctime (RFC 9110, 5.6.7). Anything else
/// is no date, and a condition with it is as if absent.
pub(crate) fn parse_http_date(text: &str) -> Option<u64> {
    const FORMATS: [&str; 3] = [
        "%a, %d %b %Y %H:%M:%S",
        "%A, %d-%b-%y %H:%M:%S",
        "%a %b %e %H:%M:%S %Y",
    ];
    let text = text.strip_suffix(" GMT").unwrap_or(text);
    let time = FORMATS.iter().find_map(|format| {
        jiff::civil::DateTime::strptime(format, text)
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
    })?;
    u64::try_from(time.timestamp().as_second()).ok()
}

/// A time as documents have it (ISO 8601, with its offset from UTC) as whole Unix seconds.
pub(crate) fn parse_iso8601(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_second()).ok()
}

fn at(unix_ms: u64) -> Timestamp {
    i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_http_forms_are_one_instant() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http_date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(http_date(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn other_texts_are_no_dates() {
        for text in [
            "",
            "0",
            "yesterday",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994",
            "GMT",
        ] {
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }
}
