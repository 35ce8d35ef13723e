// SPDX-License-Identifier: Apache-2.0
//! aws-chunked bodies that must be refused: N17, N19 and N20 of the security test list.

use strongroom_wire::chunked::{
    ChunkDecoder, ChunkError, ChunkMode, encode_body, parse_decoded_length,
};

use crate::chunked::{
    CHECKSUM, Decoded, MODES, announcement, decode, decoder, encode, signer, trailers,
};

const DATA: &[u8] = b"aaaaaaaabbbbbbbbccccccccdddd";
const CHUNK_BYTES: usize = 8;

/// Decodes the body whole, byte by byte and in two halves: the answer must be the same.
fn outcome(mode: ChunkMode, decoded_length: usize, body: &[u8]) -> Result<Decoded, ChunkError> {
    let whole = decode(decoder(mode, decoded_length), [body]);
    let bytes = decode(decoder(mode, decoded_length), body.chunks(1));
    assert_eq!(whole, bytes);
    let halves = body.split_at(body.len() / 2);
    let halves = decode(decoder(mode, decoded_length), [halves.0, halves.1]);
    assert_eq!(whole, halves);
    whole
}

fn unsigned(body: &str, decoded_length: usize) -> Result<Decoded, ChunkError> {
    outcome(ChunkMode::UnsignedTrailer, decoded_length, body.as_bytes())
}

/// The chunks of a signed body, each with its size line and line end; the last one is the rest.
fn pieces(body: &[u8]) -> Vec<Vec<u8>> {
    let line_end = |bytes: &[u8]| bytes.windows(2).position(|w| w == b"\r\n").unwrap() + 2;
    let mut rest = body;
    let mut all = Vec::new();
    loop {
        let line = line_end(rest);
        let text = std::str::from_utf8(&rest[..line]).unwrap();
        let size = text.split([';', '\r']).next().unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            all.push(rest.to_vec());
            return all;
        }
        let (chunk, more) = rest.split_at(line + size + 2);
        all.push(chunk.to_vec());
        rest = more;
    }
}

fn mismatch(chunk: u64) -> Result<Decoded, ChunkError> {
    Err(ChunkError::SignatureDoesNotMatch { chunk })
}

