// SPDX-License-Identifier: Apache-2.0
//! Forms whole, in pieces, and broken.

use proptest::prelude::*;

use super::*;

type Outcome = Result<(FormHead, Vec<u8>), FormError>;

fn decode(body: &[u8], piece: usize) -> Outcome {
    let mut decoder = FormDecoder::new("B");
    let (mut head, mut data) = (None, Vec::new());
    for piece in body.chunks(piece.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let step = decoder.decode(rest)?;
            match step.event {
                Event::NeedMore => {}
                Event::Head(found) => assert!(head.replace(found).is_none()),
                Event::Data(range) => data.extend_from_slice(&rest[range]),
                Event::Delimiter(len) => data.extend_from_slice(&decoder.delimiter()[..len]),
            }
            rest = &rest[step.consumed..];
        }
    }
    decoder.finish()?;
    Ok((head.unwrap(), data))
}

fn field(name: &str, value: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn form(fields: &str, content: &[u8], tail: &str) -> Vec<u8> {
    let file = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
    [fields.as_bytes(), file.as_bytes(), content, tail.as_bytes()].concat()
}

#[test]
fn a_form_is_fields_and_a_file() {
    let fields = field("key", "a") + &field("x-amz-meta-b", "");
    let (head, data) = decode(&form(&fields, b"content", "\r\n--B--\r\n"), 1).unwrap();
    assert_eq!(data, b"content");
    assert_eq!(head.file_name.as_deref(), Some("f"));
    let pairs: Vec<_> = head
        .fields
        .iter()
        .map(|f| (f.name.as_str(), f.value.as_str()))
        .collect();
    assert_eq!(pairs, [("key", "a"), ("x-amz-meta-b", "")]);
    assert!(!format!("{:?}", head.fields).contains("\"a\""));
}

#[test]
fn what_follows_the_file_is_ignored_but_another_file_is_not() {
    let tail = format!("\r\n{}--B--", field("submit", "go"));
    assert_eq!(decode(&form("", b"c", &tail), 3).unwrap().1, b"c");
    let again = "\r\n--B\r\nContent-Disposition: form-data; name=\"File\"\r\n\r\nx\r\n--B--\r\n";
    assert_eq!(
        decode(&form("", b"c", again), 3),
        Err(FormError::Files { count: 2 })
    );
    let none = field("key", "a") + "--B--\r\n";
    assert_eq!(
        decode(none.as_bytes(), 5),
        Err(FormError::Files { count: 0 })
    );
}

#[test]
fn sec_n23_forms_that_two_readers_could_read_differently() {
    let good = form("", b"c", "\r\n--B--\r\n");
    let bad: Vec<Vec<u8>> = vec![
        [b"preamble\r\n", good.as_slice()].concat(),
        [b"\r\n", good.as_slice()].concat(),
        [good.as_slice(), b"epilogue"].concat(),
        [good.as_slice(), b"\r\n"].concat(),
        form("", b"c", "\r\n--Bx\r\n--B--\r\n"),
        form("", b"c", "\r\n--B \r\n--B--\r\n"),
        form("--B\r\n\r\nvalue\r\n", b"c", "\r\n--B--\r\n"),
        form(
            "--B\nContent-Disposition: form-data; name=a\n\n\n",
            b"c",
            "\r\n--B--",
        ),
        b"--C\r\n".to_vec(),
    ];
    for body in bad {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(decode(&body, 7), Err(FormError::Malformed), "{text}");
    }
    for cut in 1..good.len() - 2 {
        assert!(decode(&good[..cut], 4).is_err(), "{cut}");
    }
}

#[test]
fn heads_and_tails_are_bounded() {
    let long = field("a", &"x".repeat(HEAD_BYTES_MAX));
    let end = "\r\n--B--\r\n";
    assert_eq!(decode(&form(&long, b"", end), 999), Err(FormError::TooLong));
    let tail = format!("\r\n{long}--B--\r\n");
    assert_eq!(decode(&form("", b"", &tail), 999), Err(FormError::TooLong));
    let endless = [b"--B\r\nX: ".as_slice(), &vec![b'x'; 2 * HEAD_BYTES_MAX]].concat();
    assert_eq!(decode(&endless, 100_000), Err(FormError::TooLong));
    let many: String = (0..=FIELDS_MAX)
        .map(|n| field(&n.to_string(), ""))
        .collect();
    assert_eq!(decode(&form(&many, b"", end), 50), Err(FormError::TooLong));
    // The content is not.
    let large = vec![b'\r'; 4 * HEAD_BYTES_MAX];
    assert_eq!(decode(&form("", &large, end), 1000).unwrap().1, large);
}

proptest! {
    #[test]
    fn pieces_never_change_the_content(
        content in proptest::collection::vec(prop_oneof![
            Just(b"\r".to_vec()), Just(b"\r\n".to_vec()), Just(b"\r\n-".to_vec()),
            Just(b"\r\n--".to_vec()), Just(b"B".to_vec()), Just(b"x".to_vec()),
        ], 0..40),
        piece in 1..80_usize,
    ) {
        let content = content.concat();
        let hostile = content.windows(5).any(|w| w == b"\r\n--B");
        let body = form(&field("key", "a"), &content, "\r\n--B--\r\n");
        let outcome = decode(&body, piece);
        if hostile {
            prop_assert!(outcome.is_err());
        } else {
            prop_assert_eq!(outcome.unwrap().1, content);
        }
    }
}
