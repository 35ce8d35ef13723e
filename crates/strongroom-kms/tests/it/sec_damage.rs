// SPDX-License-Identifier: Apache-2.0
//! Damaged rows, a vault that fails, a queue that is long: nothing is destroyed on their word, and
//! nothing that is to be destroyed stays.

use aws_lc_rs::rsa::KeySize;
use serde_json::json;
use strongroom_kms::{
    CancelKeyDeletionInput, CreateAliasInput, DeleteImportedKeyMaterialInput,
    GenerateDataKeyPairInput, GetPublicKeyInput, ListAliasesInput, Plaintext,
    ScheduleKeyDeletionInput, SignInput,
};
use strongroom_store::{Batch, TableId, Vault, Write};
use strongroom_testkit::poll_once;

use crate::import;
use crate::users::{delegation, denial, grant_to, policy, statement, user_arn};
use crate::world::{ACCOUNT, DAY_MS, NOON_MS, World, call, context, new_world, refused};

pub(crate) const MATERIALS: TableId = TableId(2);
const ALIASES: TableId = TableId(3);
const GRANTS: TableId = TableId(4);
const GRANT_INDEX: TableId = TableId(5);
const KEY_ALIASES: TableId = TableId(31);

fn uid(key_id: &str) -> [u8; 16] {
    let uid = hex::decode(key_id.replace('-', "")).unwrap();
    uid.try_into().unwrap()
}

pub(crate) fn rows(world: &World, table: TableId, key_id: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    use std::ops::Bound::Unbounded;
    let rows = world
        .store
        .tables()
        .scan(table, Unbounded, Unbounded, 1_000, false);
    let uid = uid(key_id);
    let rows = rows.unwrap().into_iter();
    rows.filter(|(key, _)| key.windows(16).any(|part| part == uid))
        .map(|(key, row)| (key, row.value))
        .collect()
}

pub(crate) async fn put(world: &World, table: TableId, key: &[u8], value: &[u8]) {
    let write = Write::Put {
        table,
        key: key.to_vec(),
        value: value.to_vec(),
    };
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    world.store.tables().commit(batch).await.unwrap();
}

async fn schedule(world: &World, key_id: &str) {
    let input = ScheduleKeyDeletionInput {
        key_id: key_id.to_owned(),
        pending_window_in_days: Some(7),
    };
    call!(world, schedule_key_deletion, input).unwrap();
}

fn vault_files(world: &World) -> usize {
    world.store.vault().list().unwrap().len()
}

#[tokio::test]
async fn sec_names_that_differ_in_case_only_do_not_get_around_a_denial() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", None).await;
    let key = world.key().await;
    let mut deny = statement("Deny", &json!({ "AWS": user_arn("ann") }), "kms:Encrypt");
    deny["Condition"] = json!({ "StringEquals": { "kms:EncryptionContext:App": "secret" } });
    world
        .put_policy(&key.key_id, &policy(&json!([delegation(), deny])))
        .await;
    let try_as_ann = |pairs: &'static [(&str, &str)]| {
        let (world, ann, key_id) = (&world, &ann, &key.key_id);
        async move { world.encrypt_as(ann, key_id, &context(pairs), &[]).await }
    };
    for pairs in [
        [("App", "secret"), ("x", "y")].as_slice(),
        &[("app", "secret")],
        &[("App", "secret"), ("app", "z")],
        &[("App", "z"), ("app", "secret")],
        &[("APP", "a"), ("App", "secret"), ("app", "z")],
    ] {
        denial(try_as_ann(pairs).await);
    }
    assert!(try_as_ann(&[("App", "z")]).await.is_ok());
    // What allows is read against the request, too.
    let mut allow = statement("Allow", &json!({ "AWS": user_arn("ann") }), "kms:Encrypt");
    allow["Condition"] = json!({ "StringEquals": { "kms:EncryptionContext:App": "open" } });
    let document = policy(&json!([
        allow,
        statement(
            "Allow",
            &json!({ "AWS": crate::users::root_arn() }),
            "kms:PutKeyPolicy"
        ),
    ]));
    world.put_policy(&key.key_id, &document).await;
    assert!(try_as_ann(&[("App", "open")]).await.is_ok());
    for pairs in [
        [("App", "open"), ("app", "z")].as_slice(),
        &[("App", "z"), ("app", "open")],
        &[("App", "open"), ("app", "open")],
    ] {
        denial(try_as_ann(pairs).await);
    }
}

