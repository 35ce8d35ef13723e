// SPDX-License-Identifier: Apache-2.0
//! Bodies of the fuzz targets in `/fuzz`. Each takes any bytes and panics only on a broken promise.
//!
//! The corpora in `/fuzz/corpus` run through the same functions in the ordinary tests.

use crate::{
    Context, KEY_POLICY_BYTES_MAX, Policy, PolicyKind, Principal, PrincipalKind, Request, evaluate,
};

#[cfg(test)]
mod tests;

/// A policy: reading it never panics, its error has a place within the text, and what was read can
/// be evaluated; an identity policy never delegates, and nothing delegates to nobody.
pub fn policy(data: &[u8]) {
    for kind in [PolicyKind::Identity, PolicyKind::Resource] {
        match Policy::parse_bytes(data, kind, KEY_POLICY_BYTES_MAX) {
            Ok(policy) => ask(&policy),
            Err(error) => {
                let (line, column) = error.position();
                let lines = data.split(|byte| *byte == b'\n').count();
                assert!((1..=lines).contains(&line), "line {line} of {lines}");
                let end = data.len().saturating_add(1);
                assert!((1..=end).contains(&column), "column {column} of {end}");
                assert!(!error.to_string().is_empty(), "no message");
            }
        }
    }
}

fn ask(policy: &Policy) {
    assert!(policy.statements() > 0, "a policy that says nothing");
    let mut context = Context::new();
    context
        .set("aws:username", "ann*")
        .set("aws:SourceIp", "::ffff:203.0.113.7")
        .set("aws:CurrentTime", "2026-01-02T03:04:05Z")
        .set("aws:SecureTransport", "true")
        .set_all("aws:TagKeys", ["a", "", "${aws:username}"]);
    for (kind, arn) in [
        (PrincipalKind::Root, "arn:aws:iam::123456789012:root"),
        (PrincipalKind::User, "arn:aws:iam::123456789012:user/ann"),
        (
            PrincipalKind::AssumedRole,
            "arn:aws:sts::123456789012:assumed-role/deploy/s1",
        ),
        (PrincipalKind::Service, "s3.amazonaws.com"),
        (PrincipalKind::Anonymous, ""),
    ] {
        let principal = Principal {
            arn,
            account_id: "123456789012",
            user_id: "AIDAANNANNANNANNANNAN",
            kind,
        };
        let request = Request {
            principal,
            action: "kms:Decrypt",
            resource: "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
            context: &context,
        };
        let verdict = evaluate(policy, &request);
        assert_eq!(verdict, evaluate(policy, &request), "another answer");
        let delegates = policy.kind() == PolicyKind::Resource
            && matches!(kind, PrincipalKind::User | PrincipalKind::AssumedRole);
        assert!(!verdict.delegated || delegates, "delegated to {kind:?}");
    }
}
