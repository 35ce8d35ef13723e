// SPDX-License-Identifier: Apache-2.0
//! The keyring file: opens by its providers only, and only as it was written; new epochs and
//! changes of providers.

use strongroom_kms::root::{
    EpochKind, KeyringFile, OpenKeyringFile, Passphrase, RootError, RootKey, RootProvider,
    RootSecret, Rotation, StretchKind, WrapKind, create, unseal,
};
use strongroom_store::AtRestError;

const BOTH: Rotation = Rotation {
    domain: true,
    sse_s3: true,
};

fn passphrase(text: &str) -> RootSecret {
    RootSecret::Passphrase(Passphrase::new(text.to_owned()).unwrap())
}

fn key(byte: u8) -> RootSecret {
    RootSecret::Key(RootKey::from_bytes(&[byte; 32]).unwrap())
}

fn provider(file: &[u8]) -> WrapKind {
    KeyringFile::parse(file).unwrap().provider()
}

fn opened(file: &[u8], provider: &dyn RootProvider) -> OpenKeyringFile {
    KeyringFile::parse(file).unwrap().open(provider).unwrap()
}

#[test]
fn opens_under_its_root_key() {
    let (keyring, file) = create(&key(1), 7).unwrap();
    assert_eq!(provider(&file), WrapKind::KeyFile);
    let sealed = keyring.seal_private("root-credential", b"secret").unwrap();
    let opened = unseal(&file, &key(1)).unwrap();
    assert_eq!(
        *opened.open_private("root-credential", &sealed).unwrap(),
        b"secret"
    );
    assert_eq!(
        unseal(&file, &key(2)).unwrap_err(),
        RootError::WrongSecret(WrapKind::KeyFile)
    );
    let refusal = unseal(&file, &passphrase("correct horse battery")).unwrap_err();
    assert_eq!(refusal, RootError::OtherProvider(WrapKind::KeyFile));
}

#[test]
fn opens_under_its_passphrase() {
    let (keyring, file) = create(&passphrase("correct horse battery"), 7).unwrap();
    assert_eq!(provider(&file), WrapKind::Passphrase);
    let sealed = keyring.seal_private("x", b"secret").unwrap();
    let opened = unseal(&file, &passphrase("correct horse battery")).unwrap();
    assert_eq!(*opened.open_private("x", &sealed).unwrap(), b"secret");
    let refusal = unseal(&file, &passphrase("correct horse batterY")).unwrap_err();
    assert_eq!(refusal, RootError::WrongSecret(WrapKind::Passphrase));
    assert_eq!(
        refusal.to_string(),
        "the passphrase is not the one this keyring was sealed with"
    );
    let refusal = unseal(&file, &key(1)).unwrap_err();
    assert_eq!(refusal, RootError::OtherProvider(WrapKind::Passphrase));
}

#[test]
fn passphrase_may_be_stretched_by_pbkdf2() {
    let phrase = || Passphrase::new("correct horse battery".to_owned()).unwrap();
    let (_, file) = create(&phrase().stretched_by(StretchKind::Pbkdf2), 7).unwrap();
    // The file says how; the one who opens it need not know.
    assert!(unseal(&file, &phrase()).is_ok());
    let wrong = Passphrase::new("correct horse batterY".to_owned()).unwrap();
    assert_eq!(
        unseal(&file, &wrong).unwrap_err(),
        RootError::WrongSecret(WrapKind::Passphrase)
    );
    // 600,000 iterations stand in the file; fewer are refused.
    let at = 4 + 1 + 16 + 1 + 1 + 16 + 8 + 2;
    assert_eq!(file[at], 2);
    assert_eq!(file[at + 1..at + 5], 600_000_u32.to_be_bytes());
    let mut cheap = file.clone();
    cheap[at + 1..at + 5].copy_from_slice(&1000_u32.to_be_bytes());
    assert_eq!(
        unseal(&resummed(&cheap), &phrase()).unwrap_err(),
        RootError::Corrupted("cost of the passphrase")
    );
}

#[test]
fn sec_every_bit_counts() {
    let (_, file) = create(&key(1), 7).unwrap();
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            unseal(&changed, &key(1)).unwrap_err(),
            RootError::Corrupted("its checksum"),
            "bit {bit}"
        );
        if bit / 8 < file.len() - 32 {
            assert!(
                unseal(&resummed(&changed), &key(1)).is_err(),
                "bit {bit}, new checksum"
            );
        }
    }
    for len in 0..file.len() {
        assert!(matches!(
            unseal(&file[..len], &key(1)),
            Err(RootError::Corrupted(_))
        ));
        if len >= 32 {
            assert!(unseal(&resummed(&file[..len]), &key(1)).is_err());
        }
    }
    let longer = [file, vec![0]].concat();
    assert!(unseal(&longer, &key(1)).is_err());
    assert!(unseal(&resummed(&longer), &key(1)).is_err());
}

/// The file with a checksum that fits: what an attacker would write.
fn resummed(file: &[u8]) -> Vec<u8> {
    let body = &file[..file.len() - 32];
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    [body, sum.as_ref()].concat()
}

