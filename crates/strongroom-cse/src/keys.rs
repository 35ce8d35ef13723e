// SPDX-License-Identifier: Apache-2.0
//! Wrapping keys in files: what `keygen` makes, and what other programs make.
//!
//! An AES key is raw bytes, Base64 or hex; an RSA key is PEM. What could be read in two ways is
//! refused: a file of 32 characters of text is hardly a key of 32 bytes.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_client::AesKey;
use strongroom_client::envelope::TextMap;
use strongroom_client::keyring::{AesMasterKey, MasterKeyring, RsaPrivateKey, RsaPublicKey};
use zeroize::Zeroizing;

use crate::cli::KeyKind;
use crate::error::Error;
use crate::{files, show};

/// A wrapping key.
#[derive(Debug)]
pub(crate) enum WrappingKey {
    Aes(AesKey),
    Rsa {
        public: RsaPublicKey,
        private: Option<RsaPrivateKey>,
    },
}

impl WrappingKey {
    /// Reads a key file, and says so if others may read it, too.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let file = files::read_secret(path)?;
        let key = Self::parse(&file.bytes)
            .map_err(|why| Error::usage(format!("`{}`: {why}", path.display())))?;
        if file.is_shared && key.opens_its_own() {
            show::warn(&format!(
                "`{0}` can be read by others: chmod 600 {0}",
                path.display()
            ));
        }
        Ok(key)
    }

    /// Whether what is encrypted with this key can be decrypted with it.
    pub(crate) fn opens_its_own(&self) -> bool {
        !matches!(self, Self::Rsa { private: None, .. })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if let Some(at) = find(bytes, b"-----BEGIN ") {
            return Self::parse_pem(bytes.get(at..).unwrap_or_default());
        }
        let is_text = bytes
            .iter()
            .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
        if !is_text {
            return aes(bytes.to_vec());
        }
        if matches!(bytes.len(), 16 | 24 | 32) {
            return Err(
                "text of a length that a raw key has: end Base64 or hex with a new line".to_owned(),
            );
        }
        let text = bytes.trim_ascii();
        let is_hex = text.iter().all(u8::is_ascii_hexdigit);
        let decoded = if is_hex {
            hex(text)
        } else {
            STANDARD.decode(text).ok()
        };
        decoded.map_or_else(|| Err(NO_KEY.to_owned()), aes)
    }

    fn parse_pem(bytes: &[u8]) -> Result<Self, String> {
        let (label, der) = pem(bytes).ok_or_else(|| "the PEM is damaged".to_owned())?;
        let wrong = |error: strongroom_client::Error| error.to_string();
        match label.as_str() {
            "PRIVATE KEY" => {
                let private = RsaPrivateKey::from_pkcs8(&der).map_err(wrong)?;
                let public = PrivateDecryptingKey::from_pkcs8(&der)
                    .map_err(|_| NO_KEY.to_owned())?
                    .public_key();
                let public: PublicKeyX509Der<'_> =
                    public.as_der().map_err(|_| NO_KEY.to_owned())?;
                Ok(Self::Rsa {
                    public: RsaPublicKey::from_der(public.as_ref()).map_err(wrong)?,
                    private: Some(private),
                })
            }
            "PUBLIC KEY" => Ok(Self::Rsa {
                public: RsaPublicKey::from_der(&der).map_err(wrong)?,
                private: None,
            }),
            "RSA PRIVATE KEY" => Err(
                "an RSA key in the old form: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW"
                    .to_owned(),
            ),
            "ENCRYPTED PRIVATE KEY" => Err(
                "the key is under a passphrase: openssl pkcs8 -in OLD -out NEW takes it off"
                    .to_owned(),
            ),
            _ => Err(format!(
                "PEM of `{}`, which is no wrapping key",
                show::on_one_line(&label)
            )),
        }
    }

    /// Wraps and unwraps with this key.
    pub(crate) fn write_with(
        self,
        keyring: MasterKeyring,
        description: TextMap,
    ) -> Result<MasterKeyring, Error> {
        let keyring = match self {
            Self::Aes(key) => keyring.write_aes(description, AesMasterKey::new(key)),
            Self::Rsa { public, private } => {
                let keyring = keyring.write_rsa(description.clone(), public);
                match private {
                    Some(private) => keyring.read_rsa(description, private),
                    None => Ok(keyring),
                }
            }
        };
        keyring.map_err(Error::object("keys"))
    }

    /// Unwraps with this key; a public key cannot.
    pub(crate) fn read_with(
        self,
        keyring: MasterKeyring,
        description: TextMap,
    ) -> Result<MasterKeyring, Error> {
        let keyring = match self {
            Self::Aes(key) => keyring.read_aes(description, AesMasterKey::new(key)),
            Self::Rsa {
                private: Some(private),
                ..
            } => keyring.read_rsa(description, private),
            Self::Rsa { private: None, .. } => {
                return Err(Error::usage(
                    "a public key only encrypts: name it first, or take the private one",
                ));
            }
        };
        keyring.map_err(Error::object("keys"))
    }
}

