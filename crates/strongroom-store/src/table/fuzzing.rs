// SPDX-License-Identifier: Apache-2.0
//! Entry points for fuzzing: any bytes may be given.

use super::body;
use super::log::{FILE_HEADER_BYTES, FileHeader, Scanner, Tail, Witnesses, genesis, judge_tail};

/// Reads `bytes` as a log file would be read at the start, without the seals: header, records,
/// marks, and the judgement of what is left. Bodies are parsed as if they were open.
pub fn journal_replay(bytes: &[u8]) {
    let header = FileHeader::parse(bytes);
    let (next_seq, chain) = header.map_or((1, genesis(&[0; 16])), |header| {
        (header.first_seq, header.prev_hash)
    });
    let start = if header.is_some() {
        FILE_HEADER_BYTES
    } else {
        0
    };
    let mut scanner = Scanner::new(bytes, start, next_seq, chain);
    while let Some(record) = scanner.next_record() {
        assert!(record.header.last_seq() >= record.header.first_seq);
        let _ = body::parse(record.sealed_body, record.header.count);
    }
    let _ = body::parse(bytes, 1);
    let end = scanner.offset();
    assert!(end <= bytes.len());
    assert!(scanner.next_seq() >= next_seq);
    for acknowledged in [0, u64::MAX] {
        for later_file in [false, true] {
            let witnesses = Witnesses {
                acknowledged,
                later_file,
            };
            let tail = judge_tail(bytes, end, scanner.next_seq(), &scanner.chain(), witnesses);
            // Nothing that a witness speaks for is ever dropped.
            assert!(acknowledged == 0 || tail == Tail::Damaged);
            assert!(end < bytes.len() || acknowledged > 0 || tail == Tail::Clean);
        }
    }
}

#[cfg(test)]
pub(crate) const CORPUS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fuzz/corpus/journal_replay"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_replayed() {
        let mut replayed = 0;
        for entry in std::fs::read_dir(CORPUS).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            journal_replay(&bytes);
            // And everything near it.
            for at in 0..bytes.len() {
                let mut near = bytes.clone();
                near[at] ^= 0x41;
                journal_replay(&near);
                journal_replay(&bytes[..at]);
            }
            replayed += 1;
        }
        assert!(replayed >= 7);
    }
}