#[test]
fn sec_wraps_cannot_be_taken_away_added_or_swapped() {
    let mut open = OpenKeyringFile::create(&key(1), 7).unwrap();
    open.add_wrap(&key(2), 8).unwrap();
    let file = open.seal().unwrap();
    assert!(unseal(&file, &key(1)).is_ok() && unseal(&file, &key(2)).is_ok());
    // Two wraps of 89 bytes behind a head of 22.
    let (head, rest) = file.split_at(22);
    let (one, rest) = rest.split_at(89);
    let (two, rest) = rest.split_at(89);
    assert_eq!((one[0], two[0], head[21]), (1, 1, 2));
    let mut one_only = head.to_vec();
    one_only[21] = 1;
    let mut three = head.to_vec();
    three[21] = 3;
    for forged in [
        [&one_only, one, rest].concat(),
        [&one_only, two, rest].concat(),
        [head, two, one, rest].concat(),
        [&three, one, two, two, rest].concat(),
    ] {
        let forged = resummed(&forged);
        for secret in [key(1), key(2)] {
            assert!(unseal(&forged, &secret).is_err());
        }
    }
}

#[test]
fn sec_wrap_of_another_keyring_opens_nothing() {
    let (_, ours) = create(&key(1), 7).unwrap();
    let (_, other) = create(&key(1), 7).unwrap();
    let forged = [&ours[..22], &other[22..22 + 89], &ours[22 + 89..]].concat();
    assert_eq!(
        unseal(&resummed(&forged), &key(1)).unwrap_err(),
        RootError::WrongSecret(WrapKind::KeyFile)
    );
    // With its id, too: the wrap opens, and the body is not under its key.
    let forged = [&other[..22 + 89], &ours[22 + 89..]].concat();
    assert_eq!(
        unseal(&resummed(&forged), &key(1)).unwrap_err(),
        RootError::WrongSecret(WrapKind::KeyFile)
    );
}

#[test]
fn sec_header_names_no_unbearable_cost() {
    let (_, file) = create(&passphrase("correct horse battery"), 7).unwrap();
    let at = 4 + 1 + 16 + 1 + 1 + 16 + 8 + 2;
    for (offset, value) in [(0, 3), (0, 0), (1, 0xff), (5, 0xff), (9, 0xff), (2, 0)] {
        let mut changed = file.clone();
        changed[at + offset] = value;
        let refusal = unseal(&resummed(&changed), &passphrase("correct horse battery"));
        assert_eq!(
            refusal.unwrap_err(),
            RootError::Corrupted("cost of the passphrase"),
            "byte {offset}"
        );
    }
}

#[test]
fn other_versions_are_named() {
    let (_, mut file) = create(&key(1), 7).unwrap();
    for version in [0, 1, 3, 255] {
        file[4] = version;
        assert_eq!(
            unseal(&resummed(&file), &key(1)).unwrap_err(),
            RootError::Version(version)
        );
    }
}

#[test]
fn secrets_that_are_none() {
    for len in [0, 16, 31, 33] {
        let refusal = RootKey::from_bytes(&vec![0; len]).unwrap_err();
        assert_eq!(refusal, RootError::RootKeyLength(len));
    }
    for text in ["", "short", "elevenchars"] {
        assert!(Passphrase::new(text.to_owned()).is_err());
    }
}

#[test]
fn two_keyrings_share_nothing() {
    let (one, _) = create(&key(1), 7).unwrap();
    let (two, _) = create(&key(1), 7).unwrap();
    let sealed = one.seal_private("x", b"secret").unwrap();
    assert!(two.open_private("x", &sealed).is_err());
}

#[test]
fn private_file_opens_under_its_label_only() {
    let (keyring, _) = create(&key(1), 7).unwrap();
    let sealed = keyring.seal_private("one", b"secret").unwrap();
    assert!(keyring.open_private("two", &sealed).is_err());
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(keyring.open_private("one", &changed).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(keyring.open_private("one", &sealed[..len]).is_err());
    }
    assert!(
        keyring
            .open_private("one", &[sealed, vec![0]].concat())
            .is_err()
    );
}

