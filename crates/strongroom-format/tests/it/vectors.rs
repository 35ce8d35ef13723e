// SPDX-License-Identifier: Apache-2.0
//! Reads the files in `/vectors`.

use std::path::Path;

use serde_json::Value;

/// One entry of a vector file.
pub(crate) struct Vector(Value);

pub(crate) fn load(file: &str, group: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let entries = document[group].take();
    let vectors: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .map(Vector)
        .collect();
    assert!(!vectors.is_empty());
    vectors
}

impl Vector {
    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    pub(crate) fn expect(&self) -> &str {
        self.text("expect")
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some()
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap()
    }

    pub(crate) fn bytes(&self, field: &str) -> Vec<u8> {
        hex::decode(self.text(field)).unwrap()
    }

    pub(crate) fn array<const N: usize>(&self, field: &str) -> [u8; N] {
        self.bytes(field).try_into().unwrap()
    }

    pub(crate) fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap()
    }

    pub(crate) fn flag(&self, field: &str) -> bool {
        self.0[field].as_bool().unwrap()
    }

    pub(crate) fn list(&self, field: &str) -> Vec<Self> {
        self.0[field]
            .as_array()
            .unwrap()
            .iter()
            .cloned()
            .map(Self)
            .collect()
    }

    /// For an entry that is itself a list of texts.
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.0
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap())
            .collect()
    }

    /// For an entry that is itself a hexadecimal text.
    pub(crate) fn own_bytes(&self) -> Vec<u8> {
        hex::decode(self.0.as_str().unwrap()).unwrap()
    }

    pub(crate) fn pairs(&self, field: &str) -> Vec<(String, String)> {
        let pairs = self.0[field].as_object().unwrap().iter();
        pairs
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect()
    }
}
