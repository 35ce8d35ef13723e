// SPDX-License-Identifier: Apache-2.0
//! One shard's file, from its first byte to the flush of its folder.
//!
//! ```text
//!   tmp/BLOB      header, units ..          write_units
//!   blobs/xx/BLOB header, units ..,         finish: manifest and trailer, rename, flush of file
//!                 manifest, trailer         and folder
//! ```
//!
//! Blocks; to be used on a thread that may. Dropped before the commit that counts the shard, the
//! file goes.

use std::fmt;
use std::sync::Arc;

use super::reclaim::{ShardTicket, Stage};
use super::shard::{ShardHeader, ShardTrailer, TRAILER_LEN};
use crate::drive::{Drive, DriveFile, DriveNo, DrivePath};
use crate::error::Error;

/// Writes one shard of one blob.
pub struct ShardWriter {
    drive: Arc<dyn Drive>,
    number: DriveNo,
    header: ShardHeader,
    file: Option<Arc<dyn DriveFile>>,
    /// Whether a file that has the final name already gives way: one that does not count.
    replaces: bool,
    /// INVARIANT: dropped after the last write ended, since its drop removes the file.
    ticket: ShardTicket,
}

impl ShardWriter {
    pub(super) fn new(
        drive: Arc<dyn Drive>,
        number: DriveNo,
        header: ShardHeader,
        replaces: bool,
        ticket: ShardTicket,
    ) -> Self {
        Self {
            drive,
            number,
            header,
            file: None,
            replaces,
            ticket,
        }
    }

    /// The drive that gets the shard.
    pub fn drive(&self) -> DriveNo {
        self.number
    }

    /// What the file begins with.
    pub fn header(&self) -> ShardHeader {
        self.header
    }

    /// Writes units from the shard's unit `first_row` on: `slots` holds each with its checksum
    /// behind it, as they stand in the file.
    pub fn write_units(&mut self, first_row: u64, slots: &[u8]) -> Result<(), Error> {
        let unit = self.header.layout.unit();
        let offset = unit.file_offset(first_row).ok_or(TOO_LONG)?;
        super::room_on(self.drive.as_ref())?;
        self.file()?.write_at(offset, slots)?;
        metrics::counter!("strongroom_blob_bytes_written_total")
            .increment(u64::try_from(slots.len()).unwrap_or(0));
        Ok(())
    }

    /// Ends the file of a blob of `sealed_bytes`: manifest and trailer, final name, flush of file
    /// and folder. The manifest is the same for every shard of the blob.
    pub fn finish(&mut self, sealed_bytes: u64, manifest: &[u8]) -> Result<(), Error> {
        let ShardHeader {
            blob,
            shard,
            layout,
            ..
        } = self.header;
        let trailer = ShardTrailer::new(blob, layout.unit(), sealed_bytes, manifest);
        let trailer = trailer.ok_or(TOO_LONG)?;
        let units_end = layout
            .shard_file_bytes(sealed_bytes, shard, 0)
            .and_then(|bytes| bytes.checked_sub(u64::from(crate::layout::TRAILER_BYTES)))
            .ok_or(TOO_LONG)?;
        let mut end = Vec::with_capacity(manifest.len().saturating_add(TRAILER_LEN));
        end.extend_from_slice(manifest);
        end.extend_from_slice(&trailer.to_bytes());
        let file = self.file()?;
        file.write_at(units_end, &end)?;
        let published = DrivePath::blob(blob);
        if self.replaces {
            self.drive.remove(&published)?;
        }
        self.drive
            .rename(&DrivePath::blob_in_writing(blob), &published)?;
        self.ticket.reached(Stage::Published);
        // The name first, then both flushes: a journaling file system commits bytes and name with
        // the first one, and has nothing left to do for the second. A crash in between leaves a
        // file without a catalogue row, which the next start removes.
        file.sync()?;
        // A commit may take many blobs: their files are not kept open until then.
        self.file = None;
        self.drive.sync_folder(published.folder())
    }

    /// A commit counts the shard, or may: the file stays.
    pub fn keep(self) {
        self.ticket.reached(Stage::Kept);
    }

    fn file(&mut self) -> Result<Arc<dyn DriveFile>, Error> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let path = DrivePath::blob_in_writing(self.header.blob);
        let file = self.drive.create(&path)?;
        file.write_at(0, &self.header.to_bytes())?;
        Ok(Arc::clone(self.file.insert(file)))
    }
}

impl fmt::Debug for ShardWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardWriter")
            .field("drive", &self.number)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

const TOO_LONG: Error = Error::TooLarge { what: "the blob" };
