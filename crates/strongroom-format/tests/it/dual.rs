// SPDX-License-Identifier: Apache-2.0
//! Two layers around one body.

use strongroom_format::{
    BODY_PLAIN_BYTES_MAX, BODY_SEGMENTS_MAX, BodyContext, DUAL_SEGMENT_PREFIX_BYTES, DualOpener,
    DualSealer, FloeHeader, ObjectDataId, ObjectKey, OpenError, Opener, OuterObjectKey,
    OuterOpener, OuterPayloadKey, PartUid, PayloadKey, SealError, dual_sealed_bytes, segment_count,
};

use crate::vectors::{Vector, load};

const CTX: BodyContext = BodyContext {
    odi: ObjectDataId([1; 16]),
    part_no: 3,
    part_uid: PartUid([2; 16]),
};
const SIZES: [usize; 8] = [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073];

fn inner_key() -> PayloadKey {
    PayloadKey::from_bytes([1; 32])
}

fn outer_key() -> OuterPayloadKey {
    OuterPayloadKey::from_bytes([2; 32])
}

fn sealer() -> DualSealer {
    DualSealer::new(&inner_key(), &outer_key(), &CTX, [[4; 32], [5; 32]])
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 65_536) as u8).collect()
}

fn seal_body(sealer: &DualSealer, plain: &[u8]) -> Vec<Vec<u8>> {
    let last = segment_count(plain.len() as u64) - 1;
    (0..=last)
        .map(|index| {
            let rest = &plain[index as usize * 65_536..];
            let text = &rest[..rest.len().min(65_536)];
            let mut buf = vec![0xa5; text.len() + 64];
            buf[DUAL_SEGMENT_PREFIX_BYTES..][..text.len()].copy_from_slice(text);
            sealer
                .seal_in_place(index, index == last, &mut buf)
                .unwrap();
            buf
        })
        .collect()
}

fn outer_opener(sealer: &DualSealer, size: u64) -> OuterOpener {
    OuterOpener::new(&outer_key(), &CTX, sealer.outer_header(), size).unwrap()
}

fn inner_opener(sealer: &DualSealer, size: u64) -> Opener {
    Opener::new(&inner_key(), &CTX, sealer.header(), size).unwrap()
}

fn opener(sealer: &DualSealer, size: u64) -> DualOpener {
    DualOpener::new(outer_opener(sealer, size), inner_opener(sealer, size))
}

fn open_body(opener: &DualOpener, segments: &[Vec<u8>]) -> Result<Vec<u8>, OpenError> {
    let mut plain = Vec::new();
    for (index, segment) in (0..).zip(segments) {
        plain.extend_from_slice(opener.open_in_place(index, &mut segment.clone())?);
    }
    Ok(plain)
}

#[test]
fn vectors_of_outer_keys() {
    for v in load("dual.json", "keys") {
        let oek = OuterObjectKey::from_bytes(v.array("outer_oek"));
        let odi = ObjectDataId(v.array("odi"));
        let part_no = u16::try_from(v.number("part_no")).unwrap();
        let pk = oek.payload_key(&odi, part_no, &PartUid(v.array("part_uid")));
        assert_eq!(
            pk.expose_secret().to_vec(),
            v.bytes("outer_pk"),
            "{}",
            v.name()
        );
        let sk = oek.sums_key(&odi);
        assert_eq!(
            sk.expose_secret().to_vec(),
            v.bytes("outer_sk"),
            "{}",
            v.name()
        );
    }
}

