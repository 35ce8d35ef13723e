// SPDX-License-Identifier: Apache-2.0
//! One contract for every index.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use strongroom_store::drive::{Drive, DrivePath, Folder};
use strongroom_store::table::{FjallIndex, Index, IndexOp, MemoryIndex};
use strongroom_testkit::{SimDrive, SimRng};

use crate::table_rig::LossyIndex;

/// Holds an index to its contract; `reopen` persists nothing by itself.
fn conforms(mut index: Box<dyn Index>, reopen: impl Fn(Box<dyn Index>) -> Box<dyn Index>) {
    let mut rng = SimRng::new(11);
    let mut model: BTreeMap<Vec<u8>, Bytes> = BTreeMap::new();
    for round in 0..60 {
        let ops: Vec<IndexOp> = (0..rng.below(40)).map(|_| op(&mut rng)).collect();
        for op in ops.clone() {
            match op {
                IndexOp::Put { key, row } => model.insert(key, row),
                IndexOp::Delete { key } => model.remove(&key),
            };
        }
        // Every group of the tables writes one row that is never deleted.
        let mark = IndexOp::Put {
            key: vec![0xff, 0xff],
            row: Bytes::from(vec![round]),
        };
        model.insert(vec![0xff, 0xff], Bytes::from(vec![round]));
        index
            .apply(ops.into_iter().chain([mark]).collect())
            .unwrap();
        for _ in 0..20 {
            let key = key(&mut rng);
            assert_eq!(index.get(&key).unwrap().as_ref(), model.get(&key));
            range(&mut rng, index.as_ref(), &model);
        }
        moment(index.as_ref(), &model);
        if round % 9 == 8 {
            index.persist().unwrap();
            index = reopen(index);
        }
    }
    let all = index
        .range(Bound::Unbounded, Bound::Unbounded, usize::MAX, false)
        .unwrap();
    assert_eq!(all, model.into_iter().collect::<Vec<_>>());
}

/// A moment stays as it was, whatever comes after it.
fn moment(index: &dyn Index, model: &BTreeMap<Vec<u8>, Bytes>) {
    let moment = index.moment().unwrap();
    let later = vec![0xff, 0xfe];
    let put = |row: &'static [u8]| IndexOp::Put {
        key: later.clone(),
        row: Bytes::from_static(row),
    };
    index.apply(vec![put(b"later")]).unwrap();
    let mut read = Vec::new();
    loop {
        let after = read.last().map(|(key, _): &(Vec<u8>, Bytes)| key.clone());
        let rows = moment.rows(after.as_deref(), 7).unwrap();
        if rows.is_empty() {
            break;
        }
        read.extend(rows);
    }
    assert!(read.iter().map(|(key, row)| (key, row)).eq(model.iter()));
    index.apply(vec![IndexOp::Delete { key: later }]).unwrap();
}

fn op(rng: &mut SimRng) -> IndexOp {
    let key = key(rng);
    if rng.one_in(4) {
        return IndexOp::Delete { key };
    }
    let mut row = vec![
        0;
        if rng.one_in(50) {
            40_000
        } else {
            rng.index(60)
        }
    ];
    rng.fill(&mut row);
    IndexOp::Put {
        key,
        row: Bytes::from(row),
    }
}

fn key(rng: &mut SimRng) -> Vec<u8> {
    let alphabet = [0_u8, 1, 0x7f, 0xff];
    (0..=rng.below(4))
        .map(|_| alphabet[rng.index(alphabet.len())])
        .take(4)
        .collect()
}

fn range(rng: &mut SimRng, index: &dyn Index, model: &BTreeMap<Vec<u8>, Bytes>) {
    let (start, end) = (key(rng), key(rng));
    let bound = |rng: &mut SimRng, key| match rng.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Excluded(key),
        _ => Bound::Included(key),
    };
    let (start, end) = (bound(rng, start), bound(rng, end));
    let (limit, reverse) = (rng.index(9), rng.one_in(2));
    let (start, end) = (
        start.as_ref().map(Vec::as_slice),
        end.as_ref().map(Vec::as_slice),
    );
    let starts = |key: &[u8]| match start {
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
        Bound::Unbounded => true,
    };
    let ends = |key: &[u8]| match end {
        Bound::Included(end) => key <= end,
        Bound::Excluded(end) => key < end,
        Bound::Unbounded => true,
    };
    let mut expected: Vec<_> = model
        .iter()
        .filter(|(key, _)| starts(key) && ends(key))
        .map(|(key, row)| (key.clone(), row.clone()))
        .collect();
    if reverse {
        expected.reverse();
    }
    expected.truncate(limit);
    assert_eq!(index.range(start, end, limit, reverse).unwrap(), expected);
}

