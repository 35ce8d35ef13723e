// SPDX-License-Identifier: Apache-2.0
//! The control socket: how a command reaches a store that a server has open.
//!
//! ```text
//! command --ask--> DIR/control.sock --line of JSON--> server --execute--> answer
//!             \--- no server? ------> open the store -------execute--> answer
//! ```
//!
//! Both ways end in [`execute::execute`], so a command does the same with and without a server.
//! The socket is 0600 in a directory of its owner, and the server asks the kernel who is
//! calling: nobody but the server's own user (and root) is answered.

mod backup;
pub(crate) mod client;
pub(crate) mod deed;
pub(crate) mod drive;
pub(crate) mod execute;
mod kms;
mod rewrap;
pub(crate) mod root;
pub(crate) mod scrub;
pub(crate) mod server;
mod verify;

use std::path::PathBuf;

pub(crate) use scrub::{CareStatus, ShownPass};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use self::execute::date;
use crate::data_dir::DataDir;
use crate::root_key::source::RootSource;

/// What a command asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    RootCredential {},
    UserAdd {
        name: String,
        #[serde(default)]
        policy: Option<String>,
    },
    UserList {},
    UserPolicy {
        name: String,
    },
    UserPolicySet {
        name: String,
        policy: String,
    },
    UserPolicyRemove {
        name: String,
    },
    UserRemove {
        name: String,
    },
    InspectObject {
        bucket: String,
        object_key: String,
        /// As clients write it; without it the current version.
        version_id: Option<String>,
    },
    Verify {},
    KmsList {},
    KmsImpact {
        key: String,
    },
    KmsDestruction {
        key: String,
    },
    /// What the clocks say; with `confirm`, that the wall clock is right.
    KmsClock {
        confirm: bool,
    },
    Rewrap {},
    RewrapBucket {
        bucket: String,
        prefix: String,
        to: String,
        dry_run: bool,
    },
    BackupMetadata {
        file: PathBuf,
    },
    FinishRestore {},
    Root {
        act: RootRequest,
    },
    Drive {
        act: drive::DriveRequest,
    },
    Status {},
    ScrubStatus {},
    ScrubStart {},
}

/// What `strongroom root` asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum RootRequest {
    Show {},
    Rotate {
        domain: bool,
        sse_s3: bool,
    },
    Rekey {
        to: RootSource,
    },
    Escrow {
        threshold: u8,
        shares: u8,
    },
    Recover {
        shares: Vec<Zeroizing<String>>,
        to: RootSource,
    },
}

/// A line of the answer: any number of `Progress`, then one of the others.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    Progress(Progress),
    Answer(Answer),
    Error(String),
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) objects: u64,
    pub(crate) objects_total: u64,
    /// Bytes read in this stage.
    pub(crate) bytes: u64,
    /// Bytes that this stage will read, where that is known before.
    pub(crate) bytes_total: Option<u64>,
}

/// What a verification is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    #[default]
    Counting,
    Bodies,
    Rows,
    Log,
    Blobs,
    Vault,
    Audit,
    KeyMaterial,
    ObjectKeys,
    Dependants,
    Scrub,
}

/// What a command is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Credential(AccessKey),
    UserAdded {
        name: String,
        arn: String,
        access_key: AccessKey,
    },
    Users(Vec<ListedUser>),
    /// The document as it was given; `None`: full access.
    UserPolicy(Option<String>),
    UserPolicySet {},
    UserPolicyRemoved {},
    UserRemoved {},
    Inspection(serde_json::Value),
    Verification(Verification),
    KmsKeys(Vec<KmsKey>),
    KmsImpact(KmsKey, Vec<BucketImpact>),
    KmsDestruction(KmsDestruction),
    KmsClock(KmsClock),
    Rewrapped(Rewrapped),
    RewrappedBucket(RewrappedBucket),
    BackedUp(BackedUp),
    RestoreFinished {
        was_restored: bool,
    },
    Root(RootReport),
    /// The drive that was acted on, and the one that it replaces.
    Drive {
        number: u16,
        replaces: Option<u16>,
    },
    Status(Box<drive::StatusReport>),
    Shares(Vec<Zeroizing<String>>),
    Scrub(Box<CareStatus>),
    /// The server's own scrub goes on in the background.
    ScrubStarted {},
    Done {},
}

/// A KMS key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KmsKey {
    pub(crate) key_id: String,
    pub(crate) key_arn: String,
    pub(crate) state: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) rotation_period_days: Option<u32>,
    pub(crate) grants: u64,
    /// Operation and time.
    pub(crate) last_use: Option<(String, String)>,
}

/// What depends on a key in a bucket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BucketImpact {
    pub(crate) bucket: String,
    pub(crate) versions: u64,
    pub(crate) bytes: u64,
    pub(crate) uploads: u64,
}

