// SPDX-License-Identifier: Apache-2.0
//! How often each table was changed, for those who keep what they read of it.
//!
//! The problem: opening and decoding a row costs more than looking it up, and who keeps the outcome
//! must never use it after a commit changed the row. The approach: whoever changes what the index
//! shows says so before the first change can be seen and after the last one, table by table.
//!
//! ```text
//!   commit   begun + 1 | index.apply | ended + 1 | answer
//!   keep     begun == ended? remember it | read the row
//!   use      begun still what was remembered?
//! ```
//!
//! INVARIANT: the count is asked *before* the row is read. What is read later is at least as new as
//! the count says, so a race makes a reader read once more, never once too seldom. Between `begun`
//! and `ended` readers of the index may see either state, so nothing that is kept counts then: a
//! reader that saw the new row is never followed by one that is shown the old one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batch::TableId;
use super::body::IndexOp;

/// Counts the changes of tables. Tables whose numbers are 64 apart share a count: each is then
/// believed to change with the other, and read more often than it had to be.
#[derive(Debug)]
pub struct Changes {
    slots: [Slot; SLOTS],
}

/// What was kept of a table counts while this is what [`super::Tables::change_count`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeCount(u64);

/// In a line of the processor's cache of its own: commits of one table do not slow readers of
/// another.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// Tables that are being changed. Dropped without [`Change::end`], they are changed for ever: who
/// broke off does not know what the index shows.
#[derive(Debug)]
#[must_use = "the tables count as being changed until it ends"]
pub(crate) struct Change<'a> {
    changes: &'a Changes,
    slots: u64,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            slots: std::array::from_fn(|_| Slot::default()),
        }
    }
}

impl Changes {
    /// How often a table was changed; `None` while it is.
    pub(crate) fn count(&self, table: TableId) -> Option<ChangeCount> {
        let slot = self.slots.get(slot_of(table))?;
        // In this order: what had ended by then, of what has begun by now.
        let ended = slot.ended.load(Ordering::SeqCst);
        let begun = slot.begun.load(Ordering::SeqCst);
        (begun == ended).then_some(ChangeCount(begun))
    }

    /// To be called before the index shows any of these changes.
    pub(crate) fn begin(&self, ops: &[IndexOp]) -> Change<'_> {
        let table = |op: &IndexOp| op.key().first_chunk().copied().map(u16::from_be_bytes);
        let slots = ops.iter().map(|op| match table(op) {
            Some(number) => bit(slot_of(TableId(number))),
            // No key of a table: whatever it is, it hides behind none.
            None => ALL,
        });
        self.begin_slots(slots.fold(0, |all, one| all | one))
    }

    /// Lets nothing count that was read before or while `act` runs: for work on the index beside
    /// commits, which should change nothing that readers see.
    pub(crate) fn while_any_may_change<T>(&self, act: impl FnOnce() -> T) -> T {
        let change = self.begin_slots(ALL);
        let done = act();
        change.end();
        done
    }

    fn begin_slots(&self, slots: u64) -> Change<'_> {
        let change = Change {
            changes: self,
            slots,
        };
        change.each(|slot| &slot.begun);
        change
    }
}

impl Change<'_> {
    /// To be called when every reader of the index sees the changes, and before anybody is told of
    /// them.
    pub(crate) fn end(self) {
        self.each(|slot| &slot.ended);
    }

    fn each(&self, count: impl Fn(&Slot) -> &AtomicU64) {
        for (at, slot) in self.changes.slots.iter().enumerate() {
            if u32::try_from(at).is_ok_and(|at| self.slots >> at & 1 == 1) {
                count(slot).fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

/// The counts of a store's tables, for an index that is changed beside commits; none before the
/// tables are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangesOfTables(Arc<Mutex<Option<Arc<Changes>>>>);

impl ChangesOfTables {
    /// From now on it counts here: for the tables that were opened last.
    pub(crate) fn set(&self, changes: &Arc<Changes>) {
        *self.now() = Some(Arc::clone(changes));
    }

    /// [`Changes::while_any_may_change`].
    pub(crate) fn while_any_may_change<T>(&self, act: impl FnOnce() -> T) -> T {
        let changes = self.now().clone();
        match changes {
            Some(changes) => changes.while_any_may_change(act),
            None => act(),
        }
    }

    fn now(&self) -> MutexGuard<'_, Option<Arc<Changes>>> {
        // An option is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot_of(table: TableId) -> usize {
    usize::from(table.0) % SLOTS
}

fn bit(slot: usize) -> u64 {
    u32::try_from(slot)
        .ok()
        .and_then(|slot| 1_u64.checked_shl(slot))
        .unwrap_or(ALL)
}

const SLOTS: usize = 64;
const ALL: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::row::index_key;

    fn delete(table: u16) -> IndexOp {
        IndexOp::Delete {
            key: index_key(TableId(table), b"k"),
        }
    }

    #[test]
    fn a_table_has_no_count_while_it_changes_and_another_one_after() {
        let changes = Changes::default();
        let before = changes.count(TableId(1));
        let change = changes.begin(&[delete(1), delete(1), delete(3)]);
        assert_eq!(changes.count(TableId(1)), None);
        assert_eq!(changes.count(TableId(3)), None);
        assert_eq!(changes.count(TableId(2)), Some(ChangeCount(0)));
        change.end();
        assert!(before.is_some() && changes.count(TableId(1)).is_some());
        assert_ne!(changes.count(TableId(1)), before);
        assert_eq!(changes.count(TableId(2)), Some(ChangeCount(0)));
    }

    /// With one number that is odd while a change runs, two at the same time looked like none.
    #[test]
    fn two_changes_at_a_time_end_with_the_later_one() {
        let changes = Changes::default();
        let one = changes.begin(&[delete(1)]);
        let other = changes.begin(&[delete(1)]);
        assert_eq!(changes.count(TableId(1)), None);
        one.end();
        assert_eq!(changes.count(TableId(1)), None);
        other.end();
        assert_eq!(changes.count(TableId(1)), Some(ChangeCount(2)));
    }

    #[test]
    fn a_change_that_is_broken_off_never_ends() {
        let changes = Changes::default();
        drop(changes.begin(&[delete(1)]));
        changes.begin(&[delete(1)]).end();
        assert_eq!(changes.count(TableId(1)), None);
        assert!(changes.count(TableId(2)).is_some());
    }

    #[test]
    fn every_table_has_a_count_that_its_change_moves() {
        let changes = Changes::default();
        for table in (0..200).chain([u16::MAX]) {
            let before = changes.count(TableId(table));
            let change = changes.begin(&[delete(table)]);
            assert_eq!(changes.count(TableId(table)), None, "{table}");
            change.end();
            assert_ne!(changes.count(TableId(table)), before, "{table}");
        }
    }

    #[test]
    fn work_beside_commits_and_keys_of_no_table_concern_all() {
        let changes = Changes::default();
        let counts = || (0..64).map(|t| changes.count(TableId(t)));
        changes.while_any_may_change(|| assert!(counts().all(|count| count.is_none())));
        assert!(counts().all(|count| count == Some(ChangeCount(1))));
        changes.begin(&[IndexOp::Delete { key: vec![1] }]).end();
        assert!(counts().all(|count| count == Some(ChangeCount(2))));
    }
}
