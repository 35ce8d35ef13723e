// SPDX-License-Identifier: Apache-2.0
//! The plaintext of a record: what each commit of a group changes, already decided.
//!
//! Preconditions were checked, stamped keys filled in, blob references counted and row values
//! sealed before a record is written, so that replaying it needs no decision: it puts and
//! deletes. The decoder is strict (nothing left over, no unknown kinds) and total.

use bytes::Bytes;

/// One change of the index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IndexOp {
    /// The row at this index key becomes this stored row.
    Put {
        /// Table number and row key.
        key: Vec<u8>,
        /// Sequence number and sealed value.
        row: Bytes,
    },
    /// There is no row at this index key.
    Delete {
        /// Table number and row key.
        key: Vec<u8>,
    },
}

impl IndexOp {
    /// The index key that changes.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Starts the body of a group.
pub(crate) fn begin() -> Vec<u8> {
    vec![BODY_VERSION]
}

/// Appends one commit. `None` if it has more changes or longer keys than the format can hold.
pub(crate) fn push_commit(out: &mut Vec<u8>, ops: &[IndexOp]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(ops.len()).ok()?.to_be_bytes());
    for op in ops {
        let (kind, key, row) = match op {
            IndexOp::Put { key, row } => (KIND_PUT, key, Some(row)),
            IndexOp::Delete { key } => (KIND_DELETE, key, None),
        };
        out.push(kind);
        out.extend_from_slice(&u16::try_from(key.len()).ok()?.to_be_bytes());
        out.extend_from_slice(key);
        if let Some(row) = row {
            out.extend_from_slice(&u32::try_from(row.len()).ok()?.to_be_bytes());
            out.extend_from_slice(row);
        }
    }
    Some(())
}

/// Reads the body of a group of `count` commits; `None` for anything that [`push_commit`] did
/// not write. The changes come in order; which commit they belong to does not matter any more.
pub(crate) fn parse(body: &[u8], count: u32) -> Option<Vec<IndexOp>> {
    let (version, mut rest) = body.split_first()?;
    if *version != BODY_VERSION {
        return None;
    }
    let mut ops = Vec::new();
    for _ in 0..count {
        let changes = u32::from_be_bytes(*take::<4>(&mut rest)?);
        for _ in 0..changes {
            let [kind] = *take::<1>(&mut rest)?;
            let key_len = usize::from(u16::from_be_bytes(*take::<2>(&mut rest)?));
            let key = take_slice(&mut rest, key_len)?.to_vec();
            ops.push(match kind {
                KIND_PUT => {
                    let row_len = u32::from_be_bytes(*take::<4>(&mut rest)?);
                    let row = take_slice(&mut rest, usize::try_from(row_len).ok()?)?;
                    IndexOp::Put {
                        key,
                        row: Bytes::copy_from_slice(row),
                    }
                }
                KIND_DELETE => IndexOp::Delete { key },
                _ => return None,
            });
        }
    }
    rest.is_empty().then_some(ops)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(head)
}

fn take_slice<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

const BODY_VERSION: u8 = 1;
const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut body = begin();
        let put = IndexOp::Put {
            key: vec![0, 1, 7],
            row: Bytes::from_static(&[9; 30]),
        };
        push_commit(&mut body, &[put, IndexOp::Delete { key: vec![0, 2] }]).unwrap();
        push_commit(&mut body, &[]).unwrap();
        body
    }

    #[test]
    fn what_was_pushed_comes_back() {
        let ops = parse(&sample(), 2).unwrap();
        assert_eq!(ops.len(), 2);
        assert_eq!(ops[1], IndexOp::Delete { key: vec![0, 2] });
    }

    #[test]
    fn other_lengths_and_counts_are_refused() {
        let body = sample();
        for len in 0..body.len() {
            assert_eq!(parse(&body[..len], 2), None, "cut at {len}");
        }
        assert_eq!(parse(&[body.as_slice(), &[0]].concat(), 2), None);
        assert_eq!(parse(&body, 1), None);
        assert_eq!(parse(&body, 3), None);
        let mut unknown_kind = body.clone();
        unknown_kind[5] = 3;
        assert_eq!(parse(&unknown_kind, 2), None);
        let mut unknown_version = body;
        unknown_version[0] = 2;
        assert_eq!(parse(&unknown_version, 2), None);
    }
}
