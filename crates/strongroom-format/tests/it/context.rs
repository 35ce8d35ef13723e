// SPDX-License-Identifier: Apache-2.0

use std::collections::{BTreeMap, BTreeSet};

use strongroom_format::{ContextError, EncryptionContext, sha384};

#[test]
fn canonical_form_is_sorted_by_bytes_and_length_prefixed() {
    let mut context = EncryptionContext::new();
    assert!(context.is_empty());
    assert_eq!(context.canonical_bytes(), b"");
    context.insert("b", "12").unwrap();
    context.insert("a\u{e9}", "").unwrap();
    context.insert("Z", "3").unwrap();
    assert_eq!(
        context.canonical_bytes(),
        b"\0\x01Z\0\x013\0\x03a\xc3\xa9\0\0\0\x01b\0\x0212"
    );
    assert_eq!(context.digest(), sha384(&context.canonical_bytes()));
    assert_eq!(
        (context.len(), context.get("b"), context.get("c")),
        (3, Some("12"), None)
    );
    assert_eq!(
        context.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["Z", "a\u{e9}", "b"]
    );
}

#[test]
fn a_name_given_twice_is_refused_and_changes_nothing() {
    let mut context = EncryptionContext::new();
    context.insert("a", "1").unwrap();
    let before = context.clone();
    assert_eq!(context.insert("a", "2"), Err(ContextError::Duplicate));
    assert_eq!(context, before);
}

#[test]
fn too_long_is_refused_and_changes_nothing() {
    let mut context = EncryptionContext::new();
    let long = "x".repeat(EncryptionContext::BYTES_MAX - 5);
    assert_eq!(
        context.insert("ab", long.clone()),
        Err(ContextError::TooLong)
    );
    assert!(context.is_empty());
    context.insert("a", long).unwrap();
    assert_eq!(
        context.canonical_bytes().len(),
        EncryptionContext::BYTES_MAX
    );
    let mut pairs = context.pairs().clone();
    assert_eq!(EncryptionContext::digest_of(&pairs), Ok(context.digest()));
    assert_eq!(context.insert("", ""), Err(ContextError::TooLong));
    pairs.insert(String::new(), String::new());
    let refused = EncryptionContext::digest_of(&pairs);
    assert_eq!(refused, Err(ContextError::TooLong));
}

#[test]
fn different_contexts_have_different_bytes() {
    let texts = ["", "a", "b", "aa", "ab", "\0", "\0\x01a"];
    let mut seen = BTreeSet::new();
    let mut contexts = 0;
    for name in texts {
        for value in texts {
            for second in texts.iter().filter(|second| **second > name) {
                let pairs = [(name, value), (second, value)];
                for count in 1..=2 {
                    let pairs = pairs[..count]
                        .iter()
                        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
                    let pairs: BTreeMap<String, String> = pairs.collect();
                    let context = EncryptionContext::try_from(pairs.clone()).unwrap();
                    assert_eq!(context.pairs(), &pairs);
                    assert_eq!(EncryptionContext::digest_of(&pairs), Ok(context.digest()));
                    if seen.insert((pairs, context.canonical_bytes())) {
                        contexts += 1;
                    }
                }
            }
        }
    }
    let distinct: BTreeSet<_> = seen.iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(distinct.len(), contexts);
}
