// SPDX-License-Identifier: Apache-2.0
//! Making files of one copy equal to those of another, and proving that they are.
//!
//! A file is changed in place and only where it differs, so that a crash in the middle harms no
//! byte that was right before. Everything written is read again before it counts.

use std::sync::Arc;

use twox_hash::XxHash3_64;

use super::{FileJudge, Soundness};
use crate::drive::{Access, Drive, DriveFile, DrivePath, Folder};
use crate::error::Error;

/// Reads a whole file; `None` when there is none.
pub(crate) fn read_all(drive: &dyn Drive, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = drive.open(path, Access::Read)? else {
        return Ok(None);
    };
    let len = usize::try_from(file.len()?).map_err(|_| Error::TooLarge { what: "a file" })?;
    let mut bytes = vec![0; len];
    let filled = fill(file.as_ref(), 0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(Some(bytes))
}

/// Reads the first `len` bytes of a file, or as many as it has; none when there is no file.
pub(crate) fn read_first(
    drive: &dyn Drive,
    path: &DrivePath,
    len: usize,
) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; len];
    let filled = match drive.open(path, Access::Read)? {
        Some(file) => fill(file.as_ref(), 0, &mut bytes)?,
        None => 0,
    };
    bytes.truncate(filled);
    Ok(bytes)
}

/// Fills `buf` from `offset` on as far as the file goes.
pub(crate) fn fill(file: &dyn DriveFile, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0_usize;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset.saturating_add(len_u64(filled)), rest)? {
            0 => break,
            read => filled = filled.saturating_add(read),
        }
    }
    Ok(filled)
}

/// Whether two files hold the same bytes from `from` on.
pub(crate) fn are_equal(
    one: &dyn DriveFile,
    other: &dyn DriveFile,
    from: u64,
    mut read: impl FnMut(u64),
) -> Result<bool, Error> {
    let (mut ours, mut theirs) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut offset = from;
    loop {
        let len = fill(one, offset, &mut ours)?;
        let other_len = fill(other, offset, &mut theirs)?;
        read(len_u64(len.max(other_len)));
        if ours.get(..len) != theirs.get(..other_len) {
            return Ok(false);
        }
        if len == 0 {
            return Ok(true);
        }
        offset = offset.saturating_add(len_u64(len));
    }
}

/// Makes the file of `target` equal to `source` from byte `from` on, durably; what lies before
/// stays. Returns the bytes written. The folder is left to be synced.
pub(crate) fn copy(
    source: &dyn DriveFile,
    target: &dyn Drive,
    path: &DrivePath,
    from: u64,
) -> Result<u64, Error> {
    let file = open_or_create(target, path)?;
    let (mut wanted, mut found) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let (mut offset, mut written) = (from, 0_u64);
    // Pieces that were changed, to be read again.
    let mut changed = Vec::new();
    loop {
        let len = fill(source, offset, &mut wanted)?;
        if len == 0 {
            break;
        }
        let wanted = wanted.get(..len).unwrap_or_default();
        let found_len = fill(
            file.as_ref(),
            offset,
            found.get_mut(..len).unwrap_or_default(),
        )?;
        if found.get(..found_len) != Some(wanted) {
            written = written.saturating_add(write_differing(
                file.as_ref(),
                offset,
                wanted,
                found.get(..found_len).unwrap_or_default(),
            )?);
            changed.push((offset, len, XxHash3_64::oneshot(wanted)));
        }
        offset = offset.saturating_add(len_u64(len));
    }
    if file.len()? > offset {
        file.truncate(offset)?;
    }
    // INVARIANT: also where nothing differed. What is read may have been written by a copy that was
    // fenced before it flushed: it counts only when it is on the medium.
    file.sync()?;
    // Compared with what was written, since the source may have gone on.
    for (offset, len, sum) in changed {
        let found = found.get_mut(..len).unwrap_or_default();
        if fill(file.as_ref(), offset, found)? != len || XxHash3_64::oneshot(found) != sum {
            return Err(not_kept(path));
        }
    }
    Ok(written)
}

/// As [`copy`], with the bytes in memory.
pub(crate) fn put(
    target: &dyn Drive,
    path: &DrivePath,
    bytes: &[u8],
    from: usize,
) -> Result<u64, Error> {
    copy(&InMemory(bytes), target, path, len_u64(from))
}

/// Takes a file away from a copy; one of the vault is overwritten before.
pub(crate) fn destroy(drive: &dyn Drive, path: &DrivePath) -> Result<(), Error> {
    if path.folder() == Folder::Vault
        && let Some(file) = drive.open(path, Access::ReadWrite)?
    {
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        file.write_at(0, &vec![0; len.min(OVERWRITTEN_BYTES_MAX)])?;
        file.sync()?;
    }
    drive.remove(path).map(drop)
}

/// How long a copy is, and how much of it is plausible.
type Rank = (u64, u64);

/// Several copies of a file that only grows, as the one file that can be proven from them.
#[derive(Debug)]
pub(crate) struct Spliced {
    /// Up to which byte which copy is read; the last goes on to its end.
    parts: Vec<(u64, Arc<dyn DriveFile>)>,
}

