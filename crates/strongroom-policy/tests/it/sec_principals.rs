// SPDX-License-Identifier: Apache-2.0
//! Whom a resource policy is about.

use strongroom_policy::{Policy, PolicyKind, Principal, PrincipalKind, Verdict};

use crate::ask::{ANN, BOB, EVE, NOBODY, ROOT, SERVICE, SESSION, ask, refusal, resource};

const NO: Verdict = Verdict {
    denied: false,
    allowed: false,
    delegated: false,
};
const DIRECT: Verdict = Verdict {
    allowed: true,
    ..NO
};
const DELEGATED: Verdict = Verdict {
    delegated: true,
    ..NO
};
const DENIED: Verdict = Verdict { denied: true, ..NO };

fn with(effect: &str, element: &str) -> Policy {
    resource(&format!(
        r#"{{"Effect":"{effect}",{element},"Action":"kms:*","Resource":"*"}}"#
    ))
}

/// Answers for ann, bob, root, session, eve, service, nobody.
fn answers(policy: &Policy) -> [Verdict; 7] {
    [ANN, BOB, ROOT, SESSION, EVE, SERVICE, NOBODY].map(|who| ask(policy, who, "kms:Decrypt"))
}

#[test]
fn sec_n35_everyone_account_root_user_role_session_and_service() {
    for (principal, expected) in [
        (r#""*""#, [DIRECT; 7]),
        (r#"{"AWS":"*"}"#, [DIRECT; 7]),
        (r#"{"AWS":["*"]}"#, [DIRECT; 7]),
        // Root ARN and bare account id are the account; its root user is meant directly.
        (
            r#"{"AWS":"arn:aws:iam::123456789012:root"}"#,
            [DELEGATED, DELEGATED, DIRECT, DELEGATED, NO, NO, NO],
        ),
        (
            r#"{"AWS":"123456789012"}"#,
            [DELEGATED, DELEGATED, DIRECT, DELEGATED, NO, NO, NO],
        ),
        (
            r#"{"AWS":"210987654321"}"#,
            [NO, NO, NO, NO, DELEGATED, NO, NO],
        ),
        (
            r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#,
            [DIRECT, NO, NO, NO, NO, NO, NO],
        ),
        (
            r#"{"AWS":["arn:aws:iam::123456789012:user/ann","123456789012"]}"#,
            [DIRECT, DELEGATED, DIRECT, DELEGATED, NO, NO, NO],
        ),
        (
            r#"{"AWS":"AIDABOBBOBBOBBOBBOBBO"}"#,
            [NO, DIRECT, NO, NO, NO, NO, NO],
        ),
        (
            r#"{"AWS":"arn:aws:iam::123456789012:role/team/deploy"}"#,
            [NO, NO, NO, DIRECT, NO, NO, NO],
        ),
        (
            r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/deploy/s1"}"#,
            [NO, NO, NO, DIRECT, NO, NO, NO],
        ),
        (
            r#"{"AWS":"AROADEPLOYDEPLOYDEPLO"}"#,
            [NO, NO, NO, DIRECT, NO, NO, NO],
        ),
        (
            r#"{"Service":"s3.amazonaws.com"}"#,
            [NO, NO, NO, NO, NO, DIRECT, NO],
        ),
        (
            r#"{"Service":["sns.amazonaws.com","s3.amazonaws.com"],"AWS":"210987654321"}"#,
            [NO, NO, NO, NO, DELEGATED, DIRECT, NO],
        ),
        // Kinds of principal that nobody here is.
        (
            r#"{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}"#,
            [NO; 7],
        ),
        (r#"{"Federated":"cognito-identity.amazonaws.com"}"#, [NO; 7]),
    ] {
        let policy = with("Allow", &format!(r#""Principal":{principal}"#));
        assert_eq!(answers(&policy), expected, "{principal}");
    }
}

/// Denying an account denies everyone in it.
#[test]
fn sec_n35_a_denied_account_is_denied_with_all_its_principals() {
    for principal in ["123456789012", "arn:aws:iam::123456789012:root"] {
        let policy = with("Deny", &format!(r#""Principal":{{"AWS":"{principal}"}}"#));
        let expected = [DENIED, DENIED, DENIED, DENIED, NO, NO, NO];
        assert_eq!(answers(&policy), expected, "{principal}");
    }
    assert_eq!(answers(&with("Deny", r#""Principal":"*""#)), [DENIED; 7]);
}

#[test]
fn sec_n28_not_principal_denies_all_but_those_named_themselves() {
    for (principal, expected) in [
        (
            r#"{"AWS":"arn:aws:iam::123456789012:user/ann"}"#,
            [NO, DENIED, DENIED, DENIED, DENIED, DENIED, DENIED],
        ),
        // AWS's example: the account stands there for its own sake, and only Ann is exempt.
        (
            r#"{"AWS":["arn:aws:iam::123456789012:user/ann","arn:aws:iam::123456789012:root"]}"#,
            [NO, DENIED, NO, DENIED, DENIED, DENIED, DENIED],
        ),
        (
            r#"{"AWS":"123456789012"}"#,
            [DENIED, DENIED, NO, DENIED, DENIED, DENIED, DENIED],
        ),
        (
            r#"{"AWS":"arn:aws:iam::123456789012:role/deploy"}"#,
            [DENIED, DENIED, DENIED, NO, DENIED, DENIED, DENIED],
        ),
        (
            r#"{"Service":"s3.amazonaws.com"}"#,
            [DENIED, DENIED, DENIED, DENIED, DENIED, NO, DENIED],
        ),
        (r#""*""#, [NO; 7]),
    ] {
        let policy = with("Deny", &format!(r#""NotPrincipal":{principal}"#));
        assert_eq!(answers(&policy), expected, "{principal}");
    }
}

/// A removed user's name is given to somebody new: the name alone must not bring back what the
/// first one was allowed, nor free anybody of what the first one was denied.
#[test]
fn sec_n35_a_user_made_again_is_not_the_one_the_policy_meant() {
    let ids = |arn: &str| match arn {
        "arn:aws:iam::123456789012:user/ann" => Some("AIDAANNANNANNANNANNAN".to_owned()),
        "arn:aws:iam::123456789012:role/team/deploy" => Some("AROADEPLOYDEPLOYDEPLO".to_owned()),
        _ => None,
    };
    let second_ann = Principal {
        user_id: "AIDASECONDSECONDSECON",
        ..ANN
    };
    let element = r#""Principal":{"AWS":["arn:aws:iam::123456789012:user/ann","123456789012"]}"#;
    let policy = with("Allow", element);
    assert_eq!(
        ask(&policy, second_ann, "kms:Decrypt"),
        DIRECT,
        "names count until they are bound"
    );
    let policy = policy.pinned(ids).unwrap();
    assert_eq!(ask(&policy, ANN, "kms:Decrypt"), DIRECT);
    assert_eq!(ask(&policy, second_ann, "kms:Decrypt"), DELEGATED);
    let pins: Vec<(&str, &str)> = policy.pins().collect();
    assert_eq!(
        pins,
        [(
            "arn:aws:iam::123456789012:user/ann",
            "AIDAANNANNANNANNANNAN"
        )]
    );
    assert_eq!(
        policy.principal_arns().count() + policy.principal_ids().count(),
        0
    );

    // Denied users stay denied, and an exemption does not pass on.
    let element = r#""Principal":{"AWS":"arn:aws:iam::123456789012:user/ann"}"#;
    let denies = with("Deny", element).pinned(ids).unwrap();
    assert_eq!(ask(&denies, second_ann, "kms:Decrypt"), NO);
    let element = r#""NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/ann"}"#;
    let exempts = with("Deny", element).pinned(ids).unwrap();
    assert_eq!(ask(&exempts, ANN, "kms:Decrypt"), NO);
    assert_eq!(ask(&exempts, second_ann, "kms:Decrypt"), DENIED);

    // Sessions belong to the role of their own name, account and partition only.
    for role in [
        "arn:aws:iam::123456789012:role/deployer",
        "arn:aws:iam::123456789012:role/deploy/other",
        "arn:aws:iam::210987654321:role/deploy",
    ] {
        let policy = with("Allow", &format!(r#""Principal":{{"AWS":"{role}"}}"#));
        assert_eq!(ask(&policy, SESSION, "kms:Decrypt"), NO, "{role}");
    }

    // Roles by their id, whatever the session.
    let element = r#""Principal":{"AWS":"arn:aws:iam::123456789012:role/team/deploy"}"#;
    let roles = with("Allow", element).pinned(ids).unwrap();
    assert_eq!(ask(&roles, SESSION, "kms:Decrypt"), DIRECT);
    let again = Principal {
        user_id: "AROASECONDSECONDSECON:s1",
        ..SESSION
    };
    assert_eq!(ask(&roles, again, "kms:Decrypt"), NO);
}

#[test]
fn sec_n35_a_policy_cannot_name_who_does_not_exist() {
    let element = r#""Principal":{"AWS":["arn:aws:iam::123456789012:user/ghost","123456789012"]}"#;
    let policy = with("Allow", element);
    assert_eq!(
        policy.principal_arns().collect::<Vec<_>>(),
        ["arn:aws:iam::123456789012:user/ghost"]
    );
    let unknown = policy.pinned(|_| None).unwrap_err();
    assert_eq!(unknown.arn, "arn:aws:iam::123456789012:user/ghost");
    // Accounts, services and unique ids are no names.
    let element = r#""Principal":{"AWS":["123456789012","AIDABOBBOBBOBBOBBOBBO",
        "arn:aws:iam::123456789012:root"],"Service":"s3.amazonaws.com"}"#;
    let policy = with("Allow", element);
    assert_eq!(
        policy.principal_ids().collect::<Vec<_>>(),
        ["AIDABOBBOBBOBBOBBOBBO"]
    );
    assert!(policy.pinned(|_| None).is_ok());
}

/// The root user, services and nobody are never a user, whatever their fields say.
#[test]
fn sec_n35_kinds_are_not_mixed() {
    let element = r#""Principal":{"AWS":["arn:aws:iam::123456789012:user/ann",
        "AIDAANNANNANNANNANNAN","arn:aws:sts::123456789012:assumed-role/deploy/s1"]}"#;
    let policy = with("Allow", element);
    for kind in [
        PrincipalKind::Root,
        PrincipalKind::Service,
        PrincipalKind::Anonymous,
    ] {
        for who in [ANN, SESSION] {
            assert_eq!(
                ask(&policy, Principal { kind, ..who }, "kms:Decrypt"),
                NO,
                "{kind:?}"
            );
        }
    }
    let account = with("Allow", r#""Principal":{"AWS":"123456789012"}"#);
    for kind in [PrincipalKind::Service, PrincipalKind::Anonymous] {
        assert_eq!(
            ask(&account, Principal { kind, ..ANN }, "kms:Decrypt"),
            NO,
            "{kind:?}"
        );
    }
    let service = with("Allow", r#""Principal":{"Service":"s3.amazonaws.com"}"#);
    let named_so = Principal {
        arn: "s3.amazonaws.com",
        ..ANN
    };
    assert_eq!(ask(&service, named_so, "kms:Decrypt"), NO);
}

#[test]
fn sec_n35_what_is_no_principal_is_refused() {
    for principal in [
        r#""ann""#,
        r#""arn:aws:iam::123456789012:user/ann""#,
        r#"{"AWS":""}"#,
        r#"{"AWS":"ann"}"#,
        r#"{"AWS":"12345678901"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:user/*"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:*"}"#,
        r#"{"AWS":"arn:aws:iam::*:root"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:user/a?n"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:user/${aws:username}"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:user/"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:group/g"}"#,
        r#"{"AWS":"arn:aws:iam::12:user/ann"}"#,
        r#"{"AWS":"arn:aws:iam:us-east-1:123456789012:user/ann"}"#,
        r#"{"AWS":"arn:aws-cn:iam::123456789012:root"}"#,
        r#"{"AWS":"arn:aws-us-gov:iam::123456789012:user/ann"}"#,
        r#"{"AWS":"arn:aws:s3:::b"}"#,
        r#"{"AWS":"AIDA*"}"#,
        r#"{"AWS":"AKIAIOSFODNN7EXAMPLE"}"#,
        r#"{"AWS":[]}"#,
        r#"{"AWS":[["*"]]}"#,
        r#"{"AWS":null}"#,
        r#"{"AWS":123456789012}"#,
        r#"{"Service":"*"}"#,
        r#"{"Service":"s3"}"#,
        r#"{"Service":"*.amazonaws.com"}"#,
        r#"{"CanonicalUser":"*"}"#,
        r#"{"Federated":""}"#,
        r#"{"Aws":"*"}"#,
        r#"{"User":"ann"}"#,
        "{}",
        "[]",
        r#"["*"]"#,
        "null",
        "true",
    ] {
        for (effect, element) in [("Allow", "Principal"), ("Deny", "NotPrincipal")] {
            let text = format!(
                r#"{{"Statement":{{"Effect":"{effect}","{element}":{principal},
                "Action":"kms:*","Resource":"*"}}}}"#
            );
            let told = refusal(&text, PolicyKind::Resource);
            assert!(told.contains(&format!("`Statement.{element}")), "{told}");
        }
    }
}

/// A document is shown with the ids that it is bound to, and else as it was written.
#[test]
fn principals_stand_by_other_names() {
    let ann = "arn:aws:iam::123456789012:user/ann";
    let gone = |arn: &str| (arn == ann).then(|| "AIDAANN".to_owned());
    let shown = |text: &str| Policy::with_principals(text, gone).unwrap();
    let around = |element: &str| {
        format!(
            r#" {{ "Statement" : [ {{"Sid":"{ann}", {element} ,
                "Condition":{{"ArnLike":{{"aws:PrincipalArn":"{ann}"}}}} }} ] }} "#
        )
    };
    for (was, is) in [
        (
            format!(r#""Principal" : {{ "AWS" : "{ann}" }}"#),
            r#""Principal" : { "AWS" : "AIDAANN" }"#,
        ),
        (
            format!(r#""NotPrincipal":{{"AWS":["123456789012","{ann}" , "{ann}"]}}"#),
            r#""NotPrincipal":{"AWS":["123456789012","AIDAANN" , "AIDAANN"]}"#,
        ),
        (
            r#""Principal":{"AWS":"arn:aws:iam::123456789012:user\/\u0061nn"}"#.to_owned(),
            r#""Principal":{"AWS":"AIDAANN"}"#,
        ),
        (
            format!(r#""Pr\u0069ncipal":{{"\u0041WS":"{ann}"}}"#),
            r#""Pr\u0069ncipal":{"\u0041WS":"AIDAANN"}"#,
        ),
        (r#""Principal":"*""#.to_owned(), r#""Principal":"*""#),
        (
            format!(r#""Principal":{{"Service":"{ann}"}}"#),
            &format!(r#""Principal":{{"Service":"{ann}"}}"#),
        ),
    ] {
        assert_eq!(shown(&around(&was)), around(is), "{was}");
    }
    let one = format!(r#"{{"Statement":{{"Principal":{{"AWS":"{ann}"}}}}}}"#);
    assert_eq!(
        shown(&one),
        r#"{"Statement":{"Principal":{"AWS":"AIDAANN"}}}"#
    );
    for other in ["{}", r#"{"Statement":[1,[],{"Principal":{"AWS":[1,{}]}}]}"#] {
        assert_eq!(shown(other), other);
    }
    assert!(Policy::with_principals("{", gone).is_err());
    let quoting = |_: &str| Some("A\",\"B".to_owned());
    assert_eq!(
        Policy::with_principals(&one, quoting).unwrap(),
        r#"{"Statement":{"Principal":{"AWS":"AB"}}}"#,
        "an id is letters and digits"
    );
}
