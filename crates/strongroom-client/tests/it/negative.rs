// SPDX-License-Identifier: Apache-2.0
//! Everything that must not open, each by its name; nothing of the plaintext comes out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_client::content::{ContentKey, combine};
use strongroom_client::envelope::{Cipher, TextMap, Wrap};
use strongroom_client::keyring::{
    Answer, KeyService, Keyring as _, KmsKeyring, MasterKeyring, Wrapped, WrappedByService,
};
use strongroom_client::{AesKey, Client, CommitmentPolicy, Error, Legacy, Storage};

use crate::world::{Recorded, Service, aes, keyring, kms, known, named, open, rsa_pair, tolerant};

async fn refused(object: &Recorded) -> Error {
    open(&tolerant(keyring(object)), object).await.unwrap_err()
}

/// What changes an object, and what then is said.
async fn with(name: &str, change: impl FnOnce(&mut Recorded)) -> Error {
    let mut object = named(name);
    change(&mut object);
    refused(&object).await
}

fn set(object: &mut Recorded, name: &str, value: &str) {
    object.metadata.insert(name.to_owned(), value.to_owned());
}

fn flip(object: &mut Recorded, name: &str) {
    let mut bytes = STANDARD.decode(&object.metadata[name]).unwrap();
    bytes[0] ^= 1;
    set(object, name, &STANDARD.encode(bytes));
}

fn with_len(object: &mut Recorded, name: &str, len: usize) {
    let mut bytes = STANDARD.decode(&object.metadata[name]).unwrap();
    bytes.resize(len, 1);
    set(object, name, &STANDARD.encode(bytes));
}

#[tokio::test]
async fn body_and_tag() {
    for name in ["v3-kms-1000", "v2-kms-1000", "v2-aes256", "v2-rsa"] {
        let len = named(name).stored.len();
        for at in [0, len / 2, len - 17, len - 16, len - 1] {
            let error = with(name, |object| object.stored[at] ^= 1).await;
            assert!(matches!(error, Error::Content), "{name} {at}: {error}");
        }
        for cut in [1, 16, len] {
            let error = with(name, |object| object.stored.truncate(len - cut)).await;
            assert!(matches!(error, Error::Content), "{name} -{cut}: {error}");
        }
        let error = with(name, |object| object.stored.push(0)).await;
        assert!(matches!(error, Error::Content), "{name} +1: {error}");
    }
}

#[tokio::test]
async fn commitment_and_message_id() {
    let v3 = "v3-kms-16";
    let error = with(v3, |object| flip(object, "x-amz-d")).await;
    assert!(matches!(error, Error::Commitment), "{error}");
    let error = with(v3, |object| flip(object, "x-amz-i")).await;
    assert!(matches!(error, Error::Commitment), "{error}");
    for name in ["x-amz-d", "x-amz-i"] {
        for len in [0, 27, 29, 56] {
            let error = with(v3, |object| with_len(object, name, len)).await;
            assert!(matches!(error, Error::Envelope(_)), "{name} {len}: {error}");
        }
        let error = with(v3, |object| set(object, name, "not base64!")).await;
        assert!(matches!(error, Error::Envelope(_)), "{error}");
        let error = with(v3, |object| drop(object.metadata.remove(name))).await;
        assert!(matches!(error, Error::Envelope(_)), "{error}");
    }
}

#[tokio::test]
async fn wrapped_keys_of_other_objects() {
    let other = named("v3-kms-17").metadata["x-amz-3"].clone();
    let error = with("v3-kms-16", |object| set(object, "x-amz-3", &other)).await;
    assert!(matches!(error, Error::KeyService(_)), "{error}");
    // Even a key service that opens it does not help: the object commits to its own key.
    let (one, two) = (named("v3-kms-16"), named("v3-kms-17"));
    let mut swapped = one.clone();
    set(&mut swapped, "x-amz-3", &other);
    let client = tolerant(kms(&two));
    assert!(matches!(
        open(&client, &swapped).await,
        Err(Error::Commitment)
    ));
}

