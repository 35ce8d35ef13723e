// SPDX-License-Identifier: Apache-2.0
//! The keyring file: opens under its secret only, and only as it was written.

use strongroom_kms::root::{
    Passphrase, Provider, RootError, RootKey, RootSecret, create, provider, unseal,
};

fn passphrase(text: &str) -> RootSecret {
    RootSecret::Passphrase(Passphrase::new(text.to_owned()).unwrap())
}

fn key(byte: u8) -> RootSecret {
    RootSecret::Key(RootKey::from_bytes(&[byte; 32]).unwrap())
}

#[test]
fn opens_under_its_root_key() {
    let (keyring, file) = create(&key(1), 7).unwrap();
    assert_eq!(provider(&file), Ok(Provider::Key));
    let sealed = keyring.seal_private("root-credential", b"secret").unwrap();
    let opened = unseal(&file, &key(1)).unwrap();
    assert_eq!(
        *opened.open_private("root-credential", &sealed).unwrap(),
        b"secret"
    );
    assert_eq!(
        unseal(&file, &key(2)).unwrap_err(),
        RootError::WrongSecret(Provider::Key)
    );
    let refusal = unseal(&file, &passphrase("correct horse battery")).unwrap_err();
    assert_eq!(refusal, RootError::OtherProvider(Provider::Key));
}

#[test]
fn opens_under_its_passphrase() {
    let (keyring, file) = create(&passphrase("correct horse battery"), 7).unwrap();
    assert_eq!(provider(&file), Ok(Provider::Passphrase));
    let sealed = keyring.seal_private("x", b"secret").unwrap();
    let opened = unseal(&file, &passphrase("correct horse battery")).unwrap();
    assert_eq!(*opened.open_private("x", &sealed).unwrap(), b"secret");
    let refusal = unseal(&file, &passphrase("correct horse batterY")).unwrap_err();
    assert_eq!(refusal, RootError::WrongSecret(Provider::Passphrase));
    assert_eq!(
        refusal.to_string(),
        "the passphrase is not the one this keyring was sealed with"
    );
    let refusal = unseal(&file, &key(1)).unwrap_err();
    assert_eq!(refusal, RootError::OtherProvider(Provider::Passphrase));
}

#[test]
fn every_bit_counts() {
    let (_, file) = create(&key(1), 7).unwrap();
    for bit in 0..file.len() * 8 {
        let mut changed = file.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(
            matches!(unseal(&changed, &key(1)), Err(RootError::Corrupted(_))),
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
    }
    assert!(unseal(&[file, vec![0]].concat(), &key(1)).is_err());
}

/// The file with a checksum that fits: what an attacker would write.
fn resummed(file: &[u8]) -> Vec<u8> {
    let body = &file[..file.len() - 32];
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    [body, sum.as_ref()].concat()
}

#[test]
fn header_names_no_unbearable_cost() {
    let (_, file) = create(&passphrase("correct horse battery"), 7).unwrap();
    for (at, value) in [(6, 0xff_u8), (10, 0xff), (14, 0xff), (7, 0)] {
        let mut changed = file.clone();
        changed[at] = value;
        let refusal = unseal(&resummed(&changed), &passphrase("correct horse battery"));
        assert_eq!(
            refusal.unwrap_err(),
            RootError::Corrupted("its header"),
            "byte {at}"
        );
    }
}

#[test]
fn later_version_is_named() {
    let (_, mut file) = create(&key(1), 7).unwrap();
    file[4] = 2;
    assert_eq!(
        unseal(&resummed(&file), &key(1)).unwrap_err(),
        RootError::Version(2)
    );
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
