// SPDX-License-Identifier: Apache-2.0
//! What a simulated drive holds: for every file and every name, what a power loss leaves for
//! certain and what it may leave.
//!
//! A file is its durable bytes and the writes since its last sync; a power loss keeps, drops or
//! tears each of those writes on its own. Names are the durable ones and the changes since; of the
//! changes in one folder a power loss keeps the first few, as a journal does. A rename belongs to
//! the folder that it moves into.

use std::collections::BTreeMap;

use strongroom_store::drive::{DrivePath, Folder};

use crate::sim_rng::SimRng;

/// Files and names, durable and not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    files: BTreeMap<u64, Content>,
    next_file: u64,
    names: BTreeMap<DrivePath, u64>,
    durable_names: BTreeMap<DrivePath, u64>,
    name_changes: Vec<NameChange>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

#[derive(Clone, Debug)]
enum NameChange {
    Create {
        path: DrivePath,
        file: u64,
    },
    Remove {
        path: DrivePath,
    },
    Rename {
        from: DrivePath,
        to: DrivePath,
        file: u64,
    },
}

impl Image {
    pub(crate) fn find(&self, path: &DrivePath) -> Option<u64> {
        self.names.get(path).copied()
    }

    pub(crate) fn list(&self, folder: Folder) -> Vec<DrivePath> {
        self.names
            .keys()
            .filter(|path| path.folder() == folder)
            .cloned()
            .collect()
    }

    pub(crate) fn all(&self) -> Vec<DrivePath> {
        self.names.keys().cloned().collect()
    }

    pub(crate) fn bytes(&self, file: u64) -> &[u8] {
        self.files
            .get(&file)
            .map(|content| content.now.as_slice())
            .unwrap_or_default()
    }

    pub(crate) fn used_bytes(&self, counts: fn(Folder) -> bool) -> u64 {
        let counted = self.names.iter().filter(|(path, _)| counts(path.folder()));
        let sum: usize = counted.map(|(_, file)| self.bytes(*file).len()).sum();
        u64::try_from(sum).unwrap_or(u64::MAX)
    }

    /// A place for a write to `file` at `start` to go astray to, in folders that `counts` selects.
    pub(crate) fn elsewhere(
        &self,
        file: u64,
        start: usize,
        counts: fn(Folder) -> bool,
        rng: &mut SimRng,
    ) -> (u64, usize) {
        let counted = self.names.iter().filter(|(path, _)| counts(path.folder()));
        let files: Vec<u64> = counted.map(|(_, file)| *file).collect();
        let other = files.get(rng.index(files.len())).copied().unwrap_or(file);
        let at = rng.index(self.bytes(other).len());
        if (other, at) == (file, start) {
            return (file, start.saturating_add(1));
        }
        (other, at)
    }

    pub(crate) fn create(&mut self, path: &DrivePath) -> u64 {
        let file = self.new_file(Content::default());
        self.names.insert(path.clone(), file);
        self.name_changes.push(NameChange::Create {
            path: path.clone(),
            file,
        });
        file
    }

    pub(crate) fn remove(&mut self, path: &DrivePath) {
        self.names.remove(path);
        self.name_changes
            .push(NameChange::Remove { path: path.clone() });
    }

    pub(crate) fn rename(&mut self, from: &DrivePath, to: &DrivePath) {
        if let Some(file) = self.names.remove(from) {
            self.names.insert(to.clone(), file);
            let (from, to) = (from.clone(), to.clone());
            self.name_changes
                .push(NameChange::Rename { from, to, file });
        }
    }

    /// The new bytes are durable under a name nobody sees; the name changes like a rename.
    pub(crate) fn replace(&mut self, path: &DrivePath, bytes: &[u8]) {
        let (now, durable) = (bytes.to_vec(), bytes.to_vec());
        let file = self.new_file(Content {
            now,
            durable,
            changes: Vec::new(),
        });
        self.names.insert(path.clone(), file);
        let (from, to) = (path.clone(), path.clone());
        self.name_changes
            .push(NameChange::Rename { from, to, file });
    }

    pub(crate) fn write(&mut self, file: u64, offset: usize, bytes: &[u8]) {
        if let Some(content) = self.files.get_mut(&file) {
            put(&mut content.now, offset, bytes);
            content.changes.push(Change::Write {
                offset,
                bytes: bytes.to_vec(),
            });
        }
    }

    pub(crate) fn truncate(&mut self, file: u64, len: usize) {
        if let Some(content) = self.files.get_mut(&file) {
            content.now.resize(len, 0);
            content.changes.push(Change::Truncate { len });
        }
    }

