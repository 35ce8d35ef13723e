// SPDX-License-Identifier: Apache-2.0
//! Whose answers are given where Amazon S3 and a widely used test suite of S3 disagree.
//!
//! One switch of the deployment, looked at where the two differ and nowhere else
//! (`docs/adr/0023-one-compat-switch.md` lists the places).

/// Whose answers are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compat {
    /// As Amazon S3 answers.
    #[default]
    Aws,
    /// As Ceph's suite of S3 tests expects.
    Ceph,
}

impl Compat {
    /// Whether a bucket that was given no encryption rule refuses uploads under customer keys, as
    /// new buckets of S3 do since April 2026.
    pub(crate) fn blocks_customer_keys_by_default(self) -> bool {
        match self {
            Self::Aws => true,
            Self::Ceph => false,
        }
    }

    /// Whether objects may be moved to another class sooner than after the weeks that S3 wants: the
    /// suite moves them day by day.
    pub(crate) fn moves_objects_day_by_day(self) -> bool {
        match self {
            Self::Aws => false,
            Self::Ceph => true,
        }
    }

    /// Whether a bucket that was given no encryption rule shows the default one.
    pub(crate) fn shows_the_default_rule(self) -> bool {
        match self {
            Self::Aws => true,
            Self::Ceph => false,
        }
    }

    /// Whether an upload under a customer key is completed only by a request that brings the key,
    /// and the answer says so.
    pub fn completes_with_customer_key_only(self) -> bool {
        match self {
            Self::Aws => false,
            Self::Ceph => true,
        }
    }

    /// Whether a request for SSE-KMS must name its key; else it is `alias/aws/s3`.
    pub fn wants_kms_keys_named(self) -> bool {
        match self {
            Self::Aws => false,
            Self::Ceph => true,
        }
    }

    /// Whether a write may be about whatever is there (`If-Match: *`); else it names an ETag.
    pub fn overwrites_whatever_is_there(self) -> bool {
        match self {
            Self::Aws => false,
            Self::Ceph => true,
        }
    }

    /// Whether parts and Complete may carry the header that chose the encryption of the upload.
    pub fn overlooks_encryption_headers_of_parts(self) -> bool {
        match self {
            Self::Aws => false,
            Self::Ceph => true,
        }
    }
}
