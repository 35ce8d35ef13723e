// SPDX-License-Identifier: Apache-2.0
//! RestoreObject: an archived object is to be readable for some days. One row changes; no key is
//! asked for, since nothing is opened.

use strongroom_store::{Batch, CommitError, Write};

use crate::authorize::Action;
use crate::error::Error;
use crate::model::{ObjectName, Scope};
use crate::objects::Objects;
use crate::restore::{RestoreRow, RestoreStatus, RestoreTier};
use crate::rows::{self, VersionEntry, VersionRow};
use crate::table_key::VERSIONS;
use crate::version_id::VersionId;

/// How often it starts again after the object was changed under it.
const TRIES_MAX: usize = 64;

/// A RestoreObject request.
#[derive(Debug, Clone)]
pub struct RestoreObject {
    /// Bucket name.
    pub bucket: String,
    /// Object name.
    pub object_key: String,
    /// `None` for the current version.
    pub version_id: Option<VersionId>,
    /// For how many days it is to be readable.
    pub days: u32,
    /// How fast.
    pub tier: RestoreTier,
}

/// What became of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreStarted {
    /// The restore is on its way.
    Accepted,
    /// The object was restored already; it is readable for longer, or for less long.
    Extended,
}

impl Objects {
    /// Restore an archived object.
    pub async fn restore_object(
        &self,
        scope: Scope<'_>,
        input: RestoreObject,
    ) -> Result<RestoreStarted, Error> {
        ObjectName::parse(&input.object_key)?;
        let bucket = self.bucket(&input.bucket)?;
        let name = &input.object_key;
        let shown = input.version_id.map(|id| ("s3:VersionId", id.to_string()));
        bucket.authorize_object_if(scope, Action::RestoreObject, name, shown.as_slice())?;
        for _ in 0..TRIES_MAX {
            let (found, old) = self
                .version(&bucket, name, input.version_id)
                .map_err(|error| bucket.hide(scope, error))?;
            let (restore, started) = self.restored(&old, &input)?;
            let row = VersionRow {
                restore: Some(restore),
                ..old
            };
            let batch = Batch {
                preconditions: vec![found.stands()],
                writes: vec![Write::Put {
                    table: VERSIONS,
                    value: rows::encode(&VersionEntry::Object(Box::new(row)))?,
                    key: found.table_key,
                }],
            };
            match self.tables().commit(batch).await {
                Ok(_) => return Ok(started),
                Err(CommitError::Precondition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::ConditionalConflict)
    }

    /// What the row says of its restore from now on.
    fn restored(
        &self,
        row: &VersionRow,
        input: &RestoreObject,
    ) -> Result<(RestoreRow, RestoreStarted), Error> {
        if !row.class.is_archive() {
            return Err(Error::RestoreNotAllowed);
        }
        let delays = self.options().restore_delays;
        let delay = delays.of(row.class, input.tier);
        let delay = delay.ok_or(Error::RestoreTierUnsupported { tier: input.tier })?;
        let now = self.now_ms();
        let asked = RestoreRow {
            tier: input.tier,
            days: input.days,
            ready_ms: now.saturating_add(delay),
            expires_ms: self
                .options()
                .days_later(now.saturating_add(delay), input.days),
        };
        match (row.restore, row.restore_status(now)) {
            // A restore under way can be hurried, and nothing else.
            (Some(before), Some(RestoreStatus::Ongoing)) => {
                let before_delay = delays.of(row.class, before.tier);
                if before_delay.is_some_and(|before| before <= delay) {
                    return Err(Error::RestoreInProgress);
                }
                let hurried = RestoreRow {
                    days: before.days,
                    ready_ms: asked.ready_ms.min(before.ready_ms),
                    expires_ms: before.expires_ms,
                    ..asked
                };
                Ok((hurried, RestoreStarted::Accepted))
            }
            (Some(before), Some(RestoreStatus::Until(_))) => {
                let extended = RestoreRow {
                    ready_ms: before.ready_ms,
                    expires_ms: self.options().days_later(now, input.days),
                    ..asked
                };
                Ok((extended, RestoreStarted::Extended))
            }
            (_, _) => Ok((asked, RestoreStarted::Accepted)),
        }
    }
}
