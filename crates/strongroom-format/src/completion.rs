// SPDX-License-Identifier: Apache-2.0
//! Binds an object to the record of its upload when the key that wraps it is not at hand.
//!
//! A multipart upload under a customer key may be completed by a request that does not carry the
//! key, so the record cannot be wrapped again over the finished object. The record of the upload
//! then stays, and a tag over BIND of the finished object stands beside it. The tag's key comes
//! from the object key but leads nowhere else: it can be kept, sealed, while the upload is open.

use aws_lc_rs::hmac;

use crate::bind::BindDigest;
use crate::error::OpenError;
use crate::key::{CompletionKey, ObjectDataId, ObjectKey};

/// Bytes of a completion tag.
pub const COMPLETION_TAG_BYTES: usize = 48;

impl ObjectKey {
    /// The key that tags the finished object.
    #[must_use]
    pub fn completion_key(&self, odi: &ObjectDataId) -> CompletionKey {
        self.prk(odi).completion_key()
    }
}

impl CompletionKey {
    /// The tag over BIND of the finished object.
    //= docs/spec/object-format.md#completion-tag
    //# tag = HMAC-SHA-384(CK, "strongroom/1/completion-tag" || SHA-384(BIND))
    #[must_use]
    pub fn tag(&self, bind: &BindDigest) -> Vec<u8> {
        hmac::sign(&self.hmac_key(), &message(bind))
            .as_ref()
            .to_vec()
    }

    /// Checks a tag in constant time.
    pub fn verify(&self, bind: &BindDigest, tag: &[u8]) -> Result<(), OpenError> {
        hmac::verify(&self.hmac_key(), &message(bind), tag).map_err(|_| OpenError)
    }

    fn hmac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA384, self.expose_secret())
    }
}

fn message(bind: &BindDigest) -> Vec<u8> {
    [b"strongroom/1/completion-tag".as_slice(), bind.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bind, sha384};

    fn bind(plain_size: u64) -> BindDigest {
        Bind {
            cluster_id: &[1; 16],
            bucket_uid: &[2; 16],
            object_key: b"k",
            version_uid: &[3; 16],
            null_version: true,
            odi: &ObjectDataId([4; 16]),
            plain_size,
            created_ms: 5,
            etag: b"e",
            checksums: &[],
            parts: 2,
            part_table_sha384: sha384(b"t"),
            properties_sha384: sha384(b"p"),
            kms_arn: "",
            context_sha384: sha384(b""),
        }
        .digest()
        .unwrap()
    }

    #[test]
    fn completion_tag_binds_the_finished_object() {
        let odi = ObjectDataId([4; 16]);
        let oek = ObjectKey::from_bytes([7; 32]);
        let key = oek.completion_key(&odi);
        let tag = key.tag(&bind(10));
        assert_eq!(tag.len(), COMPLETION_TAG_BYTES);
        assert!(key.verify(&bind(10), &tag).is_ok());
        assert!(key.verify(&bind(11), &tag).is_err(), "another object");
        assert!(
            oek.completion_key(&ObjectDataId([5; 16]))
                .verify(&bind(10), &tag)
                .is_err()
        );
        assert!(
            ObjectKey::from_bytes([8; 32])
                .completion_key(&odi)
                .verify(&bind(10), &tag)
                .is_err()
        );
        assert!(key.verify(&bind(10), &tag[..47]).is_err(), "a short tag");
        assert!(key.verify(&bind(10), &[]).is_err(), "no tag");
        for bit in 0..tag.len() * 8 {
            let mut flipped = tag.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify(&bind(10), &flipped).is_err(), "bit {bit}");
        }
    }
}
