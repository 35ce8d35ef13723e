// SPDX-License-Identifier: Apache-2.0
//! Shares of a recovery key: split, typed, mistyped, and put together again.

use strongroom_kms::root::{
    KeyringFile, OpenKeyringFile, RecoveryInfo, RootError, RootKey, RootSecret, Share, SplitPlan,
    WrapKind, recover, unseal,
};

fn key(byte: u8) -> RootSecret {
    RootSecret::Key(RootKey::from_bytes(&[byte; 32]).unwrap())
}

fn plan(threshold: u8, shares: u8) -> SplitPlan {
    SplitPlan::new(threshold, shares).unwrap()
}

/// A keyring file with a recovery key, its shares as they are printed, and a private file.
fn escrowed(plan: SplitPlan) -> (Vec<u8>, Vec<String>, Vec<u8>) {
    let mut open = OpenKeyringFile::create(&key(1), 7).unwrap();
    let shares = open.escrow(&key(1), plan, 8).unwrap();
    let sealed = open.keyring().unwrap().seal_private("x", b"y").unwrap();
    let shares = shares.iter().map(|s| s.expose_secret().to_string());
    (open.seal().unwrap(), shares.collect(), sealed)
}

fn try_recover(file: &[u8], shares: &[&str]) -> Result<OpenKeyringFile, RootError> {
    let shares: Result<Vec<Share>, _> = shares.iter().map(|text| text.parse()).collect();
    recover(&KeyringFile::parse(file).unwrap(), &shares?)
}

#[test]
fn any_two_of_three_restore_and_the_root_key_still_opens() {
    let (file, shares, sealed) = escrowed(plan(2, 3));
    assert_eq!(shares.len(), 3);
    for (a, b) in [(0, 1), (0, 2), (1, 2), (2, 0)] {
        let open = try_recover(&file, &[&shares[a], &shares[b]]).unwrap();
        let keyring = open.keyring().unwrap();
        assert_eq!(*keyring.open_private("x", &sealed).unwrap(), b"y");
    }
    assert!(try_recover(&file, &[&shares[0], &shares[1], &shares[2]]).is_ok());
    assert!(unseal(&file, &key(1)).is_ok());
    let parsed = KeyringFile::parse(&file).unwrap();
    assert_eq!(parsed.provider(), WrapKind::KeyFile);
    let info = RecoveryInfo::parse(parsed.wraps()[1].parameters()).unwrap();
    assert_eq!((info.threshold(), info.shares()), (2, 3));
}

#[test]
fn other_plans() {
    for (threshold, shares) in [(2, 2), (3, 5), (5, 5), (4, 16)] {
        let (file, texts, _) = escrowed(plan(threshold, shares));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let k = usize::from(threshold);
        assert!(try_recover(&file, &texts[texts.len() - k..]).is_ok());
        assert_eq!(
            try_recover(&file, &texts[..k - 1]).unwrap_err(),
            RootError::TooFewShares {
                have: k - 1,
                needed: k
            }
        );
    }
    for (threshold, shares) in [(0, 0), (1, 1), (1, 3), (3, 2), (2, 17), (0, 5)] {
        assert_eq!(SplitPlan::new(threshold, shares), Err(RootError::Plan));
    }
}

#[test]
fn shares_are_read_as_people_type_them() {
    let (file, shares, _) = escrowed(plan(2, 3));
    let typed = shares[0].to_lowercase().replace('0', "o").replace('1', "l");
    let typed = format!("  {}\n", typed.replace("srshare-", "SRshare-"));
    let spaced = shares[1].replace('-', " ").replacen(' ', "-", 1);
    assert!(try_recover(&file, &[&typed, &spaced]).is_ok());
}

#[test]
fn sec_wrong_shares_are_refused() {
    let (file, shares, _) = escrowed(plan(2, 3));
    let (_, others, _) = escrowed(plan(2, 3));
    let set = shares[0].parse::<Share>().unwrap().set();
    assert_eq!(
        try_recover(&file, &[&shares[0], &others[1]]).unwrap_err(),
        RootError::ShareOfAnotherSet { number: 2, set }
    );
    assert!(try_recover(&file, &[&others[0], &others[1]]).is_err());
    assert_eq!(
        try_recover(&file, &[&shares[2], &shares[2]]).unwrap_err(),
        RootError::ShareTwice(3)
    );
    assert_eq!(
        try_recover(&file, &[&shares[0]]).unwrap_err(),
        RootError::TooFewShares { have: 1, needed: 2 }
    );
    assert!(try_recover(&file, &[]).is_err());
    let plain = OpenKeyringFile::create(&key(1), 7).unwrap().seal().unwrap();
    assert_eq!(
        try_recover(&plain, &[&shares[0], &shares[1]]).unwrap_err(),
        RootError::NoRecovery
    );
}