impl Spliced {
    /// Takes from each copy what is proven; behind that, whatever the longest copy has, so that
    /// whoever opens the file sees all that speaks of more. Of several that are as long, it is the
    /// most plausible one; of several that are as plausible, the one that most copies have: what was
    /// changed on one drive never replaces what the others agree on. The second answer is whether as
    /// many have another.
    pub(crate) fn of(
        path: &DrivePath,
        copies: &[Arc<dyn DriveFile>],
        judge: Option<&dyn FileJudge>,
    ) -> Result<Option<(Self, bool)>, Error> {
        let mut spliced = Self { parts: Vec::new() };
        let look = |spliced: &Self, copy: &Arc<dyn DriveFile>| match judge {
            None => Ok(Soundness::default()),
            Some(judge) => judge.judge(path, &spliced.with(u64::MAX, copy)),
        };
        let mut proven = 0;
        loop {
            let mut best = None;
            for copy in copies {
                let reaches = look(&spliced, copy)?.proven;
                if reaches > proven && best.is_none_or(|(most, _)| reaches > most) {
                    best = Some((reaches, copy));
                }
            }
            let Some((reaches, copy)) = best else {
                break;
            };
            spliced = spliced.with(reaches, copy);
            proven = reaches;
        }
        // What is proven by itself and yet says something else is another history.
        for copy in copies {
            let own = look(&Self { parts: Vec::new() }, copy)?.proven.min(proven);
            if !begin_alike(&spliced, copy.as_ref(), own)? {
                return Err(Error::Corrupted {
                    place: path.to_string(),
                    reason: "the copies tell two different histories",
                });
            }
        }
        let mut best: Option<Rank> = None;
        // The best, one of those that are alike and how many there are of it.
        let mut tails: Vec<(&Arc<dyn DriveFile>, usize)> = Vec::new();
        for copy in copies {
            let rank = Some((copy.len()?, look(&spliced, copy)?.plausible));
            if rank < best {
                continue;
            }
            if rank > best {
                best = rank;
                tails.clear();
            }
            let mut is_known = false;
            for (known, count) in &mut tails {
                if are_equal(known.as_ref(), copy.as_ref(), proven, |_| ())? {
                    *count = count.saturating_add(1);
                    is_known = true;
                    break;
                }
            }
            if !is_known {
                tails.push((copy, 1));
            }
        }
        let most = tails.iter().map(|(_, count)| *count).max();
        let mut of_most = tails.iter().filter(|(_, count)| Some(*count) == most);
        let tail = of_most.next();
        let is_undecided = of_most.next().is_some();
        Ok(tail.map(|(copy, _)| (spliced.with(u64::MAX, copy), is_undecided)))
    }

    fn with(&self, until: u64, copy: &Arc<dyn DriveFile>) -> Self {
        let mut parts = self.parts.clone();
        parts.push((until, Arc::clone(copy)));
        Self { parts }
    }
}

impl DriveFile for Spliced {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        for (until, file) in &self.parts {
            if offset < *until {
                let room = usize::try_from(until.saturating_sub(offset)).unwrap_or(usize::MAX);
                let len = buf.len().min(room);
                return file.read_at(offset, buf.get_mut(..len).unwrap_or_default());
            }
        }
        Ok(0)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), Error> {
        Err(READ_ONLY)
    }

    fn truncate(&self, _: u64) -> Result<(), Error> {
        Err(READ_ONLY)
    }

    fn sync(&self) -> Result<(), Error> {
        Err(READ_ONLY)
    }

    fn len(&self) -> Result<u64, Error> {
        self.parts.last().map_or(Ok(0), |(_, file)| file.len())
    }
}

/// Bytes in memory, as a file.
#[derive(Debug)]
struct InMemory<'a>(&'a [u8]);

impl DriveFile for InMemory<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(start..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> Result<(), Error> {
        Err(READ_ONLY)
    }

    fn truncate(&self, _: u64) -> Result<(), Error> {
        Err(READ_ONLY)
    }

    fn sync(&self) -> Result<(), Error> {
        Err(READ_ONLY)
    }

    fn len(&self) -> Result<u64, Error> {
        Ok(len_u64(self.0.len()))
    }
}

fn open_or_create(drive: &dyn Drive, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
    match drive.open(path, Access::ReadWrite)? {
        Some(file) => Ok(file),
        None => drive.create(path),
    }
}

/// Writes the blocks of `wanted` that are not what was found.
fn write_differing(
    file: &dyn DriveFile,
    offset: u64,
    wanted: &[u8],
    found: &[u8],
) -> Result<u64, Error> {
    let mut written = 0_u64;
    let mut at = 0_usize;
    for block in wanted.chunks(BLOCK_BYTES) {
        let end = at.saturating_add(block.len());
        if found.get(at..end) != Some(block) {
            file.write_at(offset.saturating_add(len_u64(at)), block)?;
            written = written.saturating_add(len_u64(block.len()));
        }
        at = end;
    }
    Ok(written)
}

fn begin_alike(one: &dyn DriveFile, other: &dyn DriveFile, len: u64) -> Result<bool, Error> {
    let (mut ours, mut theirs) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut offset = 0;
    while offset < len {
        let left = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let piece = left.min(PIECE_BYTES);
        let (ours, theirs) = (
            ours.get_mut(..piece).unwrap_or_default(),
            theirs.get_mut(..piece).unwrap_or_default(),
        );
        if fill(one, offset, ours)? != fill(other, offset, theirs)? || ours != theirs {
            return Ok(false);
        }
        offset = offset.saturating_add(len_u64(piece));
    }
    Ok(true)
}

pub(crate) fn not_kept(path: &DrivePath) -> Error {
    Error::Corrupted {
        place: path.to_string(),
        reason: "a copy does not hold what was just written to it",
    }
}

pub(crate) fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

const READ_ONLY: Error = Error::Misuse {
    what: "a file that is only read was written",
};
const PIECE_BYTES: usize = 1 << 20;
const BLOCK_BYTES: usize = 4096;
const OVERWRITTEN_BYTES_MAX: usize = 64 * 1024;
