// SPDX-License-Identifier: Apache-2.0
//! Documents that are refused, and what is said about them.

use strongroom_policy::{
    BUCKET_POLICY_BYTES_MAX, KEY_POLICY_BYTES_MAX, Policy, PolicyError, PolicyKind, Reason,
};

use crate::ask::refusal;

const GOOD: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*",
    "Resource":"*","Condition":{"StringEquals":{"aws:username":["ann"]}}}]}"#;

fn identity(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text, PolicyKind::Identity)
}

#[test]
fn sec_n42_length_is_limited_by_the_caller() {
    let of_length = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    for max in [BUCKET_POLICY_BYTES_MAX, KEY_POLICY_BYTES_MAX, 600] {
        let parse =
            |length| Policy::parse_bytes(of_length(length).as_bytes(), PolicyKind::Identity, max);
        assert!(parse(max).is_ok());
        let error = parse(max + 1).unwrap_err();
        assert_eq!(*error.reason(), Reason::TooLong { max });
    }
    assert!(identity(&of_length(32_768)).is_ok());
    assert!(identity(&of_length(32_769)).is_err());
    // Before anything is read: it need not even be text.
    let garbage = vec![0xff; 40_000];
    let error = Policy::parse_bytes(&garbage, PolicyKind::Identity, 32_768).unwrap_err();
    assert_eq!(*error.reason(), Reason::TooLong { max: 32_768 });
}