#[tokio::test]
async fn unknown_codes() {
    for (field, value) in [
        ("x-amz-w", "99"),
        ("x-amz-w", "01"),
        ("x-amz-w", "11"),
        ("x-amz-w", "21"),
        ("x-amz-w", ""),
        ("x-amz-c", "114"),
        ("x-amz-c", "116"),
        ("x-amz-c", ""),
        ("x-amz-c", "0115"),
    ] {
        let error = with("v3-kms-16", |object| set(object, field, value)).await;
        assert!(
            matches!(error, Error::Envelope(_)),
            "{field}={value}: {error}"
        );
    }
    for (field, value) in [
        ("x-amz-wrap-alg", "kms+contexts"),
        ("x-amz-wrap-alg", ""),
        ("x-amz-cek-alg", "AES/CTR/NoPadding"),
        ("x-amz-cek-alg", "115"),
        ("x-amz-tag-len", "96"),
        ("x-amz-tag-len", "0"),
    ] {
        let error = with("v2-kms-16", |object| set(object, field, value)).await;
        assert!(
            matches!(error, Error::Envelope(_)),
            "{field}={value}: {error}"
        );
    }
    // A wrap code of another kind of key.
    let error = with("v3-kms-16", |object| set(object, "x-amz-w", "02")).await;
    assert!(matches!(error, Error::Envelope(_)), "{error}");
}

#[tokio::test]
async fn fields_of_two_formats() {
    let cases: [(&str, &str, &str); 12] = [
        ("v3-kms-16", "x-amz-key-v2", "AAAA"),
        ("v3-kms-16", "x-amz-key", "AAAA"),
        ("v3-kms-16", "x-amz-tag-len", "128"),
        ("v3-kms-16", "x-amz-iv", "AAAAAAAAAAAAAAAA"),
        ("v3-kms-16", "x-amz-cek-alg", "AES/GCM/NoPadding"),
        ("v3-kms-16", "x-amz-wrap-alg", "kms+context"),
        ("v3-kms-16", "x-amz-matdesc", "{}"),
        ("v3-kms-16", "x-amz-m", "{}"),
        ("v2-kms-16", "x-amz-c", "115"),
        ("v2-kms-16", "x-amz-w", "12"),
        ("v2-kms-16", "x-amz-key", "AAAA"),
        ("v1-aes256", "x-amz-key-v2", "AAAA"),
    ];
    for (name, field, value) in cases {
        let error = with(name, |object| set(object, field, value)).await;
        assert!(
            matches!(error, Error::Envelope(_)),
            "{name} {field}: {error}"
        );
    }
    // The spoofing of format 3 on an object of format 2, whole.
    let error = with("v2-kms-16", |object| {
        set(object, "x-amz-c", "115");
        set(object, "x-amz-w", "12");
    })
    .await;
    assert!(matches!(error, Error::Envelope(_)), "{error}");
}

#[tokio::test]
async fn nonces_and_ciphers_of_format_2() {
    let error = with("v2-kms-16", |object| with_len(object, "x-amz-iv", 16)).await;
    assert!(matches!(error, Error::Envelope(_)), "{error}");
    let error = with("v2-kms-16", |object| {
        set(object, "x-amz-iv", &STANDARD.encode([0; 12]));
    })
    .await;
    assert!(matches!(error, Error::Envelope(_)), "{error}");
    // GCM to CBC, with an IV of the right length: refused for the wraps that bind the cipher.
    for name in ["v2-aes256", "v2-rsa", "v2-kms-16"] {
        let error = with(name, |object| {
            set(object, "x-amz-cek-alg", "AES/CBC/PKCS5Padding");
            set(object, "x-amz-iv", &STANDARD.encode([1; 16]));
        })
        .await;
        assert!(matches!(error, Error::Envelope(_)), "{name}: {error}");
    }
}

