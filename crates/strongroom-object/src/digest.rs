// SPDX-License-Identifier: Apache-2.0
//! Digests over plaintext, computed while a body passes by.
//!
//! CRCs run at memory speed and are computed in line. MD5 and the SHA family are slower than the
//! cipher, so a large body hands them to another thread in batches (`beside.rs`): they cost the
//! other core's time and bound the upload only where they are slower than the rest.

use aws_lc_rs::digest as sha;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use strongroom_md5::Md5;

use crate::error::Error;
use crate::model::ChecksumAlgorithm;

mod beside;

use beside::{Beside, Digesting};

/// Batches smaller than this are digested in line, bytes.
const OFFLOAD_BYTES_MIN: usize = 64 * 1024;

/// Which digests of a body are computed.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedDigests {
    /// MD5.
    pub md5: bool,
    /// A checksum.
    pub checksum: Option<ChecksumAlgorithm>,
    /// CRC-64/NVME, besides another checksum.
    pub crc64: bool,
}

/// The digests of a body.
#[derive(Debug)]
pub struct Digests {
    /// MD5, where it was asked for.
    pub md5: Option<[u8; 16]>,
    /// The checksum, big-endian, where one was asked for.
    pub checksum: Option<(ChecksumAlgorithm, Vec<u8>)>,
    /// CRC-64/NVME, where it was asked for besides another checksum.
    pub crc64: Option<Vec<u8>>,
}

/// Digests a body piece by piece.
pub(crate) struct Digester {
    crc: Option<(ChecksumAlgorithm, Crc)>,
    crc64: Option<Crc>,
    slow: Slow,
    pending: Vec<Bytes>,
    pending_bytes: usize,
}

enum Slow {
    None,
    Here(Box<SlowState>),
    Away(Beside<SlowState>),
}

struct SlowState {
    md5: Option<Md5>,
    sha: Option<(ChecksumAlgorithm, sha::Context)>,
}

impl Digesting for SlowState {
    fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some((_, sha)) = &mut self.sha {
            sha.update(bytes);
        }
    }
}

impl Digester {
    /// A digester for what is wanted.
    pub(crate) fn new(wanted: WantedDigests) -> Self {
        let WantedDigests {
            md5,
            checksum,
            crc64,
        } = wanted;
        let crc = checksum.and_then(|a| crc_algorithm(a).map(|crc| (a, Crc::new(crc))));
        let sha = checksum.and_then(|a| sha_algorithm(a).map(|s| (a, sha::Context::new(s))));
        let slow = if md5 || sha.is_some() {
            Slow::Here(Box::new(SlowState {
                md5: md5.then(Md5::new),
                sha,
            }))
        } else {
            Slow::None
        };
        Self {
            crc,
            crc64: crc64.then(|| Crc::new(CrcAlgorithm::Crc64Nvme)),
            slow,
            pending: Vec::new(),
            pending_bytes: 0,
        }
    }

    /// Take in the next piece of the body.
    pub(crate) async fn update(&mut self, piece: &Bytes) -> Result<(), Error> {
        if let Some((_, crc)) = &mut self.crc {
            crc.update(piece);
        }
        if let Some(crc) = &mut self.crc64 {
            crc.update(piece);
        }
        if matches!(self.slow, Slow::None) {
            return Ok(());
        }
        self.pending_bytes = self.pending_bytes.saturating_add(piece.len());
        self.pending.push(piece.clone());
        if self.pending_bytes >= OFFLOAD_BYTES_MIN {
            self.offload().await?;
        }
        Ok(())
    }

    async fn offload(&mut self) -> Result<(), Error> {
        let batch = std::mem::take(&mut self.pending);
        let bytes = std::mem::take(&mut self.pending_bytes);
        let beside = match std::mem::replace(&mut self.slow, Slow::None) {
            Slow::None => return Ok(()),
            Slow::Here(state) => Beside::new(state),
            Slow::Away(beside) => beside,
        };
        beside.give(batch, bytes).await?;
        self.slow = Slow::Away(beside);
        Ok(())
    }

