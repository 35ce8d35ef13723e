// SPDX-License-Identifier: Apache-2.0

use std::cell::Cell;
use std::sync::Arc;

use strongroom_store::table::TableOptions;
use strongroom_store::{Batch, Write};
use strongroom_testkit::{SimDrive, TestSealer};

use super::*;

const T: TableId = TableId(1);
const OTHER: TableId = TableId(2);

/// Tables whose commits happen where they are asked for, so that a test can have one at any point
/// of a read.
fn tables() -> Tables {
    let options = TableOptions {
        inline: true,
        ..TableOptions::default()
    };
    let sealer = Arc::new(TestSealer::new(1));
    Tables::open(
        Arc::new(SimDrive::new(1)),
        sealer,
        options,
        Arc::new(|_| {}),
    )
    .unwrap()
}

fn put(tables: &Tables, table: TableId, key: &str, value: &[u8]) {
    let write = Write::Put {
        table,
        key: key.into(),
        value: value.to_vec(),
    };
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(tables.commit(batch)).unwrap();
}

struct Reader {
    tables: Tables,
    rows: OpenedRows<String, Vec<u8>>,
    decoded: Cell<u32>,
}

impl Reader {
    fn new() -> Self {
        let (tables, rows) = (tables(), OpenedRows::of(T));
        put(&tables, T, "a", b"1");
        Self {
            tables,
            rows,
            decoded: Cell::new(0),
        }
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.get_and(key, || (), || ())
    }

    /// Something happens between the question for the count and the read, and between the read
    /// and what becomes of it.
    fn get_and(&self, key: &str, before: impl FnOnce(), after: impl FnOnce()) -> Option<Vec<u8>> {
        let row_key = || {
            before();
            key.into()
        };
        let decode = |row: Row| {
            after();
            self.decoded.set(self.decoded.get() + 1);
            Ok(row.value)
        };
        self.rows.get(&self.tables, key, row_key, decode).unwrap()
    }

    fn shelf(&self) -> (usize, usize) {
        let kept = self.rows.shelf.read().unwrap();
        let kept = kept.as_ref();
        kept.map_or((0, 0), |kept| (kept.rows.len(), kept.bytes))
    }
}

#[test]
fn row_is_decoded_once_until_its_table_changes() {
    let reader = Reader::new();
    for _ in 0..3 {
        assert_eq!(reader.get("a").unwrap(), b"1");
    }
    assert_eq!(reader.decoded.get(), 1);
    put(&reader.tables, OTHER, "a", b"9");
    assert_eq!(reader.get("a").unwrap(), b"1");
    assert_eq!(reader.decoded.get(), 1, "another table");
    // Any row of its table: which one, the count does not tell.
    put(&reader.tables, T, "b", b"2");
    assert_eq!(reader.get("a").unwrap(), b"1");
    assert_eq!(reader.decoded.get(), 2);
    put(&reader.tables, T, "a", b"3");
    assert_eq!(reader.get("a").unwrap(), b"3");
    assert_eq!(reader.get("b").unwrap(), b"2");
}

/// With the count asked after the read, the row of before was kept under the count of after.
#[test]
fn row_that_was_read_before_a_commit_is_not_kept_beyond_it() {
    let reader = Reader::new();
    let commit = || put(&reader.tables, T, "a", b"2");
    let read = reader.get_and("a", || (), commit);
    assert_eq!(read.unwrap(), b"1", "it began before the commit");
    assert_eq!(reader.get("a").unwrap(), b"2");
}

#[test]
fn row_that_was_read_behind_a_commit_is_right_and_read_once_more() {
    let reader = Reader::new();
    let commit = || put(&reader.tables, T, "a", b"2");
    assert_eq!(reader.get_and("a", commit, || ()).unwrap(), b"2");
    assert_eq!(reader.shelf(), (0, 0));
    assert_eq!(reader.get("a").unwrap(), b"2");
    assert_eq!(reader.decoded.get(), 2);
}

/// A slow reader must not put what it has beside rows that were read since.
#[test]
fn slow_reader_spoils_no_newer_shelf() {
    let reader = Reader::new();
    let meanwhile = || {
        put(&reader.tables, T, "a", b"2");
        assert_eq!(reader.get("a").unwrap(), b"2");
    };
    assert_eq!(reader.get_and("a", || (), meanwhile).unwrap(), b"1");
    assert_eq!(reader.get("a").unwrap(), b"2");
}

#[test]
fn what_is_not_there_or_does_not_decode_is_not_remembered() {
    let reader = Reader::new();
    assert_eq!(reader.get("b"), None);
    let refused = reader.rows.get(
        &reader.tables,
        "a",
        || b"a".to_vec(),
        |_| Err(Error::InvalidCiphertext),
    );
    assert!(refused.is_err());
    assert_eq!(reader.shelf(), (0, 0));
    put(&reader.tables, T, "b", b"1");
    assert_eq!(reader.get("b").unwrap(), b"1");
}

#[test]
fn rows_and_bytes_are_bounded() {
    let reader = Reader::new();
    let names: Vec<String> = (0..ROWS_MAX + 10).map(|name| name.to_string()).collect();
    for name in &names {
        put(&reader.tables, T, name, b"1");
    }
    for name in &names {
        reader.get(name).unwrap();
        assert!(reader.shelf().0 <= ROWS_MAX);
    }
    let most = vec![7; 1 << 20];
    for name in &names[..9] {
        put(&reader.tables, T, name, &most);
    }
    for name in &names[..9] {
        reader.get(name).unwrap();
        let (rows, bytes) = reader.shelf();
        assert!(rows > 0 && bytes <= BYTES_MAX, "{rows} {bytes}");
    }
    put(&reader.tables, T, "most", &vec![7; BYTES_MAX + 1]);
    let decoded = reader.decoded.get();
    for _ in 0..2 {
        reader.get("most").unwrap();
    }
    assert_eq!(reader.decoded.get(), decoded + 2, "too long to be kept");
    assert!(reader.shelf().1 <= BYTES_MAX);
}

#[test]
fn nothing_is_left_when_it_is_cleared() {
    let reader = Reader::new();
    reader.get("a").unwrap();
    assert_eq!(reader.shelf(), (1, 1));
    assert!(!format!("{:?}", reader.rows).contains("49"));
    reader.rows.clear();
    assert_eq!(reader.shelf(), (0, 0));
    assert_eq!(reader.get("a").unwrap(), b"1");
}
