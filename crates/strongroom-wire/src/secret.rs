// SPDX-License-Identifier: Apache-2.0
//! The secret half of an access key.

use std::fmt;

use strongroom_memory::SecretBytes;
use zeroize::Zeroizing;

/// A secret access key: in memory of its own, wiped on drop, never cloned, never printed.
///
/// The only way to its text is [`SecretAccessKey::expose_secret`], so that every use can be
/// found by searching for that name.
pub struct SecretAccessKey(SecretBytes);

impl SecretAccessKey {
    /// Takes ownership of the text of a secret access key.
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(SecretBytes::copy_of(text.as_bytes()))
    }

    /// The secret itself, for key derivation and for showing it once to its owner.
    pub fn expose_secret(&self) -> &str {
        // INVARIANT: only `new` makes one, and out of a string.
        str::from_utf8(self.0.expose_secret()).unwrap_or_default()
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