    /// The digests of everything taken in.
    pub(crate) async fn finish(self) -> Result<Digests, Error> {
        let slow = match self.slow {
            Slow::None => None,
            Slow::Here(mut state) => {
                for piece in &self.pending {
                    state.update(piece);
                }
                Some(state)
            }
            Slow::Away(beside) => {
                if !self.pending.is_empty() {
                    beside.give(self.pending, self.pending_bytes).await?;
                }
                Some(beside.finish().await?)
            }
        };
        let mut digests = Digests {
            md5: None,
            checksum: None,
            crc64: self
                .crc64
                .map(|crc| crc_bytes(ChecksumAlgorithm::Crc64Nvme, crc.finalize())),
        };
        if let Some(mut state) = slow {
            digests.md5 = state.md5.as_mut().map(Md5::finish);
            digests.checksum = state
                .sha
                .map(|(a, sha)| (a, sha.finish().as_ref().to_vec()));
        }
        if let Some((algorithm, crc)) = self.crc {
            digests.checksum = Some((algorithm, crc_bytes(algorithm, crc.finalize())));
        }
        Ok(digests)
    }
}

/// Digest length of an algorithm, bytes.
pub(crate) fn digest_len(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// The digest of bytes at hand.
pub(crate) fn digest(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Vec<u8> {
    match (crc_algorithm(algorithm), sha_algorithm(algorithm)) {
        (Some(crc), _) => crc_bytes(algorithm, crc_fast::checksum(crc, bytes)),
        (None, Some(sha)) => sha::digest(sha, bytes).as_ref().to_vec(),
        (None, None) => Vec::new(),
    }
}

/// Combine the CRCs of two adjacent byte ranges; `None` for algorithms that cannot.
pub(crate) fn combine(
    algorithm: ChecksumAlgorithm,
    first: &[u8],
    second: &[u8],
    second_len: u64,
) -> Option<Vec<u8>> {
    let crc = crc_algorithm(algorithm)?;
    let combined =
        crc_fast::checksum_combine(crc, crc_number(first)?, crc_number(second)?, second_len);
    Some(crc_bytes(algorithm, combined))
}

fn crc_algorithm(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
    }
}

fn sha_algorithm(algorithm: ChecksumAlgorithm) -> Option<&'static sha::Algorithm> {
    match algorithm {
        ChecksumAlgorithm::Sha1 => Some(&sha::SHA1_FOR_LEGACY_USE_ONLY),
        ChecksumAlgorithm::Sha256 => Some(&sha::SHA256),
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c | ChecksumAlgorithm::Crc64Nvme => None,
    }
}

fn crc_bytes(algorithm: ChecksumAlgorithm, crc: u64) -> Vec<u8> {
    let bytes = crc.to_be_bytes();
    let skip = bytes.len().saturating_sub(digest_len(algorithm));
    bytes.get(skip..).unwrap_or_default().to_vec()
}

fn crc_number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |n, b| (n << 8) | u64::from(*b)))
}

#[cfg(test)]
mod tests {
    use md5::Digest as _;

    use super::*;

    const CHECK: &[u8] = b"123456789";

    /// The check values of the CRC catalogue (reveng.sourceforge.io) and of FIPS 180-4.
    #[test]
    fn known_answers() {
        let hex = |a| hex::encode(digest(a, CHECK));
        assert_eq!(hex(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(hex(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(hex(ChecksumAlgorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(
            hex(ChecksumAlgorithm::Sha1),
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441"
        );
        assert_eq!(
            hex(ChecksumAlgorithm::Sha256),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
    }

    #[test]
    fn combining_equals_digesting_the_whole() {
        for algorithm in [
            ChecksumAlgorithm::Crc32,
            ChecksumAlgorithm::Crc32c,
            ChecksumAlgorithm::Crc64Nvme,
        ] {
            let (a, b) = CHECK.split_at(4);
            let combined = combine(algorithm, &digest(algorithm, a), &digest(algorithm, b), 5);
            assert_eq!(combined, Some(digest(algorithm, CHECK)));
        }
        assert_eq!(
            combine(ChecksumAlgorithm::Sha1, &[0; 20], &[0; 20], 5),
            None
        );
    }

    #[tokio::test]
    async fn pieces_of_any_size_digest_alike() {
        let body: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
        for algorithm in [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256] {
            for piece in [1_000_000, 65_536, 99_991] {
                let mut digester = Digester::new(WantedDigests {
                    md5: true,
                    checksum: Some(algorithm),
                    crc64: true,
                });
                for part in body.chunks(piece) {
                    digester
                        .update(&Bytes::copy_from_slice(part))
                        .await
                        .unwrap();
                }
                let digests = digester.finish().await.unwrap();
                assert_eq!(
                    digests.checksum,
                    Some((algorithm, digest(algorithm, &body)))
                );
                assert_eq!(digests.md5, Some(md5::Md5::digest(&body).into()));
                let crc64 = digest(ChecksumAlgorithm::Crc64Nvme, &body);
                assert_eq!(digests.crc64, Some(crc64));
            }
        }
    }
}
