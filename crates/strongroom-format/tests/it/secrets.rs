// SPDX-License-Identifier: Apache-2.0
//! A key type shows nothing of its bytes.

use strongroom_format::{
    BodyContext, CompletionKey, DualOpener, DualSealer, ExternalKey, KeyMaterial, ObjectDataId,
    ObjectKey, Opener, OuterObjectKey, OuterOpener, OuterPayloadKey, OuterSumsKey, PartUid,
    PayloadKey, Sealer, SumsKey,
};

#[test]
fn debug_shows_the_type_only() {
    let bytes = [0xab; 32];
    let texts = [
        format!("{:?}", ExternalKey::from_bytes(bytes)),
        format!("{:?}", ObjectKey::generate(bytes)),
        format!("{:?}", PayloadKey::from_bytes(bytes)),
        format!("{:?}", SumsKey::from_bytes(bytes)),
        format!("{:?}", OuterObjectKey::generate(bytes)),
        format!("{:?}", OuterPayloadKey::from_bytes(bytes)),
        format!("{:?}", OuterSumsKey::from_bytes(bytes)),
        format!("{:#?}", KeyMaterial::from_bytes(bytes)),
        format!(
            "{:?}",
            ObjectKey::generate(bytes).prk(&ObjectDataId([1; 16]))
        ),
    ];
    let names = [
        "ExternalKey",
        "ObjectKey",
        "PayloadKey",
        "SumsKey",
        "OuterObjectKey",
        "OuterPayloadKey",
        "OuterSumsKey",
        "KeyMaterial",
        "ObjectPrk",
    ];
    for (text, name) in texts.iter().zip(names) {
        assert_eq!(text, &format!("{name}(..)"));
    }
    let ctx = BodyContext {
        odi: ObjectDataId([1; 16]),
        part_no: 0,
        part_uid: PartUid([2; 16]),
    };
    let key = PayloadKey::from_bytes(bytes);
    let sealer = Sealer::new(&key, &ctx, [3; 32]);
    let opener = Opener::new(&key, &ctx, sealer.header(), 0).unwrap();
    assert_eq!(format!("{sealer:?} {opener:?}"), "Sealer(..) Opener(..)");
    let outer = OuterPayloadKey::from_bytes(bytes);
    let sealer = DualSealer::new(&key, &outer, &ctx, [[3; 32], [4; 32]]);
    let half = OuterOpener::new(&outer, &ctx, sealer.outer_header(), 0).unwrap();
    assert_eq!(
        format!("{sealer:?} {half:?}"),
        "DualSealer(..) OuterOpener(..)"
    );
    let both = DualOpener::new(half, opener);
    assert_eq!(format!("{both:?}"), "DualOpener(..)");
}

#[test]
fn states_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Sealer>();
    shared::<Opener>();
    shared::<DualSealer>();
    shared::<DualOpener>();
    shared::<ExternalKey>();
    shared::<KeyMaterial>();
}

#[test]
fn keys_of_places_are_all_different() {
    let oek = ObjectKey::from_bytes([5; 32]);
    let odi = |byte| ObjectDataId([byte; 16]);
    let uid = |byte| PartUid([byte; 16]);
    let outer = OuterObjectKey::from_bytes([5; 32]);
    let as_one = |bytes: &[u8; 32]| PayloadKey::from_bytes(*bytes);
    let keys = [
        oek.payload_key(&odi(1), 0, &uid(1)),
        oek.payload_key(&odi(2), 0, &uid(1)),
        oek.payload_key(&odi(1), 1, &uid(1)),
        oek.payload_key(&odi(1), 256, &uid(1)),
        oek.payload_key(&odi(1), 0, &uid(2)),
        as_one(oek.sums_key(&odi(1)).expose_secret()),
        as_one(oek.sums_key(&odi(2)).expose_secret()),
        as_one(outer.payload_key(&odi(1), 0, &uid(1)).expose_secret()),
        as_one(outer.payload_key(&odi(1), 1, &uid(1)).expose_secret()),
        as_one(outer.payload_key(&odi(2), 0, &uid(1)).expose_secret()),
        as_one(outer.sums_key(&odi(1)).expose_secret()),
        as_one(outer.sums_key(&odi(2)).expose_secret()),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(
            keys[at + 1..]
                .iter()
                .all(|other| other.expose_secret() != key.expose_secret())
        );
    }
}

/// Compiles only if the type does not implement the trait: otherwise the `_` has two answers.
macro_rules! assert_not_implemented {
    ($($kind:ty),+ => $bound:path) => {$(
        const _: fn() = || {
            trait Answer<A> {
                fn answer() {}
            }
            struct Implemented;
            impl<T> Answer<()> for T {}
            impl<T: $bound> Answer<Implemented> for T {}
            let _ = <$kind as Answer<_>>::answer;
        };
    )+};
}

macro_rules! assert_closed {
    ($($bound:path),+ $(,)?) => {$(
        assert_not_implemented!(
            ExternalKey, ObjectKey, PayloadKey, SumsKey, CompletionKey, KeyMaterial,
            OuterObjectKey, OuterPayloadKey, OuterSumsKey => $bound
        );
    )+};
}

assert_closed!(
    Clone,
    PartialEq,
    PartialOrd,
    std::hash::Hash,
    std::fmt::Display,
    std::fmt::LowerHex,
    AsRef<[u8]>,
    std::ops::Deref,
    std::borrow::Borrow<[u8]>,
    Into<Vec<u8>>,
    serde::Serialize,
);
