// SPDX-License-Identifier: Apache-2.0
//! The policy of an upload form: what its signer permits whoever holds it to send.
//!
//! The text was verified before it comes here: its signature covers it as it was sent. It permits
//! nothing by itself; the signer must be allowed to write the object besides.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_wire::sigv4::Timestamp;

use super::form_fields::{self, FormFields};
use super::recorded_headers::HIDDEN;
use crate::error::{S3Code, S3Error};
use crate::kms::Json;

/// A parsed policy.
#[derive(Debug)]
pub(crate) struct PostPolicy {
    expires_ms: u64,
    conditions: Vec<Condition>,
}

/// One condition, and how error messages show it.
#[derive(Debug)]
struct Condition {
    test: Test,
    shown: String,
    /// The same for the audit log, without a value that may be a digest of the file or is stored
    /// sealed with it.
    recorded: String,
}

#[derive(Debug)]
enum Test {
    /// The field, by its lower-case name, has this value.
    Equals(String, String),
    /// The field begins with this.
    StartsWith(String, String),
    /// The file is this long.
    Length(RangeInclusive<u64>),
    /// What cannot hold: a name without its `$`, a length that is no number.
    Never,
}

impl PostPolicy {
    /// Reads a policy, as it stands in the form.
    pub(crate) fn parse(text: &str) -> Result<Self, S3Error> {
        let document = STANDARD
            .decode(text)
            .map_err(|_| invalid("invalid Base64 encoding."))?;
        let mut members = Json::parse_object(&document).map_err(|_| invalid("Invalid JSON."))?;
        let expiration = members.remove("expiration");
        let conditions = members.remove("conditions");
        if let Some(name) = members.keys().next() {
            let name = form_fields::shown(&name.to_ascii_lowercase());
            return Err(invalid(format!("Unexpected: '{name}'")));
        }
        let expires_ms = match expiration {
            None => return Err(invalid("Policy missing expiration.")),
            Some(Json::Text(text)) => expiration_ms(&text).ok_or_else(|| {
                let text = form_fields::shown(&text);
                invalid(format!("Invalid 'expiration' value: '{text}'"))
            })?,
            Some(_) => return Err(invalid("Invalid 'expiration' value.")),
        };
        let Some(conditions) = conditions else {
            return Err(invalid("Policy missing conditions."));
        };
        let Json::List(conditions) = conditions else {
            return Err(invalid("Invalid 'conditions' value: must be a List."));
        };
        Ok(Self {
            expires_ms,
            conditions: conditions.iter().map(condition).collect::<Result<_, _>>()?,
        })
    }

    /// Compares the form with the policy; what it permits the file's length to be.
    pub(crate) fn check(
        &self,
        now_ms: u64,
        bucket: &str,
        object_key: &str,
        fields: &FormFields,
    ) -> Result<RangeInclusive<u64>, S3Error> {
        if now_ms > self.expires_ms {
            return Err(denied("Policy expired."));
        }
        let value = |name: &str| match name {
            "bucket" => Some(bucket),
            "key" => Some(object_key),
            name => fields.get(name),
        };
        let (mut least, mut most) = (0, u64::MAX);
        for Condition {
            test,
            shown,
            recorded,
        } in &self.conditions
        {
            let holds = match test {
                Test::Equals(name, expected) => value(name) == Some(expected.as_str()),
                Test::StartsWith(name, prefix) => {
                    value(name).is_some_and(|value| begins(name, value, prefix))
                }
                Test::Length(range) => {
                    least = least.max(*range.start());
                    most = most.min(*range.end());
                    true
                }
                Test::Never => false,
            };
            if !holds {
                let recorded = denied(format!("Policy Condition failed: {recorded}"));
                let told = denied(format!("Policy Condition failed: {shown}"));
                return Err(told.recorded_as(recorded.message.into_owned()));
            }
        }
        self.check_coverage(bucket, fields)?;
        Ok(least..=most)
    }

    /// Each field needs a condition, and so does the bucket: a policy must say where it holds.
    fn check_coverage(&self, bucket: &str, fields: &FormFields) -> Result<(), S3Error> {
        let covered = |name: &str| {
            self.conditions
                .iter()
                .any(|condition| match &condition.test {
                    Test::Equals(known, _) | Test::StartsWith(known, _) => {
                        known.eq_ignore_ascii_case(name)
                    }
                    Test::Length(_) | Test::Never => false,
                })
        };
        if fields.get("bucket").is_some_and(|named| named != bucket) {
            return Err(denied("The bucket of the form is another one."));
        }
        let names = fields.iter().map(|(name, _)| name);
        let extra: Vec<String> = std::iter::once("bucket")
            .chain(names.filter(|name| !name.eq_ignore_ascii_case("bucket")))
            .filter(|name| !is_exempt(name) && !covered(name))
            .map(form_fields::shown)
            .collect();
        if extra.is_empty() {
            Ok(())
        } else {
            Err(denied(format!("Extra input fields: {}", extra.join(", "))))
        }
    }
}

/// Fields that no condition has to name.
fn is_exempt(name: &str) -> bool {
    form_fields::is_ignored(name)
        || ["x-amz-signature", "file", "policy"]
            .iter()
            .any(|exempt| name.eq_ignore_ascii_case(exempt))
}

/// A Content-Type with commas is a list, each item of which must begin so.
fn begins(name: &str, value: &str, prefix: &str) -> bool {
    if name == "content-type" {
        value.split(',').all(|item| item.starts_with(prefix))
    } else {
        value.starts_with(prefix)
    }
}

