// SPDX-License-Identifier: Apache-2.0
//! The command line: what can be asked of the program, and the help that teaches it.
//!
//! [`Settings`] is flags, environment and configuration file in one type, so that the three
//! ways of setting something cannot drift apart in name or meaning.

pub(crate) mod backup;
pub(crate) mod drive;
pub(crate) mod kms;
pub(crate) mod rebuild;
pub(crate) mod root;
pub(crate) mod scrub;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use strongroom_cse::{CSE_EXAMPLES, CseCommand};

use self::backup::{BACKUP_EXAMPLES, BackupCommand, RestoreCommand};
use self::drive::{DRIVE_EXAMPLES, DriveCommand, STATUS_HELP, StatusArgs};
use self::kms::{KMS_EXAMPLES, KmsCommand};
use self::rebuild::{REBUILD_HELP, RebuildArgs};
use self::root::{REWRAP_HELP, ROOT_EXAMPLES, RewrapArgs, RootArgs, RootCommand};
use self::scrub::{CareArgs, SCRUB_EXAMPLES, ScrubCommand};
use crate::root_key::source::Kdf;

/// An encrypting object store that speaks the S3 and KMS protocols.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, after_help = PROGRAM_EXAMPLES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the server (the first start also makes the store, its keys and a local CA)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<Settings>),
    /// Print the export lines that point AWS tools at this server
    #[command(after_help = ENV_EXAMPLES)]
    Env(EnvArgs),
    /// Add, list and remove users
    #[command(subcommand, after_help = USER_EXAMPLES)]
    User(UserCommand),
    /// Show how something is stored and sealed, without showing any secret
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Read every stored byte again and check checksums and authentication tags
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Show how far reading everything again has come, or do it now
    #[command(subcommand, after_help = SCRUB_EXAMPLES)]
    Scrub(ScrubCommand),
    /// List KMS keys, say what depends on one, prove that one is destroyed
    #[command(subcommand, after_help = KMS_EXAMPLES)]
    Kms(KmsCommand),
    /// Bring wrapped keys forward to the newest epochs, or a bucket under another KMS key, without
    /// touching data
    #[command(after_help = REWRAP_HELP)]
    Rewrap(RewrapArgs),
    /// List, add, drain, remove and replace drives
    #[command(subcommand, after_help = DRIVE_EXAMPLES)]
    Drive(DriveCommand),
    /// Say how well what is stored is protected, and what is owed
    #[command(after_help = STATUS_HELP)]
    Status(StatusArgs),
    /// Copy the tables into one sealed file
    #[command(subcommand, after_help = BACKUP_EXAMPLES)]
    Backup(BackupCommand),
    /// Put the tables of a backup back
    #[command(subcommand, after_help = BACKUP_EXAMPLES)]
    Restore(RestoreCommand),
    /// The last resort, without a backup: make tables of what the files of the objects say
    #[command(after_help = REBUILD_HELP)]
    Rebuild(RebuildArgs),
    /// Show, rotate and change what the keyring is sealed with
    #[command(subcommand, after_help = ROOT_EXAMPLES)]
    Root(RootCommand),
    /// Encrypt before anything leaves this machine: copy, list, inspect objects of any S3 (no server
    /// of ours is needed)
    #[command(subcommand, after_help = CSE_EXAMPLES)]
    Cse(Box<CseCommand>),
}

