// SPDX-License-Identifier: Apache-2.0
//! GetParametersForImport, ImportKeyMaterial, DeleteImportedKeyMaterial, and expiry.

#![allow(
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tables of decisions: many columns, many rows, names as close as the things"
)]

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    PublicEncryptingKey,
};
use strongroom_kms::{
    CancelKeyDeletionInput, CreateKeyInput, DeleteImportedKeyMaterialInput,
    DeleteImportedKeyMaterialOutput, Error, GetParametersForImportInput,
    GetParametersForImportOutput, ImportKeyMaterialInput, ImportKeyMaterialOutput, KeyMetadata,
    KeyState, ListKeyRotationsInput, RotateKeyOnDemandInput, RotationsListEntry,
    ScheduleKeyDeletionInput,
};

use crate::world::{DAY_MS, NOON_MS, World, call, context, new_world, refused};

const MATERIAL: [u8; 32] = [0x5A; 32];
const OTHER: [u8; 32] = [0xA5; 32];

pub(crate) async fn external(world: &World, spec: &str, usage: &str) -> KeyMetadata {
    let input = CreateKeyInput {
        key_spec: Some(spec.to_owned()),
        key_usage: Some(usage.to_owned()),
        origin: Some("EXTERNAL".to_owned()),
        ..CreateKeyInput::default()
    };
    call!(world, create_key, input).unwrap()
}

async fn symmetric(world: &World) -> KeyMetadata {
    external(world, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await
}

pub(crate) async fn parameters(
    world: &World,
    key_id: &str,
    algorithm: &str,
    spec: &str,
) -> Result<GetParametersForImportOutput, Error> {
    let input = GetParametersForImportInput {
        key_id: key_id.to_owned(),
        wrapping_algorithm: algorithm.to_owned(),
        wrapping_key_spec: spec.to_owned(),
    };
    call!(world, get_parameters_for_import, input)
}

/// What a client does with the wrapping key.
pub(crate) fn wrap(public_key: &[u8], algorithm: &str, material: &[u8]) -> Vec<u8> {
    let key = PublicEncryptingKey::from_der(public_key).unwrap();
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let oaep: &'static OaepAlgorithm = if algorithm.ends_with("SHA_1") {
        &OAEP_SHA1_MGF1SHA1
    } else {
        &OAEP_SHA256_MGF1SHA256
    };
    let encrypt = |plain: &[u8]| {
        let mut out = vec![0; key.ciphertext_size()];
        key.encrypt(oaep, plain, &mut out, None).unwrap();
        out
    };
    if algorithm.starts_with("RSAES") {
        return encrypt(material);
    }
    let aes = [0x11; 32];
    let mut out = vec![0; material.len() + 16];
    let kek = AesKek::new(&AES_256, &aes).unwrap();
    let wrapped = kek.wrap_with_padding(material, &mut out).unwrap();
    [encrypt(&aes), wrapped.to_vec()].concat()
}

pub(crate) fn forever(key_id: &str, token: &[u8], wrapped: Vec<u8>) -> ImportKeyMaterialInput {
    ImportKeyMaterialInput {
        key_id: key_id.to_owned(),
        import_token: token.to_vec(),
        encrypted_key_material: wrapped,
        expiration_model: Some("KEY_MATERIAL_DOES_NOT_EXPIRE".to_owned()),
        ..ImportKeyMaterialInput::default()
    }
}

/// The whole way, with changes to the last request.
async fn import(
    world: &World,
    key_id: &str,
    material: &[u8],
    change: impl FnOnce(&mut ImportKeyMaterialInput),
) -> Result<ImportKeyMaterialOutput, Error> {
    let algorithm = "RSA_AES_KEY_WRAP_SHA_256";
    let got = parameters(world, key_id, algorithm, "RSA_2048").await?;
    let wrapped = wrap(&got.public_key, algorithm, material);
    let mut input = forever(key_id, &got.import_token, wrapped);
    change(&mut input);
    call!(world, import_key_material, input)
}

/// A symmetric key with material that expires.
pub(crate) async fn imported(world: &World, valid_to_ms: u64) -> String {
    let key_id = symmetric(world).await.key_id;
    let expires = |input: &mut ImportKeyMaterialInput| {
        input.expiration_model = None;
        input.valid_to_ms = Some(valid_to_ms);
    };
    import(world, &key_id, &MATERIAL, expires).await.unwrap();
    key_id
}

