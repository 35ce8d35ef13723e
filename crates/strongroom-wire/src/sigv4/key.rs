// SPDX-License-Identifier: Apache-2.0
//! Signing keys and their cache.
//!
//! A signing key is four HMACs away from the secret and stays the same for a day, a region and a
//! service, so a busy server keeps it. The cache is bounded and holds no secret access keys; what
//! it holds is erased by aws-lc when the entry goes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::{Scope, TERMINATOR};
use crate::secret::SecretAccessKey;

/// The HMAC key of one access key, date, region and service. A clone shares it.
#[derive(Clone)]
pub struct SigningKey(Arc<hmac::Key>);

impl SigningKey {
    /// Derives the key for a scope: `HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region),
    /// service), "aws4_request")`.
    pub fn derive(secret: &SecretAccessKey, scope: &Scope) -> Self {
        let secret_text = secret.expose_secret();
        let mut first = Zeroizing::new(Vec::with_capacity(PREFIX.len() + secret_text.len()));
        first.extend_from_slice(PREFIX);
        first.extend_from_slice(secret_text.as_bytes());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
        for step in [scope.date(), scope.region(), scope.service(), TERMINATOR] {
            let tag = hmac::sign(&key, step.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        Self(Arc::new(key))
    }

    /// The signature of a string to sign, as 64 lower-case hex digits.
    pub(crate) fn sign_hex(&self, message: &[u8]) -> String {
        hex::encode(hmac::sign(&self.0, message))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// A bounded cache of signing keys, first in first out.
///
/// An access key id must mean one secret for the life of the cache; who removes or replaces a
/// secret calls [`SigningKeyCache::forget`].
pub struct SigningKeyCache {
    entries: Mutex<Entries>,
    capacity: usize,
}

#[derive(Default)]
struct Entries {
    keys: HashMap<CacheKey, SigningKey>,
    order: VecDeque<CacheKey>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct CacheKey {
    access_key_id: String,
    scope: Scope,
}

impl SigningKeyCache {
    /// A cache of at most `capacity` keys (at least one).
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: Mutex::default(),
            capacity: capacity.max(1),
        }
    }

    /// The signing key of `access_key_id` for `scope`, derived from `secret` when it is not here.
    pub fn signing_key(
        &self,
        access_key_id: &str,
        secret: &SecretAccessKey,
        scope: &Scope,
    ) -> SigningKey {
        let cache_key = CacheKey {
            access_key_id: access_key_id.to_owned(),
            scope: scope.clone(),
        };
        {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(key) = entries.keys.get(&cache_key) {
                return key.clone();
            }
        }
        let key = SigningKey::derive(secret, scope);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while entries.order.len() >= self.capacity {
            let Some(oldest) = entries.order.pop_front() else {
                break;
            };
            entries.keys.remove(&oldest);
        }
        if entries
            .keys
            .insert(cache_key.clone(), key.clone())
            .is_none()
        {
            entries.order.push_back(cache_key);
        }
        key
    }

    /// Drops every key of an access key id.
    pub fn forget(&self, access_key_id: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .keys
            .retain(|key, _| key.access_key_id != access_key_id);
        entries
            .order
            .retain(|key| key.access_key_id != access_key_id);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys
            .len()
    }
}

impl fmt::Debug for SigningKeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeyCache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

const PREFIX: &[u8] = b"AWS4";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_forgets() {
        let cache = SigningKeyCache::new(3);
        let secret = SecretAccessKey::new("secret".to_owned());
        let scope = Scope::new("20130524", "us-east-1", "s3");
        for id in ["a", "b", "c", "d", "d", "e"] {
            cache.signing_key(id, &secret, &scope);
            assert!(cache.len() <= 3);
        }
        let cached = cache.signing_key("e", &secret, &scope).sign_hex(b"x");
        assert_eq!(cached, SigningKey::derive(&secret, &scope).sign_hex(b"x"));
        let before = cache.len();
        cache.forget("e");
        assert_eq!(cache.len(), before - 1);
        assert_eq!(format!("{cache:?}"), "SigningKeyCache { capacity: 3, .. }");
    }

    #[test]
    fn date_region_and_service_separate_keys() {
        let cache = SigningKeyCache::new(16);
        let secret = SecretAccessKey::new("secret".to_owned());
        let scopes = [
            Scope::new("20130524", "us-east-1", "s3"),
            Scope::new("20130525", "us-east-1", "s3"),
            Scope::new("20130524", "us-east-2", "s3"),
            Scope::new("20130524", "us-east-1", "kms"),
        ];
        let mut signatures: Vec<String> = scopes
            .iter()
            .map(|s| cache.signing_key("a", &secret, s).sign_hex(b"x"))
            .collect();
        signatures.sort_unstable();
        signatures.dedup();
        assert_eq!(signatures.len(), scopes.len());
    }
}