    pub(crate) fn sync(&mut self, file: u64) {
        if let Some(content) = self.files.get_mut(&file) {
            content.durable.clone_from(&content.now);
            content.changes.clear();
        }
    }

    pub(crate) fn sync_folder(&mut self, folder: Folder) {
        let changes = std::mem::take(&mut self.name_changes);
        for change in changes {
            if change.folder() == folder {
                apply_name(&mut self.durable_names, &change);
                if let NameChange::Rename { from, file, .. } = change {
                    // The file has left the name under which it was made.
                    self.name_changes.retain(|earlier| {
                        !matches!(earlier, NameChange::Create { path, file: made }
                            if *path == from && *made == file)
                    });
                }
            } else {
                self.name_changes.push(change);
            }
        }
    }

    /// Flips bits of one byte, on the medium too. `false` when there is no such byte.
    pub(crate) fn rot(&mut self, path: &DrivePath, offset: usize, mask: u8) -> bool {
        let Some(content) = self.find(path).and_then(|file| self.files.get_mut(&file)) else {
            return false;
        };
        if let Some(byte) = content.durable.get_mut(offset) {
            *byte ^= mask;
        }
        content
            .now
            .get_mut(offset)
            .map(|byte| *byte ^= mask)
            .is_some()
    }

    /// Cuts a file, on the medium too. `false` when there is none.
    pub(crate) fn cut(&mut self, path: &DrivePath, len: usize) -> bool {
        let Some(content) = self.find(path).and_then(|file| self.files.get_mut(&file)) else {
            return false;
        };
        content.now.truncate(len);
        content.durable.clone_from(&content.now);
        content.changes.clear();
        true
    }

    /// What a power loss leaves, by the choices of `rng`.
    pub(crate) fn survivor(&self, rng: &mut SimRng) -> Self {
        let mut kept: BTreeMap<Folder, usize> = BTreeMap::new();
        for change in &self.name_changes {
            *kept.entry(change.folder()).or_default() += 1;
        }
        for count in kept.values_mut() {
            *count = rng.index(count.saturating_add(1));
        }
        let mut names = self.durable_names.clone();
        for change in &self.name_changes {
            if let Some(left) = kept.get_mut(&change.folder()).filter(|left| **left > 0) {
                *left -= 1;
                apply_name(&mut names, change);
            }
        }
        let mut files = BTreeMap::new();
        for file in names.values() {
            if let Some(content) = self.files.get(file) {
                let left = content.survivor(rng);
                let (now, durable) = (left.clone(), left);
                files.insert(
                    *file,
                    Content {
                        now,
                        durable,
                        changes: Vec::new(),
                    },
                );
            }
        }
        Self {
            files,
            next_file: self.next_file,
            durable_names: names.clone(),
            names,
            name_changes: Vec::new(),
        }
    }

    fn new_file(&mut self, content: Content) -> u64 {
        let file = self.next_file;
        self.next_file = file.saturating_add(1);
        self.files.insert(file, content);
        file
    }
}

impl Content {
    fn survivor(&self, rng: &mut SimRng) -> Vec<u8> {
        let mut left = self.durable.clone();
        for change in &self.changes {
            let fate = rng.below(4);
            match change {
                Change::Write { offset, bytes } => match fate {
                    0 | 1 => put(&mut left, *offset, bytes),
                    2 => {
                        let cut = rng.index(bytes.len());
                        let (head, tail) = bytes.split_at_checked(cut).unwrap_or_default();
                        if rng.one_in(2) {
                            put(&mut left, *offset, head);
                        } else {
                            put(&mut left, offset.saturating_add(cut), tail);
                        }
                    }
                    _ => {}
                },
                Change::Truncate { len } if fate < 2 => left.resize(*len, 0),
                Change::Truncate { .. } => {}
            }
        }
        left
    }
}

impl NameChange {
    fn folder(&self) -> Folder {
        match self {
            Self::Create { path, .. } | Self::Remove { path } => path.folder(),
            Self::Rename { to, .. } => to.folder(),
        }
    }
}

fn apply_name(names: &mut BTreeMap<DrivePath, u64>, change: &NameChange) {
    match change {
        NameChange::Create { path, file } => {
            names.insert(path.clone(), *file);
        }
        NameChange::Remove { path } => {
            names.remove(path);
        }
        NameChange::Rename { from, to, file } => {
            if names.get(from) == Some(file) {
                names.remove(from);
            }
            names.insert(to.clone(), *file);
        }
    }
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset.saturating_add(bytes.len());
    if into.len() < end && !bytes.is_empty() {
        into.resize(end, 0);
    }
    if let Some(place) = into.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}
