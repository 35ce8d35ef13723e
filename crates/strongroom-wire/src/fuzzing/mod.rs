// SPDX-License-Identifier: Apache-2.0
//! Bodies of the fuzz targets in `/fuzz`. Each takes any bytes and panics only on a broken promise.
//!
//! The corpora in `/fuzz/corpus` run through the same functions in the ordinary tests.

use crate::chunked::{ChunkDecoder, ChunkError, ChunkMode, ChunkSigner, Event};
use crate::form::{self, FormDecoder, FormError, FormHead, HEAD_BYTES_MAX, parse_content_type};
use crate::secret::SecretAccessKey;
use crate::sigv4::{
    Expected, PayloadMode, RequestToVerify, SigningInput, parse_auth, sign_request, verify,
};

#[cfg(test)]
mod tests;

/// A request as text (`METHOD PATH?QUERY`, then `name: value` lines): reading its credentials and
/// building its canonical form never panics, and no request is accepted with a secret that did not
/// sign it.
pub fn sigv4_request(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Ok(first) = std::str::from_utf8(lines.next().unwrap_or_default()) else {
        return;
    };
    let (method, target) = first.split_once(' ').unwrap_or((first, "/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(&str, &[u8])> = Vec::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        headers.push((name, value.get(1..).unwrap_or_default().trim_ascii()));
    }
    let request = RequestToVerify {
        method,
        path,
        query,
        headers: &headers,
        secure: true,
        body_sha256: Some([7; 32]),
    };
    let Ok(auth) = parse_auth(&request) else {
        return;
    };
    let expected = Expected {
        region: "us-east-1",
        services: &["s3", "kms"],
        now_ms: FUZZ_MS,
    };
    let foreign = SecretAccessKey::new("foreign".to_owned());
    assert!(
        verify(&auth, &request, &foreign, &expected).is_err(),
        "accepted unsigned"
    );
}

/// `mode || cut seed || body`: the body decodes to the same data and the same end, whatever the
/// pieces in which it comes, and what it decodes to has the declared length.
pub fn chunk_decoder(data: &[u8]) {
    let [mode, cut, body @ ..] = data else { return };
    let mode = match mode % 3 {
        0 => ChunkMode::Signed,
        1 => ChunkMode::SignedTrailer,
        _ => ChunkMode::UnsignedTrailer,
    };
    let whole = decode(mode, body, body.len().max(1));
    let pieces = decode(mode, body, usize::from(*cut).max(1));
    assert_eq!(whole, pieces, "the pieces change the answer");
    if let (Ok(()), decoded, _) = whole {
        assert_eq!(
            decoded.len(),
            DECODED_BYTES,
            "another length than the declared one"
        );
    }
}

type Outcome = (Result<(), ChunkError>, Vec<u8>, Vec<(String, String)>);

/// Decodes in pieces of this size. Data handed out before a refusal is left out of the answer: how
/// much that is does depend on the pieces.
fn decode(mode: ChunkMode, body: &[u8], piece_bytes: usize) -> Outcome {
    let announcement = mode
        .has_trailer()
        .then_some(b"x-amz-checksum-crc32".as_slice());
    let length = u64::try_from(DECODED_BYTES).unwrap_or(u64::MAX);
    let mut decoder = match ChunkDecoder::new(mode, length, signer(mode), announcement) {
        Ok(decoder) => decoder,
        Err(error) => return (Err(error), Vec::new(), Vec::new()),
    };
    let mut data = Vec::new();
    let mut all_trailers = Vec::new();
    for piece in body.chunks(piece_bytes) {
        let mut rest = piece;
        while !rest.is_empty() {
            let step = match decoder.decode(rest) {
                Ok(step) => step,
                Err(error) => return (Err(error), Vec::new(), Vec::new()),
            };
            assert!(step.consumed <= rest.len(), "consumed more than there is");
            match step.event {
                Event::Data(range) => {
                    assert!(!range.is_empty() && range.end == step.consumed, "{range:?}");
                    data.extend_from_slice(rest.get(range).unwrap_or_default());
                }
                Event::NeedMore => assert_eq!(step.consumed, rest.len(), "bytes left over"),
                Event::End { trailers } => all_trailers.extend(trailers),
            }
            rest = rest.get(step.consumed..).unwrap_or_default();
        }
    }
    match decoder.finish() {
        Ok(()) => (Ok(()), data, all_trailers),
        Err(error) => (Err(error), Vec::new(), Vec::new()),
    }
}

/// `cut seed || Content-Type || line feed || body`: the form decodes to the same fields and the same
/// content, whatever the pieces in which it comes, and what it decodes to was in the body.
pub fn form_decoder(data: &[u8]) {
    let [cut, rest @ ..] = data else { return };
    let mut halves = rest.splitn(2, |byte| *byte == b'\n');
    let content_type = halves.next().unwrap_or_default();
    let body = halves.next().unwrap_or_default();
    let Ok(boundary) = parse_content_type(content_type) else {
        return;
    };
    let whole = decode_form(&boundary, body, body.len().max(1));
    let pieces = decode_form(&boundary, body, usize::from(*cut).max(1));
    // Which refusal comes first may depend on the pieces; that there is one may not.
    assert_eq!(
        whole.as_ref().ok(),
        pieces.as_ref().ok(),
        "the pieces change the answer"
    );
    let Ok((head, content)) = whole else { return };
    let contains = |part: &[u8]| part.is_empty() || body.windows(part.len()).any(|w| w == part);
    assert!(contains(&content), "content that was not sent");
    let values = head.fields.iter().map(|field| field.value.as_bytes());
    let sizes: usize = values.clone().map(<[u8]>::len).sum();
    assert!(sizes <= HEAD_BYTES_MAX, "fields without bound");
    for value in values {
        assert!(contains(value), "a value that was not sent");
    }
}

/// Decodes in pieces of this size.
fn decode_form(
    boundary: &str,
    body: &[u8],
    piece_bytes: usize,
) -> Result<(FormHead, Vec<u8>), FormError> {
    let mut decoder = FormDecoder::new(boundary);
    let (mut head, mut content) = (None, Vec::new());
    for piece in body.chunks(piece_bytes) {
        let mut rest = piece;
        while !rest.is_empty() {
            let step = decoder.decode(rest)?;
            assert!(step.consumed <= rest.len(), "consumed more than there is");
            match step.event {
                form::Event::NeedMore => assert!(step.consumed > 0, "no progress"),
                form::Event::Head(found) => assert!(head.replace(found).is_none(), "two heads"),
                form::Event::Data(range) => {
                    content.extend_from_slice(rest.get(range).unwrap_or_default());
                }
                form::Event::Delimiter(length) => {
                    content
                        .extend_from_slice(decoder.delimiter().get(..length).unwrap_or_default());
                }
            }
            rest = rest.get(step.consumed..).unwrap_or_default();
        }
    }
    decoder.finish()?;
    Ok((head.ok_or(FormError::Files { count: 0 })?, content))
}

/// The signer of a fixed request.
fn signer(mode: ChunkMode) -> Option<ChunkSigner> {
    let payload = match mode {
        ChunkMode::Signed => PayloadMode::SignedChunks,
        ChunkMode::SignedTrailer => PayloadMode::SignedChunksTrailer,
        ChunkMode::UnsignedTrailer => return None,
    };
    let signed = sign_request(&SigningInput {
        method: "PUT",
        path: "/bucket/key",
        query: "",
        headers: &[("host", b"h")],
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        secret: &SecretAccessKey::new("own".to_owned()),
        session_token: None,
        region: "us-east-1",
        service: "s3",
        payload,
        now_ms: FUZZ_MS,
    });
    signed.ok()?.chunk_signer
}

/// 2013-05-24T00:00:00Z, the time of AWS's examples.
const FUZZ_MS: u64 = 1_369_353_600_000;
/// Declared length of every body that is decoded.
const DECODED_BYTES: usize = 20;
