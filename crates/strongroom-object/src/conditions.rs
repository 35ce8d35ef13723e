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
    /// Copy source: every failure is 412.
    CopySource,
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
                ReadKind::CopySource => copy,
            },
        })
    };
    let not_modified = |copy| match kind {
        ReadKind::Read => Err(Error::NotModified {
            etag: etag.to_owned(),
            last_modified_ms,
        }),
        ReadKind::CopySource => Err(Error::PreconditionFailed { condition: copy }),
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
        .is_some_and(|since| last_modified <= since)
    {
        return not_modified("x-amz-copy-source-If-Modified-Since");
    }
    Ok(())
}

/// Decide whether a write with `conditions` may replace what is there (`None`: nothing).
pub(crate) fn check_write(
    conditions: &WriteConditions,
    current_etag: Option<&str>,
    object_key: &str,
) -> Result<(), Error> {
    match (&conditions.if_match, current_etag) {
        (Some(_), None) => {
            return Err(Error::NoSuchKey {
                object_key: object_key.to_owned(),
            });
        }
        (Some(wanted), Some(etag)) if wanted != "*" && wanted != etag => {
            return Err(Error::PreconditionFailed {
                condition: "If-Match",
            });
        }
        _ => {}
    }
    if conditions.if_none_match_any && current_etag.is_some() {
        return Err(Error::PreconditionFailed {
            condition: "If-None-Match",
        });
    }
    Ok(())
}

/// Whether a write is conditional at all.
pub(crate) fn is_conditional(conditions: &WriteConditions) -> bool {
    conditions.if_match.is_some() || conditions.if_none_match_any
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
        let answer = check_read(&conditions, ReadKind::CopySource, "e", 0);
        assert!(matches!(
            answer,
            Err(Error::PreconditionFailed {
                condition: "x-amz-copy-source-If-None-Match"
            })
        ));
    }

    #[test]
    fn write_table() {
        let if_match = |v: &str| WriteConditions {
            if_match: Some(v.to_owned()),
            if_none_match_any: false,
        };
        let none_match = WriteConditions {
            if_match: None,
            if_none_match_any: true,
        };
        assert!(check_write(&WriteConditions::default(), Some("e"), "k").is_ok());
        assert!(check_write(&if_match("e"), Some("e"), "k").is_ok());
        assert!(check_write(&if_match("*"), Some("e"), "k").is_ok());
        assert!(check_write(&none_match, None, "k").is_ok());
        assert!(matches!(
            check_write(&if_match("x"), Some("e"), "k"),
            Err(Error::PreconditionFailed { .. })
        ));
        assert!(matches!(
            check_write(&if_match("*"), None, "k"),
            Err(Error::NoSuchKey { .. })
        ));
        assert!(matches!(
            check_write(&none_match, Some("e"), "k"),
            Err(Error::PreconditionFailed { .. })
        ));
    }
}