#[test]
fn the_index_on_fjall_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let open = |path: &Path| Box::new(FjallIndex::open(path, 1 << 20).unwrap());
    conforms(open(&path), |index| {
        drop(index);
        open(&path)
    });
}

/// A server was killed at its first start, while fjall made its files. fjall opens such a directory
/// never again, so the index has to appear as a whole.
#[test]
fn an_index_on_fjall_whose_making_was_cut_short_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    drop(FjallIndex::open(&whole, 1 << 20).unwrap());
    let path = dir.path().join("index");
    let unfinished = dir.path().join("index.new");
    for kept in ["lock", "0.jnl", "version"] {
        std::fs::create_dir_all(unfinished.join("keyspaces")).unwrap();
        std::fs::copy(whole.join(kept), unfinished.join(kept)).unwrap();
        drop(FjallIndex::open(&path, 1 << 20).unwrap());
        assert!(!unfinished.exists());
        std::fs::remove_dir_all(&path).unwrap();
    }
    // What is in its place is never taken for unfinished.
    std::fs::create_dir_all(&path).unwrap();
    std::fs::copy(whole.join("0.jnl"), path.join("0.jnl")).unwrap();
    FjallIndex::open(&path, 1 << 20).unwrap_err();
}

/// A flush of the index failed while a checkpoint waited for it; the wait went on for minutes, and
/// the server could not be stopped meanwhile.
#[test]
fn a_failed_flush_of_the_index_on_fjall_is_heard_of_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let index = FjallIndex::open(&path, 1 << 20).unwrap();
    let put = IndexOp::Put {
        key: b"a".to_vec(),
        row: Bytes::from_static(b"row"),
    };
    index.apply(vec![put]).unwrap();
    std::fs::remove_dir_all(path.join("keyspaces")).unwrap();
    let started = std::time::Instant::now();
    index.persist().unwrap_err();
    drop(index);
    assert!(started.elapsed() < std::time::Duration::from_mins(1));
}

/// fjall reads its manifests without comparing their checksum: one changed bit made the server
/// ask for 64 GiB of memory and die of it.
#[test]
fn a_manifest_of_fjall_with_any_bit_changed_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let index = FjallIndex::open(&path, 1 << 20).unwrap();
    let put = IndexOp::Put {
        key: b"a".to_vec(),
        row: Bytes::from_static(b"row"),
    };
    index.apply(vec![put]).unwrap();
    index.persist().unwrap();
    drop(index);
    let mut changed = 0;
    for tree in std::fs::read_dir(path.join("keyspaces")).unwrap() {
        let tree = tree.unwrap().path();
        let current = std::fs::read(tree.join("current")).unwrap();
        let id = u64::from_le_bytes(*current.first_chunk().unwrap());
        for name in ["current".to_owned(), format!("v{id}")] {
            let file = tree.join(&name);
            let good = std::fs::read(&file).unwrap();
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&file, bad).unwrap();
                let error = FjallIndex::open(&path, 1 << 20).unwrap_err();
                assert!(error.is_corruption(), "{name} bit {bit}: {error}");
                assert!(error.to_string().contains("keyspaces"), "{error}");
                changed += 1;
            }
            std::fs::write(&file, &good[..good.len() - 1]).unwrap();
            FjallIndex::open(&path, 1 << 20).unwrap_err();
            std::fs::write(&file, good).unwrap();
        }
    }
    assert!(changed > 4_000, "{changed}");
    let index = FjallIndex::open(&path, 1 << 20).unwrap();
    assert_eq!(index.get(b"a").unwrap().unwrap(), "row");
}

