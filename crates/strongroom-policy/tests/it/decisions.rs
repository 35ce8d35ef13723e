// SPDX-License-Identifier: Apache-2.0
//! Several policies, one decision: who outweighs whom.

use std::sync::Arc;

use strongroom_policy::{
    Context, Decision, DenySource, Missing, Policy, Principal, PrincipalKind, Request,
    decide_account, decide_key,
};

use crate::ask::{ANN, BOB, EVE, KEY, NOBODY, ROOT, SERVICE, identity, resource};

const DELEGATE: &str = r#"{"Sid":"Enable IAM User Permissions","Effect":"Allow",
    "Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:*","Resource":"*"}"#;
const ALLOW_ANN: &str = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"},
    "Action":"kms:Decrypt","Resource":"*"}"#;
const ALLOW: &str = r#"{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}"#;
const DENY: &str = r#"{"Effect":"Deny","Action":"kms:Decrypt","Resource":"*"}"#;
const DENY_ALL_KEY: &str =
    r#"{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}"#;

fn decide(key: &str, identity_policies: &[&str], grants: bool, who: Principal<'_>) -> Decision {
    let policies: Vec<Arc<Policy>> = identity_policies
        .iter()
        .map(|text| Arc::new(identity(text)))
        .collect();
    let context = Context::new();
    let request = Request {
        principal: who,
        action: "kms:Decrypt",
        resource: KEY,
        context: &context,
    };
    decide_key(&resource(key), &policies, grants, &request)
}

fn key_denies() -> Decision {
    Decision::ExplicitDeny(DenySource::ResourcePolicy)
}

fn identity_denies() -> Decision {
    Decision::ExplicitDeny(DenySource::IdentityPolicy)
}

fn no_key_policy() -> Decision {
    Decision::ImplicitDeny(Missing::ResourcePolicy)
}

fn no_identity_policy() -> Decision {
    Decision::ImplicitDeny(Missing::IdentityPolicy)
}

#[test]
fn sec_n27_explicit_deny_beats_allow_wherever_it_stands() {
    let both = format!("{ALLOW_ANN},{DENY_ALL_KEY}");
    let both_turned = format!("{DENY_ALL_KEY},{ALLOW_ANN}");
    for (key, identity, grants, expected) in [
        (both.as_str(), &[ALLOW][..], true, key_denies()),
        (&both_turned, &[ALLOW], true, key_denies()),
        (ALLOW_ANN, &[DENY], true, identity_denies()),
        (ALLOW_ANN, &[ALLOW, DENY], true, identity_denies()),
        (ALLOW_ANN, &[DENY, ALLOW], false, identity_denies()),
        (DELEGATE, &[ALLOW, DENY], false, identity_denies()),
        (DELEGATE, &[DENY], true, identity_denies()),
        (DENY_ALL_KEY, &[], true, key_denies()),
    ] {
        assert_eq!(
            decide(key, identity, grants, ANN),
            expected,
            "{key} {identity:?} {grants}"
        );
    }
    let within = format!("{ALLOW},{DENY}");
    let (policy, context) = (identity(&within), Context::new());
    let request = Request {
        principal: ANN,
        action: "kms:Decrypt",
        resource: KEY,
        context: &context,
    };
    assert_eq!(decide_account(&[policy], &request), identity_denies());
}

#[test]
fn key_policy_is_the_root_of_trust() {
    for (key, identity, grants, who, expected) in [
        // Directly allowed: nothing else is needed.
        (ALLOW_ANN, &[][..], false, ANN, Decision::Allow),
        (ALLOW_ANN, &[], false, BOB, no_key_policy()),
        // Delegated: the identity policies decide.
        (DELEGATE, &[ALLOW], false, ANN, Decision::Allow),
        (DELEGATE, &[], false, ANN, no_identity_policy()),
        (DELEGATE, &[], false, ROOT, Decision::Allow),
        (DELEGATE, &[ALLOW], false, EVE, no_key_policy()),
        // Grants add.
        (ALLOW_ANN, &[], true, BOB, Decision::Allow),
        (DELEGATE, &[], true, ANN, Decision::Allow),
        // The root user needs the key policy too.
        (ALLOW_ANN, &[], false, ROOT, no_key_policy()),
        (ALLOW_ANN, &[ALLOW], false, SERVICE, no_key_policy()),
        (DELEGATE, &[ALLOW], false, NOBODY, no_key_policy()),
    ] {
        assert_eq!(
            decide(key, identity, grants, who),
            expected,
            "{key} {identity:?} {who:?}"
        );
    }
}