fn condition(json: &Json) -> Result<Condition, S3Error> {
    match json {
        Json::Map(members) => {
            let mut members = members.iter();
            let (Some((name, value)), None) = (members.next(), members.next()) else {
                return Err(invalid(
                    "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
                ));
            };
            let Json::Text(value) = value else {
                return Err(invalid("Invalid Simple-Condition: value must be a string."));
            };
            Ok(Condition {
                shown: shown("eq", &format!("${name}"), value),
                recorded: recorded("eq", &format!("${name}"), value),
                test: Test::Equals(name.to_ascii_lowercase(), value.to_string()),
            })
        }
        Json::List(items) => list(items),
        _ => Err(invalid("Invalid Condition: must be a List or Object.")),
    }
}

fn list(items: &[Json]) -> Result<Condition, S3Error> {
    let Some(Json::Text(operation)) = items.first() else {
        return Err(invalid("Invalid Condition: missing operation identifier."));
    };
    let wrong_number =
        |operation: &str| invalid(format!("Invalid {operation}: wrong number of arguments."));
    let of_field = |test: fn(String, String) -> Test, operation: &str| {
        let [_, name, value] = items else {
            return Err(wrong_number(operation));
        };
        let (Json::Text(name), Json::Text(value)) = (name, value) else {
            return Err(invalid("Invalid JSON."));
        };
        Ok(Condition {
            shown: shown(operation, name, value),
            recorded: recorded(operation, name, value),
            test: match name.strip_prefix('$') {
                Some(name) => test(name.to_ascii_lowercase(), value.to_string()),
                None => Test::Never,
            },
        })
    };
    match operation.to_ascii_lowercase().as_str() {
        "eq" => of_field(Test::Equals, "eq"),
        "starts-with" => of_field(Test::StartsWith, "starts-with"),
        "content-length-range" => {
            let [_, least, most] = items else {
                return Err(wrong_number("content-length-range"));
            };
            let shown = format!(
                "[\"content-length-range\", {}, {}]",
                bound_shown(least),
                bound_shown(most)
            );
            Ok(Condition {
                test: match (bound(least)?, bound(most)?) {
                    (Some(least), Some(most)) => Test::Length(least..=most),
                    _ => Test::Never,
                },
                recorded: shown.clone(),
                shown,
            })
        }
        _ => {
            let operation = form_fields::shown(operation);
            Err(invalid(format!(
                "Invalid Condition: unknown operation '{operation}'."
            )))
        }
    }
}

/// A bound: a number, perhaps in quotes; `None` for other text.
fn bound(json: &Json) -> Result<Option<u64>, S3Error> {
    match json {
        Json::Integer(number) => u64::try_from(*number)
            .map(Some)
            .map_err(|_| invalid("Invalid content-length-range: a length is not negative.")),
        Json::Text(text) => {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            Ok(text.parse().ok().filter(|_| digits))
        }
        _ => Err(invalid("Invalid JSON.")),
    }
}

fn bound_shown(json: &Json) -> String {
    match json {
        Json::Integer(number) => number.to_string(),
        Json::Text(text) => quoted(text),
        _ => String::new(),
    }
}

/// A condition as S3 shows it: with the policy's own spelling.
fn shown(operation: &str, name: &str, value: &str) -> String {
    format!("[\"{operation}\", {}, {}]", quoted(name), quoted(value))
}

/// A condition as the audit log shows it.
fn recorded(operation: &str, name: &str, value: &str) -> String {
    let field = name.strip_prefix('$').unwrap_or(name).to_ascii_lowercase();
    let may_be_read = RECORDED.contains(&field.as_str());
    shown(operation, name, if may_be_read { value } else { HIDDEN })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `2007-12-01T12:00:00.000Z`, with or without the fraction; no offsets, no other forms.
fn expiration_ms(text: &str) -> Option<u64> {
    let body = text.strip_suffix('Z')?;
    let (whole, fraction) = body.split_once('.').unwrap_or((body, "0"));
    let shape = whole.len() == 19
        && whole.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        });
    let fraction_is_plain =
        (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    if !shape || !fraction_is_plain {
        return None;
    }
    let compact: String = whole.chars().filter(|c| !"-:".contains(*c)).collect();
    let seconds = Timestamp::parse_amz(&format!("{compact}Z"))?;
    let milliseconds: String = fraction.chars().chain("00".chars()).take(3).collect();
    Some(seconds.unix_ms().saturating_add(milliseconds.parse().ok()?))
}

fn invalid(what: impl AsRef<str>) -> S3Error {
    S3Error::new(
        S3Code::InvalidPolicyDocument,
        format!("Invalid Policy: {}", what.as_ref()),
    )
}

fn denied(what: impl AsRef<str>) -> S3Error {
    S3Error::new(
        S3Code::AccessDenied,
        format!("Invalid according to Policy: {}", what.as_ref()),
    )
}

/// Fuzzing: any text as a policy.
pub(crate) fn fuzz(document: &[u8]) {
    if let Ok(policy) = PostPolicy::parse(&STANDARD.encode(document)) {
        let head = strongroom_wire::FormHead {
            fields: Vec::new(),
            file_name: None,
        };
        let Ok(fields) = FormFields::new(head) else {
            return;
        };
        if let Ok(range) = policy.check(0, "bucket", "key", &fields) {
            assert!(
                policy.conditions.iter().any(|condition| matches!(
                    &condition.test,
                    Test::Equals(name, _) | Test::StartsWith(name, _) if name == "bucket"
                )),
                "a policy without a bucket permits something: {range:?}"
            );
        }
    }
}

/// Fields whose values the audit log may hold, in lower case.
const RECORDED: [&str; 9] = [
    "acl",
    "bucket",
    "key",
    "success_action_status",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
];

#[cfg(test)]
#[path = "post_policy_tests.rs"]
mod tests;
