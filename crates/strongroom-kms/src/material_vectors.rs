// SPDX-License-Identifier: Apache-2.0
//! `vectors/material.json`: wrapped material, files of the vault and ids of imported material, made
//! and judged by a script that knows only the specification.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::sync::Arc;

use serde_json::Value;
use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::{Store, StoreOptions};
use strongroom_testkit::{SimClock, SimDrive};

use super::*;
use crate::model::{KeyManager, KeyUsage};
use crate::root::{KeyringFile, RootKey};

/// The key service over the keyring of a vector, with nothing in it.
struct World {
    drive: SimDrive,
    kms: Kms,
}

impl World {
    async fn over(keyring: &str) -> World {
        let document = parsed(KEYRINGS);
        let all = document["keyrings"].as_array().unwrap();
        let entry = all.iter().find(|entry| entry["name"] == keyring).unwrap();
        let file = KeyringFile::parse(&bytes(entry, "file")).unwrap();
        let root = RootKey::from_bytes(&bytes(entry, "root_key")).unwrap();
        let keyring = Arc::new(file.open(&root).unwrap().keyring().unwrap());
        let drive = SimDrive::new(1);
        let shared: Arc<dyn Drive> = Arc::new(drive.clone());
        let store = Store::open(shared, keyring.at_rest(), StoreOptions::default());
        let (store, clock) = (store.await.unwrap(), Arc::new(SimClock::new(1)));
        let kms = Kms::open(
            &store,
            keyring,
            clock,
            "us-east-1".to_owned(),
            "111122223333".to_owned(),
        );
        let kms = kms.await.unwrap();
        World { drive, kms }
    }

    /// The material of a vector, opened with the file of the vault that the vector gives.
    fn open(&self, vector: &Value) -> Result<Material, Error> {
        for path in self.kms.store().vault().list().unwrap() {
            self.drive.remove(&DrivePath::vault(path.id)).unwrap();
        }
        let stored = MaterialRow {
            wrap_epoch: number(vector, "wrap_epoch").try_into().unwrap(),
            wrapped: bytes(vector, "wrapped"),
            material_id: bytes(vector, "material_id").try_into().unwrap(),
            created_ms: 7,
            shred_id: bytes(vector, "shred_id").try_into().unwrap(),
            rotated_ms: None,
            rotation: None,
            valid_to_ms: None,
            description: None,
        };
        let path = DrivePath::vault(stored.shred_id);
        assert_eq!(path.folder(), Folder::Vault);
        self.drive.plant(&path, &bytes(vector, "vault_file"));
        let spec = number(vector, "spec");
        let row = KeyRow {
            uid: bytes(vector, "key_uid").try_into().unwrap(),
            account_id: "a".to_owned(),
            state: KeyState::Enabled,
            state_epoch: 0,
            description: String::new(),
            usage: KeyUsage::EncryptDecrypt,
            spec: *SPECS
                .iter()
                .find(|one| u64::from(one.number()) == spec)
                .unwrap(),
            origin: match number(vector, "origin") {
                0 => Origin::AwsKms,
                _ => Origin::External,
            },
            manager: KeyManager::Customer,
            created_ms: number(vector, "created_ms"),
            tags: Vec::new(),
            key_policy: None,
            current_version: 1,
            current_material_id: [0; 32],
            deletion_ms: None,
            valid_to_ms: None,
            multi_region: false,
            rotation_period_days: None,
            next_rotation_ms: None,
            on_demand_rotations: 0,
            lacks_material: false,
            key_policy_principals: Vec::new(),
        };
        let version = number(vector, "version").try_into().unwrap();
        self.kms.open_material(&row, version, &stored)
    }
}

#[tokio::test]
async fn materials() {
    let document = parsed(VECTORS);
    let world = World::over("many_epochs_and_wraps").await;
    let (mut positive, mut negative) = (0, 0);
    for vector in document["materials"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        assert_eq!(vector["keyring"], "many_epochs_and_wraps");
        let opened = world.open(vector);
        if vector["expect"] == "ok" {
            let opened = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(opened.expose_secret(), bytes(vector, "material"), "{name}");
            positive += 1;
        } else {
            let refusal = opened.map(drop).unwrap_err();
            // To whoever reads, whatever is wrong is the same.
            assert!(refusal.is_corruption(), "{name}: {refusal}");
            negative += 1;
        }
    }
    assert!(
        positive >= 9 && negative >= 3 * positive,
        "{positive}, {negative}"
    );
}

#[tokio::test]
async fn ids_of_imported_material() {
    let document = parsed(VECTORS);
    let vectors = document["imported_ids"].as_array().unwrap();
    let mut of_symmetric = None;
    for name in ["many_epochs_and_wraps", "root_key"] {
        let world = World::over(name).await;
        for vector in vectors.iter().filter(|vector| vector["keyring"] == name) {
            let material = Material::new(Zeroizing::new(bytes(vector, "material")));
            let uid = KeyUid(bytes(vector, "key_uid").try_into().unwrap());
            let id = material.imported_id(world.kms.keyring(), uid);
            assert_eq!(
                id.to_vec(),
                bytes(vector, "material_id"),
                "{}",
                vector["name"]
            );
            if vector.get("must_differ").is_some() {
                assert_ne!(Some(id), of_symmetric, "{}", vector["name"]);
            } else {
                of_symmetric.get_or_insert(id);
            }
        }
    }
    let differing = vectors.iter().filter(|v| v.get("must_differ").is_some());
    assert!(
        differing.count()
            >= 3 * vectors
                .iter()
                .filter(|v| v.get("must_differ").is_none())
                .count()
    );
}

fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap()
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(vector[name].as_str().unwrap()).unwrap()
}

fn number(vector: &Value, name: &str) -> u64 {
    vector[name].as_u64().unwrap()
}

const KEYRINGS: &str = include_str!("../../../vectors/keyring.json");
const VECTORS: &str = include_str!("../../../vectors/material.json");
const SPECS: [KeySpec; 4] = [
    KeySpec::SymmetricDefault,
    KeySpec::EccNistEdwards25519,
    KeySpec::Hmac256,
    KeySpec::Hmac512,
];
