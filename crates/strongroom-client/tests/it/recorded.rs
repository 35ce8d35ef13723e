// SPDX-License-Identifier: Apache-2.0
//! Objects that Amazon's clients wrote, opened.

use strongroom_client::content::{ContentKey, Decryptor, MessageId, PartDigest, combine};
use strongroom_client::envelope::{Envelope, V2Content};
use strongroom_client::keyring::{MasterKeyring, RsaPrivateKey};
use strongroom_client::{AesKey, Client, Content, Error};

use crate::world::{AnyKeyring, aes, keyring, kms, open, recorded, tolerant};

#[tokio::test]
async fn every_recorded_object_opens() {
    let all = recorded();
    assert_eq!(all.len(), 41);
    for object in all {
        let client = tolerant(keyring(&object));
        let plain = open(&client, &object).await;
        assert_eq!(plain.unwrap(), object.plain, "{}", object.name);
    }
}

#[tokio::test]
async fn plaintext_sizes_are_known_without_a_key() {
    for object in recorded() {
        let envelope =
            Client::<AnyKeyring>::envelope(&object.metadata, || Ok(object.instruction.clone()))
                .unwrap();
        let stored = u64::try_from(object.stored.len()).unwrap();
        let plain = u64::try_from(object.plain.len()).unwrap();
        match envelope.plaintext_len(stored).unwrap() {
            Some(len) => assert_eq!(len, plain, "{}", object.name),
            None => assert!(stored > plain && stored - plain <= 16, "{}", object.name),
        }
    }
}

/// The multipart objects are recorded by a rule for the plaintext and a digest of the content.
#[tokio::test]
async fn objects_of_three_parts_come_out_the_same_in_parallel_parts() {
    let file = include_str!("../../../../vectors/cse/python-4.0.0.json");
    let json: serde_json::Value = serde_json::from_str(file).unwrap();
    let mut seen = 0;
    for vector in json["vectors"].as_array().unwrap() {
        if vector["plaintext_rule"].is_null() {
            continue;
        }
        seen += 1;
        let rule = vector["plaintext_rule"].as_str().unwrap();
        assert!(rule.starts_with("byte i = (i*31"), "{rule}");
        let seed = vector["plaintext_seed"].as_u64().unwrap();
        let len = vector["plaintext_len"].as_u64().unwrap();
        let plain: Vec<u8> = (0..len)
            .map(|i| u8::try_from((i * 31 + seed) & 0xFF).unwrap())
            .collect();
        let digest = |bytes: &[u8]| {
            hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
        };
        assert_eq!(
            digest(&plain),
            vector["plaintext_sha256"].as_str().unwrap(),
            "{rule}"
        );

        let metadata = serde_json::from_value(vector["metadata"].clone()).unwrap();
        let envelope = Client::<AnyKeyring>::envelope(&metadata, || Ok(None)).unwrap();
        let key = hex::decode(vector["kms"]["plaintext_data_key_hex"].as_str().unwrap()).unwrap();
        let data_key = AesKey::new(key).unwrap();
        let key = match &envelope {
            Envelope::V3(v3) => {
                ContentKey::v3_committed(&data_key, MessageId(v3.message_id), &v3.commitment)
                    .unwrap()
            }
            Envelope::V2(v2) => match v2.content {
                V2Content::Gcm(nonce) => ContentKey::v2(&data_key, nonce),
                V2Content::Cbc(_) => panic!("not recorded"),
            },
            Envelope::V1(_) => panic!("not recorded"),
        };
        // Parts of whole blocks, made last to first, the tag in the end.
        let part_len = 1 << 20;
        let mut parts: Vec<(Vec<u8>, PartDigest)> = Vec::new();
        for (index, part) in plain.chunks(part_len).enumerate().rev() {
            let first = u64::try_from(index * part_len).unwrap();
            let mut encryptor = key.part_encryptor(first).unwrap();
            let mut out = Vec::new();
            for piece in part.chunks(100_003) {
                encryptor.update(piece, &mut out).unwrap();
            }
            parts.push((out, encryptor.finish()));
        }
        parts.reverse();
        let digests: Vec<PartDigest> = parts.iter().map(|(_, digest)| *digest).collect();
        let mut stored: Vec<u8> = parts.into_iter().flat_map(|(out, _)| out).collect();
        stored.extend_from_slice(&combine(&key, &digests).unwrap());
        assert_eq!(
            digest(&stored),
            vector["ciphertext_sha256"].as_str().unwrap()
        );

        let mut decryptor = Decryptor::new(&key, u64::try_from(stored.len()).unwrap()).unwrap();
        let mut back = Vec::new();
        for piece in stored.chunks(65_537) {
            decryptor.update_unverified(piece, &mut back).unwrap();
        }
        decryptor.finish().unwrap();
        assert_eq!(digest(&back), vector["plaintext_sha256"].as_str().unwrap());
    }
    assert_eq!(seen, 2);
}