#[test]
fn sec_n42_deep_nesting_is_refused() {
    for depth in [33, 1_000, 10_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let inside = GOOD.replace(r#"["ann"]"#, &nested);
        for text in [nested, inside] {
            let error = identity(&text).unwrap_err();
            assert_eq!(*error.reason(), Reason::TooDeep { max: 32 }, "{depth}");
        }
    }
    let objects = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let error = identity(&objects).unwrap_err();
    assert_eq!(*error.reason(), Reason::TooDeep { max: 32 });
}

#[test]
fn sec_n42_duplicate_keys_are_refused_everywhere() {
    for (from, to) in [
        (r#""Version":"#, r#""Version":"2008-10-17","Version":"#),
        (r#""Effect":"Allow""#, r#""Effect":"Deny","Effect":"Allow""#),
        (
            r#""Effect":"Allow""#,
            r#""Effect":"Deny","\u0045ffect":"Allow""#,
        ),
        (r#""Action":"kms:*""#, r#""Action":"kms:*","Action":"s3:*""#),
        (
            r#""aws:username":"#,
            r#""aws:username":["bob"],"aws:username":"#,
        ),
        (
            r#""aws:username":"#,
            r#""AWS:UserName":["bob"],"aws:username":"#,
        ),
        (
            r#"{"StringEquals":"#,
            r#"{"StringEquals":{"aws:userid":"x"},"StringEquals":"#,
        ),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let error = identity(&text).unwrap_err();
        assert!(matches!(error.reason(), Reason::DuplicateKey(_)), "{error}");
    }
}

#[test]
fn sec_n42_unknown_elements_are_refused() {
    for (from, to, element) in [
        (r#"{"Version""#, r#"{"Comment":"x","Version""#, "`Comment`"),
        (
            r#"{"Version""#,
            r#"{"version":"2012-10-17","Version""#,
            "`version`",
        ),
        (
            r#"{"Effect""#,
            r#"{"effect":"Deny","Effect""#,
            "`Statement[0].effect`",
        ),
        (
            r#"{"Effect""#,
            r#"{"Actions":"*","Effect""#,
            "`Statement[0].Actions`",
        ),
        (
            r#"{"Effect""#,
            r#"{"Conditions":{},"Effect""#,
            "`Statement[0].Conditions`",
        ),
        (r#"{"Effect""#, r#"{"":1,"Effect""#, "`Statement[0].`"),
    ] {
        let error = identity(&GOOD.replace(from, to)).unwrap_err();
        assert!(
            matches!(error.reason(), Reason::UnknownElement(_)),
            "{error}"
        );
        assert_eq!(error.element(), element);
    }
}

#[test]
fn sec_n42_byte_order_mark_and_invalid_utf8_are_refused() {
    let with_mark = format!("\u{feff}{GOOD}");
    assert_eq!(
        *identity(&with_mark).unwrap_err().reason(),
        Reason::ByteOrderMark
    );
    for bad in [
        &b"\xff"[..],
        b"\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
    ] {
        let at = GOOD.find("ann").unwrap();
        let bytes = [&GOOD.as_bytes()[..at], bad, &GOOD.as_bytes()[at..]].concat();
        let error = Policy::parse_bytes(&bytes, PolicyKind::Identity, 32_768).unwrap_err();
        assert_eq!(*error.reason(), Reason::NotUtf8);
        assert_eq!(error.position(), (2, 66), "{error}");
    }
    for wide in [
        GOOD.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
        GOOD.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    ] {
        assert!(Policy::parse_bytes(&wide, PolicyKind::Identity, 32_768).is_err());
    }
}

#[test]
fn sec_n42_every_other_type_in_every_place_is_refused() {
    for (place, good) in [
        (r#""Version":"#, r#""2012-10-17""#),
        (r#""Effect":"#, r#""Allow""#),
        (r#""Action":"#, r#""kms:*""#),
        (r#""Resource":"#, r#""*""#),
        (
            r#""Condition":"#,
            r#"{"StringEquals":{"aws:username":["ann"]}}"#,
        ),
        (r#""StringEquals":"#, r#"{"aws:username":["ann"]}"#),
        (r#""aws:username":"#, r#"["ann"]"#),
    ] {
        let good = format!("{place}{good}");
        assert!(GOOD.contains(&good), "{good}");
        for bad in [
            "null",
            "1",
            "true",
            "[]",
            "{}",
            "[[]]",
            "[{}]",
            "[null]",
            r#"[["x"]]"#,
            r#"{"a":1}"#,
        ] {
            // A condition compares with numbers and booleans too, and its block may be empty.
            let legal = matches!(
                (place, bad),
                (r#""aws:username":"#, "1" | "true") | (r#""Condition":"#, "{}")
            );
            let text = GOOD.replace(&good, &format!("{place}{bad}"));
            assert_eq!(identity(&text).is_ok(), legal, "{text}");
        }
    }
    for text in [
        "null",
        "1",
        "\"\"",
        "[]",
        "true",
        "{}",
        "",
        r#"[{"Version":"2012-10-17"}]"#,
    ] {
        assert!(identity(text).is_err(), "{text}");
    }
}

#[test]
fn sec_n42_elements_that_are_missing_or_exclude_each_other() {
    let statement = |inside: &str| format!(r#"{{"Statement":[{{{inside}}}]}}"#);
    for (inside, told) in [
        (r#""Action":"*","Resource":"*""#, "`Effect` is missing"),
        (r#""Effect":"Allow","Resource":"*""#, "`Action` is missing"),
        (r#""Effect":"Allow","Action":"*""#, "`Resource` is missing"),
        (
            r#""Effect":"Allow","Action":"*","NotAction":"*","Resource":"*""#,
            "`Action` and `NotAction` exclude each other",
        ),
        (
            r#""Effect":"Allow","Action":"*","Resource":"*","NotResource":"*""#,
            "`Resource` and `NotResource` exclude each other",
        ),
        (
            r#""Effect":"Allow","Action":"*","Resource":"*","Principal":"*""#,
            "identity policies have no `Principal`",
        ),
        (
            r#""Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":"*""#,
            "identity policies have no `NotPrincipal`",
        ),
        (
            r#""Effect":"allow","Action":"*","Resource":"*""#,
            "`allow` is neither",
        ),
        (r#""Effect":"Allow","Action":[],"Resource":"*""#, "is empty"),
        (
            r#""Sid":"a b","Effect":"Allow","Action":"*","Resource":"*""#,
            "`a b` is not a statement id",
        ),
        (
            r#""Sid":1,"Effect":"Allow","Action":"*","Resource":"*""#,
            "expected a string",
        ),
    ] {
        let told_now = refusal(&statement(inside), PolicyKind::Identity);
        assert!(told_now.contains(told), "{told_now}");
    }
    for (text, told) in [
        (r#"{"Version":"2012-10-17"}"#, "`Statement` is missing"),
        (r#"{"Statement":[]}"#, "`Statement`: is empty"),
        (
            r#"{"Version":"2012-10-18","Statement":[]}"#,
            "`2012-10-18` is not a version",
        ),
        (r#"{"Id":1,"Statement":[]}"#, "`Id`: expected a string"),
        (
            r#"{"Statement":["x"]}"#,
            "`Statement[0]`: expected an object",
        ),
    ] {
        let told_now = refusal(text, PolicyKind::Identity);
        assert!(told_now.contains(told), "{told_now}");
    }
    let resource = |inside: &str| {
        let text = statement(&format!(
            r#""Effect":"Deny","Action":"*","Resource":"*"{inside}"#
        ));
        refusal(&text, PolicyKind::Resource)
    };
    assert!(resource("").contains("`Principal` is missing"));
    let both = resource(r#","Principal":"*","NotPrincipal":"*""#);
    assert!(
        both.contains("`Principal` and `NotPrincipal` exclude each other"),
        "{both}"
    );
    let twice = r#"{"Statement":[{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"},
        {"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    let told = refusal(twice, PolicyKind::Identity);
    assert!(
        told.contains("`Statement[1].Sid`: the statement id `a` stands twice (line 2"),
        "{told}"
    );
}

#[test]
fn sec_n42_actions_and_resources_that_are_none() {
    for action in [
        "",
        "kms",
        "kms:",
        ":Decrypt",
        "kms:Decrypt ",
        " kms:Decrypt",
        "kms:De crypt",
        "kms:a:b",
        "kms/Decrypt",
        "kms:${aws:username}",
        "**",
        "kms:Decr\u{ff59}pt",
        "kms:Decrypt\\u0000",
    ] {
        let text = GOOD.replace("kms:*", action);
        let error = identity(&text).unwrap_err();
        assert!(
            matches!(error.reason(), Reason::Action(_)),
            "{action}: {error}"
        );
    }
    for resource in [
        "",
        "b",
        "b/*",
        "s3:::b",
        "arn",
        "arn:",
        "arn:aws:s3",
        "arn:aws:s3:::",
        "ARN:aws:s3:::b",
        " *",
        "**",
    ] {
        let text = GOOD.replace(r#""*""#, &format!(r#""{resource}""#));
        let error = identity(&text).unwrap_err();
        assert!(
            matches!(error.reason(), Reason::Resource(_)),
            "{resource}: {error}"
        );
    }
    for resource in [
        "arn:aws:kms:${aws:RequestedRegion}:123456789012:key/*",
        "arn:aws:kms:us-east-1:${aws:PrincipalAccount}:key/*",
        "arn:aws:${k:x, '*'}:::b",
        "arn:aws:s3::x${k:x}:b",
    ] {
        let text = GOOD.replace(r#""*""#, &format!(r#""{resource}""#));
        let error = identity(&text).unwrap_err();
        assert!(
            matches!(error.reason(), Reason::VariablePlace(_)),
            "{resource}: {error}"
        );
    }
    for resource in [
        "arn:aws:s3:::${",
        "arn:aws:s3:::${}",
        "arn:aws:s3:::${aws:username",
        "arn:aws:s3:::${a, b}",
    ] {
        let text = GOOD.replace(r#""*""#, &format!(r#""{resource}""#));
        let error = identity(&text).unwrap_err();
        assert!(
            matches!(error.reason(), Reason::Variable(_)),
            "{resource}: {error}"
        );
    }
}

#[test]
fn errors_say_where() {
    let text = "{\"Version\": \"2012-10-17\",\n \"Statement\": [\n  {\"Effect\": \"Allow\", \"Action\": \"*\",\n   \"Resource\": [\"*\", \"nothing\"]}]}";
    assert_eq!(
        refusal(text, PolicyKind::Identity),
        "`Statement[0].Resource[1]`: `nothing` is neither an ARN nor `*` (line 4, column 22)"
    );
    assert_eq!(
        refusal("{\"Version\": }", PolicyKind::Identity),
        "policy: not valid JSON: expected a value (line 1, column 13)"
    );
}
