// SPDX-License-Identifier: Apache-2.0
//! Decoding is the inverse of encoding, whatever the pieces in which the body arrives.

use proptest::prelude::*;
use strongroom_wire::chunked::{ChunkDecoder, ChunkError, ChunkMode, Event, encode_body};
use strongroom_wire::sigv4::PayloadMode;
use strongroom_wire::{ChunkSigner, sigv4};

use crate::request::Request;

pub(crate) const CHECKSUM: &str = "x-amz-checksum-crc32";
pub(crate) const MODES: [ChunkMode; 3] = [
    ChunkMode::Signed,
    ChunkMode::SignedTrailer,
    ChunkMode::UnsignedTrailer,
];

pub(crate) type Decoded = (Vec<u8>, Vec<(String, String)>);

/// The signer of a streaming PUT of this object, as both sides have it.
pub(crate) fn signer(mode: ChunkMode, object: &str) -> Option<ChunkSigner> {
    let payload = match mode {
        ChunkMode::Signed => PayloadMode::SignedChunks,
        ChunkMode::SignedTrailer => PayloadMode::SignedChunksTrailer,
        ChunkMode::UnsignedTrailer => return None,
    };
    let request = Request::new("PUT", &format!("/bucket/{object}"), "", &[("host", "h")]);
    request.with_input("s3", payload, |input| {
        sigv4::sign_request(input).unwrap().chunk_signer
    })
}

/// The one trailer, in the modes that have it.
pub(crate) fn trailers(mode: ChunkMode) -> Vec<(&'static str, &'static str)> {
    if mode.has_trailer() {
        vec![(CHECKSUM, "AAAAAA==")]
    } else {
        Vec::new()
    }
}

pub(crate) fn announcement(mode: ChunkMode) -> Option<&'static [u8]> {
    mode.has_trailer().then_some(CHECKSUM.as_bytes())
}

pub(crate) fn encode(mode: ChunkMode, data: &[u8], chunk_bytes: usize) -> Vec<u8> {
    encode_body(
        mode,
        signer(mode, "key"),
        data,
        chunk_bytes,
        &trailers(mode),
    )
    .unwrap()
}

pub(crate) fn decoder(mode: ChunkMode, decoded_length: usize) -> ChunkDecoder {
    let length = u64::try_from(decoded_length).unwrap();
    ChunkDecoder::new(mode, length, signer(mode, "key"), announcement(mode)).unwrap()
}

/// Feeds the pieces one after the other, then the end of the body.
pub(crate) fn decode<'a>(
    mut decoder: ChunkDecoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Decoded, ChunkError> {
    let mut data = Vec::new();
    let mut all_trailers = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() {
            let step = decoder.decode(rest)?;
            match step.event {
                Event::Data(range) => data.extend_from_slice(&rest[range]),
                Event::NeedMore => assert_eq!(step.consumed, rest.len()),
                Event::End { trailers } => all_trailers.extend(trailers),
            }
            rest = &rest[step.consumed..];
        }
    }
    decoder.finish()?;
    Ok((data, all_trailers))
}

fn expected(mode: ChunkMode, data: &[u8]) -> Decoded {
    let all_trailers = trailers(mode)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (data.to_vec(), all_trailers)
}

#[test]
fn every_single_split_point_decodes_alike() {
    let data = b"0123456789abcdef0123";
    for mode in MODES {
        let body = encode(mode, data, 8);
        for split in 0..=body.len() {
            let (first, second) = body.split_at(split);
            let decoded = decode(decoder(mode, data.len()), [first, second]);
            assert_eq!(
                decoded,
                Ok(expected(mode, data)),
                "{mode:?} split at {split}"
            );
        }
        let bytes = body.chunks(1);
        assert_eq!(
            decode(decoder(mode, data.len()), bytes),
            Ok(expected(mode, data))
        );
    }
}

#[test]
fn empty_bodies_decode() {
    for mode in MODES {
        let body = encode(mode, b"", 8);
        assert_eq!(
            decode(decoder(mode, 0), [body.as_slice()]),
            Ok(expected(mode, b""))
        );
    }
}

#[test]
fn trailer_lines_may_end_as_aws_describes_them() {
    // The S3 reference writes `trailer\n\r\n` and minio-go sends it.
    for ending in ["\n\r\n", "\n", "\r\n"] {
        let body = format!("3\r\nabc\r\n0\r\n{CHECKSUM}:AAAAAA=={ending}\r\n");
        let mode = ChunkMode::UnsignedTrailer;
        let decoded = decode(decoder(mode, 3), [body.as_bytes()]);
        if ending == "\n" {
            // `\n\r\n` is one line end, so this body has no last line.
            assert_eq!(decoded, Err(ChunkError::IncompleteBody));
        } else {
            assert_eq!(decoded, Ok(expected(mode, b"abc")), "{ending:?}");
        }
    }
    let mode = ChunkMode::SignedTrailer;
    let body = String::from_utf8(encode(mode, b"abc", 8)).unwrap();
    let body = body.replace("AAAAAA==\r\n", "AAAAAA==\n\r\n");
    assert_eq!(
        decode(decoder(mode, 3), [body.as_bytes()]),
        Ok(expected(mode, b"abc"))
    );
}

#[test]
fn spaces_around_a_trailer_value_and_case_of_its_name_do_not_matter() {
    let body = b"0\r\nX-Amz-Checksum-CRC32: AAAAAA== \r\n\r\n";
    let mode = ChunkMode::UnsignedTrailer;
    assert_eq!(
        decode(decoder(mode, 0), [body.as_slice()]),
        Ok(expected(mode, b""))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_pieces_decode_to_the_data(
        data in prop::collection::vec(any::<u8>(), 0..5000),
        chunk_bytes in 1_usize..3000,
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        mode in prop::sample::select(MODES.to_vec()),
    ) {
        let body = encode(mode, &data, chunk_bytes);
        let mut at: Vec<usize> = cuts.drain(..).map(|cut| cut.index(body.len() + 1)).collect();
        at.push(0);
        at.push(body.len());
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| &body[pair[0]..pair[1]]);
        prop_assert_eq!(decode(decoder(mode, data.len()), pieces), Ok(expected(mode, &data)));
    }

    #[test]
    fn any_changed_byte_of_a_signed_body_is_refused(
        data in prop::collection::vec(any::<u8>(), 1..200),
        chunk_bytes in 1_usize..100,
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
        mode in prop::sample::select(vec![ChunkMode::Signed, ChunkMode::SignedTrailer]),
    ) {
        let mut body = encode(mode, &data, chunk_bytes);
        let index = at.index(body.len());
        let before = body[index];
        body[index] ^= flip;
        // Hex digits of a size and letters of a trailer's name mean the same in both cases.
        prop_assume!(!before.eq_ignore_ascii_case(&body[index]));
        // So do a space and nothing before the line end of a trailer.
        prop_assume!(before != b'\r' || !matches!(body[index], b' ' | b'\t'));
        let decoded = decode(decoder(mode, data.len()), [body.as_slice()]);
        prop_assert!(decoded.is_err(), "byte {} changed and {:?}", index, decoded);
    }
}
