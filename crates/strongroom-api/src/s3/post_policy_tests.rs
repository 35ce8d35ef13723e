// SPDX-License-Identifier: Apache-2.0
//! Policies that hold, that do not, and that are none.

use strongroom_wire::FormHead;
use strongroom_wire::form::FormField;

use super::*;

const NOW_MS: u64 = 1_790_000_000_000;
const EXPIRATION: &str = "2030-01-01T00:00:00Z";

fn form(pairs: &[(&str, &str)]) -> FormFields {
    FormFields::new(FormHead {
        fields: pairs
            .iter()
            .map(|(name, value)| FormField {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            })
            .collect(),
        file_name: None,
    })
    .unwrap()
}

fn parse(document: &str) -> Result<PostPolicy, S3Error> {
    PostPolicy::parse(&STANDARD.encode(document))
}

fn with_conditions(conditions: &str) -> Result<PostPolicy, S3Error> {
    parse(&format!(
        "{{\"expiration\":\"{EXPIRATION}\",\"conditions\":{conditions}}}"
    ))
}

/// With conditions for bucket and key before these.
fn check(conditions: &str, pairs: &[(&str, &str)]) -> Result<RangeInclusive<u64>, S3Error> {
    let comma = if conditions.is_empty() { "" } else { "," };
    let policy = with_conditions(&format!(
        "[{{\"bucket\":\"b\"}},[\"starts-with\",\"$key\",\"\"]{comma}{conditions}]"
    ))?;
    let key = ("key", "user/k");
    let pairs: Vec<_> = std::iter::once(key).chain(pairs.iter().copied()).collect();
    policy.check(NOW_MS, "b", "user/k", &form(&pairs))
}

fn message(outcome: Result<RangeInclusive<u64>, S3Error>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.code, S3Code::AccessDenied, "{error}");
    let text = error.message.into_owned();
    text.strip_prefix("Invalid according to Policy: ")
        .unwrap()
        .to_owned()
}

