// SPDX-License-Identifier: Apache-2.0
//! Each operator by itself, and what stands around it.

use strongroom_policy::{Context, PolicyKind};

use crate::ask::{condition, holds, refusal};

/// A condition on the key `k:x`, which has this value.
fn of(operator: &str, own: &str, asked: &str) -> bool {
    let own = serde_json::Value::from(own);
    let mut context = Context::new();
    context.set("k:x", asked);
    holds(&format!(r#"{{"{operator}":{{"k:x":{own}}}}}"#), &context)
}

/// Whether the operator holds, and its negation does not.
fn pair(operator: &str, negation: &str, own: &str, asked: &str) -> bool {
    let positive = of(operator, own, asked);
    assert_ne!(
        positive,
        of(negation, own, asked),
        "{operator} {own} {asked}"
    );
    positive
}

#[test]
fn strings() {
    for (own, asked, equals, ignoring, like) in [
        ("ann", "ann", true, true, true),
        ("ann", "Ann", false, true, false),
        ("ann", "anne", false, false, false),
        ("a*", "ann", false, false, true),
        ("a*", "a*", true, true, true),
        ("a?n", "ann", false, false, true),
        ("*", "", false, false, true),
        ("", "", true, true, true),
        ("", "x", false, false, false),
        ("\u{c9}", "\u{e9}", false, true, false),
        ("${*}", "*", true, true, true),
        ("${*}", "x", false, false, false),
        ("a b", "a b", true, true, true),
        ("a\nb*", "a\nb\nc", false, false, true),
    ] {
        assert_eq!(
            pair("StringEquals", "StringNotEquals", own, asked),
            equals,
            "{own} {asked}"
        );
        let two = ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase");
        assert_eq!(pair(two.0, two.1, own, asked), ignoring, "{own} {asked}");
        assert_eq!(
            pair("StringLike", "StringNotLike", own, asked),
            like,
            "{own} {asked}"
        );
    }
}

#[test]
fn sec_n34_numbers_are_compared_as_numbers() {
    for (own, asked, less, equal) in [
        ("10", "9", true, false),
        ("10", "10", false, true),
        ("10", "10.0", false, true),
        ("10", "11", false, false),
        ("9", "10", false, false),
        ("-5", "-6", true, false),
        ("0.5", "0.25", true, false),
        ("9007199254740993", "9007199254740992", true, false),
        ("0", "-0", false, true),
    ] {
        let what = format!("{asked} to {own}");
        assert_eq!(
            pair("NumericEquals", "NumericNotEquals", own, asked),
            equal,
            "{what}"
        );
        assert_eq!(of("NumericLessThan", own, asked), less, "{what}");
        assert_eq!(
            of("NumericLessThanEquals", own, asked),
            less || equal,
            "{what}"
        );
        assert_eq!(
            of("NumericGreaterThan", own, asked),
            !less && !equal,
            "{what}"
        );
        assert_eq!(of("NumericGreaterThanEquals", own, asked), !less, "{what}");
    }
}

/// Words are neither less nor more than a number, so no such condition is met; a deny with a
/// negated operator is.
#[test]
fn sec_n34_numeric_and_date_operators_do_not_compare_words() {
    for asked in [
        "ten",
        "",
        "1e1",
        "0x1",
        "10 ",
        "1,000",
        "NaN",
        "Infinity",
        "-",
        "2020-01-01T",
    ] {
        for relation in [
            "Equals",
            "LessThan",
            "LessThanEquals",
            "GreaterThan",
            "GreaterThanEquals",
        ] {
            assert!(
                !of(&format!("Numeric{relation}"), "10", asked),
                "{relation} {asked}"
            );
            assert!(
                !of(&format!("Date{relation}"), "2020-01-01", asked),
                "{relation} {asked}"
            );
        }
        assert!(of("NumericNotEquals", "10", asked) && of("DateNotEquals", "2020-01-01", asked));
    }
}

#[test]
fn sec_n34_dates_are_compared_as_instants() {
    let own = "2020-01-01T00:00:00Z";
    for (asked, less, equal) in [
        ("2020-01-01T00:00:00Z", false, true),
        ("1577836800", false, true),
        ("2020-01-01T01:00:00+01:00", false, true),
        ("2019-12-31T23:59:59Z", true, false),
        ("2020-01-01T00:30:00+01:00", true, false),
        ("1577836799.999", true, false),
        ("2020-01-02", false, false),
        ("9999999999", false, false),
    ] {
        assert_eq!(
            pair("DateEquals", "DateNotEquals", own, asked),
            equal,
            "{asked}"
        );
        assert_eq!(of("DateLessThan", own, asked), less, "{asked}");
        assert_eq!(
            of("DateLessThanEquals", own, asked),
            less || equal,
            "{asked}"
        );
        assert_eq!(
            of("DateGreaterThan", own, asked),
            !less && !equal,
            "{asked}"
        );
        assert_eq!(of("DateGreaterThanEquals", own, asked), !less, "{asked}");
    }
    assert!(of("DateLessThan", "1577836801", "2020-01-01T00:00:00Z"));
}

#[test]
fn sec_n34_binary_values_are_compared_as_bytes() {
    assert!(of("BinaryEquals", "QmluYXJ5VmFsdWU=", "QmluYXJ5VmFsdWU="));
    for asked in [
        "QmluYXJ5VmFsdWU",
        "qmluYXJ5VmFsdWU=",
        "BinaryValue",
        "",
        "QmluYXJ5VmFsdWV=",
        "*",
    ] {
        assert!(!of("BinaryEquals", "QmluYXJ5VmFsdWU=", asked), "{asked}");
    }
}

#[test]
fn sec_n40_booleans_are_words() {
    for (own, asked, expected) in [
        ("true", "true", true),
        ("true", "TRUE", true),
        ("False", "false", true),
        ("true", "false", false),
        ("false", "true", false),
        ("false", "", false),
        ("false", "0", false),
        ("true", "yes", false),
    ] {
        assert_eq!(of("Bool", own, asked), expected, "{own} {asked}");
    }
    // The usual statement against plain HTTP, and JSON's own booleans.
    let mut plain = Context::new();
    plain.set("aws:SecureTransport", "false");
    for own in ["\"false\"", "false", "[\"false\"]"] {
        let block = format!(r#"{{"Bool":{{"aws:SecureTransport":{own}}}}}"#);
        assert!(holds(&block, &plain));
        assert!(!holds(&block, &Context::new()), "an absent key is no value");
        let if_exists = block.replace("Bool", "BoolIfExists");
        assert!(holds(&if_exists, &Context::new()));
    }
}

#[test]
fn sec_n39_addresses_are_the_same_however_they_are_written() {
    for (own, asked, expected) in [
        ("203.0.113.0/24", "203.0.113.7", true),
        ("203.0.113.0/24", "::ffff:203.0.113.7", true),
        ("203.0.113.0/24", "::ffff:cb00:7107", true),
        ("::ffff:203.0.113.0/120", "203.0.113.7", true),
        ("203.0.113.0/24", "203.0.114.7", false),
        ("203.0.113.0/24", "::203.0.113.7", false),
        ("203.0.113.0/24", "2001:db8::1", false),
        ("2001:db8::/32", "2001:0DB8:0:0:0:0:0:1", true),
        ("2001:db8::/32", "203.0.113.7", false),
        ("203.0.113.7", "203.0.113.7", true),
        ("0.0.0.0/0", "203.0.113.7", true),
        ("0.0.0.0/0", "not an address", false),
        ("203.0.113.0/24", "203.0.113.7, 10.0.0.1", false),
        ("203.0.113.0/24", "203.0.113.7:443", false),
    ] {
        assert_eq!(
            pair("IpAddress", "NotIpAddress", own, asked),
            expected,
            "{own} {asked}"
        );
    }
}

#[test]
fn arns_are_compared_part_by_part() {
    for (own, asked, expected) in [
        (
            "arn:aws:iam::123456789012:user/ann",
            "arn:aws:iam::123456789012:user/ann",
            true,
        ),
        (
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:iam::123456789012:user/a/b:c",
            true,
        ),
        (
            "arn:aws:iam::*:user/ann",
            "arn:aws:iam::123456789012:user/ann",
            true,
        ),
        ("arn:*:iam::*:*", "arn:aws:iam::123456789012:root", true),
        ("arn:aws:iam::*:root", "arn:aws:iam::1:x:root", false),
        ("arn:aws:s3:::b?", "arn:aws:s3:::bb", true),
        ("arn:aws:s3:::b", "arn:aws:s3:::B", false),
        (
            "arn:aws:sns:*:123456789012:t",
            "arn:aws:sns:us-east-1:123456789012:t",
            true,
        ),
        ("arn:aws:sns:*:t", "x", false),
        ("arn:aws:s3:::*", "arn:aws:s3::123456789012:b", false),
        ("arn:aws:iam::123456789012:user/*", "ann", false),
        ("arn:aws:iam::123456789012:user/*", "", false),
    ] {
        if own.split(':').count() < 6 {
            let text = format!(
                r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"*",
                "Condition":{{"ArnLike":{{"k:x":"{own}"}}}}}}}}"#
            );
            assert!(refusal(&text, PolicyKind::Identity).contains("not an ARN of six parts"));
            continue;
        }
        assert_eq!(
            pair("ArnLike", "ArnNotLike", own, asked),
            expected,
            "{own} {asked}"
        );
        assert_eq!(
            pair("ArnEquals", "ArnNotEquals", own, asked),
            expected,
            "{own} {asked}"
        );
    }
}

