// SPDX-License-Identifier: Apache-2.0
//! The root credential: taken from the environment, or generated at the first start and kept
//! sealed.

use serde::{Deserialize, Serialize};
use strongroom_iam::{CredentialError, RootCredential};
use strongroom_kms::root::Keyring;
use strongroom_wire::SecretAccessKey;
use zeroize::{Zeroize as _, Zeroizing};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::sealed_file::{self, Content};

/// An access key of the root user.
#[derive(Debug)]
pub(crate) struct RootAccessKey {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretAccessKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    access_key_id: String,
    secret_access_key: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.secret_access_key.zeroize();
    }
}

impl RootAccessKey {
    /// Another owner of the same key; the only place that copies it.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: SecretAccessKey::new(
                self.secret_access_key.expose_secret().to_owned(),
            ),
        }
    }

    /// The stored credential, if the store has one.
    pub(crate) fn read(keyring: &Keyring, data: &DataDir) -> Result<Option<Self>, Error> {
        let path = data.root_credential();
        let Some(json) = sealed_file::read(keyring, &path, Content::RootCredential)? else {
            return Ok(None);
        };
        // The parser's message is not shown: it could quote the secret.
        let mut stored: Stored = serde_json::from_slice(&json).map_err(|_| {
            Error::Root(format!(
                "`{}` opened but is not a credential",
                path.display()
            ))
        })?;
        Ok(Some(Self {
            access_key_id: std::mem::take(&mut stored.access_key_id),
            secret_access_key: SecretAccessKey::new(std::mem::take(&mut stored.secret_access_key)),
        }))
    }

    /// The stored credential, or a new one, stored.
    pub(crate) fn read_or_generate(keyring: &Keyring, data: &DataDir) -> Result<Self, Error> {
        if let Some(found) = Self::read(keyring, data)? {
            return Ok(found);
        }
        let made = Self::generate()?;
        let stored = Stored {
            access_key_id: made.access_key_id.clone(),
            secret_access_key: made.secret_access_key.expose_secret().to_owned(),
        };
        let json = serde_json::to_vec(&stored)
            .map(Zeroizing::new)
            .map_err(Error::room("cannot encode the root credential"))?;
        sealed_file::write(
            keyring,
            &data.root_credential(),
            Content::RootCredential,
            &json,
        )?;
        Ok(made)
    }

    fn generate() -> Result<Self, Error> {
        let made = strongroom_iam::generate_root_credential()
            .map_err(Error::room("cannot make a root credential"))?;
        let secret = made.secret().expose_secret().to_owned();
        Ok(Self {
            access_key_id: made.access_key_id().to_owned(),
            secret_access_key: SecretAccessKey::new(secret),
        })
    }

    /// As the identity service takes it: refused if it is one that anybody could guess.
    pub(crate) fn to_iam(&self) -> Result<RootCredential, CredentialError> {
        let own = self.duplicate();
        RootCredential::new(own.access_key_id, own.secret_access_key)
    }
}
