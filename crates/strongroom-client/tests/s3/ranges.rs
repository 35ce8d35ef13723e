// SPDX-License-Identifier: Apache-2.0
//! Ranges: S3's semantics in terms of plaintext, against a slice of it.

use std::sync::Arc;

use strongroom_client::{ByteRange, CommitmentPolicy, EncryptedS3, Error};

use crate::faulty::{Faulty, plain};
use crate::keys::keyring;

fn client(store: &Arc<Faulty>, policy: CommitmentPolicy, legacy: bool) -> EncryptedS3 {
    EncryptedS3::builder(Arc::clone(store), keyring(1))
        .commitment_policy(policy)
        .enable_legacy_unauthenticated_modes(legacy)
        .build()
        .unwrap()
}

/// What S3 says of a range of this many bytes.
fn model(range: ByteRange, len: u64) -> Option<(u64, u64)> {
    let end = len.checked_sub(1)?;
    let (first, last) = match range {
        ByteRange::FromTo(first, last) => (first, last.min(end)),
        ByteRange::From(first) => (first, end),
        ByteRange::Last(0) => return None,
        ByteRange::Last(count) => (len.saturating_sub(count), end),
    };
    (first <= end && first <= last).then_some((first, last))
}

#[tokio::test]
async fn ranges_are_those_of_s3() {
    let store = Faulty::new();
    for policy in [
        CommitmentPolicy::RequireEncryptRequireDecrypt,
        CommitmentPolicy::ForbidEncryptAllowDecrypt,
    ] {
        let s3 = client(&store, policy, true);
        for len in [0_u64, 1, 15, 16, 17, 31, 32, 33, 100] {
            let plain = plain(usize::try_from(len).unwrap());
            s3.put_object("b", "k")
                .body(plain.clone())
                .send()
                .await
                .unwrap();
            let mut ranges = vec![ByteRange::From(u64::MAX), ByteRange::FromTo(0, u64::MAX)];
            for a in 0..len + 20 {
                ranges.extend([ByteRange::From(a), ByteRange::Last(a)]);
                ranges.extend([0, 1, 15, 16, 40].map(|more| ByteRange::FromTo(a, a + more)));
            }
            for range in ranges {
                let got = s3.get_range_unverified("b", "k", range).send().await;
                match model(range, len) {
                    None => assert!(matches!(got, Err(Error::Range)), "{len} {range} {got:?}"),
                    Some((first, last)) => {
                        let got = got.unwrap();
                        assert_eq!(
                            (got.first, got.last, got.total),
                            (first, last, len),
                            "{range}"
                        );
                        let wanted =
                            usize::try_from(first).unwrap()..=usize::try_from(last).unwrap();
                        assert_eq!(
                            got.body.collect().await.unwrap(),
                            &plain[wanted],
                            "{len} {range}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn ranges_that_are_not_read() {
    let store = Faulty::new();
    let s3 = client(&store, CommitmentPolicy::default(), true);
    s3.put_object("b", "k")
        .body(plain(100))
        .send()
        .await
        .unwrap();
    let range = ByteRange::FromTo(5, 9);
    // Without the switch, before anything is fetched.
    let strict = client(&store, CommitmentPolicy::default(), false);
    let before = store.calls.lock().unwrap().len();
    let refused = strict.get_range_unverified("b", "k", range).send().await;
    assert!(matches!(refused, Err(Error::Refused { .. })));
    assert_eq!(store.calls.lock().unwrap().len(), before);
    // The commitment is checked all the same.
    let (content, attributes) = store.stored("k");
    for (name, value) in [
        ("x-amz-d", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
        ("x-amz-i", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ=="),
    ] {
        let mut changed = attributes.clone();
        changed.metadata.insert(name.to_owned(), value.to_owned());
        store.place("t", content.clone(), &changed).await;
        let got = s3.get_range_unverified("b", "t", range).send().await;
        assert!(matches!(got, Err(Error::Commitment)), "{name} {got:?}");
    }
    store.place("p", content, &Default::default()).await;
    let got = s3.get_range_unverified("b", "p", range).send().await;
    assert!(matches!(got, Err(Error::NotEncrypted)));
    store.place("p", "", &Default::default()).await;
    let got = s3.get_range_unverified("b", "p", range).send().await;
    assert!(matches!(got, Err(Error::NotEncrypted)));
    assert!(
        s3.get_range_unverified("b", "no", range)
            .send()
            .await
            .unwrap_err()
            .is_not_found()
    );
    let got = s3
        .get_range_unverified("b", "k", ByteRange::FromTo(9, 5))
        .send()
        .await;
    assert!(matches!(got, Err(Error::Range)));
}
