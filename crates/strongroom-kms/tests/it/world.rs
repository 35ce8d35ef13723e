// SPDX-License-Identifier: Apache-2.0
//! A key service in a temporary directory, and short ways to call it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use strongroom_audit::{Audit, AuditOptions, Receipt, RequestFacts, TlsFacts, UserIdentity};
use strongroom_format::EncryptionContext;
use strongroom_iam::{Caller, dangerous_caller_for_tests};
use strongroom_kms::root::{RootKey, RootSecret};
use strongroom_kms::{
    CiphertextBlob, CreateKeyInput, DataKeySpec, DecryptInput, DecryptOutput, DescribeKeyInput,
    DisableKeyInput, DueReport, EncryptInput, EncryptOutput, Error, GenerateDataKeyInput,
    GenerateDataKeyOutput, GetPublicKeyInput, GetPublicKeyOutput, KeyMetadata, Keyring, Kms,
    Plaintext, root,
};
use strongroom_store::drive::{Access, Drive, Folder, LocalDrive};
use strongroom_store::{AtRest, AtRestError, Store, StoreOptions};
use strongroom_testkit::{SimClock, SimDrive, contents_below};
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const DAY_MS: u64 = 24 * 3_600_000;
pub(crate) const NOON_MS: u64 = 1_795_255_262_000;

/// Calls an operation as the world's caller.
macro_rules! call {
    ($world:expr, $operation:ident, $input:expr) => {{
        let receipt = $world.receipt();
        let result = $world
            .kms
            .$operation(&$world.caller, &receipt, $input)
            .await;
        receipt.finish_recorded();
        result
    }};
}
pub(crate) use call;

pub(crate) struct World {
    pub(crate) kms: Kms,
    pub(crate) audit: Audit,
    pub(crate) caller: Caller,
    pub(crate) store: Store,
    pub(crate) drive: Arc<dyn Drive>,
    pub(crate) clock: Arc<SimClock>,
    at_rest: Arc<Counted>,
    dir: TempDir,
    secret: RootSecret,
    keyring_file: Vec<u8>,
    keyring: Arc<Keyring>,
}

pub(crate) async fn new_world() -> World {
    let secret = RootSecret::Key(RootKey::generate().unwrap());
    let (keyring, keyring_file) = root::create(&secret, NOON_MS).unwrap();
    let clock = Arc::new(SimClock::new(NOON_MS));
    open(
        TempDir::new().unwrap(),
        secret,
        keyring_file,
        keyring,
        clock,
    )
    .await
}

/// One that writes no file: for many operations in a short time.
pub(crate) async fn new_world_in_memory() -> World {
    new_world_on(Arc::new(SimDrive::new(1))).await
}

pub(crate) async fn new_world_on(drive: Arc<dyn Drive>) -> World {
    let secret = RootSecret::Key(RootKey::generate().unwrap());
    let (keyring, keyring_file) = root::create(&secret, NOON_MS).unwrap();
    let clock = Arc::new(SimClock::new(NOON_MS));
    let dir = TempDir::new().unwrap();
    open_on(drive, dir, secret, keyring_file, keyring, clock).await
}

async fn open(
    dir: TempDir,
    secret: RootSecret,
    keyring_file: Vec<u8>,
    keyring: Keyring,
    clock: Arc<SimClock>,
) -> World {
    let drive = Arc::new(local_drive(dir.path()).await);
    open_on(drive, dir, secret, keyring_file, keyring, clock).await
}

