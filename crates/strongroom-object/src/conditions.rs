// SPDX-License-Identifier: Apache-2.0
//! Conditional requests, decided on stored facts alone.
//!
//! The order is that of RFC 9110 section 13.2.2, which S3 follows.

use crate::error::Error;
use crate::model::{ReadConditions, WriteConditions};

/// Names of the conditions as they are reported: of a read, or of a copy source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReadKind {
    /// GET and HEAD: a failed `If-None-Match` is 304.
    Read,
    /// Copy source: every failure is 412, and `If-Modified-Since` of a time that has not come yet is
    /// no condition, as in S3.
    CopySource {
        /// Unix seconds.
        now: u64,
    },
}

/// Decide whether a read with `conditions` may see an object.
pub(crate) fn check_read(
    conditions: &ReadConditions,
    kind: ReadKind,
    etag: &str,
    last_modified_ms: u64,
) -> Result<(), Error> {
    let failed = |read, copy| {
        Err(Error::PreconditionFailed {
            condition: match kind {
                ReadKind::Read => read,
                ReadKind::CopySource { .. } => copy,
            },
        })
    };
    let not_modified = |copy| match kind {
        ReadKind::Read => Err(Error::NotModified {
            etag: etag.to_owned(),
            last_modified_ms,
        }),
        ReadKind::CopySource { .. } => Err(Error::PreconditionFailed { condition: copy }),
    };
    let last_modified = last_modified_ms / 1000;
    if let Some(wanted) = &conditions.if_match {
        if !any_matches(wanted, etag) {
            return failed("If-Match", "x-amz-copy-source-If-Match");
        }
    } else if conditions
        .if_unmodified_since
        .is_some_and(|since| last_modified > since)
    {
        return failed(
            "If-Unmodified-Since",
            "x-amz-copy-source-If-Unmodified-Since",
        );
    }
    if let Some(unwanted) = &conditions.if_none_match {
        if any_matches(unwanted, etag) {
            return not_modified("x-amz-copy-source-If-None-Match");
        }
    } else if conditions
        .if_modified_since
        .filter(|since| !matches!(kind, ReadKind::CopySource { now } if *since > now))
        .is_some_and(|since| last_modified <= since)
    {
        return not_modified("x-amz-copy-source-If-Modified-Since");
    }
    Ok(())
}

/// What conditions of writes and deletes compare with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Current<'r> {
    pub etag: &'r str,
    pub size: u64,
    pub last_modified_ms: u64,
}

/// Decide whether a write with `conditions` may replace what is there (`None`: nothing).
pub(crate) fn check_write(
    conditions: &WriteConditions,
    current: Option<Current<'_>>,
    object_key: &str,
) -> Result<(), Error> {
    let failed = |condition| Err(Error::PreconditionFailed { condition });
    let Some(current) = current else {
        // A size and a time are compared with what is there; only an ETag asks for something.
        return match conditions.if_match {
            Some(_) => Err(Error::NoSuchKey {
                object_key: object_key.to_owned(),
            }),
            None => Ok(()),
        };
    };
    match &conditions.if_match {
        Some(wanted) if wanted != "*" && wanted != current.etag => return failed("If-Match"),
        _ => {}
    }
    if conditions.if_none_match_any {
        return failed("If-None-Match");
    }
    // Clients are shown whole seconds.
    if conditions
        .if_last_modified
        .is_some_and(|wanted| wanted != current.last_modified_ms / 1000)
    {
        return failed("x-amz-if-match-last-modified-time");
    }
    if conditions
        .if_size
        .is_some_and(|wanted| wanted != current.size)
    {
        return failed("x-amz-if-match-size");
    }
    Ok(())
}

/// Whether a write is conditional at all.
pub(crate) fn is_conditional(conditions: &WriteConditions) -> bool {
    conditions.if_none_match_any || conditions.if_match.is_some() || tells_of_object(conditions)
}

/// Whether the outcome tells something about an object beyond that there is one.
pub(crate) fn tells_of_object(conditions: &WriteConditions) -> bool {
    conditions
        .if_match
        .as_deref()
        .is_some_and(|etag| etag != "*")
        || conditions.if_last_modified.is_some()
        || conditions.if_size.is_some()
}