#[tokio::test]
async fn contexts() {
    for name in ["v3-kms-ec", "v2-kms-ec"] {
        let right = named(name).context;
        assert!(!right.is_empty());
        let mut extra = right.clone();
        extra.insert("more".to_owned(), "x".to_owned());
        let mut other = right.clone();
        for value in other.values_mut() {
            value.push('x');
        }
        for wrong in [TextMap::new(), extra, other] {
            let error = with(name, |object| object.context = wrong.clone()).await;
            assert!(
                matches!(error, Error::WrongContext),
                "{name} {wrong:?}: {error}"
            );
        }
        let error = with(name, |object| {
            object
                .context
                .insert("aws:x-amz-cek-alg".to_owned(), "115".to_owned());
        })
        .await;
        assert!(matches!(error, Error::Config(_)), "{error}");
    }
    // The stored context names another cipher.
    let error = with("v3-kms-16", |object| {
        set(
            object,
            "x-amz-t",
            "{\"aws:x-amz-cek-alg\":\"AES/GCM/NoPadding\"}",
        );
    })
    .await;
    assert!(matches!(error, Error::Envelope(_)), "{error}");
    for bad in ["", "[]", "null", "{\"a\":1}", "{\"a\":\"b\",\"a\":\"c\"}"] {
        let error = with("v3-kms-16", |object| set(object, "x-amz-t", bad)).await;
        assert!(matches!(error, Error::Envelope(_)), "{bad}: {error}");
    }
    // The whole context is missing.
    let error = with("v3-kms-16", |object| {
        drop(object.metadata.remove("x-amz-t"));
    })
    .await;
    assert!(matches!(error, Error::Envelope(_)), "{error}");
    // From kms+context to kms, so that the context would not be looked at.
    let mut downgraded = named("v2-kms-ec");
    set(&mut downgraded, "x-amz-wrap-alg", "kms");
    assert!(matches!(refused(&downgraded).await, Error::WrongContext));
}

#[tokio::test]
async fn reserved_context_when_writing() {
    let client = Client::new(KmsKeyring::new(Service::default(), "k"));
    for name in ["aws:x-amz-cek-alg", "kms_cmk_id"] {
        let context = TextMap::from([(name.to_owned(), "115".to_owned())]);
        let begun = client.begin(&context, Storage::Metadata).await;
        assert!(matches!(begun, Err(Error::Config(_))), "{name}");
    }
    let ring = MasterKeyring::new()
        .write_aes(TextMap::new(), aes(&[1; 32]))
        .unwrap();
    let context = TextMap::from([("a".to_owned(), "b".to_owned())]);
    let begun = Client::new(ring).begin(&context, Storage::Metadata).await;
    assert!(
        matches!(begun, Err(Error::Config(_))),
        "wrapping keys bind no context"
    );
}

#[tokio::test]
async fn what_old_clients_wrote_is_refused_by_default() {
    for name in ["v1-aes256", "v1-rsa", "v1-kms", "v2-aes256", "v2-kms-16"] {
        let object = named(name);
        let client = Client::new(keyring(&object));
        let error = open(&client, &object).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{name}: {error}");
    }
    // Each switch by itself is not enough for what needs both.
    let allow = CommitmentPolicy::RequireEncryptAllowDecrypt;
    for (name, wrapping, modes, opens) in [
        ("v2-aes256", false, false, true),
        ("v2-kms-16", false, false, true),
        ("v1-aes256", false, false, false),
        ("v1-aes256", true, false, false),
        ("v1-aes256", false, true, false),
        ("v1-aes256", true, true, true),
        ("v1-kms", true, false, false),
        ("v1-kms", true, true, true),
    ] {
        let object = named(name);
        let legacy = Legacy {
            wrapping_algorithms: wrapping,
            unauthenticated_modes: modes,
        };
        let client = Client::new(keyring(&object))
            .commitment_policy(allow)
            .legacy(legacy);
        assert_eq!(
            open(&client, &object).await.is_ok(),
            opens,
            "{name} {wrapping} {modes}"
        );
    }
}

/// With legacy wraps off, an RSA key with right padding and one with wrong padding are refused in
/// one and the same way; with them on, too, but for what opens.
#[tokio::test]
async fn padding_of_rsa_shows_nothing() {
    let good = named("v1-rsa");
    let mut bad = good.clone();
    set(&mut bad, "x-amz-key", &STANDARD.encode([0x41; 256]));
    let strict = |object: &Recorded| {
        Client::new(keyring(object)).commitment_policy(CommitmentPolicy::RequireEncryptAllowDecrypt)
    };
    let refusals = [
        open(&strict(&good), &good).await,
        open(&strict(&bad), &bad).await,
    ];
    let [one, two] = refusals.map(|refused| refused.unwrap_err().to_string());
    assert_eq!(one, two);
    let error = refused(&bad).await;
    assert!(matches!(error, Error::Content), "{error}");
}

