// SPDX-License-Identifier: Apache-2.0
//! Who becomes a caller and who does not.

use strongroom_audit::UserIdentity;
use strongroom_iam::{AuthError, AuthMethod, claimed_identity};
use strongroom_wire::sigv4::{PayloadMode, SigV4Error};
use strongroom_wire::{ParsedAuth, RequestToVerify, parse_auth};

use crate::world::{ACCOUNT, Client, NOW_MS, ROOT_ID, ROOT_SECRET, World, facts, is_unknown};

#[tokio::test]
async fn root_becomes_a_caller() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let authenticated = Client::root().call(&world.iam).unwrap();
    let caller = &authenticated.caller;
    assert!(caller.is_root());
    assert_eq!(caller.arn(), format!("arn:aws:iam::{ACCOUNT}:root"));
    assert_eq!(caller.account_id(), ACCOUNT);
    assert_eq!(caller.access_key_id(), ROOT_ID);
    assert_eq!(caller.service(), "s3");
    assert_eq!(caller.auth_method(), AuthMethod::Header);
    assert!(caller.secure_transport());
    let identity = UserIdentity::Root {
        account_id: ACCOUNT.to_owned(),
        access_key_id: ROOT_ID.to_owned(),
    };
    assert_eq!(caller.identity(), &identity);
    assert_eq!(caller.facts().request_id, "REQUEST");
    assert_eq!(authenticated.payload, PayloadMode::Unsigned);
    assert!(authenticated.chunk_seed.is_none());
}

#[tokio::test]
async fn a_user_becomes_a_caller() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world
        .iam
        .add_user(world.receipt(), "Ann.Smith@x")
        .await
        .unwrap();
    let secret = made.secret.expose_secret();
    let authenticated = Client::new(&made.access_key_id, secret)
        .call(&world.iam)
        .unwrap();
    let caller = &authenticated.caller;
    assert!(!caller.is_root());
    assert_eq!(
        caller.arn(),
        format!("arn:aws:iam::{ACCOUNT}:user/Ann.Smith@x")
    );
    assert_eq!(
        caller.identity(),
        &UserIdentity::IamUser {
            account_id: ACCOUNT.to_owned(),
            user_name: "Ann.Smith@x".to_owned(),
            principal_id: made.user.principal_id.clone(),
            arn: made.user.arn.clone(),
            access_key_id: made.access_key_id.clone(),
        }
    );
}

#[tokio::test]
async fn other_services_and_presigned_requests() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let payload = PayloadMode::Sha256([3; 32]);
    let kms = Client {
        service: "kms",
        payload,
        ..Client::root()
    }
    .call(&world.iam)
    .unwrap();
    assert_eq!(kms.caller.service(), "kms");
    assert_eq!(kms.payload, payload);
    let presigned = Client {
        presigned: true,
        ..Client::root()
    };
    let caller = presigned.call(&world.iam).unwrap().caller;
    assert_eq!(caller.auth_method(), AuthMethod::Query);
    let outcome = presigned.call_at(&world.iam, NOW_MS + 60_001);
    assert!(matches!(
        outcome,
        Err(AuthError::Signature(SigV4Error::ExpiredPresigned { .. }))
    ));
    let sts = Client {
        service: "sts",
        ..Client::root()
    }
    .call(&world.iam);
    assert!(matches!(
        sts,
        Err(AuthError::Signature(
            SigV4Error::AuthorizationHeaderMalformed { .. }
        ))
    ));
}

#[tokio::test]
async fn streaming_modes_give_the_seed_of_their_signatures() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    for (payload, seeded) in [
        (PayloadMode::SignedChunks, true),
        (PayloadMode::SignedChunksTrailer, true),
        (PayloadMode::UnsignedTrailer, false),
    ] {
        let authenticated = Client {
            payload,
            ..Client::root()
        }
        .call(&world.iam)
        .unwrap();
        assert_eq!(authenticated.payload, payload);
        assert_eq!(authenticated.chunk_seed.is_some(), seeded, "{payload:?}");
    }
}

#[tokio::test]
async fn sec_n01_anonymous() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let request = RequestToVerify {
        method: "GET",
        path: "/",
        query: "",
        headers: &[("host", b"h")],
        secure: true,
        body_sha256: None,
    };
    let auth = parse_auth(&request).unwrap();
    let outcome = world.iam.authenticate(&auth, &request, facts(), NOW_MS);
    assert!(matches!(
        outcome,
        Err(AuthError::Signature(SigV4Error::MissingAuthentication))
    ));
    assert_eq!(
        claimed_identity(Some(&ParsedAuth::Anonymous)),
        UserIdentity::Anonymous
    );
    assert_eq!(
        claimed_identity(None),
        UserIdentity::Unknown {
            access_key_id: None
        }
    );
}

#[tokio::test]
async fn sec_n02_unknown_access_key_id() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    for id in [
        "AKIAUNKNOWNUNKNOWN12",
        "rootaccesskeyidoftest",
        "ROOTACCESSKEYIDOFTES",
        "a",
    ] {
        for secret in [ROOT_SECRET, "", "wrong"] {
            let outcome = Client::new(id, secret).call(&world.iam);
            assert!(is_unknown(&outcome), "{id}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn sec_n03_wrong_secret() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    let made = world.iam.add_user(world.receipt(), "ann").await.unwrap();
    for (id, secret) in [
        (ROOT_ID, "root-secret-of-the-tests-0123456788"),
        (ROOT_ID, made.secret.expose_secret()),
        (made.access_key_id.as_str(), ROOT_SECRET),
        (made.access_key_id.as_str(), ""),
    ] {
        let outcome = Client::new(id, secret).call(&world.iam);
        assert!(
            matches!(
                outcome,
                Err(AuthError::Signature(
                    SigV4Error::SignatureDoesNotMatch { .. }
                ))
            ),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn sec_n10_the_time_is_looked_at_before_the_access_key_id() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    for id in [ROOT_ID, "AKIAUNKNOWNUNKNOWN12"] {
        let outcome = Client::new(id, ROOT_SECRET).call_at(&world.iam, NOW_MS + 901_000);
        assert!(matches!(
            outcome,
            Err(AuthError::Signature(
                SigV4Error::RequestTimeTooSkewed { .. }
            ))
        ));
    }
}

#[tokio::test]
async fn sec_n22_session_tokens_are_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path()).await;
    for presigned in [false, true] {
        for token in ["x", "FwoGZXIvYXdzEXAMPLE"] {
            let client = Client {
                session_token: Some(token),
                presigned,
                ..Client::root()
            };
            let outcome = client.call(&world.iam);
            assert!(
                matches!(outcome, Err(AuthError::InvalidToken { .. })),
                "{outcome:?}"
            );
        }
    }
}
