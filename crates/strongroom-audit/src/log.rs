// SPDX-License-Identifier: Apache-2.0
//! The files of the log: one per UTC day and per 256 MiB, appended batch by batch.
//!
//! Names are `events-YYYYMMDDnnnnnnnn`: the day and a running number within it, so that the order
//! of names is the order of the chain. A day that would step back (the clock was set) goes on in
//! the newest file's day.
//!
//! A batch is written with one call and synced before the next one begins, so a crash can harm
//! only the last batch, none of which was acknowledged. [`Tail`] finds where that harm begins.

use std::sync::Arc;

use strongroom_store::drive::{Access, Drive, DriveFile, DrivePath, Folder};
use strongroom_store::mirror::{FileJudge, Soundness};

use crate::chain::{ChainHead, Link};
use crate::error::{ChainError, ChainFault, Error};

/// The log, open for appending.
pub(crate) struct Log {
    drive: Arc<dyn Drive>,
    head: ChainHead,
    file: Option<Current>,
    /// A file that would grow beyond this is followed by another.
    file_bytes_max: u64,
    /// The lines of a batch, in memory that is used again.
    batch: Vec<u8>,
    failed: bool,
}

struct Current {
    number: u64,
    file: Arc<dyn DriveFile>,
    len: u64,
    /// The name may not be durable yet.
    named: bool,
}

impl Log {
    /// Finds the newest file with a line in it, verifies that file and cuts off a torn end.
    pub(crate) fn open(drive: Arc<dyn Drive>) -> Result<Log, Error> {
        let mut numbers = numbers(drive.as_ref())?;
        let mut files = Vec::new();
        let mut head = ChainHead::START;
        while let Some(number) = numbers.pop() {
            let path = path(number);
            let Some(file) = drive.open(&path, Access::ReadWrite)? else {
                continue;
            };
            let tail = Tail::read(file.as_ref()).map_err(|failure| match failure {
                TailError::Drive(error) => Error::Drive(error),
                TailError::Chain(source) => Error::Corrupted {
                    file: path.to_string(),
                    source,
                },
            })?;
            let found = tail.head;
            files.push((number, file, tail));
            if let Some(found) = found {
                head = found;
                break;
            }
        }
        let mut current = None;
        for (number, file, tail) in files {
            if tail.hole.is_some_and(|hole| hole.synced_after > head.seq) {
                let source = ChainError {
                    line: 1,
                    fault: ChainFault::Unreadable,
                };
                return Err(Error::Corrupted {
                    file: path(number).to_string(),
                    source,
                });
            }
            repair(file.as_ref(), &tail)?;
            let len = if tail.newline_missing {
                tail.good.saturating_add(1)
            } else {
                tail.good
            };
            // The newest file goes on being written, even when nothing of it survived.
            current.get_or_insert(Current {
                number,
                file,
                len,
                named: false,
            });
        }
        Ok(Log {
            drive,
            head,
            file: current,
            file_bytes_max: FILE_BYTES_MAX,
            batch: Vec::new(),
            failed: false,
        })
    }

    /// Appends one batch and makes it durable. After a failure nothing is appended any more.
    pub(crate) fn append<'a>(
        &mut self,
        bodies: impl Iterator<Item = &'a [u8]>,
        now_ms: u64,
    ) -> Result<(), Error> {
        if self.failed {
            return Err(Error::OutOfService);
        }
        self.failed = true;
        let synced = self.head.seq;
        let mut head = self.head;
        let mut batch = std::mem::take(&mut self.batch);
        for body in bodies {
            head.link(body, synced, &mut batch);
        }
        if !batch.is_empty() {
            let batch_bytes = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let current = self.file_for(batch_bytes, now_ms)?;
            current.file.write_durably(current.len, &batch)?;
            current.len = current.len.saturating_add(batch_bytes);
            if !current.named {
                current.named = true;
                self.drive.sync_folder(Folder::Audit)?;
            }
            self.head = head;
        }
        batch.clear();
        batch.shrink_to(KEPT_BYTES_MAX);
        self.batch = batch;
        self.failed = false;
        Ok(())
    }

    /// Lets go of the files: what of a batch that failed lies there is found by opening again.
    pub(crate) fn into_drive(self) -> Arc<dyn Drive> {
        self.drive
    }

    fn file_for(&mut self, batch_bytes: u64, now_ms: u64) -> Result<&mut Current, Error> {
        let today = first_of_day(now_ms)?;
        let next = match &self.file {
            None => Some(today),
            Some(current) if current.number < today => Some(today),
            Some(current) if current.len.saturating_add(batch_bytes) > self.file_bytes_max => {
                Some(current.number.saturating_add(1))
            }
            Some(_) => None,
        };
        if let Some(number) = next {
            let file = self.drive.create(&path(number))?;
            self.file = Some(Current {
                number,
                file,
                len: 0,
                named: false,
            });
        }
        self.file.as_mut().ok_or(Error::OutOfService)
    }
}

