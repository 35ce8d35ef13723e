// SPDX-License-Identifier: Apache-2.0
//! The root user's access key, and what it must not be.

use strongroom_wire::SecretAccessKey;

use crate::error::CredentialError;
use crate::identifier;

/// The access key of the root user: checked, so that no published default can open a server.
#[derive(Debug)]
pub struct RootCredential {
    pub(crate) access_key_id: String,
    pub(crate) secret: SecretAccessKey,
}

impl RootCredential {
    /// Accepts a credential chosen by the operator.
    pub fn new(access_key_id: String, secret: SecretAccessKey) -> Result<Self, CredentialError> {
        let id_is_plain = (3..=128).contains(&access_key_id.len())
            && access_key_id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !id_is_plain {
            return Err(CredentialError::MalformedId);
        }
        let text = secret.expose_secret();
        if is_well_known(&access_key_id, text) {
            return Err(CredentialError::WellKnown);
        }
        if text.len() < SECRET_BYTES_MIN {
            return Err(CredentialError::SecretTooShort);
        }
        if text.len() > SECRET_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CredentialError::MalformedSecret);
        }
        if text.eq_ignore_ascii_case(&access_key_id) {
            return Err(CredentialError::SecretIsId);
        }
        Ok(Self {
            access_key_id,
            secret,
        })
    }

    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret, for its owner.
    pub fn secret(&self) -> &SecretAccessKey {
        &self.secret
    }
}

/// A new credential in AWS's shape: `AKIA` and 16 characters, and a secret of 40.
pub fn generate_root_credential() -> Result<RootCredential, CredentialError> {
    let access_key_id = identifier::access_key_id().map_err(|_| CredentialError::Random)?;
    let secret = identifier::secret_access_key().map_err(|_| CredentialError::Random)?;
    RootCredential::new(access_key_id, secret)
}

fn is_well_known(access_key_id: &str, secret: &str) -> bool {
    let id_ends_as_example =
        access_key_id.len() >= 7 && access_key_id.to_ascii_uppercase().ends_with("EXAMPLE");
    id_ends_as_example
        || WELL_KNOWN_IDS
            .iter()
            .any(|known| access_key_id.eq_ignore_ascii_case(known))
        || WELL_KNOWN_SECRETS
            .iter()
            .any(|known| secret.eq_ignore_ascii_case(known))
}

const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 128;

/// Ids that manuals and other servers' defaults have made public.
const WELL_KNOWN_IDS: [&str; 14] = [
    "minioadmin",
    "minio",
    "rustfsadmin",
    "rustfs",
    "accesskey",
    "access_key",
    "any",
    "test",
    "foobar",
    "admin",
    "root",
    "zenko",
    "Q3AM3UQ867SPQQA43P2F",
    "0555b35654ad1656d804",
];

/// Secrets that manuals and other servers' defaults have made public.
const WELL_KNOWN_SECRETS: [&str; 13] = [
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY",
    "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "zuf+tfteSlswRu7BJ86wekitnifILbZam1KYY3TG",
    "h7GhxuBLTrlhVUyxSPUKUV8r/2EI4ngqJxD7iBdBYLhwluN30JaT3Q==",
    "minioadmin",
    "minio123",
    "rustfsadmin",
    "verySecretKey1",
    "changemechangeme",
    "passwordpassword",
    "secretsecretsecret",
];
