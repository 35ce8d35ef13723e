// SPDX-License-Identifier: Apache-2.0
//! Short ways to write policies, principals and questions.

use strongroom_policy::{
    Context, Policy, PolicyKind, Principal, PrincipalKind, Request, Verdict, evaluate,
};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const OTHER: &str = "210987654321";
pub(crate) const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd";

pub(crate) const ANN: Principal<'static> = Principal {
    arn: "arn:aws:iam::123456789012:user/ann",
    account_id: ACCOUNT,
    user_id: "AIDAANNANNANNANNANNAN",
    kind: PrincipalKind::User,
};
pub(crate) const BOB: Principal<'static> = Principal {
    arn: "arn:aws:iam::123456789012:user/bob",
    account_id: ACCOUNT,
    user_id: "AIDABOBBOBBOBBOBBOBBO",
    kind: PrincipalKind::User,
};
pub(crate) const EVE: Principal<'static> = Principal {
    arn: "arn:aws:iam::210987654321:user/eve",
    account_id: OTHER,
    user_id: "AIDAEVEEVEEVEEVEEVEEV",
    kind: PrincipalKind::User,
};
pub(crate) const ROOT: Principal<'static> = Principal {
    arn: "arn:aws:iam::123456789012:root",
    account_id: ACCOUNT,
    user_id: ACCOUNT,
    kind: PrincipalKind::Root,
};
pub(crate) const SESSION: Principal<'static> = Principal {
    arn: "arn:aws:sts::123456789012:assumed-role/deploy/s1",
    account_id: ACCOUNT,
    user_id: "AROADEPLOYDEPLOYDEPLO:s1",
    kind: PrincipalKind::AssumedRole,
};
pub(crate) const SERVICE: Principal<'static> = Principal {
    arn: "s3.amazonaws.com",
    account_id: "",
    user_id: "",
    kind: PrincipalKind::Service,
};
pub(crate) const NOBODY: Principal<'static> = Principal {
    arn: "",
    account_id: "",
    user_id: "",
    kind: PrincipalKind::Anonymous,
};

/// A resource policy of these statements.
pub(crate) fn resource(statements: &str) -> Policy {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Policy::parse(&text, PolicyKind::Resource).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// An identity policy of these statements.
pub(crate) fn identity(statements: &str) -> Policy {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    Policy::parse(&text, PolicyKind::Identity).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a policy says to a question about the key.
pub(crate) fn ask(policy: &Policy, principal: Principal<'_>, action: &str) -> Verdict {
    ask_about(policy, principal, action, KEY, &Context::new())
}

pub(crate) fn ask_about(
    policy: &Policy,
    principal: Principal<'_>,
    action: &str,
    resource: &str,
    context: &Context,
) -> Verdict {
    evaluate(
        policy,
        &Request {
            principal,
            action,
            resource,
            context,
        },
    )
}

/// Whether a condition block lets a statement apply: once in one that allows, once in one that
/// denies.
pub(crate) fn condition(block: &str, context: &Context) -> (bool, bool) {
    let of = |effect: &str| {
        identity(&format!(
            r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{block}}}"#
        ))
    };
    (
        ask_about(&of("Allow"), ANN, "kms:Decrypt", KEY, context).allowed,
        ask_about(&of("Deny"), ANN, "kms:Decrypt", KEY, context).denied,
    )
}

/// The same where both have to be one.
pub(crate) fn holds(block: &str, context: &Context) -> bool {
    let (allow, deny) = condition(block, context);
    assert_eq!(allow, deny, "{block} {context:?}");
    allow
}

/// Why a document is refused.
pub(crate) fn refusal(text: &str, kind: PolicyKind) -> String {
    match Policy::parse(text, kind) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}
