// SPDX-License-Identifier: Apache-2.0
//! Words about the root of all keys: who unseals the keyring, and `strongroom root`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PlaceArgs;
use crate::root_key::source::{Kdf, KmsSource, Pkcs11Source, RootSource};

/// Who unseals the keyring: one kind of four.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct RootArgs {
    /// The root key; keep it on another drive than the data to be safe from stolen drives
    /// [default: DIR/root.key]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_ROOT_KEY_FILE", help_heading = ROOT)]
    pub(crate) root_key_file: Option<PathBuf>,

    /// A file whose first line is the passphrase that seals the keyring, in place of a root key
    #[arg(
        long,
        value_name = "FILE",
        env = "STRONGROOM_PASSPHRASE_FILE",
        conflicts_with = "root_key_file",
        help_heading = ROOT
    )]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// How a new keyring stretches the passphrase; one that is there says it itself
    /// [default: argon2id]
    #[arg(long, value_name = "KDF", env = "STRONGROOM_PASSPHRASE_KDF", help_heading = ROOT)]
    pub(crate) passphrase_kdf: Option<Kdf>,

    /// The library of a PKCS#11 token whose AES key seals the keyring, in place of a root key
    #[arg(long, value_name = "FILE", env = "STRONGROOM_PKCS11_MODULE", help_heading = ROOT)]
    pub(crate) pkcs11_module: Option<PathBuf>,

    /// Label of the token
    #[arg(long, value_name = "LABEL", env = "STRONGROOM_PKCS11_TOKEN_LABEL", help_heading = ROOT)]
    pub(crate) pkcs11_token_label: Option<String>,

    /// Label of the AES-256 key in the token; made there, not extractable, when a keyring is
    /// first sealed with it
    #[arg(long, value_name = "LABEL", env = "STRONGROOM_PKCS11_KEY_LABEL", help_heading = ROOT)]
    pub(crate) pkcs11_key_label: Option<String>,

    /// A file whose first line is the user PIN of the token
    #[arg(long, value_name = "FILE", env = "STRONGROOM_PKCS11_PIN_FILE", help_heading = ROOT)]
    pub(crate) pkcs11_pin_file: Option<PathBuf>,

    /// https:// address of a key service that speaks AWS KMS, whose key seals the keyring, in
    /// place of a root key
    #[arg(long, value_name = "URL", env = "STRONGROOM_ROOT_KMS_ENDPOINT", help_heading = ROOT)]
    pub(crate) root_kms_endpoint: Option<String>,

    /// The key there: id, ARN or alias
    #[arg(long, value_name = "KEY", env = "STRONGROOM_ROOT_KMS_KEY_ID", help_heading = ROOT)]
    pub(crate) root_kms_key_id: Option<String>,

    /// The region requests are signed for [default: us-east-1]
    #[arg(long, value_name = "NAME", env = "STRONGROOM_ROOT_KMS_REGION", help_heading = ROOT)]
    pub(crate) root_kms_region: Option<String>,

    /// A file with aws_access_key_id = .. and aws_secret_access_key = .. for the key service
    #[arg(
        long,
        value_name = "FILE",
        env = "STRONGROOM_ROOT_KMS_CREDENTIALS_FILE",
        help_heading = ROOT
    )]
    pub(crate) root_kms_credentials_file: Option<PathBuf>,

    /// Certificates that may sign the key service's, PEM
    /// [default: /etc/ssl/certs/ca-certificates.crt]
    #[arg(long, value_name = "FILE", env = "STRONGROOM_ROOT_KMS_CA", help_heading = ROOT)]
    pub(crate) root_kms_ca: Option<PathBuf>,
}

