// SPDX-License-Identifier: Apache-2.0
//! The longest policies against the longest requests: a decision stays a matter of milliseconds,
//! whatever both were written for.

use std::time::{Duration, Instant};

use strongroom_policy::{Context, Policy, PolicyKind, Request, evaluate};

use crate::ask::{ANN, KEY};

/// Where code is optimized the slowest takes 21 ms, and most less than 3; this many times as long
/// where it is checked at every step and tests run beside each other.
const BOUND: Duration = if cfg!(debug_assertions) {
    Duration::from_millis(400)
} else {
    Duration::from_millis(40)
};
/// A hundred in a second, wherever Linux tells user space of them.
const TICK: Duration = Duration::from_millis(10);
const POLICY_BYTES: usize = 32_768;
const VALUE_BYTES: usize = 8_192;

fn deny(condition: &str) -> Policy {
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"*","Resource":"*",
            "Condition":{condition}}}]}}"#
    );
    Policy::parse(&text, PolicyKind::Identity).unwrap()
}

/// As many of these values as a policy holds.
fn values(pattern: &str) -> String {
    let quoted = format!("\"{pattern}\"");
    let count = (POLICY_BYTES - 400) / (quoted.len() + 1);
    assert!(count > 0, "{}", pattern.len());
    vec![quoted; count].join(",")
}

/// What this thread had of a processor, in whole ticks: on a busy machine much less than passes.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // Behind the name of the thread, which may hold anything: user and system time are the 12th and
    // the 13th field (proc(5)).
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = times.map(|field| field.parse::<u32>().unwrap()).sum();
    TICK * ticks
}

/// The quickest of many runs: what others do on the processor is not the policy's cost.
#[track_caller]
fn measured(policy: &Policy, context: &Context, resource: &str) -> bool {
    let request = Request {
        principal: ANN,
        action: "kms:Decrypt",
        resource,
        context,
    };
    let mut quickest = Duration::MAX;
    let mut denied = evaluate(policy, &request).denied;
    for _ in 0..40 {
        let (start, used) = (Instant::now(), processor_time());
        denied = evaluate(policy, &request).denied;
        let used = processor_time().saturating_sub(used) + TICK;
        quickest = quickest.min(start.elapsed()).min(used);
        if quickest < BOUND {
            break;
        }
    }
    assert!(quickest < BOUND, "{quickest:?}");
    denied
}

#[test]
fn sec_n42_patterns_made_to_be_slow_are_not() {
    let long = "a".repeat(VALUE_BYTES);
    let half = VALUE_BYTES / 2;
    for pattern in [
        format!("*{}b", "a".repeat(half)),
        format!("*{}b*", "a".repeat(half)),
        format!("*{}?b*", "a".repeat(half)),
        format!("*{}b*", "a?".repeat(half / 2)),
        format!("*{}b*", "?".repeat(half)),
        format!("*{}b*", "?a".repeat(100)),
        format!("{}b", "*a".repeat(half)),
        format!("{}b", "*a?".repeat(half)),
        format!("{}b", "*?".repeat(half)),
        format!("{}b*", "*aa?a".repeat(1_000)),
        format!("*{}b*", "a?".repeat(32)),
        "*a?b*".to_owned(),
        "*b*".to_owned(),
        "*a".repeat(16_000),
        "*a?".repeat(10_000),
    ] {
        let policy = deny(&format!(
            r#"{{"StringLike":{{"kms:EncryptionContext:k":[{}]}}}}"#,
            values(&pattern)
        ));
        let mut context = Context::new();
        context.set("kms:EncryptionContext:k", &long);
        assert!(!measured(&policy, &context, KEY));
    }
}

