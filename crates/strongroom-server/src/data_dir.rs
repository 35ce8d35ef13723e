// SPDX-License-Identifier: Apache-2.0
//! The data directory: what lies where, who holds it, and what a running server tells about
//! itself.
//!
//! ```text
//! DIR/root.key                 0600  the root key (absent with a passphrase or --root-key-file)
//! DIR/keyring                  0600  domain keys, sealed by the root key
//! DIR/root-credential.sealed   0600  the generated root credential, sealed by the keyring
//! DIR/tls/ca.pem                     the local CA's certificate, for clients
//! DIR/tls/ca-key.sealed        0600  its private key, sealed by the keyring
//! DIR/drive/                         the drive: sealed blobs, sealed tables, the audit log
//! DIR/witness/                0700  what the drives of the store are, for a start without some
//! DIR/run.json                 0600  addresses of the running server
//! DIR/control.sock             0600  where its commands ask it
//! ```

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use strongroom_store::drive::small_file;

use crate::error::Error;

/// The paths under the data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

/// What a backup takes along from beside the store: sealed, or public.
pub(crate) const PRIVATE_FILES: [&str; 3] = [ROOT_CREDENTIAL, CA_CERTIFICATE, CA_KEY];
const ROOT_CREDENTIAL: &str = "root-credential.sealed";
const CA_CERTIFICATE: &str = "tls/ca.pem";
const CA_KEY: &str = "tls/ca-key.sealed";

/// Proof that this process alone has the data directory; the kernel takes it back when the
/// process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Held {
    _dir: OwnedFd,
}

/// What `DIR/run.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunFile {
    pub(crate) pid: u32,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    /// The certificate clients have to trust, when it is the local CA's.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) region: String,
}

impl DataDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory itself.
    pub(crate) fn top(&self) -> &Path {
        &self.0
    }

    /// The directory as it is shown to people.
    pub(crate) fn shown(&self) -> String {
        self.0.display().to_string()
    }

    pub(crate) fn root_key(&self) -> PathBuf {
        self.0.join("root.key")
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        self.0.join("keyring")
    }

    pub(crate) fn root_credential(&self) -> PathBuf {
        self.0.join("root-credential.sealed")
    }

    pub(crate) fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }

    pub(crate) fn ca_certificate(&self) -> PathBuf {
        self.tls().join("ca.pem")
    }

    pub(crate) fn ca_key(&self) -> PathBuf {
        self.tls().join("ca-key.sealed")
    }

    /// A sealed file of [`PRIVATE_FILES`].
    pub(crate) fn private_file(&self, name: &str) -> Option<PathBuf> {
        match name {
            ROOT_CREDENTIAL => Some(self.root_credential()),
            CA_CERTIFICATE => Some(self.ca_certificate()),
            CA_KEY => Some(self.ca_key()),
            _ => None,
        }
    }

    pub(crate) fn drive(&self) -> PathBuf {
        self.0.join("drive")
    }

    pub(crate) fn witness(&self) -> PathBuf {
        self.0.join("witness")
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    fn run_file(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// Makes the directory (only its owner may look inside) if it is not there.
    pub(crate) fn create(&self) -> Result<(), Error> {
        small_file::create_private_dir(&self.0)
            .map_err(Error::file("make the data directory", &self.0))?;
        small_file::create_private_dir(&self.tls())
            .map_err(Error::file("make the directory", &self.tls()))
    }

    /// Takes the directory for this process alone.
    pub(crate) fn hold(&self) -> Result<Held, Error> {
        let dir = self.open_dir().map_err(|e| match e {
            Errno::NOENT => Error::NoStore(self.shown()),
            e => Error::io(
                format!("cannot open the data directory `{}`", self.shown()),
                e.into(),
            ),
        })?;
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Held { _dir: dir }),
            Err(Errno::WOULDBLOCK) => Err(Error::Busy(self.shown())),
            Err(e) => Err(Error::io(
                format!("cannot lock `{}`", self.shown()),
                e.into(),
            )),
        }
    }

    pub(crate) fn open_dir(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.0, flags, Mode::empty())
    }

    /// What the running (or killed) server said of itself.
    pub(crate) fn read_run_file(&self) -> Result<Option<RunFile>, Error> {
        let path = self.run_file();
        let Some(json) = small_file::read(&path).map_err(Error::file("read", &path))? else {
            return Ok(None);
        };
        let wrong = |e| {
            Error::Refused(format!(
                "`{}` is not what a server wrote: {e}",
                path.display()
            ))
        };
        serde_json::from_slice(&json).map(Some).map_err(wrong)
    }

    pub(crate) fn write_run_file(&self, run: &RunFile) -> Result<(), Error> {
        let path = self.run_file();
        let mut json = serde_json::to_vec_pretty(run)
            .map_err(|e| Error::io("cannot encode run.json", e.into()))?;
        json.push(b'\n');
        small_file::write_private_durably(&path, &json).map_err(Error::file("write", &path))
    }

    /// Forgets the last run: a killed server leaves its file behind.
    pub(crate) fn remove_run_file(&self) -> Result<(), Error> {
        match rustix::fs::unlink(self.run_file()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(Error::io(
                format!("cannot remove `{}`", self.run_file().display()),
                e.into(),
            )),
        }
    }
}
