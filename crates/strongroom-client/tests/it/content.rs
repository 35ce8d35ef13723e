// SPDX-License-Identifier: Apache-2.0
//! Streams, parts and ranges give what one call of AES-GCM gives.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use proptest::prelude::*;
use strongroom_client::content::{
    CiphertextRange, ContentKey, Decryptor, Encryptor, PartDigest, combine, decrypt_range, range_of,
};
use strongroom_client::{AesKey, Error};

const KEY: [u8; 32] = [0x6B; 32];
const NONCE: [u8; 12] = [0x0E; 12];

fn key() -> ContentKey {
    ContentKey::v2(&AesKey::new(KEY.to_vec()).unwrap(), NONCE)
}

/// By the module's one call.
fn in_one_call(plain: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap());
    let mut bytes = plain.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(NONCE),
        Aad::empty(),
        &mut bytes,
    )
    .unwrap();
    bytes
}

fn plain(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from(i * 7 % 251).unwrap())
        .collect()
}

fn decrypt(stored: &[u8], pieces: usize) -> Result<Vec<u8>, Error> {
    let mut decryptor = Decryptor::new(&key(), u64::try_from(stored.len()).unwrap())?;
    let mut out = Vec::new();
    for piece in stored.chunks(pieces) {
        decryptor.update_unverified(piece, &mut out)?;
    }
    decryptor.finish()?;
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_stream_in_any_pieces(len in 0_usize..200_000, pieces in 1_usize..70_000) {
        let plain = plain(len);
        let mut encryptor = Encryptor::new(&key()).unwrap();
        let mut stored = Vec::new();
        for piece in plain.chunks(pieces) {
            encryptor.update(piece, &mut stored).unwrap();
        }
        stored.extend_from_slice(&encryptor.finish().unwrap());
        prop_assert_eq!(&stored, &in_one_call(&plain));
        prop_assert_eq!(decrypt(&stored, pieces).unwrap(), plain);
    }

    #[test]
    fn parts_in_any_order(lens in prop::collection::vec(0_usize..2_500, 0..6), last in 0_usize..100, order in any::<u64>()) {
        let mut bounds = vec![0];
        for blocks in lens {
            bounds.push(bounds.last().unwrap() + blocks * 16);
        }
        bounds.push(bounds.last().unwrap() + last);
        let plain = plain(*bounds.last().unwrap());
        let count = bounds.len() - 1;
        let mut parts: Vec<Option<(Vec<u8>, PartDigest)>> = vec![None; count];
        for turn in 0..count {
            let index = (turn + usize::try_from(order % 97).unwrap()) % count;
            let (from, to) = (bounds[index], bounds[index + 1]);
            let mut part = key().part_encryptor(u64::try_from(from).unwrap()).unwrap();
            let mut out = Vec::new();
            part.update(&plain[from..to], &mut out).unwrap();
            let digest = part.finish();
            parts[index] = Some((out, digest));
        }
        let parts: Vec<_> = parts.into_iter().map(Option::unwrap).collect();
        let digests: Vec<_> = parts.iter().map(|(_, digest)| *digest).collect();
        let mut stored: Vec<u8> = parts.into_iter().flat_map(|(out, _)| out).collect();
        stored.extend_from_slice(&combine(&key(), &digests).unwrap());
        prop_assert_eq!(stored, in_one_call(&plain));
    }

    #[test]
    fn ranges(len in 1_u64..5_000, a in 0_u64..5_000, b in 0_u64..6_000) {
        let plain = plain(usize::try_from(len).unwrap());
        let stored = in_one_call(&plain);
        let range = range_of(u64::try_from(stored.len()).unwrap(), a, b);
        if a >= len || b < a {
            prop_assert!(matches!(range, Err(Error::Range)));
        } else {
            let range = range.unwrap();
            prop_assert!(range.last < len, "never a byte of the tag");
            let fetched = &stored[usize::try_from(range.first).unwrap()..=usize::try_from(range.last).unwrap()];
            let mut out = b"kept".to_vec();
            decrypt_range(&key(), range, fetched, &mut out).unwrap();
            let last = usize::try_from(b.min(len - 1)).unwrap();
            prop_assert_eq!(&out[4..], &plain[usize::try_from(a).unwrap()..=last]);
        }
    }
}

#[test]
fn every_bit_counts() {
    let stored = in_one_call(&plain(50));
    for bit in 0..stored.len() * 8 {
        let mut bad = stored.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(decrypt(&bad, 7), Err(Error::Content)), "bit {bit}");
    }
}

