// SPDX-License-Identifier: Apache-2.0
//! The published known answers, and every way to damage a message, at parameters small enough to
//! try each bit.
#![allow(
    clippy::as_conversions,
    clippy::similar_names,
    reason = "indices of small test data; opener and opened are the words"
)]

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::Value;

use super::*;
use crate::body::{BodyContext, FloeHeader, Layer};
use crate::dual::{DualOpener, OUTER_PARAMS, OuterOpener};
use crate::kdf;
use crate::key::{ObjectDataId, OuterPayloadKey, PartUid, PayloadKey};
use crate::open::{BODY_PARAMS, Opener};
use crate::primitives::{AwsLc, RustCrypto};

const KATS: &str = include_str!("../../../../vectors/floe/floe-kats.json");
const BODIES: &str = include_str!("../../../../vectors/body.json");
const DUAL: &str = include_str!("../../../../vectors/dual.json");
const KEY: [u8; 32] = [7; 32];
const IV: [u8; IV_BYTES] = [9; IV_BYTES];

/// Runs each test with both implementations.
macro_rules! by_both {
    ($($name:ident),+ $(,)?) => {
        mod aws_lc {
            $(#[test] fn $name() { super::$name::<super::AwsLc>(); })+
        }
        mod rust_crypto {
            $(#[test] fn $name() { super::$name::<super::RustCrypto>(); })+
        }
    };
}

by_both!(
    known_answers_open,
    known_answers_open_backwards_and_survive_resealing,
    every_bit_of_header_and_segments_counts,
    damaged_order_and_length_are_refused,
    other_message_other_key_and_other_aad_are_refused,
    wrong_flag_or_index_is_refused_for_every_pair,
    impossible_lengths_are_refused_before_anything_is_touched,
    large_bodies_equal_those_of_the_script,
    what_one_implementation_seals_the_other_opens,
);

/// Seals with a nonce that is given, which the product cannot.
trait FixedNonce: Primitives {
    type Other: FixedNonce;

    fn seal_with(key: &[u8; 32], nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8>;
}

impl FixedNonce for AwsLc {
    type Other = RustCrypto;

    fn seal_with(key: &[u8; 32], nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        let mut text = plain.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut text)
            .unwrap();
        text
    }
}

impl FixedNonce for RustCrypto {
    type Other = AwsLc;

    fn seal_with(key: &[u8; 32], nonce: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: &[u8; 12] = nonce.try_into().unwrap();
        let mut text = plain.to_vec();
        let tag = Aes256Gcm::new(key.into())
            .encrypt_inout_detached(nonce.into(), aad, text.as_mut_slice().into())
            .unwrap();
        text.extend(tag);
        text
    }
}

fn what_one_implementation_seals_the_other_opens<P: FixedNonce>() {
    let params = Params {
        enc_seg_len: 300,
        rotation_bits: 1,
    };
    let sealing = SealingMessage::<P>::start(&KEY, params, &IV, b"aad");
    let opening =
        OpeningMessage::<P::Other>::resume(&KEY, params, sealing.header(), b"aad").unwrap();
    for index in 0..5 {
        for len in [32, 33, 48, 49, 300] {
            let is_final = len < 300;
            let mut buf = vec![0xa5; len];
            sealing.seal(index, is_final, &mut buf).unwrap();
            let plain = opening.open(index, is_final, &mut buf).unwrap();
            assert!(plain.iter().all(|byte| *byte == 0xa5) && plain.len() == len - 32);
        }
    }
}

struct Kat {
    id: String,
    key: [u8; 32],
    aad: Vec<u8>,
    params: Params,
    plaintext: Vec<u8>,
    header: [u8; HEADER_BYTES],
    segments: Vec<Vec<u8>>,
}

fn hex_of(v: &Value, name: &str) -> Vec<u8> {
    hex::decode(v[name].as_str().unwrap()).unwrap()
}

fn number(v: &Value, name: &str) -> u32 {
    u32::try_from(v[name].as_u64().unwrap()).unwrap()
}

fn kats() -> Vec<Kat> {
    let file: Value = serde_json::from_str(KATS).unwrap();
    let read = |v: &Value| {
        let params = Params {
            enc_seg_len: number(v, "enc_seg_len"),
            rotation_bits: number(v, "rotation_bits"),
        };
        let sealed = hex_of(v, "ciphertext");
        let (header, mut rest) = sealed.split_first_chunk::<HEADER_BYTES>().unwrap();
        let mut segments = Vec::new();
        while !rest.is_empty() {
            let whole = usize::try_from(params.enc_seg_len).unwrap().min(rest.len());
            let marker = u32::from_be_bytes(rest[..4].try_into().unwrap());
            let len = if marker == u32::MAX {
                whole
            } else {
                usize::try_from(marker).unwrap()
            };
            segments.push(rest[..len].to_vec());
            rest = &rest[len..];
        }
        Kat {
            id: v["id"].as_str().unwrap().to_owned(),
            key: hex_of(v, "key").try_into().unwrap(),
            aad: hex_of(v, "aad"),
            params,
            plaintext: hex_of(v, "plaintext"),
            header: *header,
            segments,
        }
    };
    file["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(read)
        .collect()
}

fn open_all<P: Primitives>(
    kat: &Kat,
    header: &[u8; HEADER_BYTES],
    segments: &[Vec<u8>],
) -> Option<Vec<u8>> {
    let message = OpeningMessage::<P>::resume(&kat.key, kat.params, header, &kat.aad).ok()?;
    let mut plain = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let mut buf = segment.clone();
        let is_final = index + 1 == segments.len();
        plain.extend_from_slice(message.open(index as u64, is_final, &mut buf).ok()?);
    }
    Some(plain)
}

fn known_answers_open<P: FixedNonce>() {
    let kats = kats();
    assert_eq!(kats.len(), 17);
    for kat in &kats {
        let opened = open_all::<P>(kat, &kat.header, &kat.segments);
        assert_eq!(opened.as_ref(), Some(&kat.plaintext), "{}", kat.id);
    }
}

fn known_answers_open_backwards_and_survive_resealing<P: FixedNonce>() {
    for kat in kats() {
        let iv = kat.header[10..42].try_into().unwrap();
        let sealing = SealingMessage::<P>::start(&kat.key, kat.params, &iv, &kat.aad);
        assert_eq!(sealing.header(), &kat.header, "{}", kat.id);
        let opening =
            OpeningMessage::<P>::resume(&kat.key, kat.params, &kat.header, &kat.aad).unwrap();
        let last = kat.segments.len() - 1;
        for (index, segment) in kat.segments.iter().enumerate().rev() {
            let (position, is_final) = (index as u64, index == last);
            let mut buf = segment.clone();
            let plain = opening.open(position, is_final, &mut buf).unwrap().to_vec();
            let mut buf = vec![0; segment.len()];
            buf[16..16 + plain.len()].copy_from_slice(&plain);
            sealing.seal(position, is_final, &mut buf).unwrap();
            assert_ne!(&buf, segment, "nonces are fresh");
            assert_eq!(opening.open(position, is_final, &mut buf).unwrap(), plain);
        }
    }
}

fn every_bit_of_header_and_segments_counts<P: FixedNonce>() {
    for kat in kats().iter().filter(|kat| kat.params.enc_seg_len <= 64) {
        for bit in 0..HEADER_BYTES * 8 {
            let mut header = kat.header;
            header[bit / 8] ^= 1 << (bit % 8);
            let resumed = OpeningMessage::<P>::resume(&kat.key, kat.params, &header, &kat.aad);
            assert!(resumed.is_err(), "{} header bit {bit}", kat.id);
        }
        let message =
            OpeningMessage::<P>::resume(&kat.key, kat.params, &kat.header, &kat.aad).unwrap();
        for (index, segment) in kat.segments.iter().enumerate() {
            for bit in 0..segment.len() * 8 {
                let mut buf = segment.clone();
                buf[bit / 8] ^= 1 << (bit % 8);
                let is_final = index + 1 == kat.segments.len();
                let opened = message.open(index as u64, is_final, &mut buf).is_ok();
                assert!(!opened, "{} segment {index} bit {bit}", kat.id);
                assert!(
                    buf.iter().all(|byte| *byte == 0),
                    "nothing is left in the buffer"
                );
            }
        }
    }
}

fn damaged_order_and_length_are_refused<P: FixedNonce>() {
    for kat in kats() {
        let last = kat.segments.len() - 1;
        let damaged = |name: &str, change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut segments = kat.segments.clone();
            change(&mut segments);
            assert_eq!(
                open_all::<P>(&kat, &kat.header, &segments),
                None,
                "{} {name}",
                kat.id
            );
        };
        damaged("last segment dropped", &|s| {
            s.pop();
        });
        damaged("first segment dropped", &|s| {
            s.remove(0);
        });
        damaged("last segment repeated", &|s| s.push(s[last].clone()));
        damaged("first segment repeated", &|s| s.insert(0, s[0].clone()));
        damaged("first and last exchanged", &|s| s.swap(0, last));
        damaged("last segment cut", &|s| {
            s[last].pop();
        });
        damaged("last segment longer", &|s| s[last].push(0));
        damaged("first segment cut", &|s| {
            s[0].pop();
        });
        damaged("last marked as not final", &|s| s[last][..4].fill(0xff));
        damaged("first marked as final", &|s| {
            let len = u32::try_from(s[0].len()).unwrap();
            s[0][..4].copy_from_slice(&len.to_be_bytes());
        });
        damaged("marker of last one more", &|s| s[last][3] ^= 1);
        if last > 1 {
            damaged("neighbours exchanged", &|s| s.swap(0, 1));
        }
    }
}

fn other_message_other_key_and_other_aad_are_refused<P: FixedNonce>() {
    let kats: Vec<_> = kats()
        .into_iter()
        .filter(|kat| kat.params.enc_seg_len == 40)
        .collect();
    for (kat, other) in kats.iter().zip(kats.iter().skip(1)) {
        assert_eq!(open_all::<P>(kat, &other.header, &kat.segments), None);
        let mut spliced = kat.segments.clone();
        spliced[0].clone_from(&other.segments[0]);
        assert_eq!(open_all::<P>(kat, &kat.header, &spliced), None);
        let resume = |key: &[u8; 32], params, aad: &[u8]| {
            OpeningMessage::<P>::resume(key, params, &kat.header, aad).is_ok()
        };
        assert!(resume(&kat.key, kat.params, &kat.aad));
        assert!(!resume(&[1; 32], kat.params, &kat.aad));
        assert!(!resume(&kat.key, kat.params, b""));
        assert!(!resume(&kat.key, BODY_PARAMS, &kat.aad));
    }
}

fn wrong_flag_or_index_is_refused_for_every_pair<P: FixedNonce>() {
    let params = Params {
        enc_seg_len: 48,
        rotation_bits: 1,
    };
    let sealing = SealingMessage::<P>::start(&KEY, params, &IV, b"");
    let opening = OpeningMessage::<P>::resume(&KEY, params, sealing.header(), b"").unwrap();
    for index in 0..6_u64 {
        for is_final in [false, true] {
            let mut sealed = [5; 48];
            sealing.seal(index, is_final, &mut sealed).unwrap();
            for at in 0..6_u64 {
                for as_final in [false, true] {
                    let opened = opening.open(at, as_final, &mut sealed.clone()).is_ok();
                    assert_eq!(opened, (at, as_final) == (index, is_final));
                }
            }
        }
    }
}

fn impossible_lengths_are_refused_before_anything_is_touched<P: FixedNonce>() {
    let params = Params {
        enc_seg_len: 48,
        rotation_bits: 20,
    };
    let sealing = SealingMessage::<P>::start(&KEY, params, &IV, b"");
    let opening = OpeningMessage::<P>::resume(&KEY, params, sealing.header(), b"").unwrap();
    for len in 0..=100 {
        let mut buf = vec![5; len];
        let is_whole = len == 48;
        assert_eq!(sealing.seal(0, false, &mut buf).is_ok(), is_whole);
        if !is_whole {
            assert!(buf.iter().all(|byte| *byte == 5));
        }
        let mut buf = vec![5; len];
        assert_eq!(
            sealing.seal(0, true, &mut buf).is_ok(),
            (32..=48).contains(&len)
        );
        assert!(opening.open(0, false, &mut vec![0xff; len]).is_err());
        assert!(opening.open(0, true, &mut vec![0; len]).is_err());
    }
}

#[test]
fn rotation_is_total_for_every_width() {
    for (bits, index, epoch) in [
        (0, 5, 5),
        (1, 5, 4),
        (20, (1 << 20) - 1, 0),
        (20, 1 << 20, 1 << 20),
        (63, u64::MAX, 1 << 63),
        (64, u64::MAX, 0),
        (u32::MAX, u64::MAX, 0),
    ] {
        let params = Params {
            enc_seg_len: 48,
            rotation_bits: bits,
        };
        assert_eq!(params.epoch(index), epoch, "{bits} bits");
    }
}

/// Bodies with whole segments, sealed by the script and here with the same nonces, which the
/// product cannot choose.
fn large_bodies_equal_those_of_the_script<P: FixedNonce>() {
    let file: Value = serde_json::from_str(BODIES).unwrap();
    for v in file["large_bodies"].as_array().unwrap() {
        let ctx = BodyContext {
            odi: ObjectDataId(hex_of(v, "odi").try_into().unwrap()),
            part_no: 0,
            part_uid: PartUid(hex_of(v, "part_uid").try_into().unwrap()),
        };
        let key: [u8; 32] = hex_of(v, "pk").try_into().unwrap();
        let iv = hex_of(v, "iv").try_into().unwrap();
        let message = SealingMessage::<P>::start(&key, BODY_PARAMS, &iv, &ctx.aad(Layer::Inner));
        assert_eq!(message.header().to_vec(), hex_of(v, "header"));

        let size = v["plain_size"].as_u64().unwrap();
        let plain: Vec<u8> = (0..size)
            .map(|j| ((j * 31 + (j >> 16)) % 251) as u8)
            .collect();
        let nonces = v["nonces"].as_array().unwrap();
        let mut sealed = Vec::new();
        for (index, (text, nonce)) in plain.chunks(65_536).zip(nonces).enumerate() {
            let nonce = hex::decode(nonce.as_str().unwrap()).unwrap();
            let is_final = index + 1 == nonces.len();
            sealed.extend(seal_with_nonce(
                &message,
                index as u64,
                is_final,
                &nonce,
                text,
            ));
        }
        assert_eq!(Some(sealed.len() as u64), crate::range::sealed_bytes(size));
        assert_eq!(kdf::sha384(&sealed).to_vec(), hex_of(v, "sealed_sha384"));

        let header = FloeHeader::from_bytes(*message.header());
        let opener = Opener::new(&PayloadKey::from_bytes(key), &ctx, &header, size).unwrap();
        let mut opened = Vec::new();
        for (index, segment) in sealed.chunks_mut(65_568).enumerate() {
            opened.extend_from_slice(opener.open_in_place(index as u64, segment).unwrap());
        }
        assert_eq!(opened, plain);
    }
}

fn seal_with_nonce<P: FixedNonce>(
    message: &SealingMessage<P>,
    index: u64,
    is_final: bool,
    nonce: &[u8],
    plain: &[u8],
) -> Vec<u8> {
    let epoch = message.derived.params.epoch(index);
    let key = message.derived.segment_key::<P>(epoch);
    let text = P::seal_with(&key, nonce, &segment_aad(index, is_final), plain);
    let marker = final_marker(is_final, text.len() + 16).unwrap();
    [marker.as_slice(), nonce, &text].concat()
}

#[test]
fn large_bodies_under_two_layers_equal_those_of_the_script() {
    let file: Value = serde_json::from_str(DUAL).unwrap();
    for v in file["large_bodies"].as_array().unwrap() {
        let ctx = BodyContext {
            odi: ObjectDataId(hex_of(v, "odi").try_into().unwrap()),
            part_no: 0,
            part_uid: PartUid(hex_of(v, "part_uid").try_into().unwrap()),
        };
        let array = |name| <[u8; 32]>::try_from(hex_of(v, name)).unwrap();
        let (key, outer_key) = (array("pk"), array("outer_pk"));
        let (iv, outer_iv) = (array("iv"), array("outer_iv"));
        let inner = SealingMessage::<AwsLc>::start(&key, BODY_PARAMS, &iv, &ctx.aad(Layer::Inner));
        let aad = ctx.aad(Layer::Outer);
        let outer = SealingMessage::<RustCrypto>::start(&outer_key, OUTER_PARAMS, &outer_iv, &aad);
        assert_eq!(inner.header().to_vec(), hex_of(v, "header"));
        assert_eq!(outer.header().to_vec(), hex_of(v, "outer_header"));

        let size = v["plain_size"].as_u64().unwrap();
        let plain: Vec<u8> = (0..size)
            .map(|j| ((j * 31 + (j >> 16)) % 251) as u8)
            .collect();
        let nonces = |name: &str| -> Vec<Vec<u8>> {
            let nonces = v[name].as_array().unwrap().iter();
            nonces
                .map(|nonce| hex::decode(nonce.as_str().unwrap()).unwrap())
                .collect()
        };
        let (inner_nonces, outer_nonces) = (nonces("nonces"), nonces("outer_nonces"));
        let mut sealed = Vec::new();
        for (index, text) in plain.chunks(65_536).enumerate() {
            let is_final = index + 1 == inner_nonces.len();
            let at = index as u64;
            let once = seal_with_nonce(&inner, at, is_final, &inner_nonces[index], text);
            sealed.extend(seal_with_nonce(
                &outer,
                at,
                is_final,
                &outer_nonces[index],
                &once,
            ));
        }
        assert_eq!(
            Some(sealed.len() as u64),
            crate::range::dual_sealed_bytes(size)
        );
        assert_eq!(kdf::sha384(&sealed).to_vec(), hex_of(v, "sealed_sha384"));

        let header = FloeHeader::from_bytes(*inner.header());
        let outer_header = FloeHeader::from_bytes(*outer.header());
        let outer_key = OuterPayloadKey::from_bytes(outer_key);
        let opener = DualOpener::new(
            OuterOpener::new(&outer_key, &ctx, &outer_header, size).unwrap(),
            Opener::new(&PayloadKey::from_bytes(key), &ctx, &header, size).unwrap(),
        );
        let mut opened = Vec::new();
        for (index, segment) in sealed.chunks_mut(65_600).enumerate() {
            opened.extend_from_slice(opener.open_in_place(index as u64, segment).unwrap());
        }
        assert_eq!(opened, plain);
    }
}

/// HKDF of the second implementation is that of the first, for every length of output in use and
/// around the blocks of the hash.
#[test]
fn both_derive_the_same_keys() {
    fn both<const N: usize>(salt: &[u8], info: &[&[u8]]) {
        let a: Zeroizing<[u8; N]> = AwsLc::expand(&AwsLc::extract(salt, b"secret"), info);
        let b = RustCrypto::expand::<N>(&RustCrypto::extract(salt, b"secret"), info);
        assert_eq!(a.as_slice(), b.as_slice());
        // What is extracted once, and what the module extracts while it expands.
        let kept = kdf::extract_for_many(salt, b"secret").expand::<N>(info);
        let at_once = kdf::expand::<N>(&kdf::extract(salt, b"secret"), info);
        assert_eq!(kept.as_slice(), at_once.as_slice());
        assert_eq!(a.as_slice(), at_once.as_slice());
        let a: Zeroizing<[u8; N]> = AwsLc::expand(&AwsLc::prk(&[7; 32]), info);
        let b = RustCrypto::expand::<N>(&RustCrypto::prk(&[7; 32]), info);
        assert_eq!(a.as_slice(), b.as_slice());
    }
    // Salts shorter than, as long as, and longer than a block of SHA-384.
    for salt in [[1; 32].as_slice(), &[2; 128], &[3; 129]] {
        for info in [[].as_slice(), &[b"a".as_slice(), b"", b"bc"], &[&[4; 300]]] {
            both::<1>(salt, info);
            both::<32>(salt, info);
            both::<47>(salt, info);
            both::<48>(salt, info);
            both::<49>(salt, info);
            both::<96>(salt, info);
            both::<97>(salt, info);
            both::<12_240>(salt, info);
        }
    }
}

/// RFC 5869 has no vectors for SHA-384; these are of RFC 4231 for HMAC, which is all of Extract.
#[test]
fn extract_of_the_second_implementation_is_hmac() {
    let prk = RustCrypto::extract(&[0x0b; 20], b"Hi There");
    let expected = hex::decode(
        "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c\
         faea9ea9076ede7f4af152e8b2fa9cb6",
    )
    .unwrap();
    let keyed = RustCrypto::prk::<48>(&expected.try_into().unwrap());
    let (a, b) = (
        RustCrypto::expand::<48>(&prk, &[b"x"]),
        RustCrypto::expand::<48>(&keyed, &[b"x"]),
    );
    assert_eq!(a.as_slice(), b.as_slice());
}

#[test]
fn comparison_is_total() {
    for (a, b, same) in [
        (b"".as_slice(), b"".as_slice(), true),
        (b"a", b"a", true),
        (b"a", b"b", false),
        (b"a", b"ab", false),
        (b"", b"a", false),
    ] {
        assert_eq!(AwsLc::are_equal(a, b), same);
        assert_eq!(RustCrypto::are_equal(a, b), same);
    }
}
