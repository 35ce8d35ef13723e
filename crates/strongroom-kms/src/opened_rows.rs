// SPDX-License-Identifier: Apache-2.0
//! Rows of the key service that were read, opened and decoded before
//! (`docs/adr/0045-opened-kms-rows-under-a-count-of-changes.md`).
//!
//! It saves work, and nothing else: what is found here is what the tables hold at that moment. All
//! decisions are made at every use, on these rows as on rows that were just read.
//!
//! ```text
//!   use    count of the table -> the shelf's? -> the row
//!   else   count of the table -> read, open, decode -> onto the shelf of that count
//! ```
//!
//! INVARIANT: a shelf holds rows of one count. A commit to its table, of whatever row, moves the
//! count before anybody can see the change; so the first use after a commit that was answered reads
//! the row again. The count is asked before the row is read, never after.
//!
//! No secret lies here: a material's row has it wrapped.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use strongroom_store::table::ChangeCount;
use strongroom_store::{Row, TableId, Tables};

use crate::error::Error;

/// What was read of one table, a bounded number of rows and of bytes.
pub(crate) struct OpenedRows<K, V> {
    table: TableId,
    shelf: RwLock<Option<Shelf<K, V>>>,
}

struct Shelf<K, V> {
    /// What the table's count was before each of these rows was read.
    count: ChangeCount,
    rows: HashMap<K, V>,
    /// Of the rows as they are stored.
    bytes: usize,
}

impl<K: Eq + Hash, V: Clone> OpenedRows<K, V> {
    pub(crate) fn of(table: TableId) -> Self {
        Self {
            table,
            shelf: RwLock::default(),
        }
    }

    /// The row as the table holds it: from the shelf, or else read and decoded. What is not there is
    /// not remembered, nor what cannot be read.
    pub(crate) fn get<Q: Eq + Hash + ToOwned<Owned = K> + ?Sized>(
        &self,
        tables: &Tables,
        key: &Q,
        row_key: impl FnOnce() -> Vec<u8>,
        decode: impl FnOnce(Row) -> Result<V, Error>,
    ) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
    {
        // Before anything is read.
        let count = tables.change_count(self.table);
        if let Some(count) = count
            && let Some(known) = self.known(count, key)
        {
            return Ok(Some(known));
        }
        let Some(stored) = tables.get(self.table, &row_key())? else {
            return Ok(None);
        };
        let bytes = stored.value.len();
        let row = decode(stored)?;
        // A row that was read while its table changed is used this once.
        if let Some(count) = count {
            let now = || tables.change_count(self.table);
            self.put(count, now, key.to_owned(), row.clone(), bytes);
        }
        Ok(Some(row))
    }

    /// Lets go of everything: of what changed, nothing has to lie about until the next use.
    pub(crate) fn clear(&self) {
        *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn known<Q: Eq + Hash + ?Sized>(&self, count: ChangeCount, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        // Every change of a shelf is whole before anything can panic.
        let kept = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
        let of_now = kept.as_ref().filter(|kept| kept.count == count)?;
        of_now.rows.get(key).cloned()
    }

    fn put(
        &self,
        count: ChangeCount,
        now: impl FnOnce() -> Option<ChangeCount>,
        key: K,
        row: V,
        bytes: usize,
    ) {
        let mut kept = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        // It would never count, and others may have put newer ones here.
        if now() != Some(count) || bytes > BYTES_MAX {
            return;
        }
        let fits = |kept: &Shelf<K, V>| {
            kept.count == count
                && kept.rows.len() < ROWS_MAX
                && kept.bytes.saturating_add(bytes) <= BYTES_MAX
        };
        if !kept.as_ref().is_some_and(fits) {
            *kept = None;
        }
        let kept = kept.get_or_insert_with(|| Shelf {
            count,
            rows: HashMap::new(),
            bytes: 0,
        });
        // Two that read the same row at a time count it twice; the bound holds all the same.
        kept.bytes = kept.bytes.saturating_add(bytes);
        kept.rows.insert(key, row);
    }
}

impl<K, V> fmt::Debug for OpenedRows<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Descriptions, tags and policies are nobody's business in a log.
        f.debug_struct("OpenedRows")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

const ROWS_MAX: usize = 1_024;
/// Keys with policies of 32 KiB are as many as fit.
const BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
#[path = "opened_rows_tests.rs"]
mod tests;