#[test]
fn conditions_that_hold() {
    for (conditions, pairs) in [
        ("", &[][..]),
        (r#"{"acl":"private"}"#, &[("acl", "private")]),
        (r#"["eq","$acl","private"]"#, &[("ACL", "private")]),
        (r#"["EQ","$Acl","private"]"#, &[("acl", "private")]),
        (
            r#"["StArTs-WiTh","$x-amz-meta-A","v"]"#,
            &[("X-Amz-Meta-a", "value")],
        ),
        (
            r#"["starts-with","$x-amz-meta-a",""]"#,
            &[("x-amz-meta-a", "")],
        ),
        (
            r#"["starts-with","$Content-Type","image/"]"#,
            &[("content-type", "image/a,image/b")],
        ),
        (
            r#"["starts-with","$x-amz-meta-a","a,"]"#,
            &[("x-amz-meta-a", "a,b")],
        ),
        (r#"{"key":"user/k"},["starts-with","$key","user/"]"#, &[]),
        (
            r#"["starts-with","$x-amz-meta-a","\\$x"]"#,
            &[("x-amz-meta-a", "\\$x y")],
        ),
        (
            "",
            &[
                ("x-ignore-a", "1"),
                ("X-IGNORE-b", "2"),
                ("Policy", "p"),
                ("x-amz-signature", "s"),
            ],
        ),
        ("", &[("bucket", "b")]),
    ] {
        assert!(check(conditions, pairs).is_ok(), "{conditions} {pairs:?}");
    }
}

#[test]
fn conditions_that_do_not_hold_are_shown() {
    for (conditions, pairs, shown) in [
        (
            r#"{"acl":"private"}"#,
            &[("acl", "public-read")][..],
            r#"["eq", "$acl", "private"]"#,
        ),
        (
            r#"{"acl":"private"}"#,
            &[("acl", "Private")],
            r#"["eq", "$acl", "private"]"#,
        ),
        (
            r#"{"Acl":"private"}"#,
            &[("acl", "")],
            r#"["eq", "$Acl", "private"]"#,
        ),
        (
            r#"["starts-with","$key","other/"]"#,
            &[],
            r#"["starts-with", "$key", "other/"]"#,
        ),
        (
            r#"["starts-with","$key","User"]"#,
            &[],
            r#"["starts-with", "$key", "User"]"#,
        ),
        (r#"{"bucket":"c"}"#, &[], r#"["eq", "$bucket", "c"]"#),
        // The condition is on the expanded name.
        (
            r#"{"key":"user/${filename}"}"#,
            &[],
            r#"["eq", "$key", "user/${filename}"]"#,
        ),
        (
            r#"["starts-with","$Content-Type","image/"]"#,
            &[("content-type", "image/a,text/b")],
            r#"["starts-with", "$Content-Type", "image/"]"#,
        ),
        // A field that is not there holds nothing, not even the empty text.
        (
            r#"["starts-with","$x-amz-meta-a",""]"#,
            &[],
            r#"["starts-with", "$x-amz-meta-a", ""]"#,
        ),
        (
            r#"{"x-amz-meta-a":""}"#,
            &[],
            r#"["eq", "$x-amz-meta-a", ""]"#,
        ),
        (
            r#"["eq","acl","private"]"#,
            &[("acl", "private")],
            r#"["eq", "acl", "private"]"#,
        ),
        (
            r#"["eq","$$acl","private"]"#,
            &[("acl", "private")],
            r#"["eq", "$$acl", "private"]"#,
        ),
        (
            r#"["eq","$x-amz-meta-a","a\"b"]"#,
            &[("x-amz-meta-a", "a")],
            r#"["eq", "$x-amz-meta-a", "a\"b"]"#,
        ),
        (
            r#"["content-length-range","test","10"]"#,
            &[],
            r#"["content-length-range", "test", "10"]"#,
        ),
    ] {
        let expected = format!("Policy Condition failed: {shown}");
        assert_eq!(message(check(conditions, pairs)), expected);
    }
}

#[test]
fn fields_that_no_condition_names() {
    for (conditions, pairs, names) in [
        ("", &[("x-amz-meta-A", "1")][..], "x-amz-meta-A"),
        (
            "",
            &[("x-amz-server-side-encryption", "AES256")],
            "x-amz-server-side-encryption",
        ),
        ("", &[("x-amz-date", "d"), ("foo", "")], "x-amz-date, foo"),
        ("", &[("x-ignore", "1")], "x-ignore"),
        (
            r#"["content-length-range",0,1]"#,
            &[("content-length-range", "1")],
            "content-length-range",
        ),
        (
            r#"["starts-with","$foo",""]"#,
            &[("foo", "1"), ("food", "1")],
            "food",
        ),
    ] {
        let expected = format!("Extra input fields: {names}");
        assert_eq!(message(check(conditions, pairs)), expected);
    }
    let nothing = with_conditions("[]").unwrap();
    let outcome = nothing.check(NOW_MS, "b", "k", &form(&[("key", "k")]));
    assert_eq!(message(outcome), "Extra input fields: bucket, key");
    let outcome = check("", &[("bucket", "c")]);
    assert_eq!(message(outcome), "The bucket of the form is another one.");
}

#[test]
fn lengths() {
    assert_eq!(check("", &[]).unwrap(), 0..=u64::MAX);
    for (conditions, range) in [
        (r#"["content-length-range",5,10]"#, 5..=10),
        (r#"["content-length-range","5","10"]"#, 5..=10),
        (r#"["Content-Length-Range",0,0]"#, 0..=0),
        (
            r#"["content-length-range",0,10],["content-length-range",5,20]"#,
            5..=10,
        ),
    ] {
        assert_eq!(check(conditions, &[]).unwrap(), range, "{conditions}");
    }
    for bad in [
        r#"["content-length-range",-1,10]"#,
        r#"["content-length-range",0,512.0]"#,
        r#"["content-length-range",0,1e3]"#,
        r#"["content-length-range",0,99999999999999999999]"#,
        r#"["content-length-range",0]"#,
        r#"["content-length-range",0,1,2]"#,
        r#"["content-length-range"]"#,
        r#"["content-length-range",null,1]"#,
        r#"["content-length-range",[0],1]"#,
    ] {
        let error = check(bad, &[]).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidPolicyDocument, "{bad}");
    }
    for never in [
        r#"["content-length-range","","1"]"#,
        r#"["content-length-range","+1","2"]"#,
        r#"["content-length-range"," 1","2"]"#,
        r#"["content-length-range","0x1","2"]"#,
        r#"["content-length-range","0","99999999999999999999"]"#,
    ] {
        assert!(
            message(check(never, &[])).starts_with("Policy Condition failed"),
            "{never}"
        );
    }
}

#[test]
fn policies_end() {
    let policy = |expiration: &str| {
        parse(&format!(
            "{{\"expiration\":\"{expiration}\",\"conditions\":[{{\"bucket\":\"b\"}}]}}"
        ))
    };
    // 2026-09-21T14:13:20Z
    for (expiration, now_ms, holds) in [
        ("2026-09-21T14:13:20Z", NOW_MS, true),
        ("2026-09-21T14:13:20Z", NOW_MS + 1, false),
        ("2026-09-21T14:13:19.999Z", NOW_MS, false),
        ("2026-09-21T14:13:20.001Z", NOW_MS + 1, true),
        ("1970-01-01T00:00:00Z", NOW_MS, false),
        ("2026-09-21T14:13:20.5Z", NOW_MS + 500, true),
        ("2026-09-21T14:13:20.5Z", NOW_MS + 501, false),
        ("2026-09-21T14:13:20.0019Z", NOW_MS + 2, false),
        ("9999-12-31T23:59:59.999Z", NOW_MS, true),
    ] {
        let outcome = policy(expiration)
            .unwrap()
            .check(now_ms, "b", "k", &form(&[]));
        if holds {
            assert!(outcome.is_ok(), "{expiration}");
        } else {
            assert_eq!(message(outcome), "Policy expired.", "{expiration}");
        }
    }
    for bad in [
        "",
        "Z",
        "2026-09-21 14:13:20Z",
        "2026-09-21T14:13:20",
        "2026-09-21T14:13:20z",
        "2026-09-21t14:13:20Z",
        "2026-09-21T14:13:20+02:00",
        "2026-09-21T14:13:20+02:00Z",
        "2026-09-21T14:13:20.Z",
        "2026-09-21T14:13:20.0000000000Z",
        "20260921T141320Z",
        "2026-09-21T14:13Z",
        "2026-02-30T14:13:20Z",
        "2026-09-21T24:13:20Z",
        "1969-12-31T23:59:59Z",
        "-026-09-21T14:13:20Z",
        "1790000000",
    ] {
        let error = policy(bad).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidPolicyDocument, "{bad}");
        assert_eq!(
            error.message,
            format!("Invalid Policy: Invalid 'expiration' value: '{bad}'")
        );
    }
}

#[test]
fn documents_that_are_no_policies() {
    for (document, says) in [
        ("", "Policy missing expiration."),
        ("{}", "Policy missing expiration."),
        ("[]", "Invalid JSON."),
        ("{", "Invalid JSON."),
        ("{'expiration':1}", "Invalid JSON."),
        (
            r#"{"expiration":"a","expiration":"b","conditions":[]}"#,
            "Invalid JSON.",
        ),
        (
            r#"{"expiration":"2030-01-01T00:00:00Z","conditions":[],}"#,
            "Invalid JSON.",
        ),
        (
            r#"{"expiration":1,"conditions":[]}"#,
            "Invalid 'expiration' value.",
        ),
        (
            r#"{"expiration":"2030-01-01T00:00:00Z"}"#,
            "Policy missing conditions.",
        ),
        (
            r#"{"expiration":"2030-01-01T00:00:00Z","conditions":{}}"#,
            "Invalid 'conditions' value: must be a List.",
        ),
        (
            r#"{"expiration":"2030-01-01T00:00:00Z","Statement":[],"conditions":[]}"#,
            "Unexpected: 'statement'",
        ),
        (
            r#"{"Expiration":"2030-01-01T00:00:00Z","conditions":[]}"#,
            "Unexpected: 'expiration'",
        ),
    ] {
        let error = parse(document).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidPolicyDocument, "{document}");
        assert_eq!(
            error.message,
            format!("Invalid Policy: {says}"),
            "{document}"
        );
    }
    for (conditions, says) in [
        (
            "[{}]",
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
        ),
        (
            r#"[{"a":"1","b":"2"}]"#,
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
        ),
        (
            r#"[{"a":1}]"#,
            "Invalid Simple-Condition: value must be a string.",
        ),
        (r#"[{"a":"1","a":"1"}]"#, "Invalid JSON."),
        ("[[]]", "Invalid Condition: missing operation identifier."),
        ("[[1]]", "Invalid Condition: missing operation identifier."),
        (
            r#"[["ends-with","$a","b"]]"#,
            "Invalid Condition: unknown operation 'ends-with'.",
        ),
        (r#"[["eq","$a"]]"#, "Invalid eq: wrong number of arguments."),
        (
            r#"[["starts-with","$a","b","c"]]"#,
            "Invalid starts-with: wrong number of arguments.",
        ),
        (r#"[["eq","$a",1]]"#, "Invalid JSON."),
        (r#"["eq"]"#, "Invalid Condition: must be a List or Object."),
        ("[null]", "Invalid Condition: must be a List or Object."),
    ] {
        let error = with_conditions(conditions).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidPolicyDocument, "{conditions}");
        assert_eq!(
            error.message,
            format!("Invalid Policy: {says}"),
            "{conditions}"
        );
    }
    for text in ["*", "e30", "e30=\n", "e3 0=", "e30==", "\u{e9}"] {
        let error = PostPolicy::parse(text).unwrap_err();
        assert_eq!(
            error.message, "Invalid Policy: invalid Base64 encoding.",
            "{text}"
        );
    }
}