/// A policy of the account cannot give itself what the key policy does not delegate.
#[test]
fn sec_n36_key_policy_without_root_statement_makes_identity_policies_powerless() {
    for identity in [&[ALLOW][..], &[ALLOW, ALLOW]] {
        assert_eq!(decide(ALLOW_ANN, identity, false, BOB), no_key_policy());
    }
    let full: Vec<Policy> = vec![Policy::full_access()];
    let context = Context::new();
    let request = Request {
        principal: BOB,
        action: "kms:Decrypt",
        resource: KEY,
        context: &context,
    };
    assert_eq!(
        decide_key(&resource(ALLOW_ANN), &full, false, &request),
        no_key_policy()
    );
    assert_eq!(
        decide_key(&resource(DELEGATE), &full, false, &request),
        Decision::Allow
    );
}

#[test]
fn sec_n36_other_accounts_need_both_sides() {
    let eve = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:user/eve"},
        "Action":"kms:Decrypt","Resource":"*"}"#;
    let account = r#"{"Effect":"Allow","Principal":{"AWS":"210987654321"},
        "Action":"kms:Decrypt","Resource":"*"}"#;
    let everyone = r#"{"Effect":"Allow","Principal":"*","Action":"kms:Decrypt","Resource":"*"}"#;
    for key in [eve, account, everyone] {
        assert_eq!(decide(key, &[], false, EVE), no_identity_policy(), "{key}");
        assert_eq!(decide(key, &[ALLOW], false, EVE), Decision::Allow, "{key}");
        assert_eq!(
            decide(key, &[ALLOW, DENY], false, EVE),
            identity_denies(),
            "{key}"
        );
    }
    assert_eq!(decide(DELEGATE, &[], true, EVE), no_identity_policy());
    assert_eq!(decide(DELEGATE, &[ALLOW], false, EVE), no_key_policy());
    // Its root user is not subject to policies of its own.
    let root = Principal {
        arn: "arn:aws:iam::210987654321:root",
        user_id: "210987654321",
        kind: PrincipalKind::Root,
        ..EVE
    };
    assert_eq!(decide(account, &[], false, root), Decision::Allow);
    assert_eq!(decide(DELEGATE, &[], false, root), no_key_policy());
    let context = Context::new();
    let request = Request {
        principal: root,
        action: "kms:CreateKey",
        resource: KEY,
        context: &context,
    };
    assert_eq!(
        decide_account::<Policy>(&[], &request),
        no_key_policy(),
        "no resource policy, so nothing of another account"
    );
    let own = Request {
        principal: ROOT,
        ..request
    };
    assert_eq!(decide_account::<Policy>(&[], &own), Decision::Allow);
    let eve = Request {
        principal: EVE,
        ..request
    };
    assert_eq!(
        decide_account(&[Policy::full_access()], &eve),
        no_key_policy()
    );
}

#[test]
fn reasons_are_those_of_aws() {
    let why = |decision: Decision| decision.why_not("kms:Decrypt").unwrap();
    assert_eq!(Decision::Allow.why_not("kms:Decrypt"), None);
    assert_eq!(
        why(key_denies()),
        "with an explicit deny in a resource-based policy"
    );
    assert_eq!(
        why(identity_denies()),
        "with an explicit deny in an identity-based policy"
    );
    let missing = "because no resource-based policy allows the kms:Decrypt action";
    assert_eq!(why(no_key_policy()), missing);
    let missing = "because no identity-based policy allows the kms:Decrypt action";
    assert_eq!(why(no_identity_policy()), missing);
}
