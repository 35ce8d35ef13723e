// SPDX-License-Identifier: Apache-2.0
//! What a decision about a request costs: key policies of twenty statements, on one core.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use strongroom_policy::{Context, Policy, PolicyKind, Principal, PrincipalKind, Request, evaluate};

use crate::Outcome;
use crate::report::Ratio;

/// Microseconds of one evaluation.
pub(crate) fn rows() -> Outcome<Vec<Ratio>> {
    let mixed = Policy::parse(&document(mixed_statement), PolicyKind::Resource)?;
    let all_apply = Policy::parse(&document(applying_statement), PolicyKind::Resource)?;
    let context = context();
    let request = Request {
        principal: PRINCIPAL,
        action: "kms:Decrypt",
        resource: KEY,
        context: &context,
    };
    let verdict = evaluate(&all_apply, &request);
    if !verdict.allowed || verdict.denied {
        return Err("the policy of the benchmark does not allow".into());
    }
    let evaluated = |policy: &Policy| {
        microseconds(|| {
            black_box(evaluate(black_box(policy), black_box(&request)));
        })
    };
    let built = microseconds(|| {
        black_box(self::context());
    });
    let row = |what: &str, value, target| Ratio {
        what: format!("policy: {what}, us"),
        value,
        target,
        at_least: false,
    };
    Ok(vec![
        row(
            "20 statements of a key policy",
            evaluated(&mixed),
            Some(5.0),
        ),
        row(
            "20 statements that all ask 3 conditions",
            evaluated(&all_apply),
            Some(5.0),
        ),
        row("20 condition keys of a request", built, None),
    ])
}

/// The least of several rounds: neighbours only ever make it longer.
fn microseconds(mut work: impl FnMut()) -> f64 {
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..COUNT {
            work();
        }
        least = least.min(start.elapsed());
    }
    least.as_secs_f64() * 1e6 / f64::from(COUNT)
}

fn document(statement: fn(&mut String, usize)) -> String {
    let mut text = r#"{"Version":"2012-10-17","Statement":["#.to_owned();
    for number in 0..STATEMENTS {
        if number > 0 {
            text.push(',');
        }
        statement(&mut text, number);
    }
    text.push_str("]}");
    text
}

/// As real key policies are: most statements are about somebody else or another action.
fn mixed_statement(text: &mut String, number: usize) {
    let (effect, principal, action) = match number % 4 {
        0 => (
            "Allow",
            format!("arn:aws:iam::123456789012:user/u{number}"),
            r#""kms:*""#,
        ),
        1 => (
            "Allow",
            "arn:aws:iam::123456789012:root".to_owned(),
            r#"["kms:Encrypt","kms:De*"]"#,
        ),
        2 => (
            "Deny",
            "*".to_owned(),
            r#"["kms:PutKeyPolicy","kms:ScheduleKeyDeletion"]"#,
        ),
        _ => ("Deny", "*".to_owned(), r#""kms:*""#),
    };
    let conditions = r#"{"Bool":{"aws:SecureTransport":"false"}}"#;
    let conditions = if number % 4 == 3 { conditions } else { "{}" };
    let _written = write!(
        text,
        r#"{{"Sid":"Statement {number}","Effect":"{effect}","Principal":{{"AWS":"{principal}"}},
        "Action":{action},"Resource":"*","Condition":{conditions}}}"#
    );
}

/// Nothing can be left out: each statement applies, and its last condition has to be asked.
fn applying_statement(text: &mut String, number: usize) {
    let _written = write!(
        text,
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::123456789012:user/ann"}},
        "Action":"kms:De*","Resource":"arn:aws:kms:*:123456789012:key/*","Condition":{{
        "StringEquals":{{"kms:EncryptionContext:app":["a{number}","b{number}","archive"]}},
        "IpAddress":{{"aws:SourceIp":["192.0.2.0/24","203.0.113.0/24"]}},
        "StringLike":{{"kms:ViaService":"s3.*.amazonaws.com"}}}}}}"#
    );
}

fn context() -> Context {
    let mut context = Context::new();
    context
        .set("aws:SecureTransport", "true")
        .set("aws:SourceIp", "203.0.113.7")
        .set("aws:PrincipalArn", PRINCIPAL.arn)
        .set("aws:PrincipalAccount", PRINCIPAL.account_id)
        .set("aws:PrincipalType", "User")
        .set("aws:userid", PRINCIPAL.user_id)
        .set("aws:username", "ann")
        .set("aws:CurrentTime", "2026-01-02T03:04:05Z")
        .set("aws:EpochTime", "1767323045")
        .set("aws:UserAgent", "aws-cli/2.0 Python/3.11")
        .set("aws:RequestedRegion", "us-east-1")
        .set("kms:CallerAccount", PRINCIPAL.account_id)
        .set("kms:ViaService", "s3.us-east-1.amazonaws.com")
        .set("kms:KeySpec", "SYMMETRIC_DEFAULT")
        .set("kms:KeyUsage", "ENCRYPT_DECRYPT")
        .set("kms:KeyOrigin", "AWS_KMS")
        .set("kms:MultiRegion", "false")
        .set("kms:EncryptionContext:app", "archive")
        .set_all("kms:EncryptionContextKeys", ["app"])
        .set_all("kms:ResourceAliases", ["alias/archive", "alias/old"]);
    context
}

const PRINCIPAL: Principal<'static> = Principal {
    arn: "arn:aws:iam::123456789012:user/ann",
    account_id: "123456789012",
    user_id: "AIDAANNANNANNANNANNAN",
    kind: PrincipalKind::User,
};
const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const STATEMENTS: usize = 20;
const COUNT: u32 = 5_000;
const ROUNDS: u32 = 20;