/// Everything `serve` can be told. Flag `--some-name`, variable `STRONGROOM_SOME_NAME` and line
/// `some-name = ..` in the configuration file mean the same; the flag wins over the variable,
/// and the variable over the file.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) place: PlaceArgs,

    /// HTTPS listener, an IP address with a port, or `none` [default: 127.0.0.1:9443]
    #[arg(long, value_name = "ADDR", env = "STRONGROOM_HTTPS", help_heading = LISTENERS)]
    pub(crate) https: Option<String>,

    /// HTTP listener, or `none`; customer keys (SSE-C) are refused on it [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDR", env = "STRONGROOM_HTTP", help_heading = LISTENERS)]
    pub(crate) http: Option<String>,

    /// Health and metrics listener, or `none`; it asks for no credential, so it must be a
    /// loopback address [default: 127.0.0.1:9001]
    #[arg(long, value_name = "ADDR", env = "STRONGROOM_ADMIN", help_heading = LISTENERS)]
    pub(crate) admin: Option<String>,

    /// Let the health and metrics listener use an address that is not loopback
    #[arg(long, env = "STRONGROOM_ADMIN_ALLOW_REMOTE", help_heading = LISTENERS)]
    #[serde(default)]
    pub(crate) admin_allow_remote: bool,

    /// Base domain of virtual-host-style addresses, as in BUCKET.NAME; may be repeated. Over
    /// HTTPS it needs a dot in it: TLS clients do not take *.localhost, but *.s3.localhost
    /// [default: localhost]
    #[arg(long = "domain", value_name = "NAME", env = "STRONGROOM_DOMAIN", value_delimiter = ',', help_heading = LISTENERS)]
    #[serde(default, rename = "domain")]
    pub(crate) domains: Vec<String>,

    /// Your own certificate chain, PEM (instead of the local CA's); read again on SIGHUP
    #[arg(long, value_name = "FILE", env = "STRONGROOM_TLS_CERT", help_heading = LISTENERS)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, PEM, mode 0600
    #[arg(long, value_name = "FILE", env = "STRONGROOM_TLS_KEY", help_heading = LISTENERS)]
    pub(crate) tls_key: Option<PathBuf>,

    /// A drive and the facility that it stands in; may be repeated. Drives that the store knows
    /// are found without it [default: DIR/drive in facility main]
    #[arg(long = "drive", value_name = "FACILITY:PATH", env = "STRONGROOM_DRIVE", value_delimiter = ',', help_heading = DRIVES)]
    #[serde(default, rename = "drive")]
    pub(crate) drives: Vec<String>,

    /// Data and parity shards of new blobs, as in 4+2, or `auto` for what suits the number of
    /// drives; remembered [default: as before, auto at first]
    #[arg(long, value_name = "K+M", env = "STRONGROOM_REDUNDANCY", help_heading = DRIVES)]
    pub(crate) redundancy: Option<String>,

    /// What to log: a level (error, warn, info, debug, trace) or a filter such as
    /// `info,strongroom_api=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "STRONGROOM_LOG", help_heading = LOGS)]
    pub(crate) log: Option<String>,

    /// How to write log lines [default: text]
    #[arg(long, value_name = "FORMAT", env = "STRONGROOM_LOG_FORMAT", help_heading = LOGS)]
    pub(crate) log_format: Option<LogFormat>,

    /// Connections served at once; further ones wait in the kernel's queue [default: 1024]
    #[arg(long, value_name = "N", env = "STRONGROOM_MAX_CONNECTIONS", help_heading = LIMITS)]
    pub(crate) max_connections: Option<usize>,

    /// Milliseconds a client has to complete a TLS handshake [default: 10000]
    #[arg(long, value_name = "MS", env = "STRONGROOM_HANDSHAKE_TIMEOUT_MS", help_heading = LIMITS)]
    pub(crate) handshake_timeout_ms: Option<u64>,

    /// Milliseconds a client has to send a complete request head; also how long an idle
    /// connection is kept [default: 30000]
    #[arg(long, value_name = "MS", env = "STRONGROOM_HEADER_TIMEOUT_MS", help_heading = LIMITS)]
    pub(crate) header_timeout_ms: Option<u64>,

    /// Milliseconds a transfer may stand still, in either direction [default: 30000]
    #[arg(long, value_name = "MS", env = "STRONGROOM_STALL_TIMEOUT_MS", help_heading = LIMITS)]
    pub(crate) stall_timeout_ms: Option<u64>,

    /// Milliseconds that requests in flight have to finish when the server stops
    /// [default: 30000]
    #[arg(long, value_name = "MS", env = "STRONGROOM_STOP_TIMEOUT_MS", help_heading = LIMITS)]
    pub(crate) stop_timeout_ms: Option<u64>,

    /// Start although swap is on and not encrypted, where keys could be written in clear
    #[arg(long, env = "STRONGROOM_ALLOW_UNENCRYPTED_SWAP", help_heading = LIMITS)]
    #[serde(default)]
    pub(crate) allow_unencrypted_swap: bool,

    /// Whose answers are given where Amazon S3 and Ceph's suite of S3 tests disagree, and whether
    /// new buckets refuse customer keys (SSE-C): see below [default: aws]
    #[arg(long, value_name = "NAME", env = "STRONGROOM_COMPAT", help_heading = PROTOCOL)]
    pub(crate) compat: Option<CompatName>,

    /// Seconds a day of lifecycle rules and restored copies has; for tests only [default: 86400]
    #[arg(long, value_name = "SECONDS", env = "STRONGROOM_LIFECYCLE_DAY_SECONDS", help_heading = PROTOCOL)]
    pub(crate) lifecycle_day_seconds: Option<u32>,

    /// Seconds a restore of an archived object takes, whatever its tier [default: 5 minutes to 48
    /// hours, by tier and class as in S3]
    #[arg(long, value_name = "SECONDS", env = "STRONGROOM_RESTORE_DELAY_SECONDS", help_heading = PROTOCOL)]
    pub(crate) restore_delay_seconds: Option<u32>,

    /// Days after which the domain keys get a new epoch [default: 30]
    #[arg(long, value_name = "DAYS", env = "STRONGROOM_DOMAIN_KEY_DAYS", help_heading = LIMITS)]
    pub(crate) domain_key_days: Option<u32>,

    /// Days after which the root of SSE-S3 gets a new epoch [default: 365]
    #[arg(long, value_name = "DAYS", env = "STRONGROOM_SSE_S3_ROOT_DAYS", help_heading = LIMITS)]
    pub(crate) sse_s3_root_days: Option<u32>,

    #[command(flatten)]
    #[serde(skip)]
    pub(crate) care: CareArgs,

    // These are `place` and `care` in the file: serde cannot flatten and refuse unknown names at once.
    #[arg(skip)]
    pub(crate) scrub_days: Option<u32>,
    #[arg(skip)]
    pub(crate) scrub_mib_per_second: Option<u32>,
    #[arg(skip)]
    pub(crate) heal_mib_per_second: Option<u32>,
    #[arg(skip)]
    pub(crate) heal_after_minutes: Option<u32>,
    #[arg(skip)]
    pub(crate) data: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) root_key_file: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) passphrase_kdf: Option<Kdf>,
    #[arg(skip)]
    pub(crate) pkcs11_module: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) pkcs11_token_label: Option<String>,
    #[arg(skip)]
    pub(crate) pkcs11_key_label: Option<String>,
    #[arg(skip)]
    pub(crate) pkcs11_pin_file: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) root_kms_endpoint: Option<String>,
    #[arg(skip)]
    pub(crate) root_kms_key_id: Option<String>,
    #[arg(skip)]
    pub(crate) root_kms_region: Option<String>,
    #[arg(skip)]
    pub(crate) root_kms_credentials_file: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) root_kms_ca: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) region: Option<String>,
    #[arg(skip)]
    pub(crate) account_id: Option<String>,
}