/// A symmetric key with two materials: an older one that expires, and the one in use, for ever.
pub(crate) async fn imported_twice(world: &World, valid_to_ms: u64) -> String {
    let key_id = imported(world, valid_to_ms).await;
    rotated_to_another(world, &key_id).await;
    key_id
}

/// From now on an imported key uses another material, which is valid for ever.
pub(crate) async fn rotated_to_another(world: &World, key_id: &str) {
    import(world, key_id, &OTHER, is_new).await.unwrap();
    let input = RotateKeyOnDemandInput {
        key_id: key_id.to_owned(),
    };
    call!(world, rotate_key_on_demand, input).unwrap();
}

/// The same material once more, for ever.
pub(crate) async fn again(world: &World, key_id: &str) {
    import(world, key_id, &MATERIAL, nothing).await.unwrap();
}

/// A private key into a new key for signatures.
pub(crate) async fn key_pair(
    world: &World,
    spec: &str,
    pkcs8: &[u8],
) -> Result<ImportKeyMaterialOutput, Error> {
    let key = external(world, spec, "SIGN_VERIFY").await;
    import(world, &key.key_id, pkcs8, nothing).await
}

async fn delete(
    world: &World,
    key_id: &str,
    id: Option<String>,
) -> Result<DeleteImportedKeyMaterialOutput, Error> {
    let input = DeleteImportedKeyMaterialInput {
        key_id: key_id.to_owned(),
        key_material_id: id,
    };
    call!(world, delete_imported_key_material, input)
}

async fn rotations(world: &World, key_id: &str) -> Vec<RotationsListEntry> {
    let input = ListKeyRotationsInput {
        key_id: key_id.to_owned(),
        all_key_material: true,
        ..ListKeyRotationsInput::default()
    };
    call!(world, list_key_rotations, input).unwrap().rotations
}

async fn state(world: &World, key_id: &str) -> KeyState {
    world.describe(key_id).await.unwrap().state
}

fn is_new(input: &mut ImportKeyMaterialInput) {
    input.import_type = Some("NEW_KEY_MATERIAL".to_owned());
}

