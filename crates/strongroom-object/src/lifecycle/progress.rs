// SPDX-License-Identifier: Apache-2.0
//! How far a pass over the buckets came, written down: after a stop it goes on there.
//!
//! It is no promise: whatever was looked at is looked at again if the mark is lost, and nothing is
//! done twice, since what was done is not due any more.

use minicbor::{Decode, Encode};
use strongroom_store::{Batch, Write};

use crate::error::Error;
use crate::objects::Objects;
use crate::rows;
use crate::table_key::LIFECYCLE_PROGRESS;

const ROW: &[u8] = b"pass";

/// The row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Progress {
    /// The day of the last pass that came to its end.
    #[n(0)]
    pub finished_day: Option<u64>,
    /// The pass under way.
    #[n(1)]
    pub mark: Option<Mark>,
}

/// A place in a pass.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Mark {
    #[n(0)]
    pub day: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bucket_uid: [u8; 16],
    /// Versions are done.
    #[n(2)]
    pub uploads: bool,
    /// Where to go on: the first key that was not looked at, or the first of a name that was not
    /// looked at as a whole.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub from: Vec<u8>,
}

impl Objects {
    /// What is written down; damage is as nothing.
    pub(super) fn lifecycle_progress(&self) -> Result<Progress, Error> {
        match self.tables().get(LIFECYCLE_PROGRESS, ROW) {
            Ok(None) => Ok(Progress::default()),
            Ok(Some(row)) => Ok(rows::decode(&row.value, "lifecycle progress").unwrap_or_default()),
            Err(error) if error.is_corruption() => Ok(Progress::default()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn save_lifecycle_progress(&self, progress: &Progress) -> Result<(), Error> {
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::Put {
                table: LIFECYCLE_PROGRESS,
                key: ROW.to_vec(),
                value: rows::encode(progress)?,
            }],
        };
        self.tables().commit(batch).await?;
        Ok(())
    }
}
