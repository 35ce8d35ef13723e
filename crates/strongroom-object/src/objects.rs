// SPDX-License-Identifier: Apache-2.0
//! The conductor's state: the lower rooms it calls, and nothing of its own.

use std::sync::Arc;

use strongroom_kms::Kms;
use strongroom_store::env::Clock;
use strongroom_store::{Blobs, Store, Tables};

use crate::authorize::{Action, Permit, Resource, authorize};
use crate::compat::Compat;
use crate::conditions::tells_of_object;
use crate::error::Error;
use crate::lifecycle::LifecycleCache;
use crate::model::{ObjectName, Scope, WriteConditions};
use crate::restore::RestoreDelays;
use crate::rows::{self, BucketRow, Versioning};
use crate::table_key;
use crate::turns::Turns;
use crate::version_id::VersionId;

/// What the conductor needs to know of its deployment.
#[derive(Debug, Clone)]
pub struct ObjectsOptions {
    /// AWS region name of the deployment.
    pub region: String,
    /// Twelve-digit account id that owns the buckets.
    pub account_id: String,
    /// Whose answers are given where S3 and a test suite of it disagree.
    pub compat: Compat,
    /// How long a day of lifecycle rules and restored copies is, milliseconds.
    pub day_ms: u64,
    /// How long restores take.
    pub restore_delays: RestoreDelays,
}

/// All object operations. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    kms: Kms,
    clock: Arc<dyn Clock>,
    options: ObjectsOptions,
    lifecycle: LifecycleCache,
    turns: Turns,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects")
            .field("options", &self.inner.options)
            .finish_non_exhaustive()
    }
}

impl Objects {
    /// Open the conductor over an open store and key service.
    #[expect(
        clippy::unused_async,
        reason = "opening will read policies from the tables"
    )]
    pub async fn open(
        store: &Store,
        kms: &Kms,
        clock: Arc<dyn Clock>,
        options: ObjectsOptions,
    ) -> Result<Self, Error> {
        let inner = Inner {
            store: store.clone(),
            kms: kms.clone(),
            clock,
            options,
            lifecycle: LifecycleCache::load(store.tables())?,
            turns: Turns::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Whether a request about an object goes any further: the bucket is there and the caller may
    /// do `action`. A look that costs one row, for adapters that must answer 404 and 403 before
    /// they judge anything else; the operation itself asks again.
    pub fn admit(
        &self,
        scope: Scope<'_>,
        bucket: &str,
        object_key: &str,
        action: Action,
    ) -> Result<Permit, Error> {
        ObjectName::parse(object_key)?;
        self.bucket(bucket)?
            .authorize_object(scope, action, object_key)
    }

    /// The same for a request about a bucket.
    pub fn admit_to_bucket(
        &self,
        scope: Scope<'_>,
        bucket: &str,
        action: Action,
    ) -> Result<Permit, Error> {
        self.bucket(bucket)?.authorize(scope, action)
    }

    /// Whose answers are given where S3 and a test suite of it disagree.
    pub fn compat(&self) -> Compat {
        self.inner.options.compat
    }

    /// The lifecycle rules of all buckets.
    pub(crate) fn lifecycle(&self) -> &LifecycleCache {
        &self.inner.lifecycle
    }

    /// Turns of those who change the same place of the tables.
    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn tables(&self) -> &Tables {
        self.inner.store.tables()
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        self.inner.store.blobs()
    }

    pub(crate) fn kms(&self) -> &Kms {
        &self.inner.kms
    }

    pub(crate) fn options(&self) -> &ObjectsOptions {
        &self.inner.options
    }

    pub(crate) fn cluster_id(&self) -> [u8; 16] {
        self.inner.store.cluster_id()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.inner.clock.now_ms()
    }

    /// Open a bucket's record.
    pub(crate) fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        self.find_bucket(name)?.ok_or_else(|| Error::NoSuchBucket {
            bucket: name.to_owned(),
        })
    }

    /// A bucket's record, if there is one.
    pub(crate) fn find_bucket(&self, name: &str) -> Result<Option<Bucket>, Error> {
        let Some(found) = self.tables().get(table_key::BUCKETS, name.as_bytes())? else {
            return Ok(None);
        };
        let row: BucketRow = rows::decode(&found.value, "bucket row")?;
        Ok(Some(Bucket {
            name: name.to_owned(),
            row,
            seq: found.seq,
        }))
    }
}