#[test]
fn new_epochs_are_used_and_old_ones_stay() {
    let mut open = OpenKeyringFile::create(&key(1), 100).unwrap();
    let keyring = open.keyring().unwrap();
    let rows = keyring.at_rest();
    let mut sealed = Vec::new();
    for round in 1..=5_u32 {
        sealed.push((
            rows.seal(9, b"place", &round.to_be_bytes()).unwrap(),
            keyring.seal_private("x", &round.to_be_bytes()).unwrap(),
        ));
        assert_eq!(keyring.newest(EpochKind::Domain).epoch, round);
        assert_eq!(keyring.newest(EpochKind::SseS3).epoch, round);
        open.rotate(BOTH, 100 + u64::from(round)).unwrap();
        // A start in between finds the new epoch in the file.
        open = opened(&open.seal().unwrap(), &key(1));
        keyring.install(&open).unwrap();
    }
    assert_eq!(keyring.newest(EpochKind::Domain).created_ms, 105);
    assert_eq!(keyring.epochs().len(), 12);
    for (round, (row, private)) in (1..=5_u32).zip(&sealed) {
        // Version, then the epoch: the sealer that the store holds follows the keyring.
        assert_eq!(row[1..5], round.to_be_bytes());
        assert_eq!(private[1..5], round.to_be_bytes());
        let again = open.keyring().unwrap();
        for ring in [&keyring, &again] {
            let plain = ring.at_rest().open(9, b"place", row).unwrap();
            assert_eq!(plain, round.to_be_bytes());
            assert_eq!(
                *ring.open_private("x", private).unwrap(),
                round.to_be_bytes()
            );
            assert!(!ring.is_private_current(private));
        }
    }
    assert!(keyring.is_private_current(&keyring.seal_private("x", b"").unwrap()));
    // A row that names an epoch of the future does not open.
    let mut future = rows.seal(9, b"place", b"x").unwrap();
    future[4] += 1;
    assert_eq!(rows.open(9, b"place", &future), Err(AtRestError::Open));
}

#[test]
fn rotating_one_list_leaves_the_other_as_it_is() {
    let mut open = OpenKeyringFile::create(&key(1), 100).unwrap();
    let only = |domain| Rotation {
        domain,
        sse_s3: !domain,
    };
    open.rotate(only(true), 101).unwrap();
    let keyring = open.keyring().unwrap();
    assert_eq!(keyring.newest(EpochKind::Domain).epoch, 2);
    assert_eq!(keyring.newest(EpochKind::SseS3).epoch, 1);
    open.rotate(only(false), 102).unwrap();
    open.rotate(only(false), 103).unwrap();
    let keyring = open.keyring().unwrap();
    assert_eq!(keyring.newest(EpochKind::Domain).epoch, 2);
    assert_eq!(keyring.newest(EpochKind::SseS3).epoch, 3);
    assert_eq!(keyring.newest(EpochKind::Domain).created_ms, 101);
}

#[test]
fn new_epoch_leaves_every_wrap_as_it_is() {
    let mut open = OpenKeyringFile::create(&key(1), 100).unwrap();
    open.add_wrap(&passphrase("correct horse battery"), 100)
        .unwrap();
    let before = open.wraps().to_vec();
    open.rotate(BOTH, 101).unwrap();
    let file = open.seal().unwrap();
    assert_eq!(KeyringFile::parse(&file).unwrap().wraps(), before);
    assert!(unseal(&file, &key(1)).is_ok());
    assert!(unseal(&file, &passphrase("correct horse battery")).is_ok());
}

#[test]
fn keyring_takes_no_list_that_lacks_an_epoch() {
    let mut open = OpenKeyringFile::create(&key(1), 100).unwrap();
    let older = opened(&open.seal().unwrap(), &key(1));
    open.rotate(BOTH, 101).unwrap();
    let keyring = open.keyring().unwrap();
    assert!(matches!(
        keyring.install(&older),
        Err(RootError::Corrupted(_))
    ));
    assert!(keyring.check(&older).is_err() && keyring.check(&open).is_ok());
    let other = OpenKeyringFile::create(&key(1), 100).unwrap();
    assert!(keyring.install(&other).is_err());
    assert_eq!(keyring.newest(EpochKind::Domain).epoch, 2);
}

#[test]
fn providers_change_in_two_halves() {
    let mut open = OpenKeyringFile::create(&key(1), 100).unwrap();
    let sealed = open.keyring().unwrap().seal_private("x", b"y").unwrap();
    let before = open.seal().unwrap();
    let new = passphrase("correct horse battery");
    open.add_wrap(&new, 101).unwrap();
    let between = open.seal().unwrap();
    let mut by_new = opened(&between, &new);
    assert!(unseal(&between, &key(1)).is_ok());
    by_new.keep_only(&new, 102).unwrap();
    let after = by_new.seal().unwrap();
    assert_eq!(
        unseal(&after, &key(1)).unwrap_err(),
        RootError::OtherProvider(WrapKind::Passphrase)
    );
    let keyring = unseal(&after, &new).unwrap();
    assert_eq!(*keyring.open_private("x", &sealed).unwrap(), b"y");
    // The old secret with an old copy of the file gives nothing of the new one: the file key is
    // another one.
    let graft = [&before[..22 + 89], &after[22 + 45 + 64..]].concat();
    assert!(unseal(&resummed(&graft), &key(1)).is_err());
}

#[test]
fn wraps_are_bounded() {
    let mut open = OpenKeyringFile::create(&key(1), 100).unwrap();
    for byte in 2..=8 {
        open.add_wrap(&key(byte), 100).unwrap();
    }
    assert_eq!(
        open.add_wrap(&key(9), 100).unwrap_err(),
        RootError::TooManyWraps
    );
    let file = open.seal().unwrap();
    assert!(unseal(&file, &key(8)).is_ok());
    assert_eq!(
        unseal(&file, &key(9)).unwrap_err(),
        RootError::WrongSecret(WrapKind::KeyFile)
    );
}
