// SPDX-License-Identifier: Apache-2.0
//! Rows whose keys begin alike.

use std::ops::Bound;

use strongroom_store::TableId;

use crate::error::Error;
use crate::key_id::KeyUid;
use crate::page::LIMIT_MAX;
use crate::service::{KeyedRow, Kms};

impl Kms {
    /// The first rows of a table whose keys begin with `prefix`, behind the key `after`, at most
    /// `count`. No other rows are read.
    pub(crate) fn rows_behind(
        &self,
        table: TableId,
        prefix: &[u8],
        after: Option<&[u8]>,
        count: usize,
    ) -> Result<Vec<KeyedRow>, Error> {
        let after = after.filter(|after| *after >= prefix);
        let end = end(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut found: Vec<KeyedRow> = Vec::new();
        while found.len() < count {
            let last = found.last().map(|(key, _)| key.as_slice()).or(after);
            let start = last.map_or(Bound::Included(prefix), Bound::Excluded);
            let most = count.saturating_sub(found.len()).min(LIMIT_MAX);
            let rows = self.store().tables().scan(table, start, end, most, false)?;
            let all = rows.len() < most;
            found.extend(rows);
            if all {
                break;
            }
        }
        Ok(found)
    }

    /// The first rows of a table whose keys begin with a key's uid.
    pub(crate) fn rows_of(
        &self,
        table: TableId,
        uid: KeyUid,
        count: usize,
    ) -> Result<Vec<KeyedRow>, Error> {
        self.rows_behind(table, &uid.0, None, count)
    }

    /// How many rows of a table have keys that begin with a key's uid.
    pub(crate) fn count_rows_of(&self, table: TableId, uid: KeyUid) -> Result<usize, Error> {
        let (mut after, mut count): (Option<Vec<u8>>, usize) = (None, 0);
        loop {
            let rows = self.rows_behind(table, &uid.0, after.as_deref(), LIMIT_MAX)?;
            count = count.saturating_add(rows.len());
            match rows.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => return Ok(count),
            }
        }
    }
}

/// The first key behind all that begin with `prefix`; `None` if there is none.
fn end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    let byte = end.last_mut()?;
    *byte = byte.checked_add(1)?;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_behind_all_that_begin_alike_and_before_all_else() {
        for (prefix, behind) in [
            (b"\x01\x02".as_slice(), Some(b"\x01\x03".as_slice())),
            (b"\x01\xff\xff", Some(b"\x02")),
            (b"\x00", Some(b"\x01")),
            (b"\xff\xff", None),
            (b"", None),
        ] {
            assert_eq!(end(prefix).as_deref(), behind, "{prefix:?}");
            if let Some(behind) = behind {
                assert!([prefix, &[0xff; 40]].concat().as_slice() < behind);
            }
        }
    }
}