#[tokio::test]
async fn cbc_fails_in_one_way() {
    let object = named("v1-aes256");
    let len = object.stored.len();
    let mut said = Vec::new();
    for cut in [0, 1, 15, 16, len - 1] {
        let mut bad = object.clone();
        bad.stored.truncate(cut);
        said.push(refused(&bad).await.to_string());
    }
    // A flipped bit in the last block breaks the padding, or does not: CBC cannot tell.
    let mut broken = 0;
    for bit in 0..16 * 8 {
        let mut bad = object.clone();
        bad.stored[len - 16 + bit / 8] ^= 1 << (bit % 8);
        if let Err(error) = open(&tolerant(keyring(&bad)), &bad).await {
            broken += 1;
            said.push(error.to_string());
        }
    }
    assert!(broken > 64);
    said.dedup();
    assert_eq!(said, [Error::Content.to_string()]);
}

#[tokio::test]
async fn master_keys() {
    let object = named("v2-aes256");
    for ring in [
        MasterKeyring::new()
            .read_aes(TextMap::new(), aes(&[9; 32]))
            .unwrap(),
        MasterKeyring::new()
            .read_aes(TextMap::new(), aes(&[9; 16]))
            .unwrap(),
        MasterKeyring::new()
            .read_rsa(TextMap::new(), rsa_pair().1)
            .unwrap(),
    ] {
        let error = open(&tolerant(ring), &object).await.unwrap_err();
        assert!(matches!(error, Error::WrongKey), "{error}");
    }
    // A description nobody registered.
    let other = TextMap::from([("kid".to_owned(), "2".to_owned())]);
    let ring = MasterKeyring::new().read_aes(other, aes(&[9; 32])).unwrap();
    let error = open(&tolerant(ring), &object).await.unwrap_err();
    assert!(
        matches!(&error, Error::UnknownDescription(shown) if shown == "{}"),
        "{error}"
    );
    let keyless = MasterKeyring::new();
    let begun = Client::new(keyless)
        .begin(&TextMap::new(), Storage::Metadata)
        .await;
    assert!(matches!(begun, Err(Error::Config(_))));
    // An object of a key service, and a context that wrapping keys cannot check.
    let ring = || {
        MasterKeyring::new()
            .read_aes(TextMap::new(), aes(&[9; 32]))
            .unwrap()
    };
    let error = open(&tolerant(ring()), &named("v2-kms-16"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::WrongKey), "{error}");
    let mut object = named("v2-aes256");
    object.context = TextMap::from([("a".to_owned(), "b".to_owned())]);
    assert!(matches!(refused(&object).await, Error::WrongContext));
}

/// The second key took the place of the first, whose objects did not open any more.
#[test]
fn a_second_key_under_one_description_is_refused() {
    let new = || TextMap::new();
    let kid = || TextMap::from([("kid".to_owned(), "1".to_owned())]);
    let (public, private) = rsa_pair();
    let ring = || MasterKeyring::new().write_aes(new(), aes(&[1; 32]));
    let refused = [
        ring().unwrap().read_aes(new(), aes(&[2; 32])),
        ring().unwrap().read_aes(new(), aes(&[1; 32])),
        ring().unwrap().write_aes(new(), aes(&[2; 32])),
        ring().unwrap().read_rsa(new(), private),
        MasterKeyring::new()
            .write_rsa(kid(), public)
            .read_rsa(kid(), rsa_pair().1)
            .unwrap()
            .read_aes(kid(), aes(&[2; 32])),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::Config(_))));
    }
    assert!(ring().unwrap().read_aes(kid(), aes(&[2; 32])).is_ok());
}

#[tokio::test]
async fn wraps_bind_the_cipher() {
    // A key wrapped for format 2 does not open as one of format 3, and the other way round.
    let ring = || {
        MasterKeyring::new()
            .write_aes(TextMap::new(), aes(&[1; 32]))
            .unwrap()
    };
    let v2 = Client::new(ring()).commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt);
    let v3 = Client::new(ring());
    let none = TextMap::new();
    let old = v2
        .begin(&none, Storage::Metadata)
        .await
        .unwrap()
        .stored
        .object;
    let mut new = v3
        .begin(&none, Storage::Metadata)
        .await
        .unwrap()
        .stored
        .object;
    new.insert("x-amz-3".to_owned(), old["x-amz-key-v2"].clone());
    let envelope = Client::<MasterKeyring>::envelope(&new, || Ok(None)).unwrap();
    assert!(matches!(
        v3.open(&envelope, &none).await,
        Err(Error::WrongKey)
    ));
    let (public, private) = rsa_pair();
    let ring = MasterKeyring::new()
        .write_rsa(none.clone(), public)
        .read_rsa(none.clone(), private)
        .unwrap();
    let v2 = Client::new(ring).commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt);
    let old = v2
        .begin(&none, Storage::Metadata)
        .await
        .unwrap()
        .stored
        .object;
    new.remove("x-amz-3");
    new.insert("x-amz-3".to_owned(), old["x-amz-key-v2"].clone());
    new.insert("x-amz-w".to_owned(), "22".to_owned());
    let envelope = Client::<MasterKeyring>::envelope(&new, || Ok(None)).unwrap();
    assert!(matches!(
        v2.open(&envelope, &none).await,
        Err(Error::WrongKey)
    ));
}