/// Who shall unseal the keyring from now on: the flags of `serve` with `to-` in front.
#[derive(Debug, Default, Clone, Args)]
#[expect(clippy::struct_field_names, reason = "the fields name the flags")]
pub(crate) struct ToArgs {
    /// A root key in this file, which is made if it is not there
    #[arg(long, value_name = "FILE", help_heading = TO)]
    pub(crate) to_root_key_file: Option<PathBuf>,
    /// The passphrase in the first line of this file
    #[arg(long, value_name = "FILE", help_heading = TO)]
    pub(crate) to_passphrase_file: Option<PathBuf>,
    /// How the passphrase is stretched [default: argon2id]
    #[arg(long, value_name = "KDF", help_heading = TO)]
    pub(crate) to_passphrase_kdf: Option<Kdf>,
    /// A PKCS#11 token: its library
    #[arg(long, value_name = "FILE", help_heading = TO)]
    pub(crate) to_pkcs11_module: Option<PathBuf>,
    /// Label of the token
    #[arg(long, value_name = "LABEL", help_heading = TO)]
    pub(crate) to_pkcs11_token_label: Option<String>,
    /// Label of the AES-256 key in the token, which is made if it is not there
    #[arg(long, value_name = "LABEL", help_heading = TO)]
    pub(crate) to_pkcs11_key_label: Option<String>,
    /// A file with the user PIN of the token
    #[arg(long, value_name = "FILE", help_heading = TO)]
    pub(crate) to_pkcs11_pin_file: Option<PathBuf>,
    /// A key service that speaks AWS KMS: its https:// address
    #[arg(long, value_name = "URL", help_heading = TO)]
    pub(crate) to_root_kms_endpoint: Option<String>,
    /// The key there
    #[arg(long, value_name = "KEY", help_heading = TO)]
    pub(crate) to_root_kms_key_id: Option<String>,
    /// The region requests are signed for [default: us-east-1]
    #[arg(long, value_name = "NAME", help_heading = TO)]
    pub(crate) to_root_kms_region: Option<String>,
    /// A file with the access key for it
    #[arg(long, value_name = "FILE", help_heading = TO)]
    pub(crate) to_root_kms_credentials_file: Option<PathBuf>,
    /// Certificates that may sign its certificate, PEM
    #[arg(long, value_name = "FILE", help_heading = TO)]
    pub(crate) to_root_kms_ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RootCommand {
    /// Show who unseals the keyring, its epochs and their ages; no secrets
    Show {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Begin a new epoch of the domain keys, of the SSE-S3 root, or (without a flag) of both
    #[command(after_help = ROTATE_HELP)]
    Rotate {
        /// The domain keys: rows at rest, KMS key material, private files
        #[arg(long)]
        domain: bool,
        /// The root of the SSE-S3 keys
        #[arg(long)]
        sse_s3: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Let another root key, passphrase, token or key service unseal the keyring
    #[command(after_help = REKEY_HELP)]
    Rekey {
        #[command(flatten)]
        to: Box<ToArgs>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Split a new recovery key into shares and print them, once
    #[command(after_help = ESCROW_HELP)]
    Escrow {
        /// How many shares
        #[arg(long, value_name = "N", default_value_t = 3)]
        shares: u8,
        /// How many of them restore
        #[arg(long, value_name = "K", default_value_t = 2)]
        threshold: u8,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Open the keyring with shares of its recovery key, and seal it for a new provider
    #[command(after_help = RECOVER_HELP)]
    Recover {
        /// A file with one or more shares, one a line; may be repeated
        /// [default: standard input]
        #[arg(long = "share-file", value_name = "FILE")]
        share_files: Vec<PathBuf>,
        #[command(flatten)]
        to: Box<ToArgs>,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RewrapArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Put every version of this bucket under the KMS key named by --to, instead of bringing
    /// keys forward
    #[arg(long, value_name = "NAME", requires = "to")]
    pub(crate) bucket: Option<String>,

    /// Key id, ARN, alias or alias ARN
    #[arg(long, value_name = "KEY", requires = "bucket")]
    pub(crate) to: Option<String>,

    /// Only objects whose names begin so
    #[arg(long, value_name = "TEXT", requires = "bucket")]
    pub(crate) prefix: Option<String>,

    /// Only count what would be done; whether each object's present key can be used is not asked
    #[arg(long, requires = "bucket")]
    pub(crate) dry_run: bool,

    /// Show no progress bar
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl RootCommand {
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::Show { place }
            | Self::Rotate { place, .. }
            | Self::Rekey { place, .. }
            | Self::Escrow { place, .. }
            | Self::Recover { place, .. } => place,
        }
    }
}

impl RootArgs {
    /// Fills what is open from the configuration file. The kinds exclude each other: a flag for
    /// one silences the file's others.
    pub(crate) fn or(self, file: Self) -> Self {
        let said = self.kinds();
        let file = if said == [false; 4] || said == file.kinds() {
            file
        } else {
            Self::default()
        };
        Self {
            root_key_file: self.root_key_file.or(file.root_key_file),
            passphrase_file: self.passphrase_file.or(file.passphrase_file),
            passphrase_kdf: self.passphrase_kdf.or(file.passphrase_kdf),
            pkcs11_module: self.pkcs11_module.or(file.pkcs11_module),
            pkcs11_token_label: self.pkcs11_token_label.or(file.pkcs11_token_label),
            pkcs11_key_label: self.pkcs11_key_label.or(file.pkcs11_key_label),
            pkcs11_pin_file: self.pkcs11_pin_file.or(file.pkcs11_pin_file),
            root_kms_endpoint: self.root_kms_endpoint.or(file.root_kms_endpoint),
            root_kms_key_id: self.root_kms_key_id.or(file.root_kms_key_id),
            root_kms_region: self.root_kms_region.or(file.root_kms_region),
            root_kms_credentials_file: self
                .root_kms_credentials_file
                .or(file.root_kms_credentials_file),
            root_kms_ca: self.root_kms_ca.or(file.root_kms_ca),
        }
    }

    /// Which kinds are spoken of.
    fn kinds(&self) -> [bool; 4] {
        let pkcs11 = [
            self.pkcs11_module.is_some(),
            self.pkcs11_token_label.is_some(),
            self.pkcs11_key_label.is_some(),
            self.pkcs11_pin_file.is_some(),
        ];
        let kms = [
            self.root_kms_endpoint.is_some(),
            self.root_kms_key_id.is_some(),
            self.root_kms_region.is_some(),
            self.root_kms_credentials_file.is_some(),
            self.root_kms_ca.is_some(),
        ];
        [
            self.root_key_file.is_some(),
            self.passphrase_file.is_some(),
            pkcs11.contains(&true),
            kms.contains(&true),
        ]
    }

    /// The one provider that is meant; `None` if none is spoken of. An error names what is
    /// missing or too much, each flag with `prefix`.
    pub(crate) fn source(&self, prefix: &str) -> Result<Option<RootSource>, String> {
        let missing = |name: &str, with: &str| format!("`{prefix}{with}` needs `{prefix}{name}`");
        let kinds = [
            "root-key-file",
            "passphrase-file",
            "pkcs11-..",
            "root-kms-..",
        ];
        let said = kinds
            .into_iter()
            .zip(self.kinds())
            .filter(|(_, said)| *said);
        let said: Vec<String> = said.map(|(kind, _)| format!("`{prefix}{kind}`")).collect();
        if said.len() > 1 {
            return Err(format!(
                "{} exclude each other: give one",
                said.join(" and ")
            ));
        }
        if let Some(file) = &self.root_key_file {
            return Ok(Some(RootSource::KeyFile(file.clone())));
        }
        if let Some(file) = &self.passphrase_file {
            return Ok(Some(RootSource::Passphrase {
                file: file.clone(),
                kdf: self.passphrase_kdf.unwrap_or_default(),
            }));
        }
        match self.kinds() {
            [_, _, true, _] => {
                let need = |name| missing(name, "pkcs11-..");
                Ok(Some(RootSource::Pkcs11(Pkcs11Source {
                    module: self
                        .pkcs11_module
                        .clone()
                        .ok_or_else(|| need("pkcs11-module"))?,
                    token_label: self
                        .pkcs11_token_label
                        .clone()
                        .ok_or_else(|| need("pkcs11-token-label"))?,
                    key_label: self
                        .pkcs11_key_label
                        .clone()
                        .ok_or_else(|| need("pkcs11-key-label"))?,
                    pin_file: self
                        .pkcs11_pin_file
                        .clone()
                        .ok_or_else(|| need("pkcs11-pin-file"))?,
                })))
            }
            [_, _, _, true] => {
                let need = |name| missing(name, "root-kms-..");
                Ok(Some(RootSource::Kms(KmsSource {
                    endpoint: self
                        .root_kms_endpoint
                        .clone()
                        .ok_or_else(|| need("root-kms-endpoint"))?,
                    key_id: self
                        .root_kms_key_id
                        .clone()
                        .ok_or_else(|| need("root-kms-key-id"))?,
                    region: self
                        .root_kms_region
                        .clone()
                        .unwrap_or_else(|| crate::config::DEFAULT_REGION.to_owned()),
                    credentials_file: self
                        .root_kms_credentials_file
                        .clone()
                        .ok_or_else(|| need("root-kms-credentials-file"))?,
                    ca: self.root_kms_ca.clone(),
                })))
            }
            _ => Ok(None),
        }
    }
}

impl From<ToArgs> for RootArgs {
    fn from(to: ToArgs) -> Self {
        Self {
            root_key_file: to.to_root_key_file,
            passphrase_file: to.to_passphrase_file,
            passphrase_kdf: to.to_passphrase_kdf,
            pkcs11_module: to.to_pkcs11_module,
            pkcs11_token_label: to.to_pkcs11_token_label,
            pkcs11_key_label: to.to_pkcs11_key_label,
            pkcs11_pin_file: to.to_pkcs11_pin_file,
            root_kms_endpoint: to.to_root_kms_endpoint,
            root_kms_key_id: to.to_root_kms_key_id,
            root_kms_region: to.to_root_kms_region,
            root_kms_credentials_file: to.to_root_kms_credentials_file,
            root_kms_ca: to.to_root_kms_ca,
        }
    }
}

const ROOT: &str = "Root key (one of: a key file, a passphrase, a PKCS#11 token, a key service)";
const TO: &str = "From now on";

pub(super) const ROOT_EXAMPLES: &str = "\
Examples:
  strongroom root show
  strongroom root rotate
  strongroom root rekey --to-passphrase-file /media/usb/phrase
  strongroom root escrow --shares 5 --threshold 3
  strongroom root recover --share-file a --share-file b --to-root-key-file /media/usb/root.key

While a server runs on the data directory the commands ask it; otherwise they open the store, and
need the same flags as `serve` does to unseal the keyring.";

pub(super) const REWRAP_HELP: &str = "\
After a rotation what is new uses the new epoch, and what is there keeps the one it was made in.
This brings it forward: private files, KMS key material (with new shred keys), and the object keys
of SSE-S3 objects and open uploads. Bodies are neither read nor written.

With --bucket and --to every version in the bucket comes under another KMS key, from SSE-S3 or
SSE-KMS, as by UpdateObjectEncryption: its object key is unwrapped and wrapped again. ETag,
Last-Modified, metadata, tags and version id stay. Left as they are, and named with the reason: objects
under SSE-C and DSSE-KMS, objects whose present key cannot be used, and damaged ones. Open uploads keep
their key, and new objects get what their request or the bucket's default says: set that first.

Both may run while the server serves, be ended at any time, and be run again: they go on where they
were, and leave alone what is current. Exit status 0 all is well, 1 something is damaged or was left.

Examples:
  strongroom rewrap
  strongroom rewrap --bucket photos --to alias/photos --dry-run
  strongroom rewrap --bucket photos --to alias/photos --prefix 2026/";

const ROTATE_HELP: &str = "\
A running server does this by itself: domain keys every 30 days, the SSE-S3 root every 365 days.
New things are sealed under the new epoch at once. Older epochs stay, so nothing has to be sealed
again; `strongroom rewrap` brings wrapped keys forward.";

const REKEY_HELP: &str = "\
Examples:
  strongroom root rekey --to-root-key-file /media/usb/root.key
  strongroom root rekey --to-pkcs11-module /usr/lib/softhsm/libsofthsm2.so \\
      --to-pkcs11-token-label strongroom --to-pkcs11-key-label root --to-pkcs11-pin-file PIN
  strongroom root rekey --to-root-kms-endpoint https://kms.example.org --to-root-kms-key-id \\
      alias/root --to-root-kms-credentials-file CREDENTIALS

First the new one is added beside the old one and tried; only then the old one is taken away. If
the command is killed, either opens the keyring: run it again. Afterwards give `serve` the new
flags (the command prints them), and remove the old secret yourself. Stored data is not touched.";

const ESCROW_HELP: &str = "\
Each share is a line that begins with SRSHARE-. Give every line to another person; any K of them
can open the keyring with `strongroom root recover`, fewer can do nothing. Shares of an earlier
escrow are of no use for the keyring from then on.";

const RECOVER_HELP: &str = "\
For the day when root key, passphrase, token or key service is lost.

Examples:
  strongroom root recover --to-root-key-file /media/usb/root.key     # asks for shares
  strongroom root recover --share-file a --share-file b --to-passphrase-file /media/usb/phrase

The shares stay valid; make new ones (`strongroom root escrow`) if they were shown to others.";