#[test]
fn variables_in_conditions() {
    let mut context = Context::new();
    context
        .set("aws:username", "a*n")
        .set("aws:PrincipalArn", "arn:aws:iam::123456789012:user/a*n")
        .set("k:x", "a*n")
        .set("k:y", "abn");
    for (block, expected) in [
        (r#"{"StringEquals":{"k:x":"${aws:username}"}}"#, true),
        (r#"{"StringLike":{"k:x":"${aws:username}"}}"#, true),
        (r#"{"StringLike":{"k:y":"${aws:username}"}}"#, false),
        (
            r#"{"StringEqualsIgnoreCase":{"k:x":"${aws:username}"}}"#,
            true,
        ),
        (
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/${aws:username}"}}"#,
            true,
        ),
        (
            r#"{"ArnEquals":{"aws:PrincipalArn":"${aws:PrincipalArn}"}}"#,
            true,
        ),
        (
            r#"{"ArnEquals":{"aws:PrincipalArn":"${aws:username}"}}"#,
            false,
        ),
        // A key of that name, so nothing is resolved twice.
        (r#"{"StringEquals":{"k:x":"${k:x}"}}"#, true),
        (r#"{"StringEquals":{"k:x":"${k:absent, 'a*n'}"}}"#, true),
        (
            r#"{"StringEquals":{"k:x":["no","${k:absent}","${k:x}"]}}"#,
            true,
        ),
    ] {
        assert_eq!(holds(block, &context), expected, "{block}");
    }
}

#[test]
fn sec_n32_a_variable_without_value_equals_nothing_in_conditions() {
    let mut context = Context::new();
    context
        .set("k:x", "")
        .set("k:arn", "arn:aws:s3:::b")
        .set_all("k:list", ["a"]);
    for variable in ["${k:absent}", "${k:list}", "${k:x}"] {
        for (operator, key, value, expected) in [
            ("StringEquals", "k:x", variable.to_owned(), false),
            ("StringEqualsIgnoreCase", "k:x", variable.to_owned(), false),
            ("StringLike", "k:x", format!("{variable}*"), false),
            (
                "ArnLike",
                "k:arn",
                format!("arn:aws:s3:::{variable}*"),
                false,
            ),
            // Negated: what is there is not equal to nothing.
            ("StringNotEquals", "k:x", variable.to_owned(), true),
            (
                "StringNotEqualsIgnoreCase",
                "k:x",
                variable.to_owned(),
                true,
            ),
            ("StringNotLike", "k:x", format!("{variable}*"), true),
            (
                "ArnNotLike",
                "k:arn",
                format!("arn:aws:s3:::{variable}*"),
                true,
            ),
        ] {
            let block = format!(r#"{{"{operator}":{{"{key}":"{value}"}}}}"#);
            assert_eq!(holds(&block, &context), expected, "{block}");
        }
    }
}

#[test]
fn sec_n33_absent_keys() {
    let none = Context::new();
    let mut empty = Context::new();
    empty.set_all("k:x", Vec::<String>::new());
    for (operator, value) in [
        ("StringEquals", "a"),
        ("StringEqualsIgnoreCase", "a"),
        ("StringLike", "*"),
        ("NumericEquals", "1"),
        ("DateEquals", "1"),
        ("IpAddress", "0.0.0.0/0"),
        ("ArnEquals", "arn:*:*:*:*:*"),
    ] {
        let negated = match operator {
            "IpAddress" => "NotIpAddress".to_owned(),
            _ => operator
                .replace("Equals", "NotEquals")
                .replace("Like", "NotLike"),
        };
        for (name, expected) in [
            (operator.to_owned(), false),
            (negated.clone(), true),
            (format!("{operator}IfExists"), true),
            (format!("{negated}IfExists"), true),
            (format!("ForAllValues:{operator}"), true),
            (format!("ForAllValues:{negated}"), true),
            (format!("ForAnyValue:{operator}"), false),
            (format!("ForAnyValue:{negated}"), false),
            (format!("ForAllValues:{operator}IfExists"), true),
            (format!("ForAnyValue:{negated}IfExists"), true),
        ] {
            let block = format!(r#"{{"{name}":{{"k:x":"{value}"}}}}"#);
            assert_eq!(holds(&block, &none), expected, "{block}");
            assert_eq!(holds(&block, &empty), expected, "{block}, no values");
        }
    }
    for operator in [
        "NumericLessThan",
        "NumericGreaterThanEquals",
        "DateLessThan",
        "DateGreaterThan",
    ] {
        assert!(
            !holds(&format!(r#"{{"{operator}":{{"k:x":"1"}}}}"#), &none),
            "{operator}"
        );
    }
    assert!(!holds(r#"{"Bool":{"k:x":"false"}}"#, &none));
    assert!(!holds(r#"{"BinaryEquals":{"k:x":""}}"#, &none));
}

#[test]
fn sec_n33_set_operators_ask_every_value_of_the_request() {
    for (values, all, any, all_not, any_not) in [
        (&["a"][..], true, true, false, false),
        (&["a", "b"], true, true, false, false),
        (&["a", "z"], false, true, false, true),
        (&["y", "z"], false, false, true, true),
        (&["z"], false, false, true, true),
        (&["a", ""], false, true, false, true),
        // Nothing but empty values: a null dataset.
        (&[""], true, false, true, false),
        (&["", ""], true, false, true, false),
        (&[], true, false, true, false),
    ] {
        let mut context = Context::new();
        context.set_all("aws:TagKeys", values.iter().copied());
        for (operator, expected) in [
            ("ForAllValues:StringEquals", all),
            ("ForAnyValue:StringEquals", any),
            ("ForAllValues:StringNotEquals", all_not),
            ("ForAnyValue:StringNotEquals", any_not),
        ] {
            let block = format!(r#"{{"{operator}":{{"aws:TagKeys":["a","b"]}}}}"#);
            assert_eq!(holds(&block, &context), expected, "{operator} {values:?}");
        }
    }
    // A key with one value is a set of one.
    let mut context = Context::new();
    context.set("aws:username", "z");
    assert!(!holds(
        r#"{"ForAllValues:StringEquals":{"aws:username":"a"}}"#,
        &context
    ));
    assert!(holds(
        r#"{"ForAnyValue:StringNotEquals":{"aws:username":"a"}}"#,
        &context
    ));
}

/// A key that may have several values and no set operator: not documented, so a statement that
/// allows does not apply, and one that denies does if any value gives it a reason to.
#[test]
fn sec_n33_several_values_without_a_set_operator_are_read_against_the_request() {
    for (values, equals_denies, not_equals_denies) in [
        (&["a"][..], true, false),
        (&["a", "z"], true, true),
        (&["z"], false, true),
    ] {
        let mut context = Context::new();
        context.set_all("aws:TagKeys", values.iter().copied());
        let equals = condition(r#"{"StringEquals":{"aws:TagKeys":"a"}}"#, &context);
        assert_eq!(equals, (false, equals_denies), "{values:?}");
        let differs = condition(r#"{"StringNotEquals":{"aws:TagKeys":"a"}}"#, &context);
        assert_eq!(differs, (false, not_equals_denies), "{values:?}");
    }
}

/// Names of pairs of an encryption context have case, names of condition keys have none: `App` and
/// `app` are one key, and who asks could put what a policy wants to see beside what is true. So no
/// operator lets a statement apply that allows, and each that would deny one of the two alone denies.
#[test]
fn sec_n33_a_key_that_is_there_twice_allows_nothing_and_denies_for_either() {
    let twice = |first: &str, second: &str| {
        let mut context = Context::new();
        context.set("kms:EncryptionContext:App", first);
        context.set("kms:EncryptionContext:app", second);
        context
    };
    let tests = [
        ("StringEquals", "good", "evil"),
        ("StringNotEquals", "evil", "good"),
        ("StringEqualsIgnoreCase", "GOOD", "evil"),
        ("StringNotEqualsIgnoreCase", "EVIL", "good"),
        ("StringLike", "go*", "evil"),
        ("StringNotLike", "ev*", "good"),
        ("NumericEquals", "1", "2"),
        ("NumericNotEquals", "2", "1"),
        ("NumericLessThan", "2", "2"),
        ("DateGreaterThan", "2020-01-01", "2019-01-01T00:00:00Z"),
        ("Bool", "true", "false"),
        ("BinaryEquals", "AAE=", "AAI="),
        ("IpAddress", "10.0.0.0/8", "11.0.0.1"),
        ("NotIpAddress", "11.0.0.0/8", "10.0.0.1"),
        ("ArnLike", "arn:aws:s3:::good/*", "arn:aws:s3:::evil/k"),
        ("ArnNotLike", "arn:aws:s3:::evil/*", "arn:aws:s3:::good/k"),
    ];
    let right = |operator: &str, own: &'static str| match operator {
        "NumericLessThan" => "1",
        "DateGreaterThan" => "2021-01-01T00:00:00Z",
        "StringEqualsIgnoreCase" | "StringLike" => "good",
        "IpAddress" => "10.0.0.1",
        "ArnLike" => "arn:aws:s3:::good/k",
        _ => own,
    };
    for (operator, own, asked) in tests {
        let negated = operator.contains("Not");
        // Of a negation `asked` holds and what it names does not; of the others the reverse.
        let (holding, failing) = match (negated, operator) {
            (true, "StringNotLike" | "StringNotEqualsIgnoreCase") => (asked, "evil"),
            (true, "NotIpAddress") => (asked, "11.0.0.1"),
            (true, "ArnNotLike") => (asked, "arn:aws:s3:::evil/k"),
            (true, _) => (asked, own),
            (false, _) => (right(operator, own), asked),
        };
        for set in ["", "ForAllValues:", "ForAnyValue:"] {
            for if_exists in ["", "IfExists"] {
                let name = format!("{set}{operator}{if_exists}");
                let block = format!(r#"{{"{name}":{{"kms:EncryptionContext:aPP":"{own}"}}}}"#);
                // What the operator says of each alone.
                for (value, expected) in [(holding, true), (failing, false)] {
                    let mut alone = Context::new();
                    alone.set("kms:EncryptionContext:App", value);
                    assert_eq!(holds(&block, &alone), expected, "{block} {value}");
                }
                for (first, second, denies) in [
                    (holding, failing, true),
                    (failing, holding, true),
                    (holding, holding, true),
                    (failing, failing, false),
                ] {
                    let decided = condition(&block, &twice(first, second));
                    assert_eq!(decided, (false, denies), "{block} {first} {second}");
                }
            }
        }
    }
    for (null, first, second, denies) in [
        ("false", "a", "b", true),
        ("true", "a", "b", false),
        ("true", "a", "", true),
        ("false", "a", "", true),
        ("false", "", "", false),
        ("true", "", "", true),
    ] {
        let block = format!(r#"{{"Null":{{"kms:EncryptionContext:app":"{null}"}}}}"#);
        let decided = condition(&block, &twice(first, second));
        assert_eq!(decided, (false, denies), "{block} {first} {second}");
    }
}

#[test]
fn sec_n34_null_asks_whether_a_key_is_there() {
    let none = Context::new();
    let mut there = Context::new();
    there.set("k:x", "a");
    let mut empty = Context::new();
    empty.set("k:x", "");
    let mut list = Context::new();
    list.set_all("k:x", ["", "a"]);
    for (context, is_null) in [
        (&none, true),
        (&there, false),
        (&empty, true),
        (&list, false),
    ] {
        for (value, expected) in [
            (r#""true""#, is_null),
            ("true", is_null),
            (r#""false""#, !is_null),
            (r#"["true","false"]"#, true),
        ] {
            let block = format!(r#"{{"Null":{{"K:X":{value}}}}}"#);
            assert_eq!(holds(&block, context), expected, "{block} {context:?}");
        }
    }
}

#[test]
fn sec_n34_if_exists_changes_absent_keys_only() {
    let mut there = Context::new();
    there.set("k:x", "b");
    for operator in [
        "StringEquals",
        "StringNotEquals",
        "NumericLessThan",
        "Bool",
        "ArnLike",
    ] {
        let value = match operator {
            "NumericLessThan" => "1",
            "Bool" => "true",
            "ArnLike" => "arn:aws:s3:::b",
            _ => "a",
        };
        let plain = format!(r#"{{"{operator}":{{"k:x":"{value}"}}}}"#);
        let if_exists = format!(r#"{{"{operator}IfExists":{{"k:x":"{value}"}}}}"#);
        assert!(holds(&if_exists, &Context::new()), "{if_exists}");
        assert_eq!(
            holds(&if_exists, &there),
            holds(&plain, &there),
            "{if_exists}"
        );
    }
}

#[test]
fn operators_and_keys_of_a_block_are_all_required() {
    let mut context = Context::new();
    context.set("k:x", "a").set("k:y", "b");
    for (block, expected) in [
        ("{}", true),
        (r#"{"StringEquals":{"k:x":"a","k:y":"b"}}"#, true),
        (r#"{"StringEquals":{"k:x":"a","k:y":"c"}}"#, false),
        (
            r#"{"StringEquals":{"k:x":["c","a"]},"StringLike":{"k:y":"?"}}"#,
            true,
        ),
        (
            r#"{"StringEquals":{"k:x":"a"},"StringNotEquals":{"k:y":["c","b"]}}"#,
            false,
        ),
        (
            r#"{"StringEquals":{"K:X":"a"},"StringNotEquals":{"K:y":["c","d"]}}"#,
            true,
        ),
    ] {
        assert_eq!(holds(block, &context), expected, "{block}");
    }
}

#[test]
fn sec_n34_operators_and_values_that_are_none_are_refused() {
    let told = |block: &str| {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Action":"*","Resource":"*",
            "Condition":{block}}}}}"#
        );
        refusal(&text, PolicyKind::Identity)
    };
    for operator in [
        "",
        "Equals",
        "stringEquals",
        "StringEqual",
        "StringEqualsIfexists",
        "IfExists",
        "NullIfExists",
        "ForAllValues:Null",
        "ForAnyValue:Null",
        "ForAllValues",
        "ForAllValues:",
        "ForEachValue:StringEquals",
        "ForAnyValue:ForAllValues:StringEquals",
        "foranyvalue:StringEquals",
        "StringEqualsIfExistsIfExists",
        "BoolNot",
        "NotBool",
        "BinaryNotEquals",
        "DateLike",
        "StringNotLikeIgnoreCase",
        "NumericLike",
    ] {
        let told = told(&format!(r#"{{"{operator}":{{"k:x":"true"}}}}"#));
        assert!(told.contains("is not a condition operator"), "{told}");
    }
    for (operator, value) in [
        ("NumericEquals", "ten"),
        ("NumericEquals", "1e3"),
        ("NumericEquals", ""),
        ("NumericLessThan", "${k:y}"),
        ("DateEquals", "yesterday"),
        ("DateEquals", "2020-13-01"),
        ("DateLessThan", "2020-01-01T00:00:00"),
        // A year, or 34 minutes after midnight in 1970.
        ("DateGreaterThan", "2030"),
        ("DateLessThan", "0000"),
        ("Bool", "yes"),
        ("Bool", "1"),
        ("Null", "maybe"),
        ("Null", ""),
        ("BinaryEquals", "a"),
        ("IpAddress", "203.0.113.0/33"),
        ("IpAddress", "*"),
        ("NotIpAddress", "203.0.113"),
        ("ArnLike", "*"),
        ("ArnEquals", "arn:aws:s3"),
        ("ArnLike", "b:aws:s3:::b"),
        ("StringEquals", "${k"),
    ] {
        let told = told(&format!(r#"{{"{operator}":{{"k:x":["{value}"]}}}}"#));
        assert!(
            told.contains(&format!("`Statement.Condition.{operator}.k:x[0]`")),
            "{told}"
        );
    }
    for (block, expected) in [
        (r#"{"StringEquals":{}}"#, "is empty"),
        (r#"{"StringEquals":{"k:x":[]}}"#, "is empty"),
        (
            r#"{"StringEquals":{"x":"a"}}"#,
            "`x` is not a condition key",
        ),
        (
            r#"{"StringEquals":{":x":"a"}}"#,
            "`:x` is not a condition key",
        ),
        (
            r#"{"StringEquals":{"k:":"a"}}"#,
            "`k:` is not a condition key",
        ),
        (r#"{"StringEquals":"a"}"#, "expected an object"),
        ("[]", "expected an object"),
        (
            r#"{"StringEquals":{"k:x":{"a":"b"}}}"#,
            "expected a string, a number or a boolean",
        ),
    ] {
        let told = told(block);
        assert!(told.contains(expected), "{told}");
    }
}
