// SPDX-License-Identifier: Apache-2.0
//! The secret half of an access key.

use std::fmt;

use zeroize::Zeroizing;

/// A secret access key: zeroized on drop, never cloned, never printed.
///
/// The only way to its text is [`SecretAccessKey::expose_secret`], so that every use can be
/// found by searching for that name.
pub struct SecretAccessKey(Zeroizing<String>);

impl SecretAccessKey {
    /// Takes ownership of the text of a secret access key.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for key derivation and for showing it once to its owner.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_secret() {
        let secret = SecretAccessKey::new("planted-secret-value".to_owned());
        assert_eq!(format!("{secret:?}"), "SecretAccessKey(..)");
        assert_eq!(secret.expose_secret(), "planted-secret-value");
    }
}
