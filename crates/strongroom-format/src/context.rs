// SPDX-License-Identifier: Apache-2.0
//! The encryption context: name-value pairs that a KMS ciphertext is bound to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::error::ContextError;
use crate::kdf;

/// Pairs, each name once, kept in the byte order of the names.
///
/// Not a secret: it is sent in clear and stands in the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptionContext {
    pairs: BTreeMap<String, String>,
    canonical_len: usize,
}

impl EncryptionContext {
    /// The longest canonical form.
    pub const BYTES_MAX: usize = 65_535;

    /// A context without pairs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair. A name that is there already is refused, not replaced.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), ContextError> {
        let (name, value) = (name.into(), value.into());
        let canonical_len = [name.len(), value.len(), 4]
            .into_iter()
            .try_fold(self.canonical_len, usize::checked_add)
            .filter(|len| *len <= Self::BYTES_MAX)
            .ok_or(ContextError::TooLong)?;
        match self.pairs.entry(name) {
            Entry::Occupied(_) => Err(ContextError::Duplicate),
            Entry::Vacant(place) => {
                place.insert(value);
                self.canonical_len = canonical_len;
                Ok(())
            }
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.get(name).map(String::as_str)
    }

    /// The pairs in the byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The pairs, by name.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.pairs
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The bytes that ciphertexts are bound to.
    //= docs/spec/kms-ciphertext.md#encryption-context
    //# The canonical form is, for each pair in ascending byte order of its UTF-8 name: u16 length || name || u16 length || value.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        canonical_bytes(&self.pairs, self.canonical_len)
    }

    /// SHA-384 of the canonical bytes, as BIND holds it.
    #[must_use]
    pub fn digest(&self) -> [u8; 48] {
        kdf::sha384(&self.canonical_bytes())
    }

    /// [`Self::digest`] of a context of these pairs, which need not be made for it. Refuses pairs
    /// that are too long to be a context.
    pub fn digest_of(pairs: &BTreeMap<String, String>) -> Result<[u8; 48], ContextError> {
        let canonical_len = canonical_len(pairs)?;
        Ok(kdf::sha384(&canonical_bytes(pairs, canonical_len)))
    }
}

fn canonical_len(pairs: &BTreeMap<String, String>) -> Result<usize, ContextError> {
    let mut lens = pairs.iter().flat_map(|(n, v)| [n.len(), v.len(), 4]);
    lens.try_fold(0, usize::checked_add)
        .filter(|len| *len <= EncryptionContext::BYTES_MAX)
        .ok_or(ContextError::TooLong)
}

/// INVARIANT: the whole, and so each text, is within BYTES_MAX; a length that did not fit would make
/// two contexts alike.
fn canonical_bytes(pairs: &BTreeMap<String, String>, canonical_len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(canonical_len);
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
        out.extend(len.to_be_bytes());
        out.extend(text.as_bytes());
    }
    out
}

impl TryFrom<BTreeMap<String, String>> for EncryptionContext {
    type Error = ContextError;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, ContextError> {
        let canonical_len = canonical_len(&pairs)?;
        Ok(Self {
            pairs,
            canonical_len,
        })
    }
}

const _: () = assert!(
    EncryptionContext::BYTES_MAX == 0xffff,
    "each u16 length fits"
);