#[test]
fn every_cut_and_every_longer_one() {
    let stored = in_one_call(&plain(50));
    for len in 0..stored.len() {
        assert!(
            matches!(decrypt(&stored[..len], 7), Err(Error::Content)),
            "{len}"
        );
    }
    for more in 1..40 {
        let long = [stored.as_slice(), &vec![0; more]].concat();
        assert!(matches!(decrypt(&long, 7), Err(Error::Content)), "{more}");
    }
    // A transport that ends early, or goes on, although the length was said.
    for (said, given) in [(66, 65), (66, 67), (66, 0), (80, 66)] {
        let mut decryptor = Decryptor::new(&key(), said).unwrap();
        let bytes = [stored.as_slice(), &[0; 20]].concat();
        let taken = decryptor.update_unverified(&bytes[..given], &mut Vec::new());
        let end = taken.and_then(|()| decryptor.finish());
        assert!(matches!(end, Err(Error::Content)), "{said} {given}");
    }
}

#[test]
fn parts_that_make_no_message() {
    assert!(matches!(key().part_encryptor(8), Err(Error::Config(_))));
    assert!(matches!(key().part_encryptor(1 << 37), Err(Error::TooLong)));
    let digest = |first: u64, len: usize| {
        let mut part = key().part_encryptor(first).unwrap();
        part.update(&plain(len), &mut Vec::new()).unwrap();
        part.finish()
    };
    let crooked = [digest(0, 15), digest(16, 16)];
    assert!(matches!(combine(&key(), &crooked), Err(Error::Config(_))));
    let right = combine(&key(), &[digest(0, 32), digest(32, 5)]).unwrap();
    let swapped = combine(&key(), &[digest(32, 16), digest(0, 32)]).unwrap();
    let missing = combine(&key(), &[digest(0, 32)]).unwrap();
    assert!(right != swapped && right != missing);
}

#[test]
fn no_message_is_longer_than_the_counter_allows() {
    const MAX: u64 = 68_719_476_704;
    assert!(Decryptor::new(&key(), MAX + 16).is_ok());
    assert!(matches!(
        Decryptor::new(&key(), MAX + 17),
        Err(Error::Content)
    ));
    let mut last = key().part_encryptor(MAX - 32).unwrap();
    last.update(&plain(32), &mut Vec::new()).unwrap();
    assert!(matches!(
        last.update(&[0], &mut Vec::new()),
        Err(Error::TooLong)
    ));
    // The last block of the longest message, by way of a range.
    let range = range_of(MAX + 16, MAX - 1, u64::MAX).unwrap();
    assert_eq!(
        (range.first, range.last, range.skip),
        (MAX - 16, MAX - 1, 15)
    );
    let mut out = Vec::new();
    decrypt_range(&key(), range, &[0; 16], &mut out).unwrap();
    assert_eq!(out.len(), 1);
}

#[test]
fn ranges_that_no_object_has() {
    const MAX: u64 = 68_719_476_704;
    for (stored, first, last) in [
        (17, 1, 1),
        (17, 0xFFFF, 0),
        (100, 84, 200),
        (100, 5, 4),
        (16, 0, 0),
    ] {
        assert!(
            matches!(range_of(stored, first, last), Err(Error::Range)),
            "{stored} {first}-{last}"
        );
    }
    for stored in [0, 15, MAX + 17, u64::MAX] {
        assert!(
            matches!(range_of(stored, 0, 1), Err(Error::Content)),
            "{stored}"
        );
    }
    // Ranges put together by hand.
    for (first, last) in [(8, 23), (MAX - 16, MAX), (u64::MAX - 15, u64::MAX)] {
        let range = CiphertextRange {
            first,
            last,
            skip: 0,
        };
        let refused = decrypt_range(&key(), range, &[0; 16], &mut Vec::new());
        assert!(matches!(refused, Err(Error::Range)), "{first}-{last}");
    }
    let range = range_of(116, 3, 40).unwrap();
    for len in [0, 40, 42] {
        let refused = decrypt_range(&key(), range, &vec![0; len], &mut Vec::new());
        assert!(matches!(refused, Err(Error::Content)), "{len}");
    }
}

/// What is shown of a secret would be the difference between two of them.
#[test]
fn nothing_secret_is_shown() {
    let shown = |byte: u8| {
        let key = ContentKey::v2(&AesKey::new(vec![byte; 32]).unwrap(), NONCE);
        let mut part = key.part_encryptor(0).unwrap();
        part.update(&[1; 40], &mut Vec::new()).unwrap();
        let encryptor = Encryptor::new(&key).unwrap();
        let decryptor = Decryptor::new(&key, 66).unwrap();
        let streams = format!("{key:?} {encryptor:?} {decryptor:?} {part:?}");
        format!("{streams} {:?}", part.finish())
    };
    assert_eq!(shown(1), shown(2));
}