/// Others wait for a turn to do heavy work before them; then what waits is disabled. A turn is given to
/// whoever waits longest, and who is not polled does not take it: so nobody behind has one before the
/// keys are disabled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_heavy_work_that_waited_is_refused_when_its_key_was_disabled() {
    let world = new_world().await;
    let rsa = world.key_of("RSA_2048", "SIGN_VERIFY").await;
    let symmetric = world.key().await;
    let sign = || SignInput {
        key_id: rsa.key_id.clone(),
        message: Plaintext::new(b"m".to_vec()),
        message_type: None,
        algorithm: "RSASSA_PSS_SHA_256".to_owned(),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    // From now on their material is in memory: nothing else than a turn is waited for.
    call!(world, sign, sign()).unwrap();
    let spec = strongroom_kms::DataKeySpec::Aes256;
    world.data_key(&symmetric.key_id, spec).await.unwrap();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // Many more than get a turn at once, however long this thread stands still between two of them.
    let mut before: Vec<_> = (0..8 * processors)
        .map(|_| {
            let input = GenerateDataKeyPairInput {
                key_id: symmetric.key_id.clone(),
                key_pair_spec: "RSA_4096".to_owned(),
                context: context(&[]),
                grant_tokens: Vec::new(),
                dry_run: false,
            };
            let world = &world;
            Box::pin(async move { call!(world, generate_data_key_pair, input) })
        })
        .collect();
    for one in &mut before {
        assert!(poll_once(one.as_mut()).is_pending());
    }
    let public = GetPublicKeyInput {
        key_id: rsa.key_id.clone(),
        grant_tokens: Vec::new(),
    };
    let mut signing = std::pin::pin!(async { call!(world, sign, sign()) });
    let mut telling = std::pin::pin!(async { call!(world, get_public_key, public) });
    assert!(poll_once(signing.as_mut()).is_pending());
    assert!(poll_once(telling.as_mut()).is_pending());
    world.disable(&rsa.key_id).await;
    world.disable(&symmetric.key_id).await;
    let mut refusals = 0;
    for one in before {
        refusals += usize::from(one.await.is_err());
    }
    assert!(refusals >= processors, "{refusals}");
    let (signed, told) = (signing.await, telling.await);
    let said = ("DisabledException", format!("{} is disabled.", rsa.arn));
    assert_eq!(refused(signed), said);
    assert_eq!(refused(told), said);
    let events = world.events().await;
    let signed = events
        .iter()
        .rfind(|event| event["eventName"] == "Sign")
        .unwrap();
    assert_eq!(signed["resources"].as_array().unwrap().len(), 1);
    assert_eq!(signed["errorCode"], "DisabledException");
}

#[tokio::test]
async fn sec_damaged_rows_do_not_keep_a_key_from_being_destroyed() {
    let world = new_world().await;
    let iam = world.iam().await;
    world.user(&iam, "ann", None).await;
    let (key, other) = (world.key().await, world.key().await);
    for (at, key) in [&key, &other].into_iter().enumerate() {
        for alias in [format!("alias/{at}/a"), format!("alias/{at}/b")] {
            let input = CreateAliasInput {
                alias_name: alias,
                target_key_id: key.key_id.clone(),
            };
            call!(world, create_alias, input).unwrap();
        }
        for _ in 0..2 {
            let mut grant = grant_to(&key.key_id, "ann", &["Encrypt"]);
            grant.retiring_principal = Some(user_arn("ann"));
            world.grant_as(&world.caller, grant).await.unwrap();
        }
    }
    schedule(&world, &key.key_id).await;
    let grants = rows(&world, GRANTS, &key.key_id);
    put(&world, GRANTS, &grants[0].0, b"\xff").await;
    let materials = rows(&world, MATERIALS, &key.key_id);
    put(&world, MATERIALS, &materials[0].0, b"\xff").await;
    let alias = [ACCOUNT.as_bytes(), b"alias/0/a"].concat();
    put(&world, ALIASES, &alias, b"\xff").await;
    assert_eq!(vault_files(&world), 2);
    world.clock.advance_ms(7 * DAY_MS);
    let input = strongroom_kms::CreateKeyInput::default();
    call!(world, create_key, input).unwrap();
    world.kms.confirm_clock().await.unwrap();
    let report = world.run_due().await;
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(report.destroyed, 1);
    for table in [MATERIALS, KEY_ALIASES, GRANTS, GRANT_INDEX] {
        assert_eq!(rows(&world, table, &key.key_id), [], "{table:?}");
    }
    assert!(world.store.tables().get(ALIASES, &alias).unwrap().is_none());
    let aliases = call!(world, list_aliases, ListAliasesInput::default()).unwrap();
    let names: Vec<_> = aliases.aliases.iter().map(|a| &*a.alias_name).collect();
    assert_eq!(names, ["alias/1/a", "alias/1/b"]);
    assert!(world.files_with(&Vault::mark(&uid(&key.key_id))).is_empty());
    assert_eq!(vault_files(&world), 2);
    // What is of another key stays.
    assert_eq!(rows(&world, GRANTS, &other.key_id).len(), 2);
    assert_eq!(rows(&world, GRANT_INDEX, &other.key_id).len(), 5);
    assert!(world.encrypt(&other.arn, b"x", &context(&[])).await.is_ok());
    let key_id = key.key_id.clone();
    let cancel = call!(
        world,
        cancel_key_deletion,
        CancelKeyDeletionInput { key_id }
    );
    assert_eq!(refused(cancel).0, "NotFoundException");
}