#[tokio::test]
async fn instruction_files() {
    let client = || {
        Client::new(
            MasterKeyring::new()
                .write_aes(TextMap::new(), aes(&[1; 32]))
                .unwrap(),
        )
    };
    let new = client()
        .begin(&TextMap::new(), Storage::InstructionFile)
        .await
        .unwrap();
    let file: TextMap =
        serde_json::from_slice(&new.stored.instruction.as_ref().unwrap().body).unwrap();
    let v2 = named("v2-aes256-instr");
    let v2_file: TextMap = serde_json::from_slice(v2.instruction.as_ref().unwrap()).unwrap();
    let detect = |file: Vec<u8>| {
        Client::<MasterKeyring>::envelope(&new.stored.object, move || Ok(Some(file))).unwrap_err()
    };
    let json = |map: &TextMap| serde_json::to_vec(map).unwrap();
    for own in ["x-amz-c", "x-amz-d", "x-amz-i"] {
        let mut more = file.clone();
        more.insert(own.to_owned(), new.stored.object[own].clone());
        assert!(matches!(detect(json(&more)), Error::Envelope(_)), "{own}");
    }
    assert!(
        matches!(detect(json(&v2_file)), Error::Envelope(_)),
        "keys of format 2"
    );
    let mut mixed = file.clone();
    mixed.extend(v2_file.clone());
    assert!(
        matches!(detect(json(&mixed)), Error::Envelope(_)),
        "keys of both formats"
    );
    let mut unknown = file.clone();
    unknown.insert("x-amz-zz".to_owned(), "1".to_owned());
    assert!(
        matches!(detect(json(&unknown)), Error::Envelope(_)),
        "an unknown field"
    );
    for bad in ["", "[]", "null", "{", "\"x\"", "{} {}", "{}"] {
        assert!(
            matches!(detect(bad.as_bytes().to_vec()), Error::Envelope(_)),
            "{bad}"
        );
    }
    assert!(
        matches!(detect(vec![b' '; 70_000]), Error::Envelope(_)),
        "too long"
    );
    // The file of format 3 beside an object that says nothing.
    let nothing = TextMap::new();
    let alone = Client::<MasterKeyring>::envelope(&nothing, || Ok(Some(json(&file))));
    assert!(matches!(alone, Err(Error::Envelope(_))));
}

#[tokio::test]
async fn objects_that_are_not_encrypted() {
    for metadata in [
        TextMap::new(),
        TextMap::from([("color".to_owned(), "red".to_owned())]),
    ] {
        let found = Client::<MasterKeyring>::envelope(&metadata, || Ok(None));
        assert!(matches!(found, Err(Error::NotEncrypted)));
    }
    // Half an envelope is no plain object.
    for field in [
        "x-amz-c",
        "x-amz-i",
        "x-amz-iv",
        "x-amz-matdesc",
        "x-amz-w",
        "x-amz-tag-len",
    ] {
        let metadata = TextMap::from([(field.to_owned(), "115".to_owned())]);
        let found = Client::<MasterKeyring>::envelope(&metadata, || Ok(None));
        assert!(matches!(found, Err(Error::Envelope(_))), "{field}");
    }
}

