// SPDX-License-Identifier: Apache-2.0

use strongroom_format::{
    BODY_PLAIN_BYTES_MAX, BODY_SEGMENTS_MAX, BodyContext, FloeHeader, ObjectDataId, ObjectKey,
    OpenError, Opener, OuterObjectKey, OuterOpener, OuterPayloadKey, PartUid, PayloadKey,
    SEGMENT_PREFIX_BYTES, SEGMENT_TAG_BYTES, SealError, Sealer, sealed_bytes, segment_count,
    segment_sealed_len, span,
};

use crate::vectors::{Vector, load};

const CTX: BodyContext = BodyContext {
    odi: ObjectDataId([1; 16]),
    part_no: 3,
    part_uid: PartUid([2; 16]),
};
const SIZES: [usize; 8] = [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073];

fn key(byte: u8) -> PayloadKey {
    PayloadKey::from_bytes([byte; 32])
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 65_536) as u8).collect()
}

fn seal_segment(sealer: &Sealer, index: u64, is_final: bool, plain: &[u8]) -> Vec<u8> {
    let mut buf = vec![0xa5; plain.len() + SEGMENT_PREFIX_BYTES + SEGMENT_TAG_BYTES];
    buf[SEGMENT_PREFIX_BYTES..][..plain.len()].copy_from_slice(plain);
    sealer.seal_in_place(index, is_final, &mut buf).unwrap();
    buf
}

fn seal_body(sealer: &Sealer, plain: &[u8]) -> Vec<Vec<u8>> {
    let last = segment_count(plain.len() as u64) - 1;
    let texts = (0..=last).map(|index| {
        let rest = &plain[index as usize * 65_536..];
        &rest[..rest.len().min(65_536)]
    });
    (0..)
        .zip(texts)
        .map(|(index, text)| seal_segment(sealer, index, index == last, text))
        .collect()
}

fn open_body(opener: &Opener, segments: &[Vec<u8>]) -> Result<Vec<u8>, OpenError> {
    let mut plain = Vec::new();
    for (index, segment) in (0..).zip(segments) {
        plain.extend_from_slice(opener.open_in_place(index, &mut segment.clone())?);
    }
    Ok(plain)
}

#[test]
fn vectors_of_keys() {
    for v in load("body.json", "keys") {
        let oek = ObjectKey::from_bytes(v.array("oek"));
        let odi = ObjectDataId(v.array("odi"));
        let part_no = u16::try_from(v.number("part_no")).unwrap();
        let part_uid = PartUid(v.array("part_uid"));
        let pk = match v.number("layer") {
            1 => *oek.payload_key(&odi, part_no, &part_uid).expose_secret(),
            _ => *OuterObjectKey::from_bytes(v.array("oek"))
                .payload_key(&odi, part_no, &part_uid)
                .expose_secret(),
        };
        assert_eq!(pk.to_vec(), v.bytes("pk"), "{}", v.name());
        assert_eq!(
            oek.sums_key(&odi).expose_secret().to_vec(),
            v.bytes("sk"),
            "{}",
            v.name()
        );
    }
}

