// SPDX-License-Identifier: Apache-2.0
//! What `verify_chain` finds, and what opening forgives.

use strongroom_audit::{ChainError, ChainFault, ChainHead, ChainSummary, Error, verify_chain};
use strongroom_testkit::SimDrive;

use crate::world::{files, lines, new_world, object_keys, open};

async fn eight_lines() -> Vec<Vec<u8>> {
    let world = new_world().await;
    for number in 0..8 {
        world.put(&format!("k{number}")).await.unwrap();
    }
    lines(&world.drive)
}

fn verify(lines: &[Vec<u8>]) -> Result<ChainSummary, ChainError> {
    verify_chain(lines.iter().map(Vec::as_slice))
}

fn fault(lines: &[Vec<u8>]) -> ChainFault {
    verify(lines).unwrap_err().fault
}

#[tokio::test]
async fn whole_chain() {
    let lines = eight_lines().await;
    let summary = verify(&lines).unwrap();
    assert_eq!(
        (summary.lines, summary.before, summary.head.seq),
        (8, ChainHead::START, 8)
    );
    let first = verify(&lines[..3]).unwrap();
    let rest = verify(&lines[3..]).unwrap();
    assert_eq!(first.head, rest.before);
    assert_eq!(rest.head, summary.head);
}

#[tokio::test]
async fn no_lines() {
    assert_eq!(verify(&[]).unwrap().head, ChainHead::START);
}