/// fjall took a tree without its `current` for one that was never finished, removed it with all its
/// rows, and made an empty one that it filled from its journal, the mark of what was applied among it:
/// the next start served what was left, and removed the bodies of the rest.
#[test]
fn an_index_on_fjall_of_which_a_part_is_missing_is_damage_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let index = FjallIndex::open(&whole, 1 << 20).unwrap();
    let put = |key: &[u8]| IndexOp::Put {
        key: key.to_vec(),
        row: Bytes::from_static(b"row"),
    };
    index.apply(vec![put(b"a")]).unwrap();
    index.persist().unwrap();
    // What only fjall's journal has.
    index.apply(vec![put(b"b")]).unwrap();
    drop(index);
    let all = files_below(&whole);
    let trees = ["keyspaces/0/", "keyspaces/1/"];
    assert!(
        trees
            .iter()
            .all(|tree| all.iter().any(|(name, _)| name.starts_with(tree)))
    );
    let path = dir.path().join("index");
    let parts = [
        "keyspaces/1/current",
        "keyspaces/1/",
        "keyspaces/0/current",
        "keyspaces/0/",
        "keyspaces/",
        "version",
    ];
    for lost in parts {
        let left: Vec<_> = all
            .iter()
            .filter(|(name, _)| !name.starts_with(lost))
            .cloned()
            .collect();
        assert!(left.len() < all.len(), "{lost}");
        put_files(&path, &left);
        for _ in 0..2 {
            let error = FjallIndex::open(&path, 1 << 20).unwrap_err();
            assert!(error.is_corruption(), "{lost}: {error}");
            assert_eq!(files_below(&path), left, "{lost}");
        }
        std::fs::remove_dir_all(&path).unwrap();
    }
    // As it was made before by such a start.
    put_files(&path, &all);
    std::fs::rename(path.join("keyspaces/1"), path.join("keyspaces/2")).unwrap();
    let error = FjallIndex::open(&path, 1 << 20).unwrap_err();
    assert!(error.to_string().contains("keyspaces/2"), "{error}");
    std::fs::rename(path.join("keyspaces/2"), path.join("keyspaces/1")).unwrap();
    let index = FjallIndex::open(&path, 1 << 20).unwrap();
    assert_eq!(index.get(b"b").unwrap().unwrap(), "row");
    drop(index);
    // One that is made in its place is empty, and not refused.
    std::fs::remove_file(path.join("keyspaces/1/current")).unwrap();
    let index = FjallIndex::renew(&path, 1 << 20).unwrap();
    assert_eq!(index.get(b"a").unwrap(), None);
}

/// Names and content of all files below a folder, in order.
fn files_below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn put_files(dir: &Path, files: &[(String, Vec<u8>)]) {
    for (name, content) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

#[test]
fn the_index_in_memory_conforms() {
    let drive: Arc<dyn Drive> = Arc::new(SimDrive::new(1));
    let open = || Box::new(MemoryIndex::open(Arc::clone(&drive)).unwrap());
    conforms(open(), |index| {
        drop(index);
        open()
    });
}

#[test]
fn the_lossy_index_of_the_tests_conforms() {
    let index = LossyIndex::default();
    conforms(Box::new(index.clone()), |_| Box::new(index.clone()));
}

#[test]
fn a_saved_index_with_any_byte_changed_is_damage() {
    let drive = SimDrive::new(1);
    let shared: Arc<dyn Drive> = Arc::new(drive.clone());
    let index = MemoryIndex::open(Arc::clone(&shared)).unwrap();
    let put = |key: &[u8]| IndexOp::Put {
        key: key.to_vec(),
        row: Bytes::from_static(b"row"),
    };
    index.apply(vec![put(b"a"), put(b"b")]).unwrap();
    index.persist().unwrap();
    let path = DrivePath::fixed(Folder::Log, "index");
    let good = drive.contents(&path).unwrap();
    for offset in 0..good.len() {
        let damaged = drive.kill();
        assert!(damaged.rot(&path, offset, 0x08));
        let shared: Arc<dyn Drive> = Arc::new(damaged);
        assert!(MemoryIndex::open(shared).unwrap_err().is_corruption());
        let cut = drive.kill();
        cut.plant(&path, &good[..offset]);
        let shared: Arc<dyn Drive> = Arc::new(cut);
        assert!(MemoryIndex::open(shared).unwrap_err().is_corruption());
    }
}
