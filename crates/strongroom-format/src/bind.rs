// SPDX-License-Identifier: Apache-2.0
//! BIND: the canonical bytes of everything a sealed-key record is bound to.
//!
//! Every field is there every time, fixed in width or preceded by its length, so that two different
//! objects can never have the same bytes.

use aws_lc_rs::digest;

use crate::error::SealError;
use crate::kdf;
use crate::key::ObjectDataId;

/// SHA-384 of BIND. Only [`Bind::digest`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindDigest([u8; 48]);

/// The facts that give an object version its identity.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// The store.
    pub cluster_id: &'a [u8; 16],
    /// The bucket by its uid, so that a new bucket of the same name revives nothing.
    pub bucket_uid: &'a [u8; 16],
    /// The S3 key of the object.
    pub object_key: &'a [u8],
    /// The version.
    pub version_uid: &'a [u8; 16],
    /// Whether clients see the version as `null`.
    pub null_version: bool,
    /// The object's data.
    pub odi: &'a ObjectDataId,
    /// Plaintext size of the whole object.
    pub plain_size: u64,
    /// Time of creation, Unix milliseconds.
    pub created_ms: u64,
    /// The ETag as shown, without quotes.
    pub etag: &'a [u8],
    /// Checksums as stored (sealed where the mode seals them), in any order.
    pub checksums: &'a [BindChecksum<'a>],
    /// Number of parts; 0 for an object that has none.
    pub parts: u16,
    /// SHA-384 of the part table.
    pub part_table_sha384: [u8; 48],
    /// [`properties_digest`] of the system and user metadata set at PUT.
    pub properties_sha384: [u8; 48],
    /// ARN of the KMS key; empty where there is none.
    pub kms_arn: &'a str,
    /// [`crate::EncryptionContext::digest`].
    pub context_sha384: [u8; 48],
}

/// One checksum of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindChecksum<'a> {
    /// Number of the algorithm, as listed in the specification.
    pub algorithm: u8,
    /// 1 for a checksum of the full object, 2 for one composed of the parts' checksums.
    pub kind: u8,
    /// The stored bytes: the checksum, or the sealed checksum.
    pub bytes: &'a [u8],
}

impl Bind<'_> {
    /// SHA-384 of the canonical bytes.
    pub fn digest(&self) -> Result<BindDigest, SealError> {
        self.canonical_bytes()
            .map(|bytes| BindDigest(kdf::sha384(&bytes)))
    }

    //= docs/spec/object-format.md#bind
    //# BIND has no optional field: every field is present, fixed in width or preceded by its length.
    fn canonical_bytes(&self) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(512);
        out.extend(BIND_VERSION.to_be_bytes());
        out.extend(self.cluster_id);
        out.extend(self.bucket_uid);
        put_u16_prefixed(&mut out, self.object_key, "object_key")?;
        out.extend(self.version_uid);
        out.push(u8::from(self.null_version));
        out.extend(self.odi.0);
        out.extend(self.plain_size.to_be_bytes());
        out.extend(self.created_ms.to_be_bytes());
        put_u8_prefixed(&mut out, self.etag, "etag")?;
        self.put_checksums(&mut out)?;
        out.extend(self.parts.to_be_bytes());
        out.extend(self.part_table_sha384);
        out.extend(self.properties_sha384);
        put_u16_prefixed(&mut out, self.kms_arn.as_bytes(), "kms_arn")?;
        out.extend(self.context_sha384);
        Ok(out)
    }

    //= docs/spec/object-format.md#bind
    //# Checksums MUST be in ascending order of (alg, type), and no pair may occur twice.
    fn put_checksums(&self, out: &mut Vec<u8>) -> Result<(), SealError> {
        let mut sorted: Vec<_> = self.checksums.iter().collect();
        sorted.sort_by_key(|checksum| (checksum.algorithm, checksum.kind));
        let is_repeated = sorted
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if (a.algorithm, a.kind) == (b.algorithm, b.kind)));
        if is_repeated {
            return Err(SealError::Duplicate { field: "checksums" });
        }
        let too_many = SealError::TooLong { field: "checksums" };
        out.push(u8::try_from(sorted.len()).map_err(|_| too_many)?);
        for checksum in sorted {
            out.extend([checksum.algorithm, checksum.kind]);
            put_u16_prefixed(out, checksum.bytes, "checksums")?;
        }
        Ok(())
    }
}

impl BindDigest {
    /// The digest. Not a secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }
}

/// SHA-384 of name-value pairs, whatever order they are given in.
//= docs/spec/object-format.md#bind
//# The pairs are sorted by name, then by value, as bytes; each name and each value is preceded by its length as u64.
#[must_use]
pub fn properties_digest(pairs: &[(&str, &str)]) -> [u8; 48] {
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    let mut hash = digest::Context::new(&digest::SHA384);
    for text in sorted.iter().flat_map(|(name, value)| [name, value]) {
        let len = u64::try_from(text.len()).unwrap_or(u64::MAX);
        hash.update(&len.to_be_bytes());
        hash.update(text.as_bytes());
    }
    let mut out = [0; 48];
    for (to, from) in out.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    out
}

fn put_u8_prefixed(out: &mut Vec<u8>, bytes: &[u8], field: &'static str) -> Result<(), SealError> {
    out.push(u8::try_from(bytes.len()).map_err(|_| SealError::TooLong { field })?);
    out.extend(bytes);
    Ok(())
}

fn put_u16_prefixed(out: &mut Vec<u8>, bytes: &[u8], field: &'static str) -> Result<(), SealError> {
    let len = u16::try_from(bytes.len()).map_err(|_| SealError::TooLong { field })?;
    out.extend(len.to_be_bytes());
    out.extend(bytes);
    Ok(())
}

const BIND_VERSION: u16 = 1;
