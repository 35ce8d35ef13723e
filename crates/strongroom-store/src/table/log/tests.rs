// SPDX-License-Identifier: Apache-2.0
use super::*;

const ID: [u8; 16] = [3; 16];
const NOTHING_KNOWN: Witnesses = Witnesses {
    acknowledged: 0,
    later_file: false,
};

/// A file of `counts.len()` records with these numbers of commits.
fn file(counts: &[u32]) -> (Vec<u8>, u64, ChainHash) {
    let mut chain = genesis(&ID);
    let mut bytes = FileHeader {
        journal_id: ID,
        first_seq: 1,
        prev_hash: chain,
    }
    .to_bytes();
    let mut next_seq = 1;
    for count in counts {
        let header = RecordHeader {
            count: *count,
            first_seq: next_seq,
            prev_hash: chain,
        };
        chain = encode_record(&mut bytes, &header, &[0x5a; 40]).unwrap();
        next_seq += u64::from(*count);
    }
    (bytes, next_seq, chain)
}

fn scan(bytes: &[u8]) -> (Scanner<'_>, usize) {
    let mut scanner = Scanner::new(bytes, FILE_HEADER_BYTES, 1, genesis(&ID));
    let mut records = 0;
    while scanner.next_record().is_some() {
        records += 1;
    }
    (scanner, records)
}

fn judge(bytes: &[u8], witnesses: Witnesses) -> Tail {
    let (scanner, _) = scan(bytes);
    judge_tail(
        bytes,
        scanner.offset(),
        scanner.next_seq(),
        &scanner.chain(),
        witnesses,
    )
}

#[test]
fn records_come_back_in_order() {
    let (bytes, next_seq, chain) = file(&[1, 5, 2]);
    let header = FileHeader::parse(&bytes).unwrap();
    assert_eq!((header.journal_id, header.first_seq), (ID, 1));
    let (scanner, records) = scan(&bytes);
    assert_eq!(records, 3);
    assert_eq!((scanner.next_seq(), scanner.chain()), (next_seq, chain));
    assert_eq!(next_seq, 9);
    assert_eq!(judge(&bytes, NOTHING_KNOWN), Tail::Clean);
}

#[test]
fn a_mark_behind_the_last_record_is_clean() {
    let (mut bytes, next_seq, chain) = file(&[1, 1]);
    bytes.extend(encode_mark(next_seq - 1, &chain));
    assert_eq!(judge(&bytes, NOTHING_KNOWN), Tail::Clean);
    assert_eq!(
        judge(
            &bytes,
            Witnesses {
                later_file: true,
                ..NOTHING_KNOWN
            }
        ),
        Tail::Clean
    );
    // What a torn append left behind the mark.
    bytes.extend([0, 7, 0]);
    assert_eq!(judge(&bytes, NOTHING_KNOWN), Tail::Torn);
    assert_eq!(
        judge(
            &bytes,
            Witnesses {
                later_file: true,
                ..NOTHING_KNOWN
            }
        ),
        Tail::Damaged
    );
}

#[test]
fn a_mark_of_another_place_is_damage() {
    let (bytes, next_seq, chain) = file(&[1, 1]);
    for (seq, chain) in [
        (next_seq, chain),
        (next_seq - 2, chain),
        (next_seq - 1, [9; 32]),
    ] {
        let marked = [bytes.clone(), encode_mark(seq, &chain)].concat();
        assert_eq!(judge(&marked, NOTHING_KNOWN), Tail::Damaged);
    }
}

#[test]
fn a_last_record_cut_anywhere_is_torn_unless_a_witness_speaks() {
    let (before, next_seq, _) = file(&[2]);
    let (bytes, _, _) = file(&[2, 1]);
    for len in before.len() + 1..bytes.len() {
        let cut = &bytes[..len];
        assert_eq!(judge(cut, NOTHING_KNOWN), Tail::Torn, "cut at {len}");
        let acknowledged = Witnesses {
            acknowledged: next_seq,
            later_file: false,
        };
        assert_eq!(judge(cut, acknowledged), Tail::Damaged);
        let later = Witnesses {
            acknowledged: 0,
            later_file: true,
        };
        assert_eq!(judge(cut, later), Tail::Damaged);
    }
    // Nothing of it at all: clean, unless somebody saw it.
    assert_eq!(judge(&before, NOTHING_KNOWN), Tail::Clean);
    let acknowledged = Witnesses {
        acknowledged: next_seq,
        later_file: false,
    };
    assert_eq!(judge(&before, acknowledged), Tail::Damaged);
}

#[test]
fn a_last_record_with_a_hole_or_garbage_is_torn() {
    let (before, _, _) = file(&[2]);
    let (bytes, _, _) = file(&[2, 1]);
    for hole in before.len()..bytes.len() {
        let mut holed = bytes.clone();
        holed[before.len()..=hole].fill(0);
        assert_eq!(judge(&holed, NOTHING_KNOWN), Tail::Torn);
        holed[hole] = 0xee;
        assert_eq!(judge(&holed, NOTHING_KNOWN), Tail::Torn);
    }
}

