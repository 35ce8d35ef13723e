// SPDX-License-Identifier: Apache-2.0
//! The client's side of the framing, for whole bodies in memory.

use aws_lc_rs::digest::{SHA256, digest};

use super::trailer::{SIGNATURE_NAME, sha256_of_lines};
use super::{ChunkError, ChunkMode, ChunkSigner};

/// Frames `data` in chunks of `chunk_bytes`, with these trailers.
///
/// `signer` must be there exactly if the mode has signed chunks.
pub fn encode_body(
    mode: ChunkMode,
    mut signer: Option<ChunkSigner>,
    data: &[u8],
    chunk_bytes: usize,
    trailers: &[(&str, &str)],
) -> Result<Vec<u8>, ChunkError> {
    if mode.is_signed() != signer.is_some() {
        return Err(ChunkError::MissingSigner);
    }
    if !mode.has_trailer() && !trailers.is_empty() {
        return Err(ChunkError::InvalidAnnouncement);
    }
    let mut out = Vec::with_capacity(data.len().saturating_add(1024));
    for piece in data.chunks(chunk_bytes.max(1)) {
        push_size_line(&mut out, signer.as_mut(), piece);
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    push_size_line(&mut out, signer.as_mut(), b"");
    for (name, value) in trailers {
        for text in [name, ":", value, "\r\n"] {
            out.extend_from_slice(text.as_bytes());
        }
    }
    if let (ChunkMode::SignedTrailer, Some(signer)) = (mode, signer.as_mut()) {
        let hash = sha256_of_lines(trailers.iter().copied());
        for text in [SIGNATURE_NAME, ":", signer.sign_trailer(&hash), "\r\n"] {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

fn push_size_line(out: &mut Vec<u8>, signer: Option<&mut ChunkSigner>, data: &[u8]) {
    out.extend_from_slice(format!("{:x}", data.len()).as_bytes());
    if let Some(signer) = signer {
        let mut hash = [0u8; 32];
        hash.copy_from_slice(digest(&SHA256, data).as_ref());
        out.extend_from_slice(b";chunk-signature=");
        out.extend_from_slice(signer.sign_chunk(&hash).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