#[tokio::test]
async fn every_bit_of_every_line_but_the_last_counts() {
    let lines = eight_lines().await;
    let head = verify(&lines).unwrap().head;
    for line in [0, 3, 7] {
        for at in 0..lines[line].len() {
            let mut changed = lines.clone();
            changed[line][at] ^= 1 << (at % 8);
            match verify(&changed) {
                // The end of a chain shows only against a head kept elsewhere.
                Ok(summary) => assert!(line == 7 && summary.head != head, "line {line} byte {at}"),
                Err(error) => assert!(
                    error.line > u64::try_from(line).unwrap(),
                    "line {line} byte {at}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn line_removed() {
    let lines = eight_lines().await;
    for at in 1..7 {
        let mut changed = lines.clone();
        changed.remove(at);
        let (expected, found) = (at as u64 + 1, at as u64 + 2);
        assert_eq!(fault(&changed), ChainFault::Number { expected, found });
    }
}

#[tokio::test]
async fn lines_swapped() {
    let lines = eight_lines().await;
    for at in 0..7 {
        let mut changed = lines.clone();
        changed.swap(at, at + 1);
        assert!(matches!(fault(&changed), ChainFault::Number { .. }));
    }
}

#[tokio::test]
async fn line_repeated() {
    let lines = eight_lines().await;
    for at in 0..8 {
        let mut changed = lines.clone();
        changed.insert(at, lines[at].clone());
        assert!(matches!(fault(&changed), ChainFault::Number { .. }));
    }
}

#[tokio::test]
async fn gap_in_the_middle() {
    let lines = eight_lines().await;
    let mut changed = lines[..2].to_vec();
    changed.extend_from_slice(&lines[5..]);
    assert_eq!(
        fault(&changed),
        ChainFault::Number {
            expected: 3,
            found: 6
        }
    );
}

#[tokio::test]
async fn removed_line_with_forged_numbers() {
    let lines = eight_lines().await;
    let mut changed = lines.clone();
    changed.remove(3);
    for (at, line) in changed.iter_mut().enumerate().skip(3) {
        let text = String::from_utf8(line.clone()).unwrap();
        let text = text.replace(
            &format!("\"seq\":{}", at + 2),
            &format!("\"seq\":{}", at + 1),
        );
        *line = text
            .replace(&format!("synced\":{}", at + 1), &format!("synced\":{at}"))
            .into();
    }
    assert_eq!(fault(&changed), ChainFault::Hash);
}

#[tokio::test]
async fn lines_of_another_log() {
    let (one, two) = (eight_lines().await, eight_lines().await);
    let spliced = [&one[..4], &two[4..]].concat();
    assert_eq!(
        verify(&spliced),
        Err(ChainError {
            line: 5,
            fault: ChainFault::Hash
        })
    );
}

#[tokio::test]
async fn not_records() {
    let foreign: [&[u8]; 6] = [
        b"",
        b"{}",
        b"null",
        b"{\"strongroom\":{\"seq\":1}}",
        b"{\"strongroom\":{\"seq\":0,\"prev\":\"\",\"synced\":0}}",
        b"{\"strongroom\":1,\"strongroom\":2}",
    ];
    for line in foreign {
        assert_eq!(fault(&[line.to_vec()]), ChainFault::Unreadable);
    }
}

/// A drive whose only audit file has these bytes.
async fn reopened(bytes: &[u8]) -> (SimDrive, Result<(), Error>) {
    let world = new_world().await;
    world.put("k").await.unwrap();
    let path = files(&world.drive)[0].clone();
    let drive = SimDrive::new(2);
    drive.plant(&path, bytes);
    let opened = open(&drive).await;
    (drive, opened.map(drop))
}

fn file(lines: &[Vec<u8>]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [line.as_slice(), b"\n"].concat())
        .collect()
}

#[tokio::test]
async fn torn_last_line_is_cut_off() {
    let lines = eight_lines().await;
    for keep in 0..lines[7].len() {
        let bytes = [file(&lines[..7]), lines[7][..keep].to_vec()].concat();
        let (drive, opened) = reopened(&bytes).await;
        opened.unwrap();
        assert_eq!(
            object_keys(&drive).len(),
            7,
            "{keep} bytes of the last line"
        );
    }
}

#[tokio::test]
async fn last_line_without_its_newline_is_kept() {
    let lines = eight_lines().await;
    let mut bytes = file(&lines);
    bytes.pop();
    let (drive, opened) = reopened(&bytes).await;
    opened.unwrap();
    assert_eq!(object_keys(&drive).len(), 8);
    let world = open(&drive).await.unwrap();
    world.put("k8").await.unwrap();
    assert_eq!(verify(&crate::world::lines(&drive)).unwrap().lines, 9);
}

#[tokio::test]
async fn newline_turned_into_something_else_is_damage() {
    let lines = eight_lines().await;
    let mut bytes = file(&lines);
    *bytes.last_mut().unwrap() = b'\x0b';
    let (_, opened) = reopened(&bytes).await;
    assert!(matches!(opened, Err(Error::Corrupted { .. })));
}

#[tokio::test]
async fn changed_line_is_damage() {
    let lines = eight_lines().await;
    let whole = file(&lines);
    let last = whole.len() - lines[7].len() - 1;
    for at in (0..last).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        let (_, opened) = reopened(&bytes).await;
        assert!(matches!(opened, Err(Error::Corrupted { .. })), "byte {at}");
    }
}

#[tokio::test]
async fn zeros_in_acknowledged_lines_are_damage() {
    let lines = eight_lines().await;
    for line in 0..7 {
        let mut changed = lines.clone();
        changed[line].fill(0);
        let (_, opened) = reopened(&file(&changed)).await;
        assert!(
            matches!(opened, Err(Error::Corrupted { .. })),
            "line {line}"
        );
    }
}

#[tokio::test]
async fn zeros_in_a_batch_that_was_never_synced_are_cut_off() {
    let world = new_world().await;
    world.put("before").await.unwrap();
    for number in 0..4 {
        world.get(&format!("k{number}")).await.unwrap();
    }
    world.audit.flush().await.unwrap();
    let lines = lines(&world.drive);
    assert_eq!(lines.len(), 5);
    for line in 1..5 {
        let mut changed = lines.clone();
        changed[line][20..100].fill(0);
        let (drive, opened) = reopened(&file(&changed)).await;
        opened.unwrap();
        assert_eq!(object_keys(&drive).len(), line);
    }
}

#[tokio::test]
async fn foreign_file_is_damage() {
    let (_, opened) = reopened(b"hello\n").await;
    assert!(matches!(opened, Err(Error::Corrupted { .. })));
}