/// Cuts a torn end off, or gives a whole last line the newline it lost.
fn repair(file: &dyn DriveFile, tail: &Tail) -> Result<(), Error> {
    if tail.newline_missing {
        file.write_at(tail.good, b"\n")?;
    } else if tail.torn > 0 {
        tracing::warn!(
            bytes = tail.torn,
            "audit log: cut off a record torn by a crash"
        );
        file.truncate(tail.good)?;
    } else {
        return Ok(());
    }
    Ok(file.sync()?)
}

/// The numbers of the files, oldest first.
pub(crate) fn numbers(drive: &dyn Drive) -> Result<Vec<u64>, Error> {
    let mut numbers: Vec<u64> = drive
        .list(Folder::Audit)?
        .iter()
        .filter_map(|path| path.number(WORD))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(crate) fn path(number: u64) -> DrivePath {
    DrivePath::numbered(Folder::Audit, WORD, number)
}

/// The first file number of a UTC day: the date's decimal digits, read as hexadecimal ones.
fn first_of_day(now_ms: u64) -> Result<u64, Error> {
    let millisecond = i64::try_from(now_ms).map_err(|_| Error::ClockOutOfRange)?;
    let time =
        jiff::Timestamp::from_millisecond(millisecond).map_err(|_| Error::ClockOutOfRange)?;
    let digits = time.strftime("%Y%m%d").to_string();
    let date = u64::from_str_radix(&digits, 16).map_err(|_| Error::ClockOutOfRange)?;
    date.checked_mul(1 << 32)
        .and_then(|day| day.checked_add(1))
        .ok_or(Error::ClockOutOfRange)
}

/// What the lines of a file amount to.
struct Tail {
    /// The head after the last good line; `None` when there is no line.
    head: Option<ChainHead>,
    /// Bytes of good lines.
    good: u64,
    /// Bytes after them that a crash left behind.
    torn: u64,
    /// The last good line is whole but for its newline.
    newline_missing: bool,
    /// What follows the good lines.
    hole: Option<Hole>,
}

/// Bad lines that a crash may explain.
#[derive(Clone, Copy)]
struct Hole {
    error: ChainError,
    /// The highest number that a line after the hole says was durable.
    synced_after: u64,
}

enum TailError {
    Drive(strongroom_store::Error),
    Chain(ChainError),
}

impl From<strongroom_store::Error> for TailError {
    fn from(error: strongroom_store::Error) -> TailError {
        TailError::Drive(error)
    }
}

impl Tail {
    /// Verifies every line. Bad lines are forgiven only as the end of a batch that was never
    /// synced: an unfinished last line, or a hole that the file system filled with zeros and that
    /// no later line claims to have been synced. (A hole at the start of a file is judged by
    /// `Log::open`, which knows the head before it.)
    fn read(file: &dyn DriveFile) -> Result<Tail, TailError> {
        let len = file.len()?;
        let mut lines = Lines::new(file);
        let mut tail = Tail {
            head: None,
            good: 0,
            torn: 0,
            newline_missing: false,
            hole: None,
        };
        let mut number = 0_u64;
        while let Some(line) = lines.next()? {
            number = number.saturating_add(1);
            let link = Link::read(line.bytes);
            if let Some(hole) = &mut tail.hole {
                let synced = link.map_or(0, |link| link.synced);
                hole.synced_after = hole.synced_after.max(synced);
                continue;
            }
            match tail.follow(link, line.bytes) {
                Ok(head) => {
                    tail.head = Some(head);
                    tail.newline_missing = !line.ended;
                    tail.good = if line.ended { line.end } else { len };
                }
                Err(fault) => {
                    let error = ChainError {
                        line: number,
                        fault,
                    };
                    let forgiven =
                        line.bytes.contains(&0) || (!line.ended && cut_short(line.bytes));
                    if !forgiven {
                        return Err(TailError::Chain(error));
                    }
                    tail.hole = Some(Hole {
                        error,
                        synced_after: 0,
                    });
                }
            }
        }
        tail.torn = len.saturating_sub(tail.good);
        match (tail.head, tail.hole) {
            (Some(head), Some(hole)) if hole.synced_after > head.seq => {
                Err(TailError::Chain(hole.error))
            }
            _ => Ok(tail),
        }
    }

    fn follow(&self, link: Option<Link>, text: &[u8]) -> Result<ChainHead, ChainFault> {
        let link = link.ok_or(ChainFault::Unreadable)?;
        link.follow(self.head.unwrap_or(link.before()), text)
    }
}

/// Knows how the files of the log should look, for the copies of them on several drives: a line is
/// proven by the one behind it, which names its hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFiles;

impl FileJudge for AuditFiles {
    fn judge(
        &self,
        _: &DrivePath,
        file: &dyn DriveFile,
    ) -> Result<Soundness, strongroom_store::Error> {
        let mut lines = Lines::new(file);
        let (mut head, mut sound) = (None, Soundness::default());
        while let Some(line) = lines.next()? {
            let link = Link::read(line.bytes).filter(|_| line.ended);
            let followed =
                link.and_then(|link| link.follow(head.unwrap_or(link.before()), line.bytes).ok());
            let Some(after) = followed else {
                break;
            };
            head = Some(after);
            sound = Soundness {
                proven: sound.plausible,
                plausible: line.end,
            };
        }
        Ok(sound)
    }
}

/// Whether this is the beginning of a record rather than a damaged one.
fn cut_short(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

/// Reads a file line by line with bounded memory.
pub(crate) struct Lines<'a> {
    file: &'a dyn DriveFile,
    buffer: Vec<u8>,
    /// Where the unread part of the buffer begins.
    start: usize,
    /// File position of the end of the buffer.
    position: u64,
    at_end: bool,
}

pub(crate) struct Line<'b> {
    pub(crate) bytes: &'b [u8],
    /// File position after the newline.
    end: u64,
    /// There was a newline.
    pub(crate) ended: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(file: &'a dyn DriveFile) -> Lines<'a> {
        Lines {
            file,
            buffer: Vec::new(),
            start: 0,
            position: 0,
            at_end: false,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, strongroom_store::Error> {
        let mut searched = self.start;
        let newline = loop {
            let unsearched = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                break Some(searched.saturating_add(at));
            }
            // No record is as long as this: give the rest as one line that will not parse.
            if self.at_end || self.buffer.len().saturating_sub(self.start) > LINE_BYTES_MAX {
                break None;
            }
            searched = self.buffer.len().saturating_sub(self.start);
            self.fill()?;
        };
        let start = self.start;
        let buffered = self.buffer.len();
        let stop = newline.unwrap_or(buffered);
        if newline.is_none() && stop == start {
            return Ok(None);
        }
        let next = if newline.is_some() {
            stop.saturating_add(1)
        } else {
            stop
        };
        self.start = next;
        let after = u64::try_from(buffered.saturating_sub(next)).unwrap_or(u64::MAX);
        Ok(Some(Line {
            bytes: self.buffer.get(start..stop).unwrap_or_default(),
            end: self.position.saturating_sub(after),
            ended: newline.is_some(),
        }))
    }

    fn fill(&mut self) -> Result<(), strongroom_store::Error> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.resize(before.saturating_add(READ_BYTES), 0);
        let space = self.buffer.get_mut(before..).unwrap_or_default();
        let read = self.file.read_at(self.position, space)?;
        self.buffer.truncate(before.saturating_add(read));
        self.position = self
            .position
            .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        self.at_end = read == 0;
        Ok(())
    }
}

const WORD: &str = "events";
const FILE_BYTES_MAX: u64 = 256 << 20;
const KEPT_BYTES_MAX: usize = 2 << 20;
pub(crate) const LINE_BYTES_MAX: usize = 2 << 20;
const READ_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_testkit::SimDrive;

    fn lines_of(drive: &SimDrive, number: u64) -> usize {
        let bytes = drive.contents(&path(number)).unwrap();
        String::from_utf8(bytes).unwrap().lines().count()
    }

    #[test]
    fn full_file_is_followed_by_another() {
        let drive = SimDrive::new(1);
        let mut log = Log::open(Arc::new(drive.clone())).unwrap();
        log.file_bytes_max = 400;
        let body = [b"{\"k\":\"".as_slice(), &[b'x'; 40], b"\"}"].concat();
        for _ in 0..5 {
            log.append([body.as_slice()].into_iter(), 1_795_255_262_000)
                .unwrap();
        }
        let today = first_of_day(1_795_255_262_000).unwrap();
        let lines: Vec<_> = (0..3).map(|file| lines_of(&drive, today + file)).collect();
        assert_eq!(lines, [2, 2, 1]);
        let log = Log::open(Arc::new(drive)).unwrap();
        assert_eq!(log.head.seq, 5);
        assert_eq!(log.file.unwrap().number, today + 2);
    }

    #[test]
    fn file_numbers_are_dates() {
        assert_eq!(first_of_day(0).unwrap(), 0x1970_0101_0000_0001);
        assert_eq!(
            first_of_day(1_795_255_262_000).unwrap(),
            0x2026_1121_0000_0001
        );
        assert!(first_of_day(u64::MAX).is_err());
    }
}