fn any_matches(list: &[String], etag: &str) -> bool {
    list.iter()
        .any(|candidate| candidate == "*" || candidate == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the fields it fills are options")]
    fn tags(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|s| (*s).to_owned()).collect())
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn read_table() {
        let none = ReadConditions::default();
        let cases: Vec<(ReadConditions, &str)> = vec![
            (none.clone(), "ok"),
            (
                ReadConditions {
                    if_match: tags(&["e"]),
                    ..none.clone()
                },
                "ok",
            ),
            (
                ReadConditions {
                    if_match: tags(&["*"]),
                    ..none.clone()
                },
                "ok",
            ),
            (
                ReadConditions {
                    if_match: tags(&["x", "e"]),
                    ..none.clone()
                },
                "ok",
            ),
            (
                ReadConditions {
                    if_match: tags(&["x"]),
                    ..none.clone()
                },
                "If-Match",
            ),
            (
                ReadConditions {
                    if_match: Some(vec![]),
                    ..none.clone()
                },
                "If-Match",
            ),
            (
                ReadConditions {
                    if_none_match: tags(&["x"]),
                    ..none.clone()
                },
                "ok",
            ),
            (
                ReadConditions {
                    if_none_match: tags(&["e"]),
                    ..none.clone()
                },
                "304",
            ),
            (
                ReadConditions {
                    if_none_match: tags(&["*"]),
                    ..none.clone()
                },
                "304",
            ),
            (
                ReadConditions {
                    if_modified_since: Some(9),
                    ..none.clone()
                },
                "ok",
            ),
            (
                ReadConditions {
                    if_modified_since: Some(10),
                    ..none.clone()
                },
                "304",
            ),
            (
                ReadConditions {
                    if_unmodified_since: Some(10),
                    ..none.clone()
                },
                "ok",
            ),
            (
                ReadConditions {
                    if_unmodified_since: Some(9),
                    ..none.clone()
                },
                "If-Unmodified-Since",
            ),
            // If-Match outranks If-Unmodified-Since, If-None-Match outranks If-Modified-Since.
            (
                ReadConditions {
                    if_match: tags(&["e"]),
                    if_unmodified_since: Some(9),
                    ..none.clone()
                },
                "ok",
            ),
            (
                ReadConditions {
                    if_none_match: tags(&["x"]),
                    if_modified_since: Some(10),
                    ..none
                },
                "ok",
            ),
        ];
        for (conditions, expected) in cases {
            let got = match check_read(&conditions, ReadKind::Read, "e", 10_999) {
                Ok(()) => "ok",
                Err(Error::NotModified { .. }) => "304",
                Err(Error::PreconditionFailed { condition }) => condition,
                Err(other) => panic!("{other}"),
            };
            assert_eq!(got, expected, "{conditions:?}");
        }
    }

    #[test]
    fn copy_sources_never_answer_not_modified() {
        let conditions = ReadConditions {
            if_none_match: tags(&["e"]),
            ..Default::default()
        };
        let answer = check_read(&conditions, ReadKind::CopySource { now: 50 }, "e", 0);
        assert!(matches!(
            answer,
            Err(Error::PreconditionFailed {
                condition: "x-amz-copy-source-If-None-Match"
            })
        ));
    }

    /// As S3 answers: a time that has not come yet is no condition on a source.
    #[test]
    fn copy_sources_ignore_times_to_come() {
        let now = 1_000;
        for (since, is_met) in [(10, false), (1_000, false), (1_001, true), (u64::MAX, true)] {
            let conditions = ReadConditions {
                if_modified_since: Some(since),
                ..Default::default()
            };
            let answer = check_read(&conditions, ReadKind::CopySource { now }, "e", 10_999);
            assert_eq!(answer.is_ok(), is_met, "{since}");
        }
    }

    #[test]
    fn write_table() {
        let none = WriteConditions::default();
        let if_match = |etag: &str| WriteConditions {
            if_match: Some(etag.to_owned()),
            ..Default::default()
        };
        let none_match = WriteConditions {
            if_none_match_any: true,
            ..Default::default()
        };
        let at = |seconds| WriteConditions {
            if_last_modified: Some(seconds),
            ..Default::default()
        };
        let size = |bytes| WriteConditions {
            if_size: Some(bytes),
            ..Default::default()
        };
        let current = Current {
            etag: "e",
            size: 7,
            last_modified_ms: 10_999,
        };
        for (conditions, there, not_there) in [
            (none, "ok", "ok"),
            (if_match("e"), "ok", "404"),
            (if_match("*"), "ok", "404"),
            (if_match("x"), "If-Match", "404"),
            (if_match(""), "If-Match", "404"),
            (none_match, "If-None-Match", "ok"),
            (at(10), "ok", "ok"),
            (at(9), "x-amz-if-match-last-modified-time", "ok"),
            (at(11), "x-amz-if-match-last-modified-time", "ok"),
            (at(u64::MAX), "x-amz-if-match-last-modified-time", "ok"),
            (size(7), "ok", "ok"),
            (size(0), "x-amz-if-match-size", "ok"),
            (size(8), "x-amz-if-match-size", "ok"),
            (
                WriteConditions {
                    if_size: Some(8),
                    if_last_modified: Some(10),
                    ..if_match("e")
                },
                "x-amz-if-match-size",
                "404",
            ),
            (
                WriteConditions {
                    if_size: Some(7),
                    if_last_modified: Some(10),
                    ..if_match("x")
                },
                "If-Match",
                "404",
            ),
        ] {
            let word = |result| match result {
                Ok(()) => "ok",
                Err(Error::PreconditionFailed { condition }) => condition,
                Err(Error::NoSuchKey { .. }) => "404",
                Err(other) => panic!("{other}"),
            };
            let got = word(check_write(&conditions, Some(current), "k"));
            assert_eq!(got, there, "{conditions:?}");
            let got = word(check_write(&conditions, None, "k"));
            assert_eq!(got, not_there, "{conditions:?}");
        }
    }

    #[test]
    fn who_compares_reads() {
        let default = WriteConditions::default;
        let any = WriteConditions {
            if_match: Some("*".to_owned()),
            ..default()
        };
        assert!(is_conditional(&any) && !tells_of_object(&any));
        assert!(!is_conditional(&default()) && !tells_of_object(&default()));
        for conditions in [
            WriteConditions {
                if_match: Some("e".to_owned()),
                ..default()
            },
            WriteConditions {
                if_size: Some(0),
                ..any.clone()
            },
            WriteConditions {
                if_last_modified: Some(0),
                ..default()
            },
        ] {
            assert!(is_conditional(&conditions) && tells_of_object(&conditions));
        }
    }
}