#[test]
fn sec_n19_chunk_signature_wrong_in_first_middle_and_last() {
    for mode in [ChunkMode::Signed, ChunkMode::SignedTrailer] {
        let body = encode(mode, DATA, CHUNK_BYTES);
        let chunks = pieces(&body);
        assert_eq!(chunks.len(), 5);
        for (number, index) in (0_u64..).zip(0..chunks.len()) {
            let mut changed = chunks.clone();
            let text = &mut changed[index];
            let at = text.windows(2).position(|w| w == b"\r\n").unwrap() - 1;
            text[at] = if text[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(
                outcome(mode, DATA.len(), &changed.concat()),
                mismatch(number)
            );
        }
    }
}

#[test]
fn sec_n19_chunk_data_changed() {
    for mode in [ChunkMode::Signed, ChunkMode::SignedTrailer] {
        let chunks = pieces(&encode(mode, DATA, CHUNK_BYTES));
        for (number, index) in (0_u64..4).zip(0..4) {
            let mut changed = chunks.clone();
            let at = changed[index].len() - 3;
            changed[index][at] ^= 1;
            assert_eq!(
                outcome(mode, DATA.len(), &changed.concat()),
                mismatch(number)
            );
        }
    }
}

#[test]
fn sec_n19_chunks_swapped_dropped_repeated() {
    let mode = ChunkMode::Signed;
    let chunks = pieces(&encode(mode, DATA, CHUNK_BYTES));
    let mut swapped = chunks.clone();
    swapped.swap(0, 1);
    assert_eq!(outcome(mode, DATA.len(), &swapped.concat()), mismatch(0));
    let mut swapped = chunks.clone();
    swapped.swap(1, 2);
    assert_eq!(outcome(mode, DATA.len(), &swapped.concat()), mismatch(1));
    let mut dropped = chunks.clone();
    dropped.remove(2);
    assert_eq!(
        outcome(mode, DATA.len() - 8, &dropped.concat()),
        mismatch(2)
    );
    let mut repeated = chunks;
    repeated.insert(1, repeated[0].clone());
    assert_eq!(
        outcome(mode, DATA.len() + 8, &repeated.concat()),
        mismatch(1)
    );
}

#[test]
fn sec_n19_chunks_of_another_upload() {
    let mode = ChunkMode::Signed;
    let own = pieces(&encode(mode, DATA, CHUNK_BYTES));
    let other = encode_body(mode, signer(mode, "other"), DATA, CHUNK_BYTES, &[]).unwrap();
    let other = pieces(&other);
    assert_eq!(outcome(mode, DATA.len(), &other.concat()), mismatch(0));
    for index in 0..own.len() {
        let mut spliced = own.clone();
        spliced[index].clone_from(&other[index]);
        assert!(
            outcome(mode, DATA.len(), &spliced.concat()).is_err(),
            "chunk {index}"
        );
    }
}

#[test]
fn sec_n19_chunk_without_signature_or_with_another_mode() {
    let body = encode(ChunkMode::UnsignedTrailer, DATA, CHUNK_BYTES);
    assert_eq!(
        outcome(ChunkMode::SignedTrailer, DATA.len(), &body),
        mismatch(0)
    );
    let body = encode(ChunkMode::SignedTrailer, DATA, CHUNK_BYTES);
    let refused = Err(ChunkError::UnknownExtension { chunk: 0 });
    assert_eq!(
        outcome(ChunkMode::UnsignedTrailer, DATA.len(), &body),
        refused
    );
    // The seed covers the declared mode, so chunks do not pass to another one.
    assert_eq!(outcome(ChunkMode::Signed, DATA.len(), &body), mismatch(0));
    // Signed chunks with a trailer where none was declared.
    let mut body = encode(ChunkMode::Signed, DATA, CHUNK_BYTES);
    body.truncate(body.len() - 2);
    body.extend_from_slice(format!("{CHECKSUM}:AAAAAA==\r\n\r\n").as_bytes());
    let refused = Err(ChunkError::MalformedTrailer);
    assert_eq!(outcome(ChunkMode::Signed, DATA.len(), &body), refused);
}

#[test]
fn sec_n19_every_truncation() {
    for mode in MODES {
        let body = encode(mode, DATA, CHUNK_BYTES);
        outcome(mode, DATA.len(), &body).unwrap();
        for len in 0..body.len() {
            let cut = outcome(mode, DATA.len(), &body[..len]);
            assert_eq!(
                cut,
                Err(ChunkError::IncompleteBody),
                "{mode:?} cut at {len}"
            );
        }
    }
}

#[test]
fn sec_n19_final_chunk_missing() {
    for mode in MODES {
        let mut chunks = pieces(&encode(mode, DATA, CHUNK_BYTES));
        chunks.pop();
        let body = chunks.concat();
        assert_eq!(
            outcome(mode, DATA.len(), &body),
            Err(ChunkError::IncompleteBody)
        );
    }
}

#[test]
fn sec_n19_bytes_after_the_end() {
    for mode in MODES {
        let mut body = encode(mode, DATA, CHUNK_BYTES);
        let complete = body.clone();
        body.push(b'0');
        let whole = decode(decoder(mode, DATA.len()), [body.as_slice()]);
        assert_eq!(whole, Err(ChunkError::TrailingBytes));
        let later = decode(decoder(mode, DATA.len()), [complete.as_slice(), b"\r\n"]);
        assert_eq!(later, Err(ChunkError::TrailingBytes));
    }
}

#[test]
fn sec_n19_sizes_that_lie() {
    let end = format!("0\r\n{CHECKSUM}:AAAAAA==\r\n\r\n");
    // Larger than the data that follows: the line end is taken for data.
    let outcome = unsigned(&format!("4\r\nabc\r\n{end}"), 4);
    assert_eq!(outcome, Err(ChunkError::ChunkSizeMismatch { chunk: 0 }));
    // Smaller: data where the line end should be.
    let outcome = unsigned(&format!("2\r\nabc\r\n{end}"), 2);
    assert_eq!(outcome, Err(ChunkError::ChunkSizeMismatch { chunk: 0 }));
    for line_end in ["", "\n", "\r", "\n\r", "\r\r\n"] {
        let body = format!("3\r\nabc{line_end}{end}");
        assert!(unsigned(&body, 3).is_err(), "{line_end:?}");
    }
}

#[test]
fn sec_n19_sizes_out_of_bounds() {
    for size in [
        "8000000000000000",
        "7fffffffffffffff",
        "ffffffffffffffff",
        "4",
        "100",
    ] {
        let outcome = unsigned(&format!("{size}\r\nabc\r\n0\r\n\r\n"), 3);
        assert_eq!(
            outcome,
            Err(ChunkError::DecodedLengthMismatch { expected: 3 }),
            "{size}"
        );
    }
}

#[test]
fn sec_n19_size_syntax() {
    for size in [
        "",
        "+3",
        "-3",
        "0x3",
        "0X3",
        " 3",
        "3 ",
        "\t3",
        "3;",
        "3,3",
        "3_",
        "3.0",
        "3h",
        "\u{663}",
        "00000000000000003",
        "18446744073709551619",
    ] {
        let body = format!("{size}\r\nabc\r\n0\r\n{CHECKSUM}:AAAAAA==\r\n\r\n");
        assert!(unsigned(&body, 3).is_err(), "{size:?}");
    }
    // Line ends.
    for line_end in ["\n", "\r", " \r\n", "\r\r\n"] {
        let body = format!("3{line_end}abc\r\n0\r\n{CHECKSUM}:AAAAAA==\r\n\r\n");
        assert!(unsigned(&body, 3).is_err(), "{line_end:?}");
    }
    let endless = "0".repeat(10_000);
    assert_eq!(unsigned(&endless, 3), Err(ChunkError::LineTooLong));
}

#[test]
fn sec_n19_unknown_extension() {
    for extension in [";a=b", ";chunk-signature=00", ";", ";;", "; a"] {
        let body = format!("3{extension}\r\nabc\r\n0\r\n{CHECKSUM}:AAAAAA==\r\n\r\n");
        let refused = Err(ChunkError::UnknownExtension { chunk: 0 });
        assert_eq!(unsigned(&body, 3), refused, "{extension}");
    }
    let mode = ChunkMode::Signed;
    let text = String::from_utf8(encode(mode, b"abc", 8)).unwrap();
    for (from, to) in [
        (";chunk-signature=", ";chunk-signature= "),
        (";chunk-signature=", ";a=b;chunk-signature="),
        (";chunk-signature=", "; chunk-signature="),
        ("\r\nabc", ";a=b\r\nabc"),
    ] {
        let body = text.replacen(from, to, 1);
        assert!(outcome(mode, 3, body.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn sec_n19_decoded_length_short_long_or_garbage() {
    for mode in MODES {
        let body = encode(mode, DATA, CHUNK_BYTES);
        for length in [0, 1, DATA.len() - 1, DATA.len() + 1, usize::MAX] {
            let expected = u64::try_from(length).unwrap();
            let refused = Err(ChunkError::DecodedLengthMismatch { expected });
            assert_eq!(outcome(mode, length, &body), refused, "{mode:?} {length}");
        }
    }
    assert_eq!(parse_decoded_length(b"0"), Some(0));
    assert_eq!(
        parse_decoded_length(b"18446744073709551615"),
        Some(u64::MAX)
    );
    for text in [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x1",
        "1.0",
        "1e3",
        "18446744073709551616",
    ] {
        assert_eq!(parse_decoded_length(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn sec_n20_trailer_signature_wrong_missing_or_misplaced() {
    let mode = ChunkMode::SignedTrailer;
    let text = String::from_utf8(encode(mode, b"abc", 8)).unwrap();
    let start = text.find("x-amz-trailer-signature:").unwrap();
    let (before, line) = text.split_at(start);
    let refused = mismatch(2);
    for changed in [
        "\r\n".to_owned(),
        line.to_ascii_uppercase()
            .replace("X-AMZ-TRAILER-SIGNATURE", "x-amz-trailer-signature"),
        format!("x-amz-trailer-signature:{}\r\n\r\n", "0".repeat(64)),
        line.replacen("\r\n", "0\r\n", 1),
    ] {
        let body = format!("{before}{changed}");
        assert_eq!(outcome(mode, 3, body.as_bytes()), refused, "{changed}");
    }
    // Empty, twice, before the trailer it covers, and where chunks are not signed.
    let empty = format!("{before}x-amz-trailer-signature:\r\n\r\n");
    let twice = format!(
        "{before}{}{line}",
        line.trim_end_matches("\r\n").to_owned() + "\r\n"
    );
    let checksum = format!("{CHECKSUM}:AAAAAA==\r\n");
    let first = text
        .replace(&checksum, "")
        .replace("\r\n\r\n", &format!("\r\n{checksum}\r\n"));
    for body in [empty, twice, first] {
        let outcome = outcome(mode, 3, body.as_bytes());
        assert_eq!(outcome, Err(ChunkError::MalformedTrailer), "{body}");
    }
    let body = format!("0\r\n{CHECKSUM}:AAAAAA==\r\n{line}");
    assert_eq!(unsigned(&body, 0), Err(ChunkError::MalformedTrailer));
}

#[test]
fn sec_n20_signed_trailer_value_changed() {
    let mode = ChunkMode::SignedTrailer;
    let text = String::from_utf8(encode(mode, b"abc", 8)).unwrap();
    let body = text.replace("AAAAAA==", "AAAAAQ==");
    assert_eq!(outcome(mode, 3, body.as_bytes()), mismatch(2));
}

#[test]
fn sec_n20_trailer_not_announced() {
    for name in [
        "x-amz-checksum-sha256",
        "x-amz-meta-a",
        "authorization",
        "x-amz-acl",
        "content-type",
        "x-amz-trailer",
        "",
        " ",
    ] {
        let body = format!("0\r\n{name}:AAAAAA==\r\n\r\n");
        assert_eq!(
            unsigned(&body, 0),
            Err(ChunkError::TrailerNotAnnounced),
            "{name}"
        );
        // Also beside the announced one.
        let body = format!("0\r\n{CHECKSUM}:AAAAAA==\r\n{name}:AAAAAA==\r\n\r\n");
        assert_eq!(
            unsigned(&body, 0),
            Err(ChunkError::TrailerNotAnnounced),
            "{name}"
        );
    }
    let mode = ChunkMode::UnsignedTrailer;
    let nothing_announced = ChunkDecoder::new(mode, 0, None, None).unwrap();
    let body = format!("0\r\n{CHECKSUM}:AAAAAA==\r\n\r\n");
    let refused = decode(nothing_announced, [body.as_bytes()]);
    assert_eq!(refused, Err(ChunkError::TrailerNotAnnounced));
}

#[test]
fn sec_n20_announced_trailer_not_sent() {
    let refused = Err(ChunkError::TrailerNotSent {
        name: CHECKSUM.to_owned(),
    });
    assert_eq!(unsigned("0\r\n\r\n", 0), refused);
    let mode = ChunkMode::SignedTrailer;
    let body = encode_body(mode, signer(mode, "key"), b"abc", 8, &[]).unwrap();
    assert_eq!(outcome(mode, 3, &body), refused);
}

#[test]
fn sec_n20_two_checksum_trailers() {
    let line = format!("{CHECKSUM}:AAAAAA==\r\n");
    assert_eq!(
        unsigned(&format!("0\r\n{line}{line}\r\n"), 0),
        Err(ChunkError::MalformedTrailer)
    );
    for value in [
        "x-amz-checksum-crc32,x-amz-checksum-sha256",
        "x-amz-checksum-crc32, x-amz-checksum-crc32",
        "x-amz-meta-a",
        "authorization",
        "x-amz-checksum-",
        "x-amz-checksum-type",
        "x-amz-checksum-crc32;",
        "",
    ] {
        let mode = ChunkMode::UnsignedTrailer;
        let refused = ChunkDecoder::new(mode, 0, None, Some(value.as_bytes())).map(|_| ());
        assert_eq!(refused, Err(ChunkError::InvalidAnnouncement), "{value}");
    }
}

#[test]
fn sec_n20_trailer_announced_in_a_mode_without() {
    let mode = ChunkMode::Signed;
    let refused =
        ChunkDecoder::new(mode, 0, signer(mode, "key"), Some(CHECKSUM.as_bytes())).map(|_| ());
    assert_eq!(refused, Err(ChunkError::InvalidAnnouncement));
}

#[test]
fn sec_n20_malformed_trailer_lines() {
    for line in [
        CHECKSUM.to_owned(),
        format!("{CHECKSUM}:"),
        format!("{CHECKSUM}: "),
        format!("{CHECKSUM}:AAAA\tAA=="),
        format!("{CHECKSUM}:AAAA AA=="),
        format!("{CHECKSUM}:AAAA\u{e9}=="),
        format!("{CHECKSUM}:AAAA\0=="),
        format!("{CHECKSUM} :AAAAAA=="),
        format!(" {CHECKSUM}:AAAAAA=="),
        "\r".to_owned(),
    ] {
        let body = format!("0\r\n{line}\r\n\r\n");
        assert!(unsigned(&body, 0).is_err(), "{line:?}");
    }
    let endless = format!("0\r\n{CHECKSUM}:{}", "A".repeat(10_000));
    assert_eq!(unsigned(&endless, 0), Err(ChunkError::LineTooLong));
}

#[test]
fn sec_signer_and_mode_must_agree() {
    for mode in MODES {
        let other = if mode.is_signed() {
            None
        } else {
            signer(ChunkMode::Signed, "key")
        };
        let refused = ChunkDecoder::new(mode, 0, other, announcement(mode)).map(|_| ());
        assert_eq!(refused, Err(ChunkError::MissingSigner), "{mode:?}");
        let encoded = encode_body(mode, None, b"", 1, &trailers(mode));
        assert_eq!(encoded.is_err(), mode.is_signed());
    }
}

#[test]
fn sec_a_refused_body_stays_refused() {
    let mode = ChunkMode::UnsignedTrailer;
    let mut decoder = decoder(mode, 3);
    let refused = ChunkError::MalformedChunkHeader { chunk: 0 };
    assert_eq!(decoder.decode(b"x\r\n"), Err(refused.clone()));
    let good = encode(mode, b"abc", 8);
    assert_eq!(decoder.decode(&good), Err(refused.clone()));
    assert_eq!(decoder.finish(), Err(refused));
}