/// A row that is damaged so that it can be read: it names another shred key, or none.
#[tokio::test]
async fn sec_start_destroys_nothing_on_the_word_of_damaged_rows() {
    for damage in 0..4 {
        let world = new_world().await;
        let key = world.key().await;
        let blob = world.encrypt(&key.arn, b"x", &context(&[])).await.unwrap();
        let blob = blob.ciphertext_blob.0;
        let vault = world.store.vault().clone();
        vault.put([7; 16], [1; 16], b"of nobody").await.unwrap();
        let file = vault.list().unwrap();
        let own = file
            .iter()
            .find(|entry| entry.owner == Some(uid(&key.key_id)));
        let shred_id = own.unwrap().id;
        drop(vault);
        let (row_key, whole) = rows(&world, MATERIALS, &key.key_id).remove(0);
        let at = whole.windows(16).position(|part| part == shred_id).unwrap();
        let mut value = whole.clone();
        match damage {
            0 => value[at] ^= 1,
            1 => value = b"\xff".to_vec(),
            2 => value[at..at + 16].copy_from_slice(&[1; 16]),
            _ => {
                let batch = Batch {
                    preconditions: Vec::new(),
                    writes: vec![Write::Delete {
                        table: MATERIALS,
                        key: row_key.clone(),
                    }],
                };
                world.store.tables().commit(batch).await.unwrap();
            }
        }
        if damage < 3 {
            put(&world, MATERIALS, &row_key, &value).await;
        }
        let world = world.restarted().await;
        let left = world.store.vault().list().unwrap();
        assert!(left.iter().any(|entry| entry.id == shred_id), "{damage}");
        let report = world.run_due().await;
        let of_key = report.failed.iter().any(|(what, error)| {
            *what == hex::encode(shred_id) && error.to_string().contains(&key.key_id)
        });
        assert!(of_key, "{damage}: {:?}", report.failed);
        assert!(world.decrypt(&blob, &context(&[]), None).await.is_err());
        // Once the row is as it was, so is the key; and the rest is swept.
        put(&world, MATERIALS, &row_key, &whole).await;
        let world = world.restarted().await;
        assert!(world.decrypt(&blob, &context(&[]), None).await.is_ok());
        assert!(world.run_due().await.failed.is_empty());
        assert_eq!(vault_files(&world), 1, "{damage}");
    }
}

#[tokio::test]
async fn sec_imported_material_whose_shred_key_stayed_is_destroyed_by_the_next_minute() {
    let world = new_world().await;
    let key_id = import::imported(&world, NOON_MS + DAY_MS).await;
    let path = world.files_with(&Vault::mark(&uid(&key_id))).remove(0);
    let content = std::fs::read(&path).unwrap();
    // The vault fails: where the file was, there is something that cannot be overwritten.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let input = DeleteImportedKeyMaterialInput {
        key_id: key_id.clone(),
        key_material_id: None,
    };
    assert!(call!(world, delete_imported_key_material, input).is_err());
    let report = world.run_due().await;
    assert!(report.failed.iter().any(|(what, _)| *what == key_id));
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, &content).unwrap();
    assert!(world.run_due().await.failed.is_empty());
    assert_eq!(vault_files(&world), 0);
    assert!(!path.exists());
    // A second time there is nothing left to do.
    assert!(world.run_due().await.failed.is_empty());
}