#[test]
fn any_damage_before_a_valid_record_is_damage() {
    let (first, _, _) = file(&[1]);
    let (bytes, _, _) = file(&[1, 1, 3]);
    for offset in FILE_HEADER_BYTES..bytes.len() - (first.len() - FILE_HEADER_BYTES) {
        let mut damaged = bytes.clone();
        damaged[offset] ^= 1;
        assert_eq!(
            judge(&damaged, NOTHING_KNOWN),
            Tail::Damaged,
            "byte {offset}"
        );
    }
}

#[test]
fn a_damaged_record_that_is_longer_than_itself_is_damage() {
    let (mut bytes, _, _) = file(&[1, 1]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(judge(&bytes, NOTHING_KNOWN), Tail::Torn);
    bytes.push(0);
    assert_eq!(judge(&bytes, NOTHING_KNOWN), Tail::Damaged);
}

#[test]
fn a_whole_record_of_another_chain_is_damage() {
    let (mut bytes, next_seq, chain) = file(&[1]);
    let end = bytes.len();
    for (first_seq, prev_hash) in [
        (next_seq + 1, chain),
        (next_seq, [9; 32]),
        (next_seq - 1, chain),
        (next_seq + 9, [0; 32]),
    ] {
        bytes.truncate(end);
        let header = RecordHeader {
            count: 1,
            first_seq,
            prev_hash,
        };
        encode_record(&mut bytes, &header, b"body").unwrap();
        assert_eq!(scan(&bytes).1, 1);
        assert_eq!(judge(&bytes, NOTHING_KNOWN), Tail::Damaged);
    }
}

#[test]
fn headers_that_no_writer_makes_are_not_read() {
    let good = RecordHeader {
        count: 1,
        first_seq: 1,
        prev_hash: genesis(&ID),
    };
    for bad in [
        RecordHeader { count: 0, ..good },
        RecordHeader {
            first_seq: 0,
            ..good
        },
        RecordHeader {
            first_seq: SEQ_MAX,
            count: 2,
            ..good
        },
        RecordHeader {
            first_seq: u64::MAX,
            ..good
        },
    ] {
        let mut bytes = Vec::new();
        encode_record(&mut bytes, &bad, b"body").unwrap();
        assert!(parse_record_header(&bytes).is_none(), "{bad:?}");
    }
    let too_long = vec![0; usize::try_from(BODY_BYTES_MAX).unwrap() + 1];
    assert!(encode_record(&mut Vec::new(), &good, &too_long).is_none());
}

#[test]
fn every_bit_of_a_file_header_counts() {
    let good = FileHeader {
        journal_id: ID,
        first_seq: 7,
        prev_hash: [1; 32],
    }
    .to_bytes();
    assert!(FileHeader::parse(&good).is_some());
    for offset in 0..good.len() {
        assert!(FileHeader::parse(&good[..offset]).is_none());
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[offset] ^= 1 << bit;
            assert!(FileHeader::parse(&bad).is_none());
        }
    }
}

#[test]
fn each_field_of_a_record_is_bound_to_its_seal() {
    let good = RecordHeader {
        count: 1,
        first_seq: 1,
        prev_hash: [1; 32],
    };
    for other in [
        RecordHeader { count: 2, ..good },
        RecordHeader {
            first_seq: 2,
            ..good
        },
        RecordHeader {
            prev_hash: [2; 32],
            ..good
        },
    ] {
        assert_ne!(good.aad(), other.aad());
    }
}

/// Writes the corpus of the fuzz target anew:
/// `cargo test -p strongroom-store -- --ignored write_the_fuzz_corpus`.
#[test]
#[ignore = "writes files of the repository"]
fn write_the_fuzz_corpus() {
    let (plain, next_seq, chain) = file(&[1, 5, 2]);
    let marked = [plain.clone(), encode_mark(next_seq - 1, &chain)].concat();
    let torn = plain[..plain.len() - 20].to_vec();
    let mut damaged = plain.clone();
    damaged[FILE_HEADER_BYTES + 70] ^= 1;
    let body = [
        1, 0, 0, 0, 2, 1, 0, 3, 0, 20, 7, 0, 0, 0, 2, 9, 9, 2, 0, 2, 0, 20,
    ]
    .to_vec();
    let mut open = Vec::new();
    open.extend(
        FileHeader {
            journal_id: ID,
            first_seq: 1,
            prev_hash: chain,
        }
        .to_bytes(),
    );
    let header = RecordHeader {
        count: 1,
        first_seq: 1,
        prev_hash: chain,
    };
    encode_record(&mut open, &header, &body).unwrap();
    let folder = std::path::Path::new(crate::table::fuzzing::CORPUS);
    std::fs::create_dir_all(folder).unwrap();
    let seeds = [
        ("three-records", plain),
        ("three-records-and-mark", marked),
        ("torn-tail", torn),
        ("damaged-middle", damaged),
        ("body", body),
        ("open-record", open),
        ("empty", Vec::new()),
    ];
    for (name, bytes) in seeds {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