async fn open_on(
    drive: Arc<dyn Drive>,
    dir: TempDir,
    secret: RootSecret,
    keyring_file: Vec<u8>,
    keyring: Keyring,
    clock: Arc<SimClock>,
) -> World {
    let at_rest = Arc::new(Counted {
        inner: keyring.at_rest(),
        opened: AtomicU64::new(0),
    });
    let store = Store::open(drive.clone(), at_rest.clone(), StoreOptions::default());
    let store = store.await.unwrap();
    let options = AuditOptions {
        account_id: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let audit = Audit::open(drive.clone(), clock.clone(), options)
        .await
        .unwrap();
    let keyring = Arc::new(keyring);
    let kms = Kms::open(
        &store,
        Arc::clone(&keyring),
        clock.clone(),
        REGION.to_owned(),
        ACCOUNT.to_owned(),
    );
    let kms = kms.await.unwrap();
    let caller = caller_of(ACCOUNT);
    World {
        kms,
        audit,
        caller,
        store,
        drive,
        clock,
        at_rest,
        dir,
        secret,
        keyring_file,
        keyring,
    }
}

/// A sealer of rows that counts those it opens.
struct Counted {
    inner: Arc<dyn AtRest>,
    opened: AtomicU64,
}

impl AtRest for Counted {
    fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
        self.inner.seal(stream, aad, plain)
    }

    fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.inner.open(stream, aad, sealed)
    }
}

