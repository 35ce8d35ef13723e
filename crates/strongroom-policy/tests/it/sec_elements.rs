// SPDX-License-Identifier: Apache-2.0
//! Actions, resources and their negations; wildcards and variables.

use strongroom_policy::{Context, Policy, PolicyKind};

use crate::ask::{ANN, KEY, NOBODY, ROOT, ask, ask_about, identity, resource};

/// Whether an identity statement with this element allows the action on the resource.
fn allows(element: &str, action: &str, resource: &str, context: &Context) -> bool {
    let rest = if element.contains("Action") {
        r#""Resource":"*""#
    } else {
        r#""Action":"*""#
    };
    let policy = identity(&format!(r#"{{"Effect":"Allow",{element},{rest}}}"#));
    ask_about(&policy, ANN, action, resource, context).allowed
}

#[test]
fn sec_n28_not_action_allows_and_denies_all_but_the_named() {
    let none = Context::new();
    let element = r#""NotAction":["kms:Decrypt","s3:*"]"#;
    for (action, expected) in [
        ("kms:Encrypt", true),
        ("sqs:SendMessage", true),
        ("kms:Decrypt", false),
        ("KMS:dECRYPT", false),
        ("s3:GetObject", false),
    ] {
        assert_eq!(allows(element, action, KEY, &none), expected, "{action}");
    }
    // `NotAction` in a statement that denies allows nothing by itself.
    let policy = identity(r#"{"Effect":"Deny","NotAction":"kms:Decrypt","Resource":"*"}"#);
    assert!(ask(&policy, ANN, "kms:Encrypt").denied);
    let verdict = ask(&policy, ANN, "kms:Decrypt");
    assert!(!verdict.denied && !verdict.allowed);
}

#[test]
fn sec_n28_not_resource_is_about_all_but_the_named() {
    let none = Context::new();
    let element = r#""NotResource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#;
    for (resource, expected) in [
        ("arn:aws:s3:::c/x", true),
        ("arn:aws:s3:::bb/x", true),
        (KEY, true),
        ("arn:aws:s3:::b", false),
        ("arn:aws:s3:::b/x", false),
    ] {
        assert_eq!(
            allows(element, "s3:GetObject", resource, &none),
            expected,
            "{resource}"
        );
    }
    assert!(!allows(r#""NotResource":"*""#, "s3:GetObject", KEY, &none));
}

/// With `Allow` it would be a gift to everyone who signs nothing; AWS does not support it.
#[test]
fn sec_n28_not_principal_is_refused_in_statements_that_allow() {
    for principal in [
        r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#,
        r#"{"AWS":"123456789012"}"#,
        r#""*""#,
    ] {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","NotPrincipal":{principal},
            "Action":"kms:*","Resource":"*"}}}}"#
        );
        let error = Policy::parse(&text, PolicyKind::Resource).unwrap_err();
        assert_eq!(error.element(), "`Statement.NotPrincipal`");
        assert!(error.to_string().contains("for `Deny` only"), "{error}");
    }
}

