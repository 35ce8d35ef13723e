// SPDX-License-Identifier: Apache-2.0
//! What is written is read again, by us and in the form that others need.

use strongroom_client::envelope::{Detected, Fields, TextMap, detect};
use strongroom_client::keyring::{Keyring, KmsKeyring, MasterKeyring};
use strongroom_client::{Client, CommitmentPolicy, Storage};

use crate::world::{Service, aes, rsa_pair};

fn texts(pairs: &[(&str, &str)]) -> TextMap {
    pairs
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

async fn round<K: Keyring>(
    client: &Client<K>,
    context: &TextMap,
    storage: Storage,
    plain: &[u8],
) -> (Fields, Option<Vec<u8>>) {
    let new = client.begin(context, storage).await.unwrap();
    let (stored, ciphertext) = new.encrypt(plain).unwrap();
    assert_eq!(ciphertext.len(), plain.len() + 16);
    let file = stored.instruction.as_ref().map(|file| file.body.clone());
    assert_eq!(file.is_some(), storage == Storage::InstructionFile);
    let found = file.clone();
    let envelope = Client::<K>::envelope(&stored.object, || Ok(found)).unwrap();
    let content = client.open(&envelope, context).await.unwrap();
    assert_eq!(content.decrypt(&ciphertext).unwrap(), plain);
    (stored.object, file)
}

#[tokio::test]
async fn all_keyrings_formats_and_places() {
    let odd = texts(&[("purpose", "h\u{e9}llo \u{65e5}\u{672c}"), ("a b", "c d")]);
    for policy in [
        CommitmentPolicy::ForbidEncryptAllowDecrypt,
        CommitmentPolicy::RequireEncryptAllowDecrypt,
        CommitmentPolicy::RequireEncryptRequireDecrypt,
    ] {
        for storage in [Storage::Metadata, Storage::InstructionFile] {
            for len in [0, 1, 15, 16, 17, 5_000] {
                let plain = vec![7; len];
                let kms =
                    Client::new(KmsKeyring::new(Service::default(), "k")).commitment_policy(policy);
                let (fields, file) = round(&kms, &odd, storage, &plain).await;
                for text in fields.values().chain(fields.keys()) {
                    assert!(text.is_ascii());
                }
                if let Some(file) = file {
                    assert!(!file.contains(&b' ') && !file.contains(&b'\n') && file.is_ascii());
                }
                let ring = MasterKeyring::new()
                    .write_aes(odd.clone(), aes(&[1; 32]))
                    .unwrap();
                let client = Client::new(ring).commitment_policy(policy);
                round(&client, &TextMap::new(), storage, &plain).await;
                let (public, private) = rsa_pair();
                let ring = MasterKeyring::new()
                    .write_rsa(TextMap::new(), public)
                    .read_rsa(TextMap::new(), private)
                    .unwrap();
                let client = Client::new(ring).commitment_policy(policy);
                round(&client, &TextMap::new(), storage, &plain).await;
            }
        }
    }
}

#[tokio::test]
async fn fields_are_those_that_other_clients_ask_for() {
    let ring = || {
        MasterKeyring::new()
            .write_aes(TextMap::new(), aes(&[1; 32]))
            .unwrap()
    };
    let names = |fields: &Fields| fields.keys().cloned().collect::<Vec<_>>();
    let none = TextMap::new();
    let v3 = Client::new(ring());
    let (fields, _) = round(&v3, &none, Storage::Metadata, b"x").await;
    assert_eq!(
        names(&fields),
        [
            "x-amz-3", "x-amz-c", "x-amz-d", "x-amz-i", "x-amz-m", "x-amz-w"
        ]
    );
    assert_eq!(
        (
            fields["x-amz-c"].as_str(),
            fields["x-amz-w"].as_str(),
            fields["x-amz-m"].as_str()
        ),
        ("115", "02", "{}")
    );
    let (fields, file) = round(&v3, &none, Storage::InstructionFile, b"x").await;
    assert_eq!(names(&fields), ["x-amz-c", "x-amz-d", "x-amz-i"]);
    let file: TextMap = serde_json::from_slice(&file.unwrap()).unwrap();
    assert_eq!(names(&file), ["x-amz-3", "x-amz-m", "x-amz-w"]);
    let v2 = Client::new(ring()).commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt);
    let (fields, _) = round(&v2, &none, Storage::Metadata, b"x").await;
    assert_eq!(
        names(&fields),
        [
            "x-amz-cek-alg",
            "x-amz-iv",
            "x-amz-key-v2",
            "x-amz-matdesc",
            "x-amz-tag-len",
            "x-amz-wrap-alg"
        ]
    );
    assert_eq!(
        (
            fields["x-amz-tag-len"].as_str(),
            fields["x-amz-wrap-alg"].as_str()
        ),
        ("128", "AES/GCM")
    );
    let (fields, file) = round(&v2, &none, Storage::InstructionFile, b"x").await;
    assert!(fields.is_empty() && file.is_some());
}

#[tokio::test]
async fn no_two_objects_share_a_key_or_a_message_id() {
    let client = Client::new(
        MasterKeyring::new()
            .write_aes(TextMap::new(), aes(&[1; 32]))
            .unwrap(),
    );
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let new = client
            .begin(&TextMap::new(), Storage::Metadata)
            .await
            .unwrap();
        let (stored, ciphertext) = new.encrypt(&[0; 32]).unwrap();
        assert!(seen.insert(stored.object["x-amz-i"].clone()));
        assert!(seen.insert(stored.object["x-amz-d"].clone()));
        assert!(seen.insert(hex::encode(ciphertext)));
    }
}

#[test]
fn other_metadata_is_none_of_ours() {
    let fields = texts(&[("color", "red"), ("x-amz-unencrypted-content-length", "5")]);
    assert!(matches!(detect(&fields), Ok(Detected::Elsewhere(_))));
}

#[tokio::test]
async fn names_in_any_case_are_the_same_fields() {
    let object = crate::world::named("v3-kms-16");
    let upper: Fields = object
        .metadata
        .iter()
        .map(|(name, value)| (name.to_ascii_uppercase(), value.clone()))
        .collect();
    assert_eq!(detect(&upper).unwrap(), detect(&object.metadata).unwrap());
    let mut both = upper;
    both.extend(object.metadata);
    assert!(detect(&both).is_err(), "a field that stands twice");
}