/// A whole object in format V3 under an AES wrapping key, by Ruby's client 1.233.1.
#[tokio::test]
async fn object_of_format_3_under_a_master_key() {
    let bytes = |text: &str| hex::decode(text).unwrap();
    let wrapped = bytes(
        "2cd49fa096cd76df0b4a28ff9efa93716a60d490c0b7775f47de5cf1df54b85a156ec5739521bfff8f49d2de\
         782f6abf95f3b31f1a788103bd62731e",
    );
    let envelope = Envelope::V3(strongroom_client::envelope::V3 {
        wrapped,
        wrap: strongroom_client::envelope::Wrap::AesGcm,
        description: Default::default(),
        commitment: bytes("a6ea798e27e899c5e4dbe2e5bced737b9e18256facd07d3595fabfc0")
            .try_into()
            .unwrap(),
        message_id: bytes("8242e3da9597dfda8864d8ae6e25978746c01a7bea8bec97a044f65c")
            .try_into()
            .unwrap(),
    });
    let master: Vec<u8> = (0..32).collect();
    let ring = MasterKeyring::new()
        .read_aes(Default::default(), aes(&master))
        .unwrap();
    let content = Client::new(ring)
        .open(&envelope, &Default::default())
        .await
        .unwrap();
    let stored = bytes(
        "87e82fbfc21269dbc76823107287d7c09349a6b7413c8834496c35503cc3817f631a480364693f36caf087cfd7a7c66d317f81eebc",
    );
    let plain = "001f3e5d7c9bbad9f81736557493b2d1f00f2e4d6c8baac9e80726456483a2c1e0ff1e3d5c";
    assert_eq!(hex::encode(content.decrypt(&stored).unwrap()), plain);
}

/// Wraps made by Java's own provider.
#[tokio::test]
async fn wraps_of_java() {
    let json: serde_json::Value =
        serde_json::from_str(include_str!("../../../../vectors/cse/jce-wraps.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let master = hex::decode(text(&json["master_key_hex"])).unwrap();
    let data_key = hex::decode(text(&json["data_key_hex"])).unwrap();
    use base64::Engine as _;
    let rsa = base64::engine::general_purpose::STANDARD
        .decode(text(&json["rsa_private_pkcs8_b64"]))
        .unwrap();
    use strongroom_client::envelope::{Cipher, TextMap, Wrap};
    use strongroom_client::keyring::{Keyring as _, Wrapped};
    let empty = TextMap::new();
    for (name, wrap) in [
        ("AESWrap", Wrap::AesWrap),
        ("AES", Wrap::AesEcb),
        ("RSA", Wrap::RsaPkcs1),
        // SHA-256 with MGF1 over SHA-1.
        ("RSA/ECB/OAEPWithSHA-256AndMGF1Padding", Wrap::RsaOaepSha256),
    ] {
        let wrapped = hex::decode(text(&json["wraps"][name]["wrapped_hex"])).unwrap();
        let ring = if name.starts_with("AES") {
            MasterKeyring::new()
                .read_aes(TextMap::new(), aes(&master))
                .unwrap()
        } else {
            MasterKeyring::new()
                .read_rsa(TextMap::new(), RsaPrivateKey::from_pkcs8(&rsa).unwrap())
                .unwrap()
        };
        let unwrapped = ring
            .unwrap(Wrapped {
                wrapped: &wrapped,
                wrap,
                cipher: Cipher::Gcm,
                description: &empty,
                context: &empty,
            })
            .await;
        // The key itself is not shown: what it encrypts tells that it is the right one.
        let ours = ContentKey::v2(&unwrapped.unwrap(), [9; 12]);
        let theirs = ContentKey::v2(&AesKey::new(data_key.clone()).unwrap(), [9; 12]);
        assert_eq!(
            combine(&ours, &[]).unwrap(),
            combine(&theirs, &[]).unwrap(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn discovery_reads_and_does_not_write() {
    use strongroom_client::keyring::{Keyring as _, KmsKeyring};
    let ring = KmsKeyring::discovery(crate::world::Service::default());
    let made = ring
        .generate(
            strongroom_client::envelope::Cipher::Gcm,
            &Default::default(),
        )
        .await;
    assert!(matches!(made, Err(Error::Config(_))));
    let object = crate::world::named("v3-kms-16");
    assert!(matches!(
        tolerant(kms(&object))
            .open(
                &Client::<AnyKeyring>::envelope(&object.metadata, || Ok(None)).unwrap(),
                &object.context
            )
            .await,
        Ok(Content::Gcm(_))
    ));
}
