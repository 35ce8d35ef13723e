// SPDX-License-Identifier: Apache-2.0
//! Verification of what the bodies do not show: all rows, the log behind them, and blobs that
//! nobody asks for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use strongroom_store::{BlobId, CatalogueEntry};

use crate::error::Error;
use crate::verify::{Run, VerifyStage};

impl Run<'_> {
    /// Opens every row of every table.
    pub(crate) async fn rows(&mut self) -> Result<(), Error> {
        let tables = self.objects.tables().clone();
        let check = move |seen: &mut Seen<'_>| tables.verify(seen);
        match self.watched(VerifyStage::Rows, check).await? {
            Ok(found) => {
                self.report.rows = found.rows;
                self.report.row_bytes = found.bytes;
                self.store_damage(found.damaged)
            }
            Err(error) => self.damage("rows of the tables", error.into()),
        }
    }

    /// Reads the log of the tables.
    pub(crate) async fn log(&mut self) -> Result<(), Error> {
        let tables = self.objects.tables().clone();
        let check = move |seen: &mut Seen<'_>| tables.verify_log(seen);
        match self.watched(VerifyStage::Log, check).await? {
            Ok(found) => {
                self.report.commits = found.commits;
                self.report.log_bytes = found.bytes;
                self.store_damage(found.damaged)?;
                self.store_damage(found.useless)
            }
            Err(error) => self.damage("log of the tables", error.into()),
        }
    }

    /// Compares the references to each blob with those the catalogue counts, and reads the blobs
    /// that no row refers to.
    pub(crate) async fn blobs(&mut self) -> Result<(), Error> {
        self.enter(VerifyStage::Blobs, None);
        self.referred.sort_unstable();
        self.referred_by_parts.sort_unstable();
        let mut after = None;
        loop {
            let page = match self.objects.store().catalogue(after, BLOBS_PER_SCAN) {
                Ok(page) => page,
                Err(error) => return self.damage("blob catalogue", error.into()),
            };
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.location.blob);
            for entry in page {
                self.report.blobs = self.report.blobs.saturating_add(1);
                self.blob(entry).await?;
            }
            self.tell();
        }
    }

    async fn blob(&mut self, entry: CatalogueEntry) -> Result<(), Error> {
        let blob = entry.location.blob;
        let found = self.references(blob);
        if entry.changed_seq > self.since.0 || found == entry.refs {
            return Ok(());
        }
        let store = self.objects.store();
        if found > 0 {
            if !matches!(store.catalogued(blob), Ok(Some(now)) if now == entry) {
                return Ok(());
            }
            let counted = entry.refs;
            if found > counted {
                let reason = format!(
                    "blob {blob}: {found} references, but {counted} counted: it would be \
                     removed too early"
                );
                self.report.damaged.push(reason);
            } else {
                self.report.unreferred.push(format!(
                    "blob {blob}: {found} references, but {counted} counted: it would never be \
                     removed"
                ));
            }
            return Ok(());
        }
        let checked = store.blobs().verify(&entry.location).await;
        // Released meanwhile?
        if !matches!(store.catalogued(blob), Ok(Some(now)) if now == entry) {
            return Ok(());
        }
        let sealed_bytes = entry.location.sealed_bytes;
        self.now.bytes = self.now.bytes.saturating_add(sealed_bytes);
        self.report.unreferred.push(format!(
            "blob {blob} ({sealed_bytes} bytes): no object and no part refers to it"
        ));
        match checked {
            Ok(_) => Ok(()),
            Err(error) => self.damage(&format!("blob {blob}"), error.into()),
        }
    }

    /// How many rows stand on a blob. A part that became one of an object meanwhile was seen as
    /// both.
    fn references(&self, blob: BlobId) -> u32 {
        let count = |sorted: &[BlobId]| {
            let start = sorted.partition_point(|other| *other < blob);
            let end = sorted.partition_point(|other| *other <= blob);
            u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX)
        };
        match count(&self.referred) {
            0 => count(&self.referred_by_parts),
            by_objects => by_objects,
        }
    }

    /// Notes damage that was not told with an object.
    fn store_damage(&mut self, damaged: Vec<strongroom_store::Error>) -> Result<(), Error> {
        for error in damaged {
            if !self.told.contains(&error.to_string()) {
                self.damage("tables", error.into())?;
            }
        }
        Ok(())
    }

    /// Runs a check that blocks on a thread of its own and tells how far it is. The check is
    /// broken off when nobody waits for it any more.
    async fn watched<T: Send + 'static>(
        &mut self,
        stage: VerifyStage,
        check: impl FnOnce(&mut Seen<'_>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.enter(stage, None);
        let bytes = Arc::new(AtomicU64::new(0));
        let watched = Arc::downgrade(&bytes);
        let mut task = tokio::task::spawn_blocking(move || {
            check(&mut |read| match watched.upgrade() {
                Some(bytes) => {
                    bytes.fetch_add(read, Ordering::Relaxed);
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            })
        });
        loop {
            let waited = tokio::time::timeout(TELL_INTERVAL, &mut task).await;
            self.now.bytes = bytes.load(Ordering::Relaxed);
            self.tell();
            if let Ok(done) = waited {
                return done.map_err(|_| Error::Internal("a check of the tables ended early"));
            }
        }
    }
}

/// Hears of bytes that were read, and says whether to go on.
type Seen<'s> = dyn FnMut(u64) -> ControlFlow<()> + 's;

const BLOBS_PER_SCAN: usize = 256;
const TELL_INTERVAL: Duration = Duration::from_millis(100);