/// Where the store is and how it is opened: common to all commands.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct PlaceArgs {
    /// Data directory [default: ./strongroom-data]
    #[arg(long, value_name = "DIR", env = "STRONGROOM_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// Configuration file (TOML; its names are the flags without the dashes in front)
    #[arg(long, value_name = "FILE", env = "STRONGROOM_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) root: RootArgs,

    /// The region this server says it is [default: us-east-1]
    #[arg(long, value_name = "NAME", env = "STRONGROOM_REGION")]
    pub(crate) region: Option<String>,

    /// The twelve-digit account that owns everything in the store [default: 000000000000]
    #[arg(long, value_name = "DIGITS", env = "STRONGROOM_ACCOUNT_ID")]
    pub(crate) account_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The names of `strongroom_object::Compat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CompatName {
    Aws,
    Ceph,
}

#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Point at the HTTP listener instead of the HTTPS one
    #[arg(long)]
    pub(crate) http: bool,

    // Where the listeners will be when no server runs that could be asked.
    #[arg(long = "https-address", env = "STRONGROOM_HTTPS", hide = true)]
    pub(crate) https_address: Option<String>,
    #[arg(long = "http-address", env = "STRONGROOM_HTTP", hide = true)]
    pub(crate) http_address: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user, with full access if no policy is given; its secret is shown once, here
    Add {
        /// Name of the user: letters, digits and any of + = , . @ _ -
        name: String,
        /// Identity policy: what the user may do, as JSON in the language of IAM
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List users, what they may do, and their access key ids
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Show, set or remove the identity policy of a user; it counts from the next request on
    Policy {
        /// Name of the user
        name: String,
        /// The policy to set, as JSON in the language of IAM; without it the policy is shown
        file: Option<PathBuf>,
        /// Take the policy off: the user has full access again
        #[arg(long, conflicts_with = "file")]
        remove: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Remove a user and its access keys; its requests are refused from then on
    Remove {
        /// Name of the user
        name: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// Format, encryption mode, key ARN, segments, sizes and files of one object
    #[command(after_help = INSPECT_EXAMPLES)]
    Object {
        /// The object, as s3://BUCKET/KEY
        uri: String,
        /// A version that is not the current one, also one behind a delete marker
        #[arg(long, value_name = "ID")]
        version_id: Option<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Show no progress bar
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl UserCommand {
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::Add { place, .. }
            | Self::List { place }
            | Self::Policy { place, .. }
            | Self::Remove { place, .. } => place,
        }
    }
}

impl Settings {
    /// Fills what flags and environment left open from the configuration file `file`.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            place: PlaceArgs {
                data: self.place.data.or(file.data),
                config: self.place.config,
                root: self.place.root.or(RootArgs {
                    root_key_file: file.root_key_file,
                    passphrase_file: file.passphrase_file,
                    passphrase_kdf: file.passphrase_kdf,
                    pkcs11_module: file.pkcs11_module,
                    pkcs11_token_label: file.pkcs11_token_label,
                    pkcs11_key_label: file.pkcs11_key_label,
                    pkcs11_pin_file: file.pkcs11_pin_file,
                    root_kms_endpoint: file.root_kms_endpoint,
                    root_kms_key_id: file.root_kms_key_id,
                    root_kms_region: file.root_kms_region,
                    root_kms_credentials_file: file.root_kms_credentials_file,
                    root_kms_ca: file.root_kms_ca,
                }),
                region: self.place.region.or(file.region),
                account_id: self.place.account_id.or(file.account_id),
            },
            https: self.https.or(file.https),
            http: self.http.or(file.http),
            admin: self.admin.or(file.admin),
            admin_allow_remote: self.admin_allow_remote || file.admin_allow_remote,
            domains: if self.domains.is_empty() {
                file.domains
            } else {
                self.domains
            },
            drives: if self.drives.is_empty() {
                file.drives
            } else {
                self.drives
            },
            redundancy: self.redundancy.or(file.redundancy),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            log: self.log.or(file.log),
            log_format: self.log_format.or(file.log_format),
            max_connections: self.max_connections.or(file.max_connections),
            handshake_timeout_ms: self.handshake_timeout_ms.or(file.handshake_timeout_ms),
            header_timeout_ms: self.header_timeout_ms.or(file.header_timeout_ms),
            stall_timeout_ms: self.stall_timeout_ms.or(file.stall_timeout_ms),
            stop_timeout_ms: self.stop_timeout_ms.or(file.stop_timeout_ms),
            allow_unencrypted_swap: self.allow_unencrypted_swap || file.allow_unencrypted_swap,
            compat: self.compat.or(file.compat),
            lifecycle_day_seconds: self.lifecycle_day_seconds.or(file.lifecycle_day_seconds),
            restore_delay_seconds: self.restore_delay_seconds.or(file.restore_delay_seconds),
            domain_key_days: self.domain_key_days.or(file.domain_key_days),
            sse_s3_root_days: self.sse_s3_root_days.or(file.sse_s3_root_days),
            care: self.care.or(CareArgs {
                scrub_days: file.scrub_days,
                scrub_mib_per_second: file.scrub_mib_per_second,
                heal_mib_per_second: file.heal_mib_per_second,
                heal_after_minutes: file.heal_after_minutes,
            }),
            scrub_days: None,
            scrub_mib_per_second: None,
            heal_mib_per_second: None,
            heal_after_minutes: None,
            data: None,
            root_key_file: None,
            passphrase_file: None,
            passphrase_kdf: None,
            pkcs11_module: None,
            pkcs11_token_label: None,
            pkcs11_key_label: None,
            pkcs11_pin_file: None,
            root_kms_endpoint: None,
            root_kms_key_id: None,
            root_kms_region: None,
            root_kms_credentials_file: None,
            root_kms_ca: None,
            region: None,
            account_id: None,
        }
    }
}

const LISTENERS: &str = "Listeners";
const DRIVES: &str = "Drives";
const LOGS: &str = "Logs";
const LIMITS: &str = "Limits";
const PROTOCOL: &str = "Protocol";
const CARE: &str = "Scrub and heal";

const PROGRAM_EXAMPLES: &str = "\
Start here:
  strongroom serve                       # in one terminal
  eval \"$(strongroom env)\"               # in another
  aws s3 mb s3://photos
  aws s3 cp cat.jpg s3://photos/ --sse aws:kms

Every command takes --data DIR; without it the store is ./strongroom-data.";

const SERVE_EXAMPLES: &str = "\
Examples:
  strongroom serve
  strongroom serve --data /srv/strongroom --root-key-file /media/usb/root.key
  strongroom serve --drive a:/data/a1 --drive a:/data/a2 --drive b:/data/b1 --drive b:/data/b2 \\
                   --drive c:/data/c1 --drive c:/data/c2
  strongroom serve --https 0.0.0.0:443 --http none --domain s3.example.org \\
                   --tls-cert fullchain.pem --tls-key privkey.pem

By default the root key lies beside the data, in DIR/root.key. That keeps what is stored
unreadable in copies that lack this file, but whoever takes the whole directory has both.
To be safe from stolen drives keep the key elsewhere (--root-key-file), or seal the keyring
with a passphrase (--passphrase-file), a PKCS#11 token (--pkcs11-module, ..) or another key
service (--root-kms-endpoint, ..); `strongroom root rekey` moves from one to another. Without its root key a store cannot be read by anyone:
back the key up, apart from the data.

As in Amazon S3, new buckets refuse uploads under customer keys (SSE-C) until PutBucketEncryption
says BlockedEncryptionTypes NONE. --compat ceph lifts that and gives the answers which Ceph's suite
of S3 tests expects instead of Amazon's (docs/operations.md lists them); for tests, not for service.

Every flag is also an environment variable (STRONGROOM_ and the flag in capitals, - as _) and a
line in the configuration file. STRONGROOM_ROOT_ACCESS_KEY_ID and
STRONGROOM_ROOT_SECRET_ACCESS_KEY replace the generated root credential; they are not stored.

Signals: SIGTERM and SIGINT finish the requests in flight and stop; SIGHUP reads the
certificate again.";

const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(strongroom env)\"               # then: aws s3 ls, aws kms list-keys, boto3, ..
  eval \"$(strongroom env --http)\"        # the same over plain HTTP
  strongroom env --data /srv/strongroom

The lines contain the secret access key of the root user: do not write them to a log.";

const USER_EXAMPLES: &str = "\
Examples:
  strongroom user add alice
  strongroom user add uploader --policy write-only.json
  strongroom user list
  strongroom user policy uploader            # shows it
  strongroom user policy uploader new.json   # sets another
  strongroom user policy uploader --remove   # full access again
  strongroom user remove alice

A user without a policy may do everything. The root user is under no policy.

While a server runs on the data directory the command asks it; otherwise it opens the store.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  strongroom inspect object s3://photos/cat.jpg
  strongroom inspect object s3://photos/cat.jpg --version-id null
  strongroom inspect object 's3://photos/with spaces' --data /srv/strongroom";

const VERIFY_EXAMPLES: &str = "\
Examples:
  strongroom verify
  strongroom verify --data /srv/strongroom && echo all is well

Exit status: 0 all is well, 1 something is damaged (named on standard output), 2 wrong usage.
Objects under a customer key (SSE-C) are checked by checksum only: the server has no key.";