#[test]
fn sec_n29_actions_ignore_case_and_have_wildcards() {
    let none = Context::new();
    for (pattern, action, expected) in [
        ("*", "kms:Decrypt", true),
        ("kms:*", "kms:Decrypt", true),
        ("kms:*", "KMS:DECRYPT", true),
        ("KMS:dec*T", "kms:Decrypt", true),
        ("kms:?ecrypt", "kms:Decrypt", true),
        ("kms:Decrypt?", "kms:Decrypt", false),
        ("kms:Decrypt*", "kms:Decrypt", true),
        ("kms:Decrypt", "kms:DecryptAll", false),
        ("kms:Decrypt", "s3:Decrypt", false),
        ("km:*", "kms:Decrypt", false),
        ("*:Decrypt", "kms:Decrypt", true),
        ("kms:*crypt", "kms:GenerateDataKey", false),
        ("kms:ReEncrypt*", "kms:ReEncryptFrom", true),
    ] {
        let element = format!(r#""Action":"{pattern}""#);
        assert_eq!(
            allows(&element, action, KEY, &none),
            expected,
            "{pattern} {action}"
        );
    }
}

#[test]
fn sec_n29_resources_mind_case() {
    let none = Context::new();
    for (pattern, resource, expected) in [
        ("arn:aws:s3:::Bucket/*", "arn:aws:s3:::bucket/x", false),
        ("arn:aws:s3:::bucket/X", "arn:aws:s3:::bucket/x", false),
        ("arn:aws:s3:::bucket/x", "arn:aws:s3:::bucket/x", true),
        ("arn:aws:s3:::bucket/?", "arn:aws:s3:::bucket/x", true),
        ("arn:aws:s3:::bucket/?", "arn:aws:s3:::bucket/xy", false),
        (
            "arn:aws:s3:::bucket/?",
            "arn:aws:s3:::bucket/\u{1f600}",
            true,
        ),
        ("arn:aws:kms:*:*:key/*", KEY, true),
        // A wildcard does not end at a colon.
        ("arn:aws:kms:*", KEY, true),
        (
            "arn:aws:kms:us-east-1:123456789012:KEY/1234abcd",
            KEY,
            false,
        ),
    ] {
        let element = format!(r#""Resource":"{pattern}""#);
        assert_eq!(
            allows(&element, "s3:GetObject", resource, &none),
            expected,
            "{pattern} {resource}"
        );
    }
}

#[test]
fn sec_n30_bucket_objects_and_prefixes_are_different_resources() {
    let none = Context::new();
    for (pattern, bucket, object, longer) in [
        ("arn:aws:s3:::b", true, false, false),
        ("arn:aws:s3:::b/*", false, true, false),
        ("arn:aws:s3:::b*", true, true, true),
        ("arn:aws:s3:::b/", false, false, false),
        ("arn:aws:s3:::b*/*", false, true, true),
    ] {
        let element = format!(r#""Resource":"{pattern}""#);
        let asked = |resource| allows(&element, "s3:GetObject", resource, &none);
        assert_eq!(asked("arn:aws:s3:::b"), bucket, "{pattern}");
        assert_eq!(asked("arn:aws:s3:::b/k/l"), object, "{pattern}");
        assert_eq!(asked("arn:aws:s3:::backup/k"), longer, "{pattern}");
    }
}

/// A name that looks like a pattern is a name.
#[test]
fn sec_n31_wildcards_and_variables_in_names_are_characters() {
    let mut context = Context::new();
    context
        .set("aws:username", "a*")
        .set("aws:PrincipalTag/t", "${aws:username}");
    let asked = |pattern: &str, key: &str| {
        let element = format!(r#""Resource":"arn:aws:s3:::b/{pattern}""#);
        allows(
            &element,
            "s3:GetObject",
            &format!("arn:aws:s3:::b/{key}"),
            &context,
        )
    };
    // In the name of an object.
    assert!(asked("k", "k"));
    assert!(!asked("secret", "*") && !asked("secret", "?ecret") && !asked("a*", "*"));
    assert!(!asked("a*/x", "${aws:username}/x"));
    assert!(asked("*", "${aws:username}") && asked("${$}{aws:username}", "${aws:username}"));
    assert!(asked("${*}", "*") && !asked("${*}", "k") && asked("${?}", "?") && !asked("${?}", "k"));
    // In the value of a variable.
    assert!(asked("${aws:username}/x", "a*/x"));
    assert!(!asked("${aws:username}/x", "ab/x") && !asked("${aws:username}/x", "a/x"));
    assert!(asked("${aws:PrincipalTag/t}", "${aws:username}"));
    assert!(
        !asked("${aws:PrincipalTag/t}", "a*"),
        "a value is not read again"
    );
}

#[test]
fn sec_n32_a_variable_without_value_matches_nothing() {
    let none = Context::new();
    let mut several = Context::new();
    several.set_all("aws:username", ["ann"]);
    let mut empty = Context::new();
    empty.set("aws:username", "");
    let mut twice = Context::new();
    twice.set("aws:username", "ann").set("AWS:UserName", "bob");
    let home = r#""Resource":"arn:aws:s3:::b/${aws:username}/*""#;
    let default = r#""Resource":"arn:aws:s3:::b/${aws:username, 'all'}/*""#;
    for context in [&none, &several, &empty, &twice] {
        for key in ["/x", "ann/x", "${aws:username}/x", "*/x", "b//x"] {
            let resource = format!("arn:aws:s3:::b/{key}");
            assert!(
                !allows(home, "s3:GetObject", &resource, context),
                "{key} {context:?}"
            );
            assert!(
                !allows(default, "s3:GetObject", &resource, context),
                "{key} {context:?}"
            );
        }
        assert!(allows(
            default,
            "s3:GetObject",
            "arn:aws:s3:::b/all/x",
            context
        ));
    }
    let mut ann = Context::new();
    ann.set("aws:username", "ann");
    assert!(allows(home, "s3:GetObject", "arn:aws:s3:::b/ann/x", &ann));
    assert!(!allows(
        default,
        "s3:GetObject",
        "arn:aws:s3:::b/all/x",
        &ann
    ));
}

/// What nobody can resolve must widen neither an exception to what is allowed nor one to what is
/// denied.
#[test]
fn sec_n32_a_variable_without_value_in_not_resource_is_read_against_the_request() {
    let statement = |effect: &str| {
        identity(&format!(
            r#"{{"Effect":"{effect}","Action":"*","NotResource":"arn:aws:s3:::b/${{aws:username}}/*"}}"#
        ))
    };
    let none = Context::new();
    let mut ann = Context::new();
    ann.set("aws:username", "ann");
    for (resource, context, allowed, denied) in [
        ("arn:aws:s3:::b/bob/x", &none, false, true),
        ("arn:aws:s3:::c", &none, true, true),
        ("arn:aws:s3:::b/bob/x", &ann, true, true),
        ("arn:aws:s3:::b/ann/x", &ann, false, false),
    ] {
        let asked = |policy: Policy| ask_about(&policy, ANN, "s3:GetObject", resource, context);
        assert_eq!(
            asked(statement("Allow")).allowed,
            allowed,
            "{resource} {context:?}"
        );
        assert_eq!(
            asked(statement("Deny")).denied,
            denied,
            "{resource} {context:?}"
        );
    }
}

#[test]
fn variables_are_text_in_the_old_version() {
    let text = r#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*",
        "Resource":["arn:aws:s3:::b/${aws:username}","arn:aws:s3:::b/${*}x"]}}"#;
    let without = text.replace(r#""Version":"2008-10-17","#, "");
    let mut context = Context::new();
    context.set("aws:username", "ann");
    for text in [text, &without] {
        let policy = Policy::parse(text, PolicyKind::Identity).unwrap();
        let asked = |resource| ask_about(&policy, ANN, "s3:GetObject", resource, &context).allowed;
        assert!(asked("arn:aws:s3:::b/${aws:username}"));
        assert!(!asked("arn:aws:s3:::b/ann"));
        assert!(asked("arn:aws:s3:::b/${any}x"), "`*` is a wildcard there");
    }
}

#[test]
fn statements_may_stand_alone_or_in_a_list() {
    let one = r#"{"Statement":{"Sid":"a b","Effect":"Allow","Principal":"*","Action":["kms:*"],
        "Resource":["*"]},"Id":"key-default-1","Version":"2012-10-17"}"#;
    let policy = Policy::parse(one, PolicyKind::Resource).unwrap();
    assert_eq!(
        (policy.statements(), policy.kind()),
        (1, PolicyKind::Resource)
    );
    assert!(ask(&policy, NOBODY, "kms:Decrypt").allowed);
    let two = resource(
        r#"{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"},
           {"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}"#,
    );
    assert_eq!(two.statements(), 2);
    let verdict = ask(&two, ROOT, "kms:Decrypt");
    assert!(verdict.allowed && verdict.denied);
}