#[test]
fn sec_every_mistyped_character_is_noticed() {
    let (_, shares, _) = escrowed(plan(2, 3));
    let share = &shares[0];
    for at in 0..share.len() {
        for other in ['0', '7', 'Z', 'U', '*', 'g'] {
            let mut typed: Vec<char> = share.chars().collect();
            if typed[at] == other || typed[at].to_ascii_lowercase() == other {
                continue;
            }
            typed[at] = other;
            let typed: String = typed.into_iter().collect();
            assert!(
                matches!(typed.parse::<Share>(), Err(RootError::Share(_))),
                "{at} {other}"
            );
        }
        let mut shorter = share.clone();
        let removed = shorter.remove(at);
        if removed != '-' {
            assert!(shorter.parse::<Share>().is_err(), "without {at}");
        }
    }
    assert!(format!("{share}0").parse::<Share>().is_err());
    assert!(format!("{share}-{share}").parse::<Share>().is_err());
    for nothing in ["", "SRSHARE-", "-", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"] {
        assert!(nothing.parse::<Share>().is_err());
    }
}

#[test]
fn sec_forged_value_does_not_open() {
    // A share with a right checksum whose value was changed: what a dishonest holder would give.
    let (file, shares, _) = escrowed(plan(2, 3));
    let forged = forge(&shares[0], 20 * 8);
    assert_eq!(
        try_recover(&file, &[&forged, &shares[1]]).unwrap_err(),
        RootError::WrongSecret(WrapKind::Recovery)
    );
}

#[test]
fn sec_share_beyond_the_last_of_its_set_is_refused() {
    let (file, shares, _) = escrowed(plan(2, 3));
    // Number 1 becomes 5 and 9: shares that were never made.
    for (bit, number) in [(10 * 8 + 5, 5), (10 * 8 + 4, 9)] {
        let forged = forge(&shares[0], bit);
        let refused = try_recover(&file, &[&forged, &shares[1]]).unwrap_err();
        assert!(
            matches!(refused, RootError::ShareOfAnotherSet { number: told, .. } if told == number),
            "{refused:?}"
        );
    }
}

/// Changes a bit and makes the checksum fit.
fn forge(share: &str, bit: usize) -> String {
    const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digits = share.strip_prefix("SRSHARE-").unwrap().replace('-', "");
    let mut bits: Vec<u8> = digits
        .chars()
        .flat_map(|c| {
            let value = ALPHABET.find(c).unwrap();
            (0..5).rev().map(move |bit| u8::from(value >> bit & 1 == 1))
        })
        .collect();
    bits[bit] ^= 1;
    let bytes: Vec<u8> = bits[..43 * 8]
        .chunks(8)
        .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit))
        .collect();
    let labelled = [b"strongroom/1/share\0".as_slice(), &bytes].concat();
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &labelled);
    let mut bits: Vec<u8> = [&bytes, &sum.as_ref()[..4]]
        .concat()
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    bits.resize(76 * 5, 0);
    let text: String = bits
        .chunks(5)
        .map(|digit| {
            let value = digit
                .iter()
                .fold(0_usize, |all, bit| all << 1 | usize::from(*bit));
            ALPHABET.as_bytes()[value] as char
        })
        .collect();
    format!("SRSHARE-{text}")
}

#[test]
fn new_shares_replace_the_old_ones() {
    let mut open = OpenKeyringFile::create(&key(1), 7).unwrap();
    let old = open.escrow(&key(1), plan(2, 3), 8).unwrap();
    let old_file = open.seal().unwrap();
    let new = open.escrow(&key(1), plan(2, 3), 9).unwrap();
    let file = open.seal().unwrap();
    let parsed = KeyringFile::parse(&file).unwrap();
    assert!(recover(&parsed, &new[..2]).is_ok());
    assert!(matches!(
        recover(&parsed, &old[..2]).unwrap_err(),
        RootError::ShareOfAnotherSet { .. }
    ));
    assert!(recover(&KeyringFile::parse(&old_file).unwrap(), &old[1..]).is_ok());
    assert_eq!(parsed.wraps().len(), 2);
}

#[test]
fn recovery_outlives_a_change_of_providers() {
    let (file, shares, sealed) = escrowed(plan(2, 3));
    let mut open = KeyringFile::parse(&file).unwrap().open(&key(1)).unwrap();
    open.add_wrap(&key(2), 9).unwrap();
    // Shares are not made while two providers are there: which one would the operator mean?
    assert_eq!(
        open.escrow(&key(1), plan(2, 3), 9).unwrap_err(),
        RootError::RekeyUnderWay
    );
    open.keep_only(&key(2), 9).unwrap();
    let file = open.seal().unwrap();
    assert!(unseal(&file, &key(1)).is_err());
    assert!(unseal(&file, &key(2)).is_ok());
    let mut open = try_recover(&file, &[&shares[0], &shares[2]]).unwrap();
    open.keep_only(&key(3), 10).unwrap();
    let keyring = unseal(&open.seal().unwrap(), &key(3)).unwrap();
    assert_eq!(*keyring.open_private("x", &sealed).unwrap(), b"y");
}

#[test]
fn shares_do_not_print() {
    let (_, shares, _) = escrowed(plan(2, 3));
    let share: Share = shares[0].parse().unwrap();
    let shown = format!("{share:?}");
    assert_eq!(shown, format!("Share(1 of set {}, ..)", share.set()));
}
