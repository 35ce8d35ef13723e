// SPDX-License-Identifier: Apache-2.0
//! Seals what stands in front of the trailer of shard files, for the day when there are no tables:
//! `version 1 || epoch u32 || nonce 12 || ciphertext || tag 16` (`docs/spec/manifest.md`).
//!
//! Each blob has its own key, derived from the domain key with cluster and blob id, so that nothing
//! is to be counted, and a manifest opens in the files of its blob only. What is sealed has a
//! length of whole 256 bytes: how long a name is does not show.

use zeroize::Zeroizing;

use super::keyring::Keyring;
use crate::aead::{AeadKey, OVERHEAD_BYTES};
use crate::error::Error;
use crate::kdf;

impl Keyring {
    /// Seals the manifest of a blob of a cluster.
    pub fn seal_manifest(
        &self,
        cluster_id: &[u8; 16],
        blob: &[u8; 16],
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let epoch = self.newest_epoch();
        let refused = Error::Internal("sealing a manifest");
        let plain = padded(content).ok_or(refused)?;
        let key = self.manifest_key(epoch, cluster_id, blob);
        let key = key.ok_or(Error::Internal("the newest domain key"))?;
        let head = head(epoch);
        let mut sealed = Vec::with_capacity(sealed_len(plain.len()));
        sealed.extend_from_slice(&head);
        key.seal_to(&aad(head, cluster_id, blob), &plain, &mut sealed)
            .map_err(|_| Error::Internal("sealing a manifest"))?;
        Ok(sealed)
    }

    /// Opens what [`Self::seal_manifest`] made for this blob of this cluster.
    pub fn open_manifest(
        &self,
        cluster_id: &[u8; 16],
        blob: &[u8; 16],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let wrong = || Error::Corrupted {
            what: "manifest of a blob".to_owned(),
        };
        let (head, rest) = sealed.split_first_chunk::<HEAD_BYTES>().ok_or_else(wrong)?;
        let [version, epoch @ ..] = *head;
        if version != VERSION {
            return Err(wrong());
        }
        let key = self.manifest_key(u32::from_be_bytes(epoch), cluster_id, blob);
        let mut plain = key
            .ok_or_else(wrong)?
            .open(&aad(*head, cluster_id, blob), rest)
            .map_err(|_| wrong())?;
        let len = content_len(&plain).ok_or_else(wrong)?;
        plain.rotate_left(LEN_BYTES);
        plain.truncate(len);
        Ok(plain)
    }

    fn manifest_key(&self, epoch: u32, cluster_id: &[u8; 16], blob: &[u8; 16]) -> Option<AeadKey> {
        let root = self.manifests(epoch)?;
        let key = kdf::expand(&root, &[KEY_LABEL, cluster_id, blob]);
        AeadKey::new(&key).ok()
    }
}

/// `u32 length || content || zeros` up to whole blocks.
fn padded(content: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(content.len()).ok()?;
    let whole = content.len().checked_add(LEN_BYTES)?;
    let whole = whole.checked_next_multiple_of(BLOCK_BYTES)?;
    let mut plain = Vec::with_capacity(whole);
    plain.extend_from_slice(&len.to_be_bytes());
    plain.extend_from_slice(content);
    plain.resize(whole, 0);
    Some(plain)
}

/// The length of the content, if everything around it is as [`padded`] makes it.
fn content_len(plain: &[u8]) -> Option<usize> {
    let (len, rest) = plain.split_first_chunk::<LEN_BYTES>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let content = rest.get(..len)?;
    (padded(content)? == plain).then_some(len)
}

fn sealed_len(plain: usize) -> usize {
    plain.saturating_add(HEAD_BYTES + OVERHEAD_BYTES)
}

fn head(epoch: u32) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = epoch.to_be_bytes();
    [VERSION, a, b, c, d]
}

fn aad(head: [u8; HEAD_BYTES], cluster_id: &[u8; 16], blob: &[u8; 16]) -> Vec<u8> {
    [LABEL, head.as_slice(), cluster_id, blob].concat()
}

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;
const LEN_BYTES: usize = 4;
const BLOCK_BYTES: usize = 256;
const LABEL: &[u8] = b"strongroom/1/manifest\0";
const KEY_LABEL: &[u8] = b"strongroom/1/manifest-key\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back_and_shows_as_whole_blocks() {
        for len in [0, 1, 251, 252, 253, 507, 508, 509, 16_000] {
            let content = vec![7; len];
            let plain = padded(&content).unwrap();
            assert_eq!(plain.len() % BLOCK_BYTES, 0);
            assert_eq!(content_len(&plain), Some(len), "{len}");
            assert!(plain.len() < len + LEN_BYTES + BLOCK_BYTES);
        }
    }

    #[test]
    fn other_paddings_are_refused() {
        let good = padded(&[7; 100]).unwrap();
        assert_eq!(content_len(&good), Some(100));
        let mut not_zero = good.clone();
        *not_zero.last_mut().unwrap() = 1;
        let mut longer = good.clone();
        longer.resize(512, 0);
        let mut beyond = good.clone();
        beyond[..4].copy_from_slice(&253_u32.to_be_bytes());
        let mut shorter_content = good.clone();
        shorter_content[..4].copy_from_slice(&99_u32.to_be_bytes());
        for bad in [&not_zero, &longer, &beyond, &shorter_content] {
            assert_eq!(content_len(bad), None);
        }
        for cut in 0..good.len() {
            assert_eq!(content_len(&good[..cut]), None, "{cut}");
        }
    }
}
