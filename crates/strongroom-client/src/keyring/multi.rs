// SPDX-License-Identifier: Apache-2.0
//! Several keyrings as one.

use std::fmt;

use super::{Answer, Keyring, NewDataKey, Wrapped, WrappedKey};
use crate::envelope::{Cipher, TextMap};
use crate::error::Error;
use crate::secret::AesKey;

/// Writes by one keyring and reads by whichever opens the data key: while objects under old and
/// new keys lie side by side.
pub struct MultiKeyring {
    first: Box<dyn Keyring>,
    others: Vec<Box<dyn Keyring>>,
}

impl MultiKeyring {
    /// Writes by this one, and asks it first when reading.
    pub fn new(first: impl Keyring + 'static) -> Self {
        Self {
            first: Box::new(first),
            others: Vec::new(),
        }
    }

    /// Reads by this one, too.
    #[must_use]
    pub fn read(mut self, other: impl Keyring + 'static) -> Self {
        self.others.push(Box::new(other));
        self
    }

    /// The answer of the first that opens it; else the first answer that says more than that the
    /// key is another's.
    async fn open(&self, wrapped: Wrapped<'_>) -> Result<AesKey, Error> {
        let mut worst = match self.first.unwrap(wrapped).await {
            Ok(data_key) => return Ok(data_key),
            Err(error) => error,
        };
        for other in &self.others {
            match other.unwrap(wrapped).await {
                Ok(data_key) => return Ok(data_key),
                Err(error) if says_little(&worst) => worst = error,
                Err(_) => {}
            }
        }
        Err(worst)
    }
}

fn says_little(error: &Error) -> bool {
    matches!(error, Error::WrongKey | Error::UnknownDescription(_))
}

impl Keyring for MultiKeyring {
    fn name(&self) -> Option<String> {
        self.first.name()
    }

    fn generate<'a>(&'a self, cipher: Cipher, context: &'a TextMap) -> Answer<'a, NewDataKey> {
        self.first.generate(cipher, context)
    }

    fn unwrap<'a>(&'a self, wrapped: Wrapped<'a>) -> Answer<'a, AesKey> {
        Box::pin(self.open(wrapped))
    }

    fn rewrap<'a>(
        &'a self,
        data_key: &'a AesKey,
        cipher: Cipher,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedKey> {
        self.first.rewrap(data_key, cipher, context)
    }
}

impl fmt::Debug for MultiKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiKeyring")
            .field("others", &self.others.len())
            .finish_non_exhaustive()
    }
}