/// What tables and vault say of a key that should be gone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KmsDestruction {
    pub(crate) key_arn: String,
    /// When; `None` without a tombstone.
    pub(crate) destroyed: Option<String>,
    /// The same in Unix time, milliseconds.
    pub(crate) destroyed_ms: Option<u64>,
    pub(crate) remains: Vec<String>,
    /// Drives that nobody has seen without the key.
    pub(crate) lost: Vec<LostDrive>,
    /// How files of its vault begin, in hexadecimal digits.
    pub(crate) mark: String,
    /// Where the drives are.
    pub(crate) drives: Vec<PathBuf>,
}

/// A drive that was lost: what it held is still on it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LostDrive {
    pub(crate) number: u16,
    pub(crate) facility: String,
    /// Where it was last.
    pub(crate) place: String,
}

/// What the clocks say, and what waits for them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KmsClock {
    pub(crate) now: String,
    pub(crate) seen: String,
    /// Key ARNs.
    pub(crate) waiting: Vec<String>,
}

/// What was brought forward.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rewrapped {
    /// Private files that were sealed again.
    pub(crate) files: u64,
    pub(crate) material: RewrapCounts,
    pub(crate) objects: RewrapCounts,
}

/// What came of putting a bucket under another KMS key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RewrappedBucket {
    /// The key to be.
    pub(crate) key_arn: String,
    pub(crate) seen: u64,
    pub(crate) rewrapped: u64,
    /// Under the key before.
    pub(crate) current: u64,
    /// Each version that was left as it is, with the reason.
    pub(crate) left: Found,
}

/// A backup that was made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackedUp {
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// The last commit in it.
    pub(crate) seq: u64,
    /// What it is called in the audit log, in hexadecimal digits.
    pub(crate) backup_id: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RewrapCounts {
    pub(crate) seen: u64,
    pub(crate) rewrapped: u64,
    pub(crate) damaged: u64,
}

/// Who can open the keyring, and its epochs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RootReport {
    /// Who opens it for this server.
    pub(crate) in_use: String,
    pub(crate) wraps: Vec<ShownWrap>,
    pub(crate) epochs: Vec<ShownEpoch>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShownWrap {
    pub(crate) what: String,
    pub(crate) created: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShownEpoch {
    /// True of domain keys, false of SSE-S3 roots.
    pub(crate) domain: bool,
    pub(crate) epoch: u32,
    pub(crate) created: String,
    pub(crate) age_days: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListedUser {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) created: String,
    /// In words: full access, a policy, or a damaged one.
    pub(crate) access: String,
    pub(crate) access_key_ids: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Verification {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    /// Parts of uploads that are not complete.
    pub(crate) open_parts: u64,
    /// Objects whose checksums were checked but which could not be opened.
    pub(crate) unopened: u64,
    /// Rows of all tables, and their stored bytes.
    pub(crate) rows: u64,
    pub(crate) row_bytes: u64,
    /// Commits in the log of the tables, and its bytes.
    pub(crate) commits: u64,
    pub(crate) log_bytes: u64,
    /// Blobs in the catalogue.
    pub(crate) blobs: u64,
    pub(crate) unreferred_blobs: u64,
    /// Files of the vault, and the versions of KMS keys that open with them.
    pub(crate) vault_files: u64,
    pub(crate) materials: u64,
    pub(crate) audit: AuditVerification,
    /// Each damaged thing, with what is wrong.
    pub(crate) damaged: Found,
    /// Blobs and shred keys that no row refers to.
    pub(crate) unreferred: Found,
}

/// What was found of one kind: all are counted, the first are there in words.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) total: u64,
    pub(crate) lines: Vec<String>,
}

/// What reading the audit log again came to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuditVerification {
    pub(crate) files: u64,
    pub(crate) records: u64,
    /// Number of the last record; the first has 1 unless older files were taken away.
    pub(crate) last: u64,
    /// SHA-256 of the last record, in hexadecimal digits.
    pub(crate) hash: String,
}

/// An access key on its way to the person who asked for it.
#[derive(Serialize, Deserialize)]
pub(crate) struct AccessKey {
    pub(crate) access_key_id: String,
    secret_access_key: String,
}

impl AccessKey {
    pub(crate) fn new(access_key_id: String, secret: &strongroom_wire::SecretAccessKey) -> Self {
        Self {
            access_key_id,
            secret_access_key: secret.expose_secret().to_owned(),
        }
    }

    pub(crate) fn expose_secret(&self) -> &str {
        &self.secret_access_key
    }
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessKey({}, ..)", self.access_key_id)
    }
}

impl Drop for AccessKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret_access_key);
    }
}

/// The socket's path, and what keeps it valid. The kernel takes at most 107 bytes of a path;
/// a longer one is reached through the directory's descriptor.
fn socket_path(data: &DataDir) -> std::io::Result<(PathBuf, Option<std::os::fd::OwnedFd>)> {
    use std::os::fd::AsRawFd as _;

    let path = data.control_socket();
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let dir = data.open_dir()?;
    let short = PathBuf::from(format!("/proc/self/fd/{}/control.sock", dir.as_raw_fd()));
    Ok((short, Some(dir)))
}

/// `sockaddr_un` holds 108 bytes with the final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// A request is a policy at most, in JSON within JSON; an answer may list many users.
const REQUEST_BYTES_MAX: u64 = 256 * 1024;
