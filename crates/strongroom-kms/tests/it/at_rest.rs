// SPDX-License-Identifier: Apache-2.0
//! The sealer of rows.

use std::sync::Arc;

use strongroom_kms::root::{RootKey, RootSecret, create, unseal};
use strongroom_store::{AtRest, AtRestError};

fn sealer() -> Arc<dyn AtRest> {
    create(&RootSecret::Key(RootKey::generate().unwrap()), 7)
        .unwrap()
        .0
        .at_rest()
}

#[test]
fn opens_in_its_place_only() {
    let sealer = sealer();
    for plain in [b"".as_slice(), b"x", &[7; 5000]] {
        let stored = sealer.seal(3, b"place", plain).unwrap();
        assert_eq!(stored.len(), plain.len() + 33);
        assert_eq!(sealer.open(3, b"place", &stored).unwrap(), plain);
        assert_eq!(sealer.open(4, b"place", &stored), Err(AtRestError::Open));
        assert_eq!(sealer.open(3, b"plac", &stored), Err(AtRestError::Open));
        assert_eq!(sealer.open(3, b"", &stored), Err(AtRestError::Open));
        assert_eq!(
            self::sealer().open(3, b"place", &stored),
            Err(AtRestError::Open)
        );
    }
}

#[test]
fn every_bit_counts() {
    let sealer = sealer();
    let stored = sealer.seal(1 << 60, b"place", b"a row").unwrap();
    for bit in 0..stored.len() * 8 {
        let mut changed = stored.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            sealer.open(1 << 60, b"place", &changed),
            Err(AtRestError::Open),
            "bit {bit}"
        );
    }
    for len in 0..stored.len() {
        assert_eq!(
            sealer.open(1 << 60, b"place", &stored[..len]),
            Err(AtRestError::Open)
        );
    }
    let longer = [stored, vec![0]].concat();
    assert_eq!(
        sealer.open(1 << 60, b"place", &longer),
        Err(AtRestError::Open)
    );
}

#[test]
fn many_streams_and_another_process() {
    let secret = RootSecret::Key(RootKey::generate().unwrap());
    let (keyring, file) = create(&secret, 7).unwrap();
    let sealer = keyring.at_rest();
    let stored: Vec<_> = (0..3000)
        .map(|stream| sealer.seal(stream, b"", &stream.to_be_bytes()).unwrap())
        .collect();
    let other = unseal(&file, &secret).unwrap().at_rest();
    for (stream, stored) in (0_u64..).zip(&stored) {
        assert_eq!(
            sealer.open(stream, b"", stored).unwrap(),
            stream.to_be_bytes()
        );
        assert_eq!(
            other.open(stream, b"", stored).unwrap(),
            stream.to_be_bytes()
        );
    }
}