#[tokio::test]
async fn data_keys_of_wrong_lengths() {
    // An OAEP payload for format 3 that holds 31 bytes, or 16.
    let (_, private) = rsa_pair();
    let ring = MasterKeyring::new()
        .read_rsa(TextMap::new(), private)
        .unwrap();
    let der = crate::world::pem(
        named("v2-rsa").json["wrapping"]["private_key_pem"]
            .as_str()
            .unwrap(),
    );
    let public = aws_lc_rs::rsa::PrivateDecryptingKey::from_pkcs8(&der)
        .unwrap()
        .public_key();
    let public = aws_lc_rs::rsa::OaepPublicEncryptingKey::new(public).unwrap();
    for payload in [
        [&[31][..], &[7; 31], b"115"].concat(),
        [&[16][..], &[7; 16], b"115"].concat(),
        [&[32][..], &[7; 32], b"116"].concat(),
        [&[32][..], &[7; 32], b"1155"].concat(),
        [&[32][..], &[7; 32]].concat(),
        [&[40][..], &[7; 32], b"115"].concat(),
        Vec::new(),
    ] {
        let mut out = vec![0; public.ciphertext_size()];
        let wrapped = public
            .encrypt(
                &aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1,
                &payload,
                &mut out,
                None,
            )
            .unwrap();
        let none = TextMap::new();
        let unwrapped = ring
            .unwrap(Wrapped {
                wrapped,
                wrap: Wrap::RsaOaepSha1,
                cipher: Cipher::GcmCommitted,
                description: &none,
                context: &none,
            })
            .await;
        assert!(matches!(unwrapped, Err(Error::WrongKey)), "{payload:?}");
    }
}

/// A key service that gives short keys.
struct Short;

impl KeyService for Short {
    fn generate_data_key<'a>(&'a self, _: &'a str, _: &'a TextMap) -> Answer<'a, WrappedByService> {
        Box::pin(async {
            Ok(WrappedByService {
                data_key: AesKey::new(vec![1; 16])?,
                blob: vec![1],
            })
        })
    }

    fn decrypt<'a>(
        &'a self,
        _: Option<&'a str>,
        _: &'a [u8],
        _: &'a TextMap,
    ) -> Answer<'a, AesKey> {
        Box::pin(async { AesKey::new(vec![1; 16]) })
    }
}

#[tokio::test]
async fn key_service_that_gives_short_keys() {
    for policy in [
        CommitmentPolicy::ForbidEncryptAllowDecrypt,
        CommitmentPolicy::RequireEncryptRequireDecrypt,
    ] {
        let client = Client::new(KmsKeyring::new(Short, "k")).commitment_policy(policy);
        let begun = client.begin(&TextMap::new(), Storage::Metadata).await;
        assert!(matches!(begun, Err(Error::KeyService(_))));
    }
    let error = open(&tolerant(KmsKeyring::new(Short, "k")), &named("v3-kms-16")).await;
    assert!(matches!(error, Err(Error::WrongKey)));
}

/// Wrong padding gives a key, the same one each time and another one for another text. A new one
/// for each try opens content under AES-CBC differently from try to try, which right padding never
/// does: enough to tell the two apart.
#[tokio::test]
async fn wrong_padding_of_rsa_gives_the_same_key_each_time() {
    let (_, private) = rsa_pair();
    let ring = MasterKeyring::new()
        .read_rsa(TextMap::new(), private)
        .unwrap();
    let none = TextMap::new();
    let mut marks = Vec::new();
    for (text, len) in [
        (0x41, 256),
        (0x41, 256),
        (0x42, 256),
        (0xFF, 256),
        (0x41, 100),
    ] {
        let wrapped = vec![text; len];
        let key = ring
            .unwrap(Wrapped {
                wrapped: &wrapped,
                wrap: Wrap::RsaPkcs1,
                cipher: Cipher::Cbc,
                description: &none,
                context: &none,
            })
            .await
            .unwrap();
        // The key is not shown; the tag of nothing under it is another one for another key.
        marks.push(combine(&ContentKey::v2(&key, [9; 12]), &[]).unwrap());
    }
    assert_eq!(marks[0], marks[1]);
    marks.remove(0);
    marks.sort_unstable();
    marks.dedup();
    assert_eq!(marks.len(), 4);
}

/// The key's name in an old object is as its writer configured it. The key service is told which key
/// has to open the ciphertext; names are not compared.
#[tokio::test]
async fn old_objects_open_by_another_name_of_their_key() {
    let object = named("v1-kms");
    let client = tolerant(KmsKeyring::new(known(&object), "alias/other-name"));
    assert_eq!(open(&client, &object).await.unwrap(), object.plain);
}