/// Opens the drive. A store that was closed in this process lets go of it a moment later, when its
/// threads have ended; a real restart is another process.
async fn local_drive(path: &Path) -> LocalDrive {
    let start = Instant::now();
    loop {
        match LocalDrive::open(path) {
            Err(strongroom_store::Error::DriveInUse { .. }) => {
                assert!(start.elapsed() < Duration::from_mins(2), "never let go");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}

pub(crate) fn caller_of(account_id: &str) -> Caller {
    let facts = RequestFacts {
        request_id: "7d1bf5ac-0000-4000-8000-3b1d60e0a000".to_owned(),
        source_ip: "203.0.113.9".to_owned(),
        user_agent: "aws-cli/2".to_owned(),
        host: "127.0.0.1:9443".to_owned(),
        tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher_suite: "TLS_AES_128_GCM_SHA256".to_owned(),
        }),
        identity: UserIdentity::Root {
            account_id: account_id.to_owned(),
            access_key_id: "AKIAEXAMPLE".to_owned(),
        },
    };
    let arn = format!("arn:aws:iam::{account_id}:root");
    dangerous_caller_for_tests(facts, &arn, account_id, "AKIAEXAMPLE")
}

impl World {
    /// The same store after a stop and a start.
    pub(crate) async fn restarted(self) -> World {
        let World {
            kms,
            audit,
            store,
            drive,
            clock,
            dir,
            secret,
            keyring_file,
            ..
        } = self;
        audit.close().await.unwrap();
        store.close().await.unwrap();
        drop((kms, audit, store, drive));
        let keyring = root::unseal(&keyring_file, &secret).unwrap();
        open(dir, secret, keyring_file, keyring, clock).await
    }

    /// New epochs of the keyring, as a running server begins them.
    pub(crate) fn rotate(&mut self) {
        let file = root::KeyringFile::parse(&self.keyring_file).unwrap();
        let mut open = file.open(&self.secret).unwrap();
        let rotation = root::Rotation {
            domain: true,
            sse_s3: true,
        };
        open.rotate(rotation, NOON_MS).unwrap();
        self.keyring_file = open.seal().unwrap();
        self.keyring.install(&open).unwrap();
    }

    /// Rows of the tables that were read so far.
    pub(crate) fn rows_read(&self) -> u64 {
        self.at_rest.opened.load(Ordering::Relaxed)
    }

    /// The directory of the drive.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn receipt(&self) -> Receipt {
        self.audit.begin(self.caller.facts().clone())
    }

    /// What the server does every minute.
    pub(crate) async fn run_due(&self) -> DueReport {
        let receipt = self.receipt();
        let report = self.kms.run_due(&receipt).await.unwrap();
        receipt.finish_recorded();
        report
    }

    pub(crate) async fn describe(&self, key_id: &str) -> Result<KeyMetadata, Error> {
        let input = DescribeKeyInput {
            key_id: key_id.to_owned(),
            grant_tokens: Vec::new(),
        };
        call!(self, describe_key, input)
    }

    /// All files below the drive's directory that hold these bytes.
    pub(crate) fn files_with(&self, bytes: &[u8]) -> Vec<std::path::PathBuf> {
        let holds = |content: &[u8]| content.windows(bytes.len()).any(|window| window == bytes);
        contents_below(self.path())
            .unwrap()
            .into_iter()
            .filter(|(_, content)| holds(content))
            .map(|(path, _)| path)
            .collect()
    }

    pub(crate) async fn key(&self) -> KeyMetadata {
        let receipt = self.receipt();
        let made = self
            .kms
            .create_key(&self.caller, &receipt, CreateKeyInput::default())
            .await;
        receipt.finish_recorded();
        made.unwrap()
    }

    /// A key of a specification and usage of the wire.
    pub(crate) async fn key_of(&self, spec: &str, usage: &str) -> KeyMetadata {
        let input = CreateKeyInput {
            key_spec: Some(spec.to_owned()),
            key_usage: Some(usage.to_owned()),
            ..CreateKeyInput::default()
        };
        let receipt = self.receipt();
        let made = self.kms.create_key(&self.caller, &receipt, input).await;
        receipt.finish_recorded();
        made.unwrap()
    }

    pub(crate) async fn disable(&self, key_id: &str) {
        let receipt = self.receipt();
        let key_id = key_id.to_owned();
        let input = DisableKeyInput { key_id };
        let done = self.kms.disable_key(&self.caller, &receipt, input).await;
        receipt.finish_recorded();
        done.unwrap();
    }

    pub(crate) async fn public_key(&self, key_id: &str) -> Result<GetPublicKeyOutput, Error> {
        let receipt = self.receipt();
        let input = GetPublicKeyInput {
            key_id: key_id.to_owned(),
            grant_tokens: Vec::new(),
        };
        let result = self.kms.get_public_key(&self.caller, &receipt, input).await;
        receipt.finish_recorded();
        result
    }

    pub(crate) async fn encrypt(
        &self,
        key_id: &str,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptOutput, Error> {
        let receipt = self.receipt();
        let input = EncryptInput {
            key_id: key_id.to_owned(),
            plaintext: Plaintext::new(plaintext.to_vec()),
            context: context.clone(),
            algorithm: None,
            grant_tokens: Vec::new(),
            dry_run: false,
        };
        let result = self.kms.encrypt(&self.caller, &receipt, input).await;
        receipt.finish_recorded();
        result
    }

    pub(crate) async fn decrypt(
        &self,
        blob: &[u8],
        context: &EncryptionContext,
        key_id: Option<&str>,
    ) -> Result<DecryptOutput, Error> {
        let receipt = self.receipt();
        let input = DecryptInput {
            ciphertext_blob: CiphertextBlob(blob.to_vec()),
            context: context.clone(),
            key_id: key_id.map(str::to_owned),
            algorithm: None,
            grant_tokens: Vec::new(),
            dry_run: false,
            ignore_ciphertext: false,
        };
        let result = self.kms.decrypt(&self.caller, &receipt, input).await;
        receipt.finish_recorded();
        result
    }

    pub(crate) async fn data_key(
        &self,
        key_id: &str,
        spec: DataKeySpec,
    ) -> Result<GenerateDataKeyOutput, Error> {
        let receipt = self.receipt();
        let input = GenerateDataKeyInput {
            key_id: key_id.to_owned(),
            spec,
            context: EncryptionContext::new(),
            grant_tokens: Vec::new(),
            dry_run: false,
        };
        let result = self
            .kms
            .generate_data_key(&self.caller, &receipt, input)
            .await;
        receipt.finish_recorded();
        result
    }

    /// The audit log as text.
    pub(crate) async fn audit_text(&self) -> String {
        self.audit.flush().await.unwrap();
        let mut paths = self.drive.list(Folder::Audit).unwrap();
        paths.sort();
        let mut text = Vec::new();
        for path in paths {
            let file = self.drive.open(&path, Access::Read).unwrap().unwrap();
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
            text.extend(bytes);
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) async fn events(&self) -> Vec<Value> {
        let text = self.audit_text().await;
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) async fn last_event(&self) -> Value {
        self.events().await.pop().unwrap()
    }
}

pub(crate) fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    let mut context = EncryptionContext::new();
    for (name, value) in pairs {
        context.insert(*name, *value).unwrap();
    }
    context
}

/// Code and message of a refusal.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (&'static str, String) {
    let error = result.unwrap_err();
    (error.code(), error.to_string())
}
