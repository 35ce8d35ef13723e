// SPDX-License-Identifier: Apache-2.0
//! Reading the whole log again, all its files, also while it is written.
//!
//! A damaged line ends the reading of its file; the next file is read on its own word then, so
//! that one fault is told once.

use std::ops::ControlFlow;

use strongroom_store::drive::{Access, Drive};

use crate::chain::{ChainHead, Link};
use crate::error::{ChainError, ChainFault, Error};
use crate::log::{Lines, numbers, path};

/// What reading the log again came to.
#[derive(Debug)]
pub struct LogReport {
    /// Files read.
    pub files: u64,
    /// Lines that follow each other as they should.
    pub lines: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What the first line claims to follow: [`ChainHead::START`] unless older files were taken
    /// away.
    pub before: ChainHead,
    /// The end, to be compared with a copy kept elsewhere.
    pub head: ChainHead,
    /// What is wrong, at most one error for each file.
    pub damaged: Vec<Error>,
}

/// Verifies the chain through all files of the log on a drive. `seen` hears of the bytes gone
/// through and may break off. Blocks.
///
/// A last line of the newest file that has no end yet is one that is being written: not counted.
pub fn verify_log(
    drive: &dyn Drive,
    mut seen: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<LogReport, Error> {
    let mut report = LogReport {
        files: 0,
        lines: 0,
        bytes: 0,
        before: ChainHead::START,
        head: ChainHead::START,
        damaged: Vec::new(),
    };
    let mut head = None;
    let numbers = numbers(drive)?;
    for number in &numbers {
        let path = path(*number);
        let Some(file) = drive.open(&path, Access::Read)? else {
            continue;
        };
        report.files = report.files.saturating_add(1);
        let newest = Some(number) == numbers.last();
        let mut lines = Lines::new(file.as_ref());
        let mut line_number = 0_u64;
        while let Some(line) = lines.next()? {
            line_number = line_number.saturating_add(1);
            let bytes = u64::try_from(line.bytes.len())
                .unwrap_or(u64::MAX)
                .saturating_add(u64::from(line.ended));
            report.bytes = report.bytes.saturating_add(bytes);
            if newest && !line.ended {
                break;
            }
            match follow(line.bytes, line.ended, head) {
                Ok((before, after)) => {
                    if report.lines == 0 {
                        report.before = before;
                    }
                    report.lines = report.lines.saturating_add(1);
                    head = Some(after);
                    report.head = after;
                }
                Err(fault) => {
                    let line = line_number;
                    report.damaged.push(Error::Corrupted {
                        file: path.to_string(),
                        source: ChainError { line, fault },
                    });
                    head = None;
                    break;
                }
            }
            if seen(bytes).is_break() {
                return Ok(report);
            }
        }
    }
    Ok(report)
}

/// The head before and after a line.
fn follow(
    text: &[u8],
    ended: bool,
    head: Option<ChainHead>,
) -> Result<(ChainHead, ChainHead), ChainFault> {
    let link = Link::read(text)
        .filter(|_| ended)
        .ok_or(ChainFault::Unreadable)?;
    let before = head.unwrap_or(link.before());
    Ok((before, link.follow(before, text)?))
}