/// Makes a key file, and for RSA the file of its public half. Neither may be there.
pub(crate) fn generate(kind: KeyKind, path: &Path) -> Result<String, Error> {
    let module = |_| Error::object(path.display())(strongroom_client::Error::Module);
    let size = match kind {
        KeyKind::Aes256 => {
            let mut key = Zeroizing::new([0_u8; 32]);
            aws_lc_rs::rand::fill(&mut *key).map_err(module)?;
            let text = Zeroizing::new(format!(
                "{}\n",
                Zeroizing::new(STANDARD.encode(key.as_slice())).as_str()
            ));
            files::create_new(path, text.as_bytes(), 0o600)?;
            return Ok(format!("`{}`: an AES-256 wrapping key\n", path.display()));
        }
        KeyKind::Rsa2048 => KeySize::Rsa2048,
        KeyKind::Rsa3072 => KeySize::Rsa3072,
        KeyKind::Rsa4096 => KeySize::Rsa4096,
    };
    let key = PrivateDecryptingKey::generate(size).map_err(module)?;
    let private: Pkcs8V1Der<'_> = key.as_der().map_err(module)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(module)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let beside = Path::new(&beside);
    files::create_new(
        path,
        to_pem("PRIVATE KEY", private.as_ref()).as_bytes(),
        0o600,
    )?;
    if let Err(error) = files::create_new(
        beside,
        to_pem("PUBLIC KEY", public.as_ref()).as_bytes(),
        0o644,
    ) {
        // The private half was made a moment ago, by us.
        files::remove(path);
        return Err(error);
    }
    Ok(format!(
        "`{}`: an RSA wrapping key\n`{}`: its public half, which only encrypts\n",
        path.display(),
        beside.display()
    ))
}

fn aes(bytes: Vec<u8>) -> Result<WrappingKey, String> {
    AesKey::new(bytes)
        .map(WrappingKey::Aes)
        .map_err(|_| NO_KEY.to_owned())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

/// Label and content of the first block of a PEM file, of which it is the only one.
fn pem(bytes: &[u8]) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let rest = text.strip_prefix("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, behind) = rest.split_once(&format!("-----END {label}-----"))?;
    if behind.contains("-----BEGIN ") {
        return None;
    }
    let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    Some((
        label.to_owned(),
        Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?),
    ))
}

pub(crate) fn to_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut out = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at_checked(64).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = behind;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

const NO_KEY: &str = "no key: 16, 24 or 32 bytes (raw, Base64 or hex), or an RSA key in PEM";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<WrappingKey, String> {
        WrappingKey::parse(bytes)
    }

    #[test]
    fn aes_keys_in_each_form() {
        let raw: Vec<u8> = (0x80..0xa0).collect();
        assert!(matches!(parse(&raw), Ok(WrappingKey::Aes(_))));
        for text in [
            format!("{}\n", STANDARD.encode(&raw)),
            STANDARD.encode(&raw),
            "80".repeat(32),
            format!("  {}\r\n", "8f".repeat(16)),
        ] {
            assert!(
                matches!(parse(text.as_bytes()), Ok(WrappingKey::Aes(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_be_two_keys_is_none() {
        for wrong in [
            b"".to_vec(),
            b"\n".to_vec(),
            // A passphrase is no key, and neither is hex without an end.
            b"correct horse battery staple 123".to_vec(),
            "80".repeat(16).into_bytes(),
            STANDARD.encode([7; 24]).into_bytes(),
            STANDARD.encode([7; 20]).into_bytes(),
            b"not base64 at all, and longer than any key that there is\n".to_vec(),
            vec![0x80; 31],
            vec![0x80; 33],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn keys_that_are_made_are_read() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, name) in [(KeyKind::Aes256, "a"), (KeyKind::Rsa2048, "r")] {
            let path = dir.path().join(name);
            let words = generate(kind, &path).unwrap();
            assert!(words.contains(name));
            let key = WrappingKey::read(&path).unwrap();
            assert!(!matches!(key, WrappingKey::Rsa { private: None, .. }));
            let file = files::read_secret(&path).unwrap();
            assert!(!file.is_shared);
            // Nothing of the key is in what is said.
            let text = String::from_utf8(file.bytes.to_vec()).unwrap();
            assert!(!words.contains(text.lines().nth(1).unwrap_or(text.trim())));
            assert!(generate(kind, &path).is_err());
            assert_eq!(files::read_secret(&path).unwrap().bytes, file.bytes);
        }
        let public = WrappingKey::read(&dir.path().join("r.pub")).unwrap();
        assert!(matches!(public, WrappingKey::Rsa { private: None, .. }));
        for (name, opens) in [("a", true), ("r", true), ("r.pub", false)] {
            let key = WrappingKey::read(&dir.path().join(name)).unwrap();
            assert_eq!(key.opens_its_own(), opens, "{name}");
        }
        assert!(
            public
                .read_with(MasterKeyring::new(), TextMap::new())
                .is_err()
        );
    }

    #[test]
    fn a_public_half_that_is_there_stops_a_new_pair() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r");
        generate(KeyKind::Rsa2048, &path).unwrap();
        files::remove(&path);
        assert!(generate(KeyKind::Rsa2048, &path).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn other_pem_is_told_apart() {
        for label in [
            "RSA PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
            "CERTIFICATE",
            "PRIVATE KEY",
            "PUBLIC KEY",
        ] {
            let text = to_pem(label, &[1, 2, 3]);
            assert!(parse(text.as_bytes()).is_err(), "{label}");
        }
        assert!(parse(b"-----BEGIN PRIVATE KEY-----\nAAAA\n").is_err());
        let two = [
            to_pem("PUBLIC KEY", &[1]).as_str(),
            to_pem("PUBLIC KEY", &[2]).as_str(),
        ]
        .concat();
        assert!(parse(two.as_bytes()).is_err());
    }
}
