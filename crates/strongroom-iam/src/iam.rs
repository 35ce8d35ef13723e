// SPDX-License-Identifier: Apache-2.0
//! The open identity service.

use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use strongroom_audit::{Durability, EventDetail, Receipt};
use strongroom_store::env::Clock;
use strongroom_store::{Batch, CommitError, Store, TableId};
use strongroom_wire::{SecretAccessKey, SigningKeyCache};

use crate::credential::RootCredential;
use crate::directory::{Directory, Principal};
use crate::error::Error;
use crate::event;
use crate::identifier;
use crate::identity_policy::Granted;
use crate::row::{AccessKeyRow, UserRow};

/// What this server is.
#[derive(Debug, Clone)]
pub struct IamOptions {
    /// The account, twelve digits.
    pub account_id: String,
    /// The region that signatures must name.
    pub region: String,
    /// The services that signatures may name.
    pub services: Vec<String>,
}

impl IamOptions {
    /// Options of a server for S3 and KMS.
    pub fn new(account_id: &str, region: &str) -> Self {
        Self {
            account_id: account_id.to_owned(),
            region: region.to_owned(),
            services: vec!["s3".to_owned(), "kms".to_owned()],
        }
    }
}

/// Principals and their access keys. Clones share them.
#[derive(Clone)]
pub struct Iam {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    options: IamOptions,
    clock: Arc<dyn Clock>,
    store: Store,
    directory: RwLock<Directory>,
    /// Held over read, commit and write-through of a change.
    changing: tokio::sync::Mutex<()>,
    signing_keys: SigningKeyCache,
    decoy: SecretAccessKey,
}

impl Iam {
    /// Reads all users and access keys of the store.
    pub async fn open(
        store: &Store,
        clock: Arc<dyn Clock>,
        options: IamOptions,
        root: RootCredential,
    ) -> Result<Self, Error> {
        let account_id = &options.account_id;
        if account_id.len() != 12 || !account_id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::InvalidAccountId {
                account_id: account_id.clone(),
            });
        }
        let directory = {
            let store = store.clone();
            let mut directory = Directory::new(account_id, root)?;
            tokio::task::spawn_blocking(move || {
                read_tables(&store, &mut directory)?;
                Ok::<_, Error>(directory)
            })
            .await
            .map_err(|_| Error::Interrupted)??
        };
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                clock,
                store: store.clone(),
                directory: RwLock::new(directory),
                changing: tokio::sync::Mutex::new(()),
                signing_keys: SigningKeyCache::new(SIGNING_KEYS_MAX),
                decoy: identifier::secret_access_key()?,
            }),
        })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn options(&self) -> &IamOptions {
        &self.inner.options
    }

    pub(crate) fn principal(&self, access_key_id: &str) -> Option<(Arc<Principal>, Granted)> {
        self.inner
            .read(|directory| directory.principal(access_key_id))
    }

    /// The unique id of the principal that an ARN names now: a user's, or the account's id for the
    /// root user. Policies and grants keep it beside the ARN, so that what was given to a user
    /// never passes to another of the same name.
    pub fn unique_id(&self, arn: &str) -> Option<String> {
        self.inner.read(|directory| directory.unique_id(arn))
    }

    /// The inverse of [`Iam::unique_id`].
    pub fn arn_of(&self, unique_id: &str) -> Option<String> {
        self.inner.read(|directory| directory.arn_of(unique_id))
    }

    pub(crate) fn signing_keys(&self) -> &SigningKeyCache {
        &self.inner.signing_keys
    }

    /// The secret that unknown access key ids are verified with; nobody has it.
    pub(crate) fn decoy(&self) -> &SecretAccessKey {
        &self.inner.decoy
    }

    /// Makes a change in a task of its own and records how it ended, so that a client who goes
    /// away leaves neither a half-made change nor an unrecorded one.
    ///
    /// `change` gives the answer and the events of success, the last of which ends the receipt.
    pub(crate) async fn change<T, F, Fut>(
        &self,
        receipt: Receipt,
        asked: EventDetail,
        change: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Inner>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(T, Vec<EventDetail>), Error>> + Send,
    {
        let inner = Arc::clone(&self.inner);
        let task = async move {
            let guard = inner.changing.lock().await;
            let outcome = change(Arc::clone(&inner)).await;
            drop(guard);
            let (answer, events) = match outcome {
                Ok(done) => done,
                Err(error) => {
                    let refusal = event::refused(asked, &error);
                    receipt.finish(refusal, Durability::Durable).await?;
                    return Err(error);
                }
            };
            for event in events {
                receipt.record(event, Durability::Durable).await?;
            }
            receipt.finish_recorded();
            Ok(answer)
        };
        tokio::spawn(task).await.map_err(|_| Error::Interrupted)?
    }
}

impl Inner {
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Directory) -> T) -> T {
        look(
            &self
                .directory
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Directory) -> T) -> T {
        change(
            &mut self
                .directory
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(crate) fn forget_signing_keys(&self, access_key_ids: &[String]) {
        for access_key_id in access_key_ids {
            self.signing_keys.forget(access_key_id);
        }
    }

    /// Commits; a precondition that does not hold is damage, since the directory said it would.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), Error> {
        match self.store.tables().commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Precondition { .. }) => Err(Error::Corrupted {
                place: "the identity tables differ from what was read",
            }),
            Err(CommitError::Unknown) => Err(Error::OutcomeUnknown),
            Err(CommitError::Store(error)) => Err(Error::Store(error)),
        }
    }
}

impl std::fmt::Debug for Iam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Iam")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

fn read_tables(store: &Store, directory: &mut Directory) -> Result<(), Error> {
    for_each_row(store, USERS_TABLE, |key, value| {
        let folded = String::from_utf8(key).map_err(|_| Error::Corrupted {
            place: "a name in iam_users",
        })?;
        let row = UserRow::parse(folded.as_bytes(), &value)?;
        let name = row.name.clone();
        if !directory.insert_stored_user(folded, row) {
            tracing::error!(
                user = name,
                "the stored identity policy cannot be read: the user is denied everything until \
                 another is set"
            );
        }
        Ok(())
    })?;
    for_each_row(store, ACCESS_KEYS_TABLE, |key, value| {
        let access_key_id = String::from_utf8(key).map_err(|_| Error::Corrupted {
            place: "an id in iam_access_keys",
        })?;
        directory.insert_key(access_key_id, AccessKeyRow::parse(value)?)
    })
}

/// Visits all rows of a table in order.
fn for_each_row(
    store: &Store,
    table: TableId,
    mut visit: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = store
            .tables()
            .scan(table, start, Bound::Unbounded, SCAN_ROWS, false)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (key, row) in rows {
            visit(key, row.value)?;
        }
    }
}

/// Rows of users, by folded name.
pub(crate) const USERS_TABLE: TableId = TableId(10);
/// Rows of access keys, by id.
pub(crate) const ACCESS_KEYS_TABLE: TableId = TableId(11);
/// AWS's quota of users in an account.
pub(crate) const USERS_MAX: usize = 5_000;
/// AWS's quota of access keys of a user.
pub(crate) const ACCESS_KEYS_MAX: usize = 2;
const SIGNING_KEYS_MAX: usize = 4_096;
const SCAN_ROWS: usize = 512;
