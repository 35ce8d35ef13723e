// SPDX-License-Identifier: Apache-2.0
//! Root credentials that are accepted and refused.

use strongroom_iam::{CredentialError, RootCredential, generate_root_credential};
use strongroom_wire::SecretAccessKey;

const GOOD_ID: &str = "my-root.user_1";
const GOOD_SECRET: &str = "correct-horse-battery";

fn refusal(id: &str, secret: &str) -> Option<CredentialError> {
    RootCredential::new(id.to_owned(), SecretAccessKey::new(secret.to_owned())).err()
}

#[test]
fn generated_credentials_have_the_shape_of_aws_and_differ() {
    let one = generate_root_credential().unwrap();
    let two = generate_root_credential().unwrap();
    assert_eq!(one.access_key_id().len(), 20);
    assert!(one.access_key_id().starts_with("AKIA"));
    assert!(
        one.access_key_id()
            .bytes()
            .all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
    );
    let secret = one.secret().expose_secret();
    assert_eq!(secret.len(), 40);
    assert!(
        secret
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    );
    assert_ne!(one.access_key_id(), two.access_key_id());
    assert_ne!(secret, two.secret().expose_secret());
    assert!(!format!("{one:?}").contains(secret));
}

#[test]
fn a_chosen_credential_is_accepted() {
    assert_eq!(refusal(GOOD_ID, GOOD_SECRET), None);
    assert_eq!(refusal("abc", &"s1".repeat(8)), None);
    assert_eq!(refusal(GOOD_ID, &"s1".repeat(64)), None);
}

#[test]
fn sec_published_defaults_are_refused() {
    for id in [
        "minioadmin",
        "MinioAdmin",
        "rustfsadmin",
        "AKIAIOSFODNN7EXAMPLE",
        "AKIAI44QH8DHBEXAMPLE",
        "akiaiosfodnn7example",
        "admin",
        "test",
        "0555b35654ad1656d804",
    ] {
        assert_eq!(
            refusal(id, GOOD_SECRET),
            Some(CredentialError::WellKnown),
            "{id}"
        );
    }
    for secret in [
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "minioadmin",
        "MINIOADMIN",
        "rustfsadmin",
        "minio123",
    ] {
        assert_eq!(
            refusal(GOOD_ID, secret),
            Some(CredentialError::WellKnown),
            "{secret}"
        );
    }
}

#[test]
fn sec_short_long_and_unprintable_secrets_are_refused() {
    for secret in ["", "a", "0123456789abcde"] {
        assert_eq!(
            refusal(GOOD_ID, secret),
            Some(CredentialError::SecretTooShort),
            "{secret}"
        );
    }
    for secret in [
        "correct horse battery",
        "correct-horse-battery\n",
        "correct-horse-batt\u{e9}ry",
        &"s1".repeat(65),
    ] {
        assert_eq!(
            refusal(GOOD_ID, secret),
            Some(CredentialError::MalformedSecret),
            "{secret}"
        );
    }
    let same = refusal("my-root-access-key", "MY-root-access-key");
    assert_eq!(same, Some(CredentialError::SecretIsId));
}

#[test]
fn sec_malformed_ids_are_refused() {
    for id in [
        "",
        "ab",
        "a b c",
        "a/b/c",
        "a,b,c",
        "a=b",
        "abc\n",
        "\u{e9}\u{e9}\u{e9}",
        &"a".repeat(129),
    ] {
        assert_eq!(
            refusal(id, GOOD_SECRET),
            Some(CredentialError::MalformedId),
            "{id}"
        );
    }
}