/// An open bucket record.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub name: String,
    pub row: BucketRow,
    pub seq: u64,
}

impl Bucket {
    /// The bucket's uid: names can be reused, uids cannot.
    pub(crate) fn uid(&self) -> &[u8; 16] {
        &self.row.uid
    }

    /// A version's id as answers show it: not in a bucket that never had versions.
    pub(crate) fn shown_id(&self, id: VersionId) -> Option<VersionId> {
        (self.row.versioning != Versioning::Off).then_some(id)
    }

    /// Ask for an action on the bucket itself.
    pub(crate) fn authorize(&self, scope: Scope<'_>, action: Action) -> Result<Permit, Error> {
        self.authorize_if(scope, action, &[])
    }

    /// Ask for an action on the bucket itself, with the condition keys of the action.
    pub(crate) fn authorize_if(
        &self,
        scope: Scope<'_>,
        action: Action,
        conditions: &[(&str, String)],
    ) -> Result<Permit, Error> {
        authorize(
            scope.caller,
            action,
            Resource::Bucket(&self.name),
            &self.row.owner_account,
            conditions,
        )
    }

    /// Ask for an action on one of its objects.
    pub(crate) fn authorize_object(
        &self,
        scope: Scope<'_>,
        action: Action,
        object_key: &str,
    ) -> Result<Permit, Error> {
        self.authorize_object_if(scope, action, object_key, &[])
    }

    /// Ask for an action on one of its objects, with the condition keys of the action.
    pub(crate) fn authorize_object_if(
        &self,
        scope: Scope<'_>,
        action: Action,
        object_key: &str,
        conditions: &[(&str, String)],
    ) -> Result<Permit, Error> {
        let resource = Resource::Object(&self.name, object_key);
        let owner = &self.row.owner_account;
        authorize(scope.caller, action, resource, owner, conditions)
    }

    /// Ask whether a write may be made to depend on what is there: who compares with an ETag, a
    /// size or a time reads from the object.
    pub(crate) fn may_compare(
        &self,
        scope: Scope<'_>,
        object_key: &str,
        version_id: Option<VersionId>,
        conditions: &WriteConditions,
    ) -> Result<(), Error> {
        if !tells_of_object(conditions) {
            return Ok(());
        }
        let action = match version_id {
            None => Action::GetObject,
            Some(_) => Action::GetObjectVersion,
        };
        let shown = version_id.map(|id| ("s3:VersionId", id.to_string()));
        self.authorize_object_if(scope, action, object_key, shown.as_slice())
            .map(drop)
    }

    /// Who may not list a bucket is not told what is not in it: what was not found is answered as
    /// forbidden then.
    pub(crate) fn hide(&self, scope: Scope<'_>, error: Error) -> Error {
        match error {
            Error::NoSuchKey { .. }
            | Error::NoSuchVersion { .. }
            | Error::DeleteMarker { named: false, .. } => {
                match self.authorize(scope, Action::ListBucket) {
                    Ok(_) => error,
                    Err(denied) => denied,
                }
            }
            other => other,
        }
    }
}

/// Sixteen random bytes for an id.
pub(crate) fn random_uid() -> Result<[u8; 16], Error> {
    let [uid] = random_uids()?;
    Ok(uid)
}

/// The same for several. The generator is asked once: to ask costs more than the bytes do.
pub(crate) fn random_uids<const N: usize>() -> Result<[[u8; 16]; N], Error> {
    let mut uids = [[0; 16]; N];
    aws_lc_rs::rand::fill(uids.as_flattened_mut()).map_err(|_| Error::Internal("no randomness"))?;
    Ok(uids)
}

/// Thirty-two random bytes.
pub(crate) fn random_32() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Internal("no randomness"))?;
    Ok(bytes)
}
