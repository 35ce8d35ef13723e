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
        let mut out = Vec::with_capacity(self.canonical_len);
        for text in self.pairs.iter().flat_map(|(name, value)| [name, value]) {
            // INVARIANT: `insert` keeps the whole, and so each text, within BYTES_MAX; a length
            // that did not fit would make two contexts alike.
            let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
            out.extend(len.to_be_bytes());
            out.extend(text.as_bytes());
        }
        out
    }

    /// SHA-384 of the canonical bytes, as BIND holds it.
    #[must_use]
    pub fn digest(&self) -> [u8; 48] {
        kdf::sha384(&self.canonical_bytes())
    }
}

impl TryFrom<BTreeMap<String, String>> for EncryptionContext {
    type Error = ContextError;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, ContextError> {
        let mut context = Self::new();
        for (name, value) in pairs {
            context.insert(name, value)?;
        }
        Ok(context)
    }
}

const _: () = assert!(
    EncryptionContext::BYTES_MAX == 0xffff,
    "each u16 length fits"
);