fn nothing(_: &mut ImportKeyMaterialInput) {}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrapping_brings_the_same_material() {
    let world = new_world().await;
    let key = symmetric(&world).await;
    assert_eq!(key.state, KeyState::PendingImport);
    assert_eq!(key.current_key_material_id, None);
    let pending = (
        "KMSInvalidStateException",
        format!("{} is pending import.", key.arn),
    );
    let context = context(&[("a", "b")]);
    let before = world.encrypt(&key.arn, b"x", &context).await;
    assert_eq!(refused(before), pending);
    let mut id = None;
    let mut blob = None;
    for (algorithm, spec) in [
        ("RSAES_OAEP_SHA_1", "RSA_2048"),
        ("RSAES_OAEP_SHA_256", "RSA_3072"),
        ("RSA_AES_KEY_WRAP_SHA_1", "RSA_2048"),
        ("RSA_AES_KEY_WRAP_SHA_256", "RSA_2048"),
    ] {
        let got = parameters(&world, &key.arn, algorithm, spec).await.unwrap();
        assert_eq!(got.key_arn, key.arn);
        assert_eq!(got.valid_to_ms, NOON_MS + DAY_MS);
        assert!(got.import_token.len() <= 6144);
        let wrapped = wrap(&got.public_key, algorithm, &MATERIAL);
        let done = call!(
            world,
            import_key_material,
            forever(&key.key_id, &got.import_token, wrapped)
        );
        let done = done.unwrap();
        assert_eq!(done.key_arn, key.arn);
        assert_eq!(
            *id.get_or_insert(done.key_material_id.clone()),
            done.key_material_id
        );
        assert_eq!(state(&world, &key.key_id).await, KeyState::Enabled);
        if blob.is_none() {
            let made = world.encrypt(&key.arn, b"x", &context).await.unwrap();
            blob = Some(made.ciphertext_blob.0);
        }
        let opened = world.decrypt(blob.as_ref().unwrap(), &context, None).await;
        assert_eq!(opened.unwrap().plaintext.expose_secret(), b"x");
    }
    let told = world.describe(&key.key_id).await.unwrap();
    assert_eq!(told.current_key_material_id, id);
    assert_eq!(told.valid_to_ms, None);
    let world = world.restarted().await;
    assert!(world.decrypt(&blob.unwrap(), &context, None).await.is_ok());
    // One shred key is left: those of the earlier imports are destroyed.
    assert_eq!(world.store.vault().list().unwrap().len(), 1);
    let trail = world.audit_text().await;
    assert!(!trail.contains(&hex::encode(MATERIAL)));
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_n85_tokens_and_wrappings_that_are_not_right() {
    let world = new_world().await;
    let (key, other) = (symmetric(&world).await, symmetric(&world).await);
    let algorithm = "RSAES_OAEP_SHA_256";
    let got = parameters(&world, &key.key_id, algorithm, "RSA_2048")
        .await
        .unwrap();
    let wrapped = wrap(&got.public_key, algorithm, &MATERIAL);
    let give =
        |key_id: &str, token: &[u8], wrapped: &[u8]| forever(key_id, token, wrapped.to_vec());

    // A token of another key.
    let wrong = call!(
        world,
        import_key_material,
        give(&other.key_id, &got.import_token, &wrapped)
    );
    assert_eq!(refused(wrong).0, "InvalidImportTokenException");
    // A token with any byte changed, shortened, or longer.
    let token = &got.import_token;
    for at in (0..token.len())
        .step_by(97)
        .chain([0, 1, 4, 5, token.len() - 1])
    {
        let mut changed = token.clone();
        changed[at] ^= 1;
        let wrong = call!(
            world,
            import_key_material,
            give(&key.key_id, &changed, &wrapped)
        );
        assert_eq!(refused(wrong).0, "InvalidImportTokenException", "byte {at}");
    }
    for changed in [
        &token[..token.len() - 1],
        &token[..4],
        &[token, &[0][..]].concat(),
        b"token",
    ] {
        let wrong = call!(
            world,
            import_key_material,
            give(&key.key_id, changed, &wrapped)
        );
        assert_eq!(refused(wrong).0, "InvalidImportTokenException");
    }
    // Material wrapped in another way, under another key, or damaged.
    let elsewhere = parameters(&world, &key.key_id, algorithm, "RSA_2048")
        .await
        .unwrap();
    for bad in [
        wrap(&got.public_key, "RSAES_OAEP_SHA_1", &MATERIAL),
        wrap(&got.public_key, "RSA_AES_KEY_WRAP_SHA_256", &MATERIAL),
        wrap(&elsewhere.public_key, algorithm, &MATERIAL),
        wrapped[..255].to_vec(),
        [&wrapped[..], &[0]].concat(),
        vec![0; 256],
        vec![1],
    ] {
        let wrong = call!(world, import_key_material, give(&key.key_id, token, &bad));
        assert_eq!(
            refused(wrong),
            ("InvalidCiphertextException", String::new())
        );
    }
    // Material of another length.
    for len in [0, 16, 31, 33, 64] {
        let bad = wrap(&got.public_key, algorithm, &vec![7; len]);
        let wrong = call!(world, import_key_material, give(&key.key_id, token, &bad));
        assert_eq!(refused(wrong).0, "IncorrectKeyMaterialException", "{len}");
    }
    assert_eq!(state(&world, &key.key_id).await, KeyState::PendingImport);
    assert_eq!(world.store.vault().list().unwrap(), []);

    // The same token again is good for the same material, and for nothing else.
    for _ in 0..2 {
        call!(
            world,
            import_key_material,
            give(&key.key_id, token, &wrapped)
        )
        .unwrap();
    }
    let different = wrap(&got.public_key, algorithm, &OTHER);
    let wrong = call!(
        world,
        import_key_material,
        give(&key.key_id, token, &different)
    );
    assert_eq!(refused(wrong).0, "IncorrectKeyMaterialException");
    // Expired.
    world.clock.advance_ms(DAY_MS - 1);
    call!(
        world,
        import_key_material,
        give(&key.key_id, token, &wrapped)
    )
    .unwrap();
    world.clock.advance_ms(1);
    let wrong = call!(
        world,
        import_key_material,
        give(&key.key_id, token, &wrapped)
    );
    assert_eq!(refused(wrong).0, "ExpiredImportTokenException");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_keys_that_imports_do_not_know() {
    let world = new_world().await;
    let key = symmetric(&world).await;
    let own = world.key().await;
    let said = (
        "UnsupportedOperationException",
        format!(
            "{} origin is AWS_KMS which is not valid for this operation.",
            own.arn
        ),
    );
    let asked = parameters(&world, &own.key_id, "RSAES_OAEP_SHA_256", "RSA_2048").await;
    assert_eq!(refused(asked), said);
    assert_eq!(refused(delete(&world, &own.key_id, None).await), said);
    for (algorithm, spec, code) in [
        (
            "RSAES_PKCS1_V1_5",
            "RSA_2048",
            "UnsupportedOperationException",
        ),
        ("SM2PKE", "RSA_2048", "UnsupportedOperationException"),
        ("RSAES_OAEP_SHA_256", "SM2", "UnsupportedOperationException"),
        ("RSAES_OAEP_SHA_512", "RSA_2048", "ValidationException"),
        ("RSAES_OAEP_SHA_256", "RSA_1024", "ValidationException"),
    ] {
        let asked = parameters(&world, &key.key_id, algorithm, spec).await;
        assert_eq!(refused(asked).0, code, "{algorithm} {spec}");
    }
    let bounds: [(fn(&mut ImportKeyMaterialInput), &str); 8] = [
        (|i| i.expiration_model = None, "A validTo date must be set"),
        (|i| i.valid_to_ms = Some(NOON_MS + 1), "must not be set"),
        (
            |i| (i.expiration_model, i.valid_to_ms) = (None, Some(NOON_MS)),
            "must be in the future",
        ),
        (
            |i| (i.expiration_model, i.valid_to_ms) = (None, Some(NOON_MS + 365 * DAY_MS + 1)),
            "365 days",
        ),
        (
            |i| i.expiration_model = Some("NEVER".to_owned()),
            "enum value set",
        ),
        (|i| i.import_type = Some("OLD".to_owned()), "enum value set"),
        (
            |i| {
                is_new(i);
                i.key_material_id = Some("00".repeat(32));
            },
            "KeyMaterialId",
        ),
        (
            |i| i.key_material_description = Some("a$b".to_owned()),
            "pattern",
        ),
    ];
    for (change, text) in bounds {
        let (code, message) = refused(import(&world, &key.key_id, &MATERIAL, change).await);
        assert_eq!(code, "ValidationException");
        assert!(message.contains(text), "{message}");
    }
    let existing = |input: &mut ImportKeyMaterialInput| {
        input.import_type = Some("EXISTING_KEY_MATERIAL".to_owned());
    };
    let early = import(&world, &key.key_id, &MATERIAL, existing).await;
    assert_eq!(refused(early).0, "IncorrectKeyMaterialException");
    let id = |input: &mut ImportKeyMaterialInput| input.key_material_id = Some("00".repeat(32));
    let wrong = import(&world, &key.key_id, &MATERIAL, id).await;
    assert_eq!(refused(wrong).0, "IncorrectKeyMaterialException");
    let deleted = delete(&world, &key.key_id, None).await.unwrap();
    assert_eq!(deleted.key_material_id, None);
    assert_eq!(state(&world, &key.key_id).await, KeyState::PendingImport);
    let unknown = delete(&world, &key.key_id, Some("00".repeat(32))).await;
    assert_eq!(refused(unknown).0, "NotFoundException");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_material_comes_back_only_as_it_was() {
    let world = new_world().await;
    let key = symmetric(&world).await;
    let done = import(&world, &key.key_id, &MATERIAL, nothing)
        .await
        .unwrap();
    let context = context(&[]);
    let blob = world.encrypt(&key.arn, b"x", &context).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    let deleted = delete(&world, &key.key_id, None).await.unwrap();
    assert_eq!(deleted.key_material_id, Some(done.key_material_id.clone()));
    assert_eq!(world.store.vault().list().unwrap(), []);
    let pending = (
        "KMSInvalidStateException",
        format!("{} is pending import.", key.arn),
    );
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), pending);
    delete(&world, &key.key_id, None).await.unwrap();
    let other = import(&world, &key.key_id, &OTHER, nothing).await;
    assert_eq!(refused(other).0, "IncorrectKeyMaterialException");

    // A key that lacks material is not enabled by scheduling and cancelling.
    let input = ScheduleKeyDeletionInput {
        key_id: key.key_id.clone(),
        pending_window_in_days: None,
    };
    call!(world, schedule_key_deletion, input).unwrap();
    let late = parameters(&world, &key.key_id, "RSAES_OAEP_SHA_256", "RSA_2048").await;
    assert_eq!(
        refused(late),
        (
            "KMSInvalidStateException",
            format!("{} is pending deletion.", key.arn)
        )
    );
    let key_id = key.key_id.clone();
    call!(
        world,
        cancel_key_deletion,
        CancelKeyDeletionInput { key_id }
    )
    .unwrap();
    assert_eq!(state(&world, &key.key_id).await, KeyState::PendingImport);

    let again = import(&world, &key.key_id, &MATERIAL, nothing)
        .await
        .unwrap();
    assert_eq!(again, done);
    assert_eq!(state(&world, &key.key_id).await, KeyState::Enabled);
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_material_is_of_no_use_before_and_after_it_is_destroyed() {
    let world = new_world().await;
    let key = symmetric(&world).await;
    let for_a_day = |input: &mut ImportKeyMaterialInput| {
        input.expiration_model = None;
        input.valid_to_ms = Some(NOON_MS + 30 * DAY_MS);
    };
    import(&world, &key.key_id, &MATERIAL, for_a_day)
        .await
        .unwrap();
    let told = world.describe(&key.key_id).await.unwrap();
    assert_eq!(told.valid_to_ms, Some(NOON_MS + 30 * DAY_MS));
    assert!(told.has_imported_material);
    let context = context(&[]);
    let blob = world.encrypt(&key.arn, b"x", &context).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    world.clock.advance_ms(30 * DAY_MS - 1);
    assert_eq!(world.run_due().await.expired, 0);
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
    world.clock.advance_ms(1);
    // It is gone for whoever asks, before it is removed.
    let told = world.describe(&key.key_id).await.unwrap();
    assert_eq!(told.state, KeyState::PendingImport);
    assert_eq!(
        (told.valid_to_ms, told.has_imported_material),
        (None, false)
    );
    let pending = (
        "KMSInvalidStateException",
        format!("{} is pending import.", key.arn),
    );
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), pending);
    assert_eq!(
        refused(world.encrypt(&key.arn, b"x", &context).await),
        pending
    );
    assert_eq!(world.run_due().await.expired, 1);
    assert_eq!(world.run_due().await.expired, 0);
    assert_eq!(
        world.last_event().await["eventName"],
        "DeleteExpiredKeyMaterial"
    );
    assert_eq!(world.store.vault().list().unwrap(), []);
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), pending);
    assert!(
        !rotations(&world, &key.key_id).await[0]
            .imported
            .as_ref()
            .unwrap()
            .is_there
    );
    import(&world, &key.key_id, &MATERIAL, nothing)
        .await
        .unwrap();
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_materials_rotate_on_demand() {
    let world = new_world().await;
    let key = symmetric(&world).await;
    let describe = |input: &mut ImportKeyMaterialInput| {
        input.key_material_description = Some("from the safe".to_owned());
    };
    let first = import(&world, &key.key_id, &MATERIAL, describe)
        .await
        .unwrap();
    let context = context(&[]);
    let old = world.encrypt(&key.arn, b"1", &context).await.unwrap();
    let rotate = || RotateKeyOnDemandInput {
        key_id: key.key_id.clone(),
    };
    assert_eq!(
        refused(call!(world, rotate_key_on_demand, rotate())),
        (
            "KMSInvalidStateException",
            format!(
                "No available key material pending rotation for the key: {}.",
                key.arn
            )
        )
    );
    let second = import(&world, &key.key_id, &OTHER, is_new).await.unwrap();
    let told = world.describe(&key.key_id).await.unwrap();
    assert_eq!(
        told.current_key_material_id,
        Some(first.key_material_id.clone())
    );
    let third = import(&world, &key.key_id, &[3; 32], is_new).await;
    let (code, message) = refused(third);
    assert_eq!(code, "KMSInvalidStateException");
    assert!(message.contains(&format!(
        "(id: {}) is pending rotation.",
        second.key_material_id
    )));
    let again = import(&world, &key.key_id, &MATERIAL, is_new).await;
    assert_eq!(refused(again).0, "IncorrectKeyMaterialException");
    call!(world, rotate_key_on_demand, rotate()).unwrap();
    let told = world.describe(&key.key_id).await.unwrap();
    assert_eq!(
        told.current_key_material_id,
        Some(second.key_material_id.clone())
    );
    let new = world.encrypt(&key.arn, b"2", &context).await.unwrap();
    let listed = rotations(&world, &key.key_id).await;
    assert_eq!(listed[0].key_material_state, "NON_CURRENT");
    let imported = listed[0].imported.as_ref().unwrap();
    assert_eq!(imported.description.as_deref(), Some("from the safe"));
    assert_eq!(listed[1].key_material_state, "CURRENT");

    // Without the older material the key is of no use; the newer one is not touched by that.
    let deleted = delete(&world, &key.key_id, Some(first.key_material_id.clone())).await;
    assert_eq!(
        deleted.unwrap().key_material_id,
        Some(first.key_material_id)
    );
    assert_eq!(state(&world, &key.key_id).await, KeyState::PendingImport);
    assert!(
        world
            .decrypt(&new.ciphertext_blob.0, &context, None)
            .await
            .is_err()
    );
    import(&world, &key.key_id, &MATERIAL, nothing)
        .await
        .unwrap();
    let world = world.restarted().await;
    for blob in [&old, &new] {
        assert!(
            world
                .decrypt(&blob.ciphertext_blob.0, &context, None)
                .await
                .is_ok()
        );
    }
    // Destroyed with all its materials.
    let input = ScheduleKeyDeletionInput {
        key_id: key.key_id.clone(),
        pending_window_in_days: Some(7),
    };
    call!(world, schedule_key_deletion, input).unwrap();
    world.clock.advance_ms(7 * DAY_MS);
    assert_eq!(world.run_due().await.destroyed, 1);
    assert_eq!(world.store.vault().list().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn mac_keys_and_private_keys() {
    let world = new_world().await;
    let hmac = external(&world, "HMAC_256", "GENERATE_VERIFY_MAC").await;
    import(&world, &hmac.key_id, &[9; 48], nothing)
        .await
        .unwrap();
    assert_eq!(state(&world, &hmac.key_id).await, KeyState::Enabled);
    for len in [31, 65] {
        let wrong = import(&world, &hmac.key_id, &vec![9; len], nothing).await;
        assert_eq!(refused(wrong).0, "IncorrectKeyMaterialException");
    }
    let new = import(&world, &hmac.key_id, &[9; 48], is_new).await;
    assert_eq!(refused(new).0, "ValidationException");

    let curve = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(curve, &rng).unwrap();
    let ecc = external(&world, "ECC_NIST_P256", "SIGN_VERIFY").await;
    import(&world, &ecc.key_id, pkcs8.as_ref(), nothing)
        .await
        .unwrap();
    assert_eq!(state(&world, &ecc.key_id).await, KeyState::Enabled);
    let other = external(&world, "ECC_NIST_P384", "SIGN_VERIFY").await;
    let wrong = import(&world, &other.key_id, pkcs8.as_ref(), nothing).await;
    assert_eq!(refused(wrong).0, "IncorrectKeyMaterialException");
    let wrong = import(&world, &other.key_id, &MATERIAL, nothing).await;
    assert_eq!(refused(wrong).0, "IncorrectKeyMaterialException");
}

/// DescribeKey said nothing of the expiry of material that is not of a symmetric key.
#[tokio::test]
async fn imported_material_of_every_kind_is_told() {
    let world = new_world().await;
    let own = world.key().await;
    assert!(!own.has_imported_material);
    for (spec, usage) in [
        ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        ("HMAC_256", "GENERATE_VERIFY_MAC"),
    ] {
        let key = external(&world, spec, usage).await;
        assert!(!key.has_imported_material, "{spec}");
        let for_a_day = |input: &mut ImportKeyMaterialInput| {
            input.expiration_model = None;
            input.valid_to_ms = Some(NOON_MS + DAY_MS);
        };
        import(&world, &key.key_id, &MATERIAL, for_a_day)
            .await
            .unwrap();
        let told = world.describe(&key.key_id).await.unwrap();
        let wanted = (Some(NOON_MS + DAY_MS), true);
        assert_eq!(
            (told.valid_to_ms, told.has_imported_material),
            wanted,
            "{spec}"
        );
        let input = DeleteImportedKeyMaterialInput {
            key_id: key.key_id.clone(),
            key_material_id: None,
        };
        call!(world, delete_imported_key_material, input).unwrap();
        let told = world.describe(&key.key_id).await.unwrap();
        assert_eq!(
            (told.valid_to_ms, told.has_imported_material),
            (None, false),
            "{spec}"
        );
    }
}
