// SPDX-License-Identifier: Apache-2.0
//! What a client writes and what it is willing to read.

use crate::envelope::{Cipher, Envelope, Wrap};
use crate::error::Error;

/// Whether objects must commit to their key (message format V3), when writing and when reading.
/// The names are those of Amazon's clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CommitmentPolicy {
    /// Writes V2, reads V1, V2 and V3: for fleets whose readers do not know V3 yet.
    ForbidEncryptAllowDecrypt,
    /// Writes V3, reads V1, V2 and V3: while older objects are left.
    RequireEncryptAllowDecrypt,
    /// Writes V3 and reads nothing else.
    #[default]
    RequireEncryptRequireDecrypt,
}

/// What a client is willing to read besides what is written today. Both are off by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Legacy {
    /// Data keys that old clients wrapped in ways that bind nothing: `kms`, `AESWrap`, RSA with
    /// other paddings, and the implicit wraps of format V1.
    pub wrapping_algorithms: bool,
    /// Content under AES-CBC, and ranges of objects, neither of which is authenticated.
    pub unauthenticated_modes: bool,
}

impl CommitmentPolicy {
    /// Whether new objects are written in format V3.
    pub fn writes_committed(self) -> bool {
        match self {
            Self::ForbidEncryptAllowDecrypt => false,
            Self::RequireEncryptAllowDecrypt | Self::RequireEncryptRequireDecrypt => true,
        }
    }

    /// Judges an envelope before any key is used: the answer depends on nothing secret.
    pub fn admit(self, legacy: Legacy, envelope: &Envelope) -> Result<(), Error> {
        if self == Self::RequireEncryptRequireDecrypt && !matches!(envelope, Envelope::V3(_)) {
            return Err(Error::Refused {
                what: "in a format that does not commit to its key",
                remedy: "use the commitment policy require-encrypt-allow-decrypt to read it",
            });
        }
        if is_legacy(envelope.wrap()) && !legacy.wrapping_algorithms {
            return Err(Error::Refused {
                what: "under a legacy wrapping algorithm",
                remedy: "enable legacy wrapping algorithms to read it",
            });
        }
        if envelope.cipher() == Cipher::Cbc && !legacy.unauthenticated_modes {
            return Err(Error::Refused {
                what: "encrypted without authentication (AES-CBC)",
                remedy: "enable legacy unauthenticated modes to read it",
            });
        }
        Ok(())
    }
}

fn is_legacy(wrap: Wrap) -> bool {
    match wrap {
        Wrap::KmsContext | Wrap::AesGcm | Wrap::RsaOaepSha1 => false,
        Wrap::Kms | Wrap::AesWrap | Wrap::RsaOaepSha256 | Wrap::AesEcb | Wrap::RsaPkcs1 => true,
    }
}
