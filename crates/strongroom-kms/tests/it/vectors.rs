// SPDX-License-Identifier: Apache-2.0
//! `vectors/keyring.json`: keyring files and shares, made and judged by a script that knows only
//! the specification.

use std::path::Path;

use serde_json::{Value, json};
use strongroom_kms::root::{
    EpochKind, KeyringFile, OpenKeyringFile, Passphrase, RootError, RootKey, Share, recover,
};

fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap()
}

/// Opens the file of a vector with what the vector gives.
fn open(vector: &Value) -> Result<OpenKeyringFile, RootError> {
    let bytes = hex::decode(text(vector, "file")).unwrap();
    let file = KeyringFile::parse(&bytes)?;
    if vector.get("root_key").is_some() {
        let key = hex::decode(text(vector, "root_key")).unwrap();
        return file.open(&RootKey::from_bytes(&key).unwrap());
    }
    if vector.get("passphrase").is_some() {
        let phrase = text(vector, "passphrase").to_owned();
        return file.open(&Passphrase::new(phrase).unwrap());
    }
    let texts = vector["shares"].as_array().unwrap().iter();
    let shares: Result<Vec<Share>, _> = texts.map(|t| t.as_str().unwrap().parse()).collect();
    recover(&file, &shares?)
}

/// The class of a refusal, in the script's words.
fn class(error: &RootError) -> &'static str {
    match error {
        RootError::Corrupted("its seal") => "open",
        RootError::Corrupted(_) | RootError::Version(_) | RootError::Share(_) => "parse",
        _ => "wrong_key",
    }
}

#[test]
fn keyrings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/keyring.json");
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut positive, mut negative) = (0, 0);
    for vector in document["keyrings"].as_array().unwrap() {
        let name = text(vector, "name");
        let opened = open(vector);
        if text(vector, "expect") != "ok" {
            let refusal = opened.map(|_| ()).unwrap_err();
            assert_eq!(class(&refusal), text(vector, "expect"), "{name}: {refusal}");
            negative += 1;
            continue;
        }
        let opened = opened.unwrap_or_else(|error| panic!("{name}: {error}"));
        let keyring = opened.keyring().unwrap();
        let epochs = keyring.epochs();
        let epochs = epochs.iter().map(|info| {
            let kind = if info.kind == EpochKind::Domain { 1 } else { 2 };
            json!({ "kind": kind, "epoch": info.epoch, "created_ms": info.created_ms })
        });
        assert_eq!(Value::Array(epochs.collect()), vector["epochs"], "{name}");
        let private = hex::decode(text(vector, "private")).unwrap();
        assert_eq!(
            *keyring.open_private("vector", &private).unwrap(),
            b"opened"
        );
        let row = hex::decode(text(vector, "row")).unwrap();
        let row = keyring.at_rest().open(7, b"place", &row).unwrap();
        assert_eq!(row, b"opened", "{name}");
        // What we write again is read again.
        let again = KeyringFile::parse(&opened.seal().unwrap()).unwrap();
        assert_eq!(again.wraps(), opened.wraps());
        positive += 1;
    }
    assert!(positive >= 8 && negative >= 3 * positive);
}

/// `vectors/manifest.json`: sealed manifests, and ones that are not what was sealed.
#[test]
fn manifests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    let read = |file: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap()
    };
    let (keyrings, document) = (read("keyring.json"), read("manifest.json"));
    let (mut positive, mut negative) = (0, 0);
    for vector in document["manifests"].as_array().unwrap() {
        let name = text(vector, "name");
        let all = keyrings["keyrings"].as_array().unwrap();
        let entry = all
            .iter()
            .find(|entry| entry["name"] == vector["keyring"])
            .unwrap();
        let keyring = open(entry).unwrap().keyring().unwrap();
        let id = |name| -> [u8; 16] {
            let bytes = hex::decode(text(vector, name)).unwrap();
            bytes.try_into().unwrap()
        };
        let sealed = hex::decode(text(vector, "sealed")).unwrap();
        let opened = keyring.open_manifest(&id("cluster_id"), &id("blob"), &sealed);
        if text(vector, "expect") != "ok" {
            let refusal = opened.unwrap_err();
            let is_damage = matches!(refusal, strongroom_kms::Error::Corrupted { .. });
            assert!(is_damage, "{name}: {refusal}");
            negative += 1;
            continue;
        }
        let content = hex::decode(text(vector, "content")).unwrap();
        assert_eq!(*opened.unwrap(), content, "{name}");
        // What is sealed now opens in its place only, and never looks the same twice.
        let seal = || keyring.seal_manifest(&id("cluster_id"), &id("blob"), &content);
        let (one, two) = (seal().unwrap(), seal().unwrap());
        assert_ne!(one, two);
        assert_eq!((one.len() - 33) % 256, 0);
        let again = keyring.open_manifest(&id("cluster_id"), &id("blob"), &one);
        assert_eq!(*again.unwrap(), content);
        let elsewhere = keyring.open_manifest(&id("blob"), &id("cluster_id"), &one);
        assert!(elsewhere.is_err(), "{name}");
        positive += 1;
    }
    assert!(positive >= 8 && negative >= 3 * positive);
}