/// Where every word of a pattern is somewhere, and never where it has to be.
#[test]
fn sec_n42_texts_made_to_be_slow_are_not() {
    let long = "ab".repeat(VALUE_BYTES / 2);
    // Words that are there, at the very end: each is looked for through all of the text.
    let late = format!("{}xb", "a".repeat(VALUE_BYTES - 2));
    let of_one_word = format!("{}b", "a".repeat(39));
    for (long, pattern) in [
        (&long, "*a?b*".to_owned()),
        (&long, "*b?????a*".to_owned()),
        (&long, format!("*{}a*", "b?".repeat(33))),
        (&long, format!("*{}b?b", "*a?a".repeat(50))),
        (&late, format!("*{}c*", "xb?".repeat(10_000))),
        (&late, format!("*{}c*", "xb?".repeat(2_000))),
        (&late, format!("*{}c*", "b?".repeat(16_000))),
        (
            &late,
            format!("*{}c*", format!("{of_one_word}?").repeat(190)),
        ),
    ] {
        let policy = deny(&format!(
            r#"{{"StringLike":{{"kms:EncryptionContext:k":[{}]}}}}"#,
            values(&pattern)
        ));
        let mut context = Context::new();
        context.set("kms:EncryptionContext:k", format!("{long}?"));
        assert!(!measured(&policy, &context, KEY));
    }
}

#[test]
fn sec_n42_variables_made_to_be_slow_are_not() {
    let mut context = Context::new();
    context.set("x:v", "a".repeat(VALUE_BYTES / 2));
    context.set("x:e", "\u{e9}".repeat(VALUE_BYTES / 4));
    let mut many = vec!["b"; 1_000];
    let long = "a".repeat(VALUE_BYTES / 2);
    many.push(&long);
    context.set_all("x:many", many);
    for (operator, pattern) in [
        ("StringLike", "${x:v}".repeat(5_000)),
        ("StringLike", format!("{}${{x:v}}", "?".repeat(16_000))),
        ("StringLike", format!("{}${{x:v}}", "*?".repeat(8_000))),
        ("StringLike", "*${x:v}?${x:absent, 'a'}".repeat(1_000)),
        ("StringEquals", "${x:v}b".repeat(4_000)),
        ("StringEqualsIgnoreCase", "${x:v}${x:e}".repeat(2_000)),
        ("StringEqualsIgnoreCase", "\u{e9}".to_owned()),
        (
            "ArnLike",
            format!("arn:aws:s3:::{}", "${x:v}*".repeat(3_000)),
        ),
    ] {
        let policy = deny(&format!(
            r#"{{"ForAnyValue:{operator}":{{"x:many":[{}]}}}}"#,
            values(&pattern)
        ));
        assert!(!measured(&policy, &context, KEY));
    }
}

#[test]
fn sec_n42_resources_and_actions_made_to_be_slow_are_not() {
    let key = format!("arn:aws:s3:::b/{}", "a".repeat(1_024));
    for (element, pattern) in [
        ("Resource", format!("arn:aws:s3:::*{}b*", "a?".repeat(500))),
        ("Resource", format!("arn:aws:s3:::{}b", "*a?".repeat(500))),
        ("Resource", "arn:aws:s3:::*a?b".to_owned()),
        ("Action", format!("kms:{}", "*d?".repeat(500))),
        ("Action", "kms:*?e*y".to_owned()),
    ] {
        let (action, resource) = match element {
            "Action" => (values(&pattern), "\"*\"".to_owned()),
            _ => ("\"*\"".to_owned(), values(&pattern)),
        };
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":[{action}],
                "Resource":[{resource}]}}]}}"#
        );
        let policy = Policy::parse(&text, PolicyKind::Identity).unwrap();
        assert!(!measured(&policy, &Context::new(), &key));
    }
}

/// Who asks for more keys than anybody looks through is believed to ask for all.
#[test]
fn sec_n42_a_policy_that_asks_for_thousands_of_keys_is_told_everything() {
    let keys = |count: usize| (0..count).map(|at| format!("\"aws:RequestTag/{at}\": \"x\""));
    let asking = |count| {
        let keys: Vec<String> = keys(count).collect();
        deny(&format!(
            "{{ \"StringEquals\": {{ {} }} }}",
            keys.join(", ")
        ))
    };
    let few = asking(3);
    assert!(few.asks_for("aws:requesttag/2") && !few.asks_for("aws:RequestTag/3"));
    assert!(few.asks_for_any_of("aws:RequestTag") && !few.asks_for_any_of("kms:"));
    assert!(few.asks_for_something() && !Policy::full_access().asks_for_something());
    assert!(!asking(64).asks_for("aws:RequestTag/64"));
    for count in [65, 1_000] {
        let many = asking(count);
        assert!(many.asks_for("aws:RequestTag/64") && many.asks_for("kms:KeySpec"));
        assert!(many.asks_for_any_of("kms:") && many.asks_for_something());
    }
}
