// SPDX-License-Identifier: Apache-2.0
//! The boundary, out of a `Content-Type` header.

use super::part::{Parameters, parameters};

/// Why a `Content-Type` does not announce a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundaryError {
    /// It is something else than `multipart/form-data`.
    NotAForm,
    /// It has no boundary, two of them, or one that RFC 2046 does not allow.
    Boundary,
}

/// Reads the boundary of `multipart/form-data; boundary=..`.
pub fn parse_content_type(value: &[u8]) -> Result<String, BoundaryError> {
    let text = std::str::from_utf8(value).map_err(|_| BoundaryError::NotAForm)?;
    let (media_type, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
    if !media_type
        .trim_matches([' ', '\t'])
        .eq_ignore_ascii_case("multipart/form-data")
    {
        return Err(BoundaryError::NotAForm);
    }
    let Parameters(found) = parameters(rest).ok_or(BoundaryError::Boundary)?;
    let mut boundaries = found
        .into_iter()
        .filter(|(name, _)| name == "boundary")
        .map(|(_, value)| value);
    match (boundaries.next(), boundaries.next()) {
        (Some(boundary), None) if is_boundary(&boundary) => Ok(boundary),
        _ => Err(BoundaryError::Boundary),
    }
}

/// RFC 2046, section 5.1.1: 1 to 70 characters of a small set, no space at the end.
fn is_boundary(text: &str) -> bool {
    (1..=BOUNDARY_BYTES_MAX).contains(&text.len())
        && !text.ends_with(' ')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b))
}

const BOUNDARY_BYTES_MAX: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_of_real_clients() {
        for (value, boundary) in [
            ("multipart/form-data; boundary=x", "x"),
            (
                "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
                "----WebKitFormBoundary7MA4YWxkTrZu0gW",
            ),
            (
                "Multipart/Form-Data;Boundary=\"a b:c\";charset=utf-8",
                "a b:c",
            ),
            (
                "multipart/form-data ; charset=utf-8 ; boundary=0123456789",
                "0123456789",
            ),
        ] {
            assert_eq!(
                parse_content_type(value.as_bytes()),
                Ok(boundary.to_owned()),
                "{value}"
            );
        }
    }

    #[test]
    fn other_types_are_no_forms() {
        for value in [
            "",
            "text/html",
            "multipart/mixed; boundary=x",
            "multipart/form-data2; boundary=x",
            "x multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "multipart/form-data, multipart/form-data; boundary=x",
        ] {
            assert_eq!(
                parse_content_type(value.as_bytes()),
                Err(BoundaryError::NotAForm),
                "{value}"
            );
        }
        assert_eq!(parse_content_type(b"\xff"), Err(BoundaryError::NotAForm));
    }

    #[test]
    fn boundaries_that_two_readers_could_read_differently() {
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        for value in [
            "multipart/form-data",
            "multipart/form-data;",
            "multipart/form-data; boundary",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"\"",
            "multipart/form-data; boundary=\"a",
            "multipart/form-data; boundary=\"a \"",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=a, b",
            "multipart/form-data; boundary=a b",
            "multipart/form-data; boundary=\"a\r\nb\"",
            "multipart/form-data; boundary = a",
            long.as_str(),
        ] {
            assert_eq!(
                parse_content_type(value.as_bytes()),
                Err(BoundaryError::Boundary),
                "{value}"
            );
        }
    }
}