/// After a rewrap all imported material of a key is wrapped under one shred key; so what expires
/// concerns the others, too.
#[tokio::test]
async fn sec_material_that_cannot_expire_leaves_nothing_in_the_vault_each_minute() {
    let mut world = new_world().await;
    let valid_to_ms = NOON_MS + DAY_MS;
    let key_id = import::imported_twice(&world, valid_to_ms).await;
    world.rotate();
    world.kms.rewrap(&|_, _| ()).await.unwrap();
    assert_eq!(vault_files(&world), 1, "they share one");
    let (row_key, whole) = rows(&world, MATERIALS, &key_id).remove(1);
    let is_wrapped = |head: &[u8]| head[0] == 0x58 && (48..100).contains(&head[1]);
    let at = whole.windows(2).position(is_wrapped).unwrap();
    let mut damaged = whole.clone();
    damaged[at + 20] ^= 1;
    put(&world, MATERIALS, &row_key, &damaged).await;
    world.clock.advance_ms(DAY_MS);
    for _ in 0..3 {
        let report = world.run_due().await;
        assert_eq!((report.expired, report.failed.len()), (0, 1));
        assert_eq!(vault_files(&world), 1);
    }
    put(&world, MATERIALS, &row_key, &whole).await;
    assert_eq!(world.run_due().await.expired, 1);
    assert_eq!(vault_files(&world), 1, "of the one that is left");
}

#[tokio::test]
async fn sec_ids_of_imported_material_say_nothing_to_who_guesses_it() {
    let mut world = new_world().await;
    let key_id = import::imported(&world, NOON_MS + 100 * DAY_MS).await;
    let told = world.describe(&key_id).await.unwrap();
    let id = told.current_key_material_id.unwrap();
    // In another installation the same material has another id, even for a key of the same uid.
    let (first, second) = (rows(&world, MATERIALS, &key_id), new_world().await);
    let elsewhere = import::imported(&second, NOON_MS + 100 * DAY_MS).await;
    let other = second.describe(&elsewhere).await.unwrap();
    assert_ne!(other.current_key_material_id.unwrap(), id);
    assert_eq!(first.len(), 1);
    // It stays what it is through new epochs: the same material is known again.
    world.rotate();
    let mut world = world.restarted().await;
    world.rotate();
    let input = DeleteImportedKeyMaterialInput {
        key_id: key_id.clone(),
        key_material_id: Some(id.clone()),
    };
    call!(world, delete_imported_key_material, input).unwrap();
    import::again(&world, &key_id).await;
    let told = world.describe(&key_id).await.unwrap();
    assert_eq!(told.current_key_material_id.unwrap(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn sec_private_keys_with_bytes_behind_them_are_not_imported() {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    let world = new_world().await;
    let rng = aws_lc_rs::rand::SystemRandom::new();
    let curve = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
    let ecc = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(curve, &rng).unwrap();
    let rsa = aws_lc_rs::rsa::PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let rsa: Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let edwards = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&rng).unwrap();
    for (spec, pkcs8) in [
        ("ECC_NIST_P256", ecc.as_ref()),
        ("RSA_2048", rsa.as_ref()),
        ("ECC_NIST_EDWARDS25519", edwards.as_ref()),
    ] {
        for wrong in [
            [pkcs8, &[0]].concat(),
            [pkcs8, pkcs8].concat(),
            pkcs8[..pkcs8.len() - 1].to_vec(),
            [&[0x30, 0x84, 0, 0], pkcs8].concat(),
        ] {
            let (code, _) = refused(import::key_pair(&world, spec, &wrong).await);
            assert_eq!(code, "IncorrectKeyMaterialException", "{spec}");
        }
        assert!(
            import::key_pair(&world, spec, pkcs8).await.is_ok(),
            "{spec}"
        );
    }
}