#[test]
fn vectors_of_bodies() {
    for v in load("body.json", "bodies") {
        let ctx = BodyContext {
            odi: ObjectDataId(v.array("odi")),
            part_no: u16::try_from(v.number("part_no")).unwrap(),
            part_uid: PartUid(v.array("part_uid")),
        };
        let header = FloeHeader::from_bytes(v.array("header"));
        let size = v.number("plain_size");
        let segments: Vec<_> = v.list("segments").iter().map(Vector::own_bytes).collect();
        if v.number("layer") == 2 {
            let key = OuterPayloadKey::from_bytes(v.array("pk"));
            assert_eq!(v.expect(), "open", "{}", v.name());
            assert!(OuterOpener::new(&key, &ctx, &header, size).is_err());
            continue;
        }
        let opener = Opener::new(&PayloadKey::from_bytes(v.array("pk")), &ctx, &header, size);
        let opened = opener.and_then(|opener| {
            // A reader asks for as many segments as the size demands.
            if segments.len() as u64 == segment_count(size) {
                open_body(&opener, &segments)
            } else {
                Err(OpenError)
            }
        });
        match v.expect() {
            "ok" => assert_eq!(opened.unwrap(), v.bytes("plaintext"), "{}", v.name()),
            "open" => assert_eq!(opened, Err(OpenError), "{}", v.name()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn every_size_comes_back_and_is_as_long_as_promised() {
    for size in SIZES {
        let plain = pattern(size);
        let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
        let segments = seal_body(&sealer, &plain);
        let sealed: usize = segments.iter().map(Vec::len).sum();
        assert_eq!(sealed_bytes(size as u64), Some(sealed as u64));
        let opener = Opener::new(&key(1), &CTX, sealer.header(), size as u64).unwrap();
        assert_eq!(
            open_body(&opener, &segments).unwrap(),
            plain,
            "{size} bytes"
        );
    }
}

#[test]
fn segments_are_sealed_and_opened_in_any_order_by_many_threads() {
    let plain = pattern(300_000);
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let mut sealed: Vec<(u64, Vec<u8>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..5_u64)
            .rev()
            .map(|index| {
                let start = index as usize * 65_536;
                let text = &plain[start..plain.len().min(start + 65_536)];
                let sealer = &sealer;
                scope.spawn(move || (index, seal_segment(sealer, index, index == 4, text)))
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    let opener = Opener::new(&key(1), &CTX, sealer.header(), 300_000).unwrap();
    std::thread::scope(|scope| {
        for (index, segment) in &mut sealed {
            let (opener, plain) = (&opener, &plain);
            scope.spawn(move || {
                let start = *index as usize * 65_536;
                let text = opener.open_in_place(*index, segment).unwrap();
                assert_eq!(text, &plain[start..start + text.len()]);
            });
        }
    });
}

#[test]
fn every_bit_of_a_short_body_counts() {
    let plain = pattern(40);
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let segment = seal_segment(&sealer, 0, true, &plain);
    let opener = Opener::new(&key(1), &CTX, sealer.header(), 40).unwrap();
    for bit in 0..segment.len() * 8 {
        let mut damaged = segment.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            opener.open_in_place(0, &mut damaged),
            Err(OpenError),
            "bit {bit}"
        );
        assert!(damaged.iter().all(|byte| *byte == 0));
    }
    for bit in 0..FloeHeader::BYTES * 8 {
        let mut header = *sealer.header().as_bytes();
        header[bit / 8] ^= 1 << (bit % 8);
        let opened = Opener::new(&key(1), &CTX, &FloeHeader::from_bytes(header), 40);
        assert!(opened.is_err(), "header bit {bit}");
    }
}

#[test]
fn a_body_opens_only_in_its_place() {
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let opens = |key: &PayloadKey, ctx| Opener::new(key, &ctx, sealer.header(), 10).is_ok();
    assert!(opens(&key(1), CTX));
    assert!(!opens(&key(2), CTX));
    let outer = OuterPayloadKey::from_bytes([1; 32]);
    assert!(OuterOpener::new(&outer, &CTX, sealer.header(), 10).is_err());
    assert!(!opens(
        &key(1),
        BodyContext {
            odi: ObjectDataId([9; 16]),
            ..CTX
        }
    ));
    assert!(!opens(&key(1), BodyContext { part_no: 4, ..CTX }));
    assert!(!opens(
        &key(1),
        BodyContext {
            part_uid: PartUid([9; 16]),
            ..CTX
        }
    ));
}

#[test]
fn size_edited_by_one_is_refused_at_every_boundary() {
    for size in SIZES {
        let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
        let segments = seal_body(&sealer, &pattern(size));
        let last = segments.len() as u64 - 1;
        for wrong in [
            size.wrapping_sub(1),
            size + 1,
            size + 65_536,
            size.wrapping_sub(65_536),
        ] {
            let Ok(opener) = Opener::new(&key(1), &CTX, sealer.header(), wrong as u64) else {
                continue;
            };
            let mut buf = segments[last as usize].clone();
            assert_eq!(
                opener.open_in_place(last, &mut buf),
                Err(OpenError),
                "{size} as {wrong}"
            );
            assert_ne!(open_body(&opener, &segments), Ok(pattern(size)));
        }
    }
}

#[test]
fn segments_moved_within_and_between_bodies_are_refused() {
    let plain = pattern(200_000);
    let body = |iv| {
        let sealer = Sealer::new(&key(1), &CTX, [iv; 32]);
        let segments = seal_body(&sealer, &plain);
        (
            Opener::new(&key(1), &CTX, sealer.header(), 200_000).unwrap(),
            segments,
        )
    };
    let (opener, segments) = body(4);
    let (_, others) = body(5);
    assert!(open_body(&opener, &segments).is_ok());
    for from in 0..4 {
        for to in 0..4_u64 {
            let opened = opener
                .open_in_place(to, &mut segments[from].clone())
                .is_ok();
            assert_eq!(opened, from as u64 == to);
            assert!(opener.open_in_place(to, &mut others[from].clone()).is_err());
        }
    }
    for beyond in [4, 5, 1 << 20, 1 << 40, u64::MAX] {
        assert!(
            opener
                .open_in_place(beyond, &mut segments[3].clone())
                .is_err()
        );
        assert!(
            opener
                .open_in_place(beyond, &mut segments[0].clone())
                .is_err()
        );
    }
}

#[test]
fn final_flag_cannot_be_moved() {
    // A whole segment sealed as final, where the size says that another follows, and the reverse.
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let as_final = seal_segment(&sealer, 0, true, &pattern(65_536));
    let as_inner = seal_segment(&sealer, 0, false, &pattern(65_536));
    let short = Opener::new(&key(1), &CTX, sealer.header(), 65_536).unwrap();
    let long = Opener::new(&key(1), &CTX, sealer.header(), 65_537).unwrap();
    let opens = |opener: &Opener, segment: &[u8], marker: [u8; 4]| {
        let mut buf = segment.to_vec();
        buf[..4].copy_from_slice(&marker);
        opener.open_in_place(0, &mut buf).is_ok()
    };
    let (final_marker, inner_marker) = (65_568_u32.to_be_bytes(), [0xff; 4]);
    assert!(opens(&short, &as_final, final_marker));
    assert!(opens(&long, &as_inner, inner_marker));
    for (opener, segment, marker) in [
        (&short, &as_final, inner_marker),
        (&short, &as_inner, final_marker),
        (&short, &as_inner, inner_marker),
        (&long, &as_inner, final_marker),
        (&long, &as_final, inner_marker),
        (&long, &as_final, final_marker),
    ] {
        assert!(!opens(opener, segment, marker));
    }
}

#[test]
fn wrong_lengths_are_refused_and_wiped() {
    for size in [0, 1, 65_536, 65_537] {
        let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
        let segments = seal_body(&sealer, &pattern(size));
        let opener = Opener::new(&key(1), &CTX, sealer.header(), size as u64).unwrap();
        for (index, segment) in (0..).zip(&segments) {
            for cut in [1, 16, 31, 32, segment.len()] {
                let mut short = segment[..segment.len() - cut].to_vec();
                assert!(opener.open_in_place(index, &mut short).is_err());
                assert!(short.iter().all(|byte| *byte == 0));
                let mut long = [segment.as_slice(), &vec![1; cut]].concat();
                assert!(opener.open_in_place(index, &mut long).is_err());
                assert!(long.iter().all(|byte| *byte == 0));
            }
        }
    }
}

#[test]
fn a_sealer_refuses_what_no_reader_would_take() {
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let seal =
        |index, is_final, len: usize| sealer.seal_in_place(index, is_final, &mut vec![0; len]);
    for len in [0, 1, 31, 65_569, 70_000] {
        let refused = Err(SealError::SegmentLength { len });
        assert_eq!(seal(0, true, len), refused);
        assert_eq!(seal(0, false, len), refused);
    }
    for len in [32, 33, 65_567] {
        assert_eq!(seal(0, false, len), Err(SealError::SegmentLength { len }));
    }
    assert_eq!(
        seal(1, true, 32),
        Err(SealError::SegmentLength { len: 32 }),
        "empty and not alone"
    );
    for index in [BODY_SEGMENTS_MAX, u64::MAX] {
        assert_eq!(
            seal(index, true, 40),
            Err(SealError::SegmentIndex { index })
        );
    }
    assert_eq!(seal(0, true, 32), Ok(()));
    assert_eq!(seal(0, true, 65_568), Ok(()));
    assert_eq!(seal(BODY_SEGMENTS_MAX - 1, true, 65_568), Ok(()));
}

#[test]
fn the_last_segment_of_the_largest_body_opens_and_nothing_beyond() {
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let last = BODY_SEGMENTS_MAX - 1;
    let mut segment = seal_segment(&sealer, last, true, &pattern(65_536));
    let opener = Opener::new(&key(1), &CTX, sealer.header(), BODY_PLAIN_BYTES_MAX).unwrap();
    assert_eq!(
        opener.open_in_place(last, &mut segment).unwrap(),
        pattern(65_536)
    );
    for size in [BODY_PLAIN_BYTES_MAX + 1, 1 << 40, 1 << 63, u64::MAX] {
        assert!(Opener::new(&key(1), &CTX, sealer.header(), size).is_err());
    }
}

#[test]
fn a_failed_open_leaves_the_opener_usable() {
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let segment = seal_segment(&sealer, 0, true, b"abc");
    let opener = Opener::new(&key(1), &CTX, sealer.header(), 3).unwrap();
    assert!(opener.open_in_place(0, &mut [0; 35]).is_err());
    assert_eq!(
        opener.open_in_place(0, &mut segment.clone()).unwrap(),
        b"abc"
    );
}

#[test]
fn same_plaintext_twice_shares_no_ciphertext() {
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let zeros = vec![0; 65_536];
    let first = seal_segment(&sealer, 0, false, &zeros);
    let second = seal_segment(&sealer, 1, false, &zeros);
    assert_ne!(first[4..16], second[4..16], "nonces");
    assert!(
        first[16..]
            .iter()
            .zip(&second[16..])
            .filter(|(a, b)| a == b)
            .count()
            < 1_000
    );
}

#[test]
fn ranges_at_each_boundary_open_to_the_right_bytes() {
    let size = 196_609;
    let plain = pattern(size);
    let sealer = Sealer::new(&key(1), &CTX, [4; 32]);
    let sealed = seal_body(&sealer, &plain).concat();
    let opener = Opener::new(&key(1), &CTX, sealer.header(), size as u64).unwrap();
    let edges: Vec<usize> = [0, 65_536, 131_072, 196_608, size]
        .into_iter()
        .flat_map(|at: usize| [at.wrapping_sub(1), at, at + 1])
        .filter(|at| *at <= size)
        .collect();
    for start in &edges {
        for end in edges.iter().filter(|end| *end > start) {
            let plan = span(size as u64, *start as u64, (end - start) as u64).unwrap();
            let mut bytes =
                sealed[plan.sealed_offset as usize..][..plan.sealed_len as usize].to_vec();
            let mut rest = bytes.as_mut_slice();
            let mut opened = Vec::new();
            for index in plan.first..plan.first + plan.count {
                let len = segment_sealed_len(size as u64, index).unwrap() as usize;
                let (segment, after) = rest.split_at_mut(len);
                opened.extend_from_slice(opener.open_in_place(index, segment).unwrap());
                rest = after;
            }
            assert!(rest.is_empty());
            let wanted = &opened[plan.skip_plain as usize..][..plan.plain_len as usize];
            assert_eq!(wanted, &plain[*start..*end], "{start}..{end}");
        }
    }
}
