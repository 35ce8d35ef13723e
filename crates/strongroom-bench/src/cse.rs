// SPDX-License-Identifier: Apache-2.0
//! Client-side encryption without a network: a stream, parts in parallel, and the cryptographic
//! module's one call over the same bytes.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use strongroom_client::AesKey;
use strongroom_client::content::{
    ContentKey, Decryptor, Encryptor, MessageId, PartDigest, combine,
};

use crate::Outcome;
use crate::erasure::{bytes, gigabytes_per_second};
use crate::report::Ratio;

/// Gigabytes of plaintext a second.
pub(crate) fn rows() -> Outcome<Vec<Ratio>> {
    let plain = bytes(&mut 5, OBJECT_BYTES);
    let (key, _) = ContentKey::v3(&AesKey::generate()?, MessageId::generate()?)?;
    let mut stored = Vec::with_capacity(OBJECT_BYTES + 16);
    let digest = encrypt(&key, &plain, 0, &mut stored)?;
    stored.extend_from_slice(&combine(&key, &[digest])?);

    let mut rows = Vec::new();
    let mut row = |what: &str, value, target| {
        rows.push(Ratio {
            what: format!("client-side encryption: {what}"),
            value,
            target,
            at_least: true,
        });
    };
    let mut one_call = one_call(&plain)?;
    let one_call = gigabytes_per_second(OBJECT_BYTES, || one_call.run());
    row("AES-GCM in one call, GB/s of a core", one_call, None);
    let mut out = Vec::new();
    let encrypting = gigabytes_per_second(OBJECT_BYTES, || {
        let whole = stream_in(&key, &plain, &mut out);
        assert!(whole.is_ok(), "the module failed");
    });
    row("encrypt a stream, GB/s of a core", encrypting, Some(2.0));
    row("encrypt a stream / one call", encrypting / one_call, None);
    let decrypting = gigabytes_per_second(OBJECT_BYTES, || {
        let whole = stream_out(&key, &stored, &mut out);
        assert!(whole.is_ok(), "what was encrypted decrypts");
    });
    row("decrypt a stream, GB/s of a core", decrypting, Some(2.0));
    row("decrypt a stream / one call", decrypting / one_call, None);
    let by = |threads: usize| {
        gigabytes_per_second(OBJECT_BYTES, || {
            assert!(parts(&key, &plain, threads).is_ok(), "the module failed");
        })
    };
    let (alone, together) = (by(1), by(2));
    row("parts on two cores, GB/s", together, None);
    row("parts on two cores / on one", together / alone, Some(1.6));
    Ok(rows)
}

/// As an upload does it: a piece at a time, through one buffer.
fn stream_in(key: &ContentKey, plain: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    let mut encryptor = Encryptor::new(key)?;
    for piece in plain.chunks(PIECE_BYTES) {
        out.clear();
        encryptor.update(piece, out)?;
        black_box(&mut *out);
    }
    black_box(encryptor.finish()?);
    Ok(())
}

fn stream_out(key: &ContentKey, stored: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
    let mut decryptor = Decryptor::new(key, u64::try_from(stored.len())?)?;
    for piece in stored.chunks(PIECE_BYTES) {
        out.clear();
        decryptor.update_unverified(piece, out)?;
        black_box(&mut *out);
    }
    Ok(decryptor.finish()?)
}

/// Each thread its share of the parts.
fn parts(key: &ContentKey, plain: &[u8], threads: usize) -> Outcome<()> {
    let share = plain.len().div_ceil(threads);
    let digests: Vec<Outcome<PartDigest>> = std::thread::scope(|scope| {
        let workers: Vec<_> = plain
            .chunks(share)
            .enumerate()
            .map(|(index, part)| {
                scope.spawn(move || {
                    let first = u64::try_from(index.saturating_mul(share))?;
                    encrypt(key, part, first, &mut Vec::new())
                })
            })
            .collect();
        let joined = |worker: std::thread::ScopedJoinHandle<'_, Outcome<PartDigest>>| {
            worker.join().map_err(|_| "a part failed")?
        };
        workers.into_iter().map(joined).collect()
    });
    let digests = digests.into_iter().collect::<Outcome<Vec<_>>>()?;
    black_box(combine(key, &digests)?);
    Ok(())
}

/// One part, into `out` if it has room for it, else through it.
fn encrypt(key: &ContentKey, part: &[u8], first: u64, out: &mut Vec<u8>) -> Outcome<PartDigest> {
    let is_kept = out.capacity() >= part.len();
    let mut encryptor = key.part_encryptor(first)?;
    for piece in part.chunks(PIECE_BYTES) {
        if !is_kept {
            out.clear();
        }
        encryptor.update(piece, out)?;
        black_box(&mut *out);
    }
    Ok(encryptor.finish())
}

struct OneCall {
    key: LessSafeKey,
    buffer: Vec<u8>,
}

fn one_call(plain: &[u8]) -> Outcome<OneCall> {
    let key = UnboundKey::new(&AES_256_GCM, &[1; 32]).map_err(|_| "no key")?;
    Ok(OneCall {
        key: LessSafeKey::new(key),
        buffer: plain.to_vec(),
    })
}

impl OneCall {
    fn run(&mut self) {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut self.buffer);
        assert!(tag.is_ok(), "the module failed");
    }
}

const OBJECT_BYTES: usize = 64 << 20;
const PIECE_BYTES: usize = 1 << 20;