#[test]
fn vectors_of_bodies_under_two_layers() {
    for v in load("dual.json", "bodies") {
        let ctx = BodyContext {
            odi: ObjectDataId(v.array("odi")),
            part_no: u16::try_from(v.number("part_no")).unwrap(),
            part_uid: PartUid(v.array("part_uid")),
        };
        let size = v.number("plain_size");
        let header = |name| FloeHeader::from_bytes(v.array(name));
        let segments: Vec<_> = v.list("segments").iter().map(Vector::own_bytes).collect();
        let outer_key = OuterPayloadKey::from_bytes(v.array("outer_pk"));
        let outer = || OuterOpener::new(&outer_key, &ctx, &header("outer_header"), size);
        let inner_key = PayloadKey::from_bytes(v.array("pk"));
        let inner = Opener::new(&inner_key, &ctx, &header("header"), size);
        let opened = match (outer(), inner) {
            // A reader asks for as many segments as the size demands.
            (Ok(outer), Ok(inner)) if segments.len() as u64 == segment_count(size) => {
                open_body(&DualOpener::new(outer, inner), &segments)
            }
            _ => Err(OpenError),
        };
        match v.expect() {
            "ok" => {
                assert_eq!(opened.unwrap(), v.bytes("plaintext"), "{}", v.name());
                let found = v.list("inner_segments");
                for (index, (segment, found)) in (0..).zip(segments.iter().zip(&found)) {
                    let mut buf = segment.clone();
                    let under = outer().unwrap();
                    let segment = under.open_in_place(index, &mut buf).unwrap();
                    assert_eq!(segment, found.own_bytes());
                }
            }
            "open" => assert_eq!(opened, Err(OpenError), "{}", v.name()),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn vectors_of_sums_under_two_layers() {
    for v in load("dual.json", "sums") {
        let odi = ObjectDataId(v.array("odi"));
        let inner = ObjectKey::from_bytes(v.array("oek")).sums_key(&odi);
        let outer = OuterObjectKey::from_bytes(v.array("outer_oek")).sums_key(&odi);
        let opened = outer
            .open(&v.bytes("sealed"), &v.bytes("aad"))
            .and_then(|once| inner.open(&once, &v.bytes("aad")));
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
        let sealer = sealer();
        let segments = seal_body(&sealer, &plain);
        let sealed: usize = segments.iter().map(Vec::len).sum();
        assert_eq!(dual_sealed_bytes(size as u64), Some(sealed as u64));
        assert_eq!(
            open_body(&opener(&sealer, size as u64), &segments),
            Ok(plain)
        );
    }
}

/// One key is not enough, whichever it is: under the outer layer lies what the inner one sealed,
/// and the inner key opens nothing of what is stored.
#[test]
fn one_layer_opened_leaves_ciphertext() {
    for size in SIZES {
        let plain = pattern(size);
        let sealer = sealer();
        let segments = seal_body(&sealer, &plain);
        let inner = inner_opener(&sealer, size as u64);
        let outer = outer_opener(&sealer, size as u64);
        for (index, segment) in (0..).zip(&segments) {
            let start = index as usize * 65_536;
            let text = &plain[start..plain.len().min(start + 65_536)];
            let mut buf = segment.clone();
            let under = outer.open_in_place(index, &mut buf).unwrap().to_vec();
            assert_eq!(under.len(), text.len() + 32);
            if text.len() >= 16 {
                let leaks = |bytes: &[u8]| bytes.windows(16).any(|w| w == &text[..16]);
                assert!(!leaks(&under) && !leaks(segment));
            }
            assert_eq!(
                inner.open_in_place(index, &mut under.clone()).unwrap(),
                text
            );

            let mut whole = segment.clone();
            assert!(inner.open_in_place(index, &mut whole).is_err());
            let mut middle = segment[16..segment.len() - 16].to_vec();
            assert!(inner.open_in_place(index, &mut middle).is_err());
        }
    }
}

#[test]
fn every_bit_of_a_short_body_counts() {
    let sealer = sealer();
    let [segment] = &seal_body(&sealer, &pattern(40))[..] else {
        panic!("one segment");
    };
    let opener = opener(&sealer, 40);
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
        let mut header = *sealer.outer_header().as_bytes();
        header[bit / 8] ^= 1 << (bit % 8);
        let opened = OuterOpener::new(&outer_key(), &CTX, &FloeHeader::from_bytes(header), 40);
        assert!(opened.is_err(), "header bit {bit}");
    }
}

/// A fault of the inner layer alone, under an outer one that is in order.
#[test]
fn inner_layer_damaged_before_the_outer_was_sealed_is_refused_and_wiped() {
    let sealer = sealer();
    let [segment] = &seal_body(&sealer, &pattern(40))[..] else {
        panic!("one segment");
    };
    let other = DualSealer::new(
        &PayloadKey::from_bytes([9; 32]),
        &outer_key(),
        &CTX,
        [[4; 32], [5; 32]],
    );
    let [foreign] = &seal_body(&other, &pattern(40))[..] else {
        panic!("one segment");
    };
    assert!(
        opener(&sealer, 40)
            .open_in_place(0, &mut segment.clone())
            .is_ok()
    );
    assert!(
        outer_opener(&sealer, 40)
            .open_in_place(0, &mut foreign.clone())
            .is_ok()
    );
    let mut buf = foreign.clone();
    assert_eq!(
        opener(&sealer, 40).open_in_place(0, &mut buf),
        Err(OpenError)
    );
    assert!(buf.iter().all(|byte| *byte == 0));
}

#[test]
fn a_body_opens_only_in_its_place_and_with_its_keys() {
    let sealer = sealer();
    let opens = |key: &OuterPayloadKey, ctx: &BodyContext, header| {
        OuterOpener::new(key, ctx, header, 10).is_ok()
    };
    assert!(opens(&outer_key(), &CTX, sealer.outer_header()));
    assert!(!opens(&outer_key(), &CTX, sealer.header()));
    assert!(!opens(
        &OuterPayloadKey::from_bytes([1; 32]),
        &CTX,
        sealer.outer_header()
    ));
    assert!(!opens(
        &OuterPayloadKey::from_bytes([1; 32]),
        &CTX,
        sealer.header()
    ));
    for ctx in [
        BodyContext {
            odi: ObjectDataId([9; 16]),
            ..CTX
        },
        BodyContext { part_no: 4, ..CTX },
        BodyContext {
            part_uid: PartUid([9; 16]),
            ..CTX
        },
    ] {
        assert!(!opens(&outer_key(), &ctx, sealer.outer_header()));
    }
    let as_inner = PayloadKey::from_bytes([2; 32]);
    assert!(Opener::new(&as_inner, &CTX, sealer.outer_header(), 10).is_err());
}

#[test]
fn size_edited_by_one_is_refused_at_every_boundary() {
    for size in SIZES {
        let sealer = sealer();
        let segments = seal_body(&sealer, &pattern(size));
        let last = segments.len() as u64 - 1;
        let sizes = [
            size.wrapping_sub(1),
            size + 1,
            size + 32,
            size.wrapping_sub(32),
        ];
        for wrong in sizes
            .into_iter()
            .chain([size + 65_536, size.wrapping_sub(65_536)])
        {
            let wrong = wrong as u64;
            if wrong > BODY_PLAIN_BYTES_MAX {
                let refused = OuterOpener::new(&outer_key(), &CTX, sealer.outer_header(), wrong);
                assert!(refused.is_err());
                continue;
            }
            let opener = opener(&sealer, wrong);
            let mut buf = segments[last as usize].clone();
            assert_eq!(opener.open_in_place(last, &mut buf), Err(OpenError));
            assert_ne!(open_body(&opener, &segments), Ok(pattern(size)));
        }
    }
}

#[test]
fn segments_moved_within_and_between_bodies_are_refused() {
    let plain = pattern(200_000);
    let one = sealer();
    let two = DualSealer::new(&inner_key(), &outer_key(), &CTX, [[6; 32], [7; 32]]);
    let (segments, others) = (seal_body(&one, &plain), seal_body(&two, &plain));
    let opener = opener(&one, 200_000);
    for (from, segment) in (0..).zip(&segments) {
        for to in 0..6 {
            let opened = opener.open_in_place(to, &mut segment.clone()).is_ok();
            assert_eq!(opened, from == to);
            assert!(
                opener
                    .open_in_place(to, &mut others[from as usize].clone())
                    .is_err()
            );
        }
    }
    assert!(
        opener
            .open_in_place(u64::MAX, &mut segments[3].clone())
            .is_err()
    );
}

#[test]
fn wrong_lengths_are_refused_and_wiped() {
    for size in [0, 1, 65_536, 65_537] {
        let sealer = sealer();
        let segments = seal_body(&sealer, &pattern(size));
        let opener = opener(&sealer, size as u64);
        for (index, segment) in (0..).zip(&segments) {
            for cut in [1, 16, 32, 63, 64, segment.len()] {
                let mut short = segment[..segment.len() - cut.min(segment.len())].to_vec();
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
    let sealer = sealer();
    let seal =
        |index, is_final, len: usize| sealer.seal_in_place(index, is_final, &mut vec![0; len]);
    for len in [0, 1, 31, 32, 63, 65_601, 70_000] {
        assert!(matches!(
            seal(0, true, len),
            Err(SealError::SegmentLength { .. })
        ));
        assert!(matches!(
            seal(0, false, len),
            Err(SealError::SegmentLength { .. })
        ));
    }
    for len in [64, 65, 65_568, 65_599] {
        assert!(matches!(
            seal(0, false, len),
            Err(SealError::SegmentLength { .. })
        ));
    }
    assert!(seal(1, true, 64).is_err(), "empty and not alone");
    for index in [BODY_SEGMENTS_MAX, u64::MAX] {
        assert_eq!(
            seal(index, true, 70),
            Err(SealError::SegmentIndex { index })
        );
    }
    for (index, is_final, len) in [(0, true, 64), (0, true, 65_600), (0, false, 65_600)] {
        assert_eq!(seal(index, is_final, len), Ok(()));
    }
}

#[test]
fn nonces_and_headers_of_the_layers_are_their_own() {
    let sealer = sealer();
    assert_ne!(sealer.header(), sealer.outer_header());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..64 {
        let [segment] = &seal_body(&sealer, b"x")[..] else {
            panic!("one segment");
        };
        let mut buf = segment.clone();
        let under = outer_opener(&sealer, 1)
            .open_in_place(0, &mut buf)
            .unwrap()
            .to_vec();
        assert!(seen.insert(segment[4..16].to_vec()), "outer nonce");
        assert!(seen.insert(under[4..16].to_vec()), "inner nonce");
    }
}
