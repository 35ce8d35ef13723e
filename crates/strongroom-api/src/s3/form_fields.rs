// SPDX-License-Identifier: Apache-2.0
//! The fields of an upload form: the object's name, and headers as PutObject would have them.
//!
//! A field that decides something goes through the same code as the header of that name. What this
//! server does not know is refused, never ignored, unless S3 says that it is to be ignored.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_wire::FormHead;
use strongroom_wire::form::FormField;

use super::names;
use crate::error::{S3Code, S3Error};

/// What stands for the file's name in the object's.
const FILE_NAME: &str = "${filename}";
/// Longest name of an object.
const KEY_BYTES_MAX: usize = 1024;

/// The fields before the file, each name there once, and the file's name.
#[derive(Debug)]
pub(crate) struct FormFields {
    fields: Vec<FormField>,
    file_name: Option<String>,
}

impl FormFields {
    /// Takes the fields of a form. A field that is there twice is refused: of two values, two
    /// readers could take different ones.
    pub(crate) fn new(head: FormHead) -> Result<Self, S3Error> {
        let FormHead { fields, file_name } = head;
        for (at, field) in fields.iter().enumerate() {
            let earlier = fields.iter().take(at);
            let twice = |known: &FormField| known.name.eq_ignore_ascii_case(&field.name);
            if !is_ignored(&field.name) && earlier.clone().any(twice) {
                return Err(S3Error::invalid_argument(
                    "A form field was given more than once.",
                    shown(&field.name),
                    "",
                ));
            }
        }
        Ok(Self { fields, file_name })
    }

    /// The value of a field; names without regard to case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All fields in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.fields
            .iter()
            .map(|field| (field.name.as_str(), field.value.as_str()))
    }

    /// The object's name: `${filename}` stands for the last part of the file's name, and for itself
    /// where the file has none.
    pub(crate) fn object_key(&self) -> Result<String, S3Error> {
        let Some(text) = self.get("key") else {
            return Err(S3Error::invalid_argument(
                "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
                "key",
                "",
            ));
        };
        let object_key = match &self.file_name {
            Some(name) => {
                let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
                let times = text.matches(FILE_NAME).count();
                let size = times.saturating_mul(last.len()).saturating_add(text.len());
                // Nobody has said yet who asks: what would be refused later is not made now.
                if size
                    > times
                        .saturating_mul(FILE_NAME.len())
                        .saturating_add(KEY_BYTES_MAX)
                {
                    return Err(S3Error::from_code(S3Code::KeyTooLong)
                        .with("MaxSizeAllowed", KEY_BYTES_MAX.to_string()));
                }
                text.replace(FILE_NAME, last)
            }
            None => text.to_owned(),
        };
        if object_key.is_empty() {
            return Err(S3Error::invalid_argument(
                "User key must have a length greater than 0.",
                "key",
                "",
            ));
        }
        Ok(object_key)
    }

    /// The headers that PutObject would have got. Of the request's own headers only the host counts,
    /// and the conditions, which nobody has to sign because they can only prevent something.
    pub(crate) fn headers(&self, request: &HeaderMap) -> Result<HeaderMap, S3Error> {
        refuse_headers(request)?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.iter() {
            let lower = name.to_ascii_lowercase();
            let Some(header) = header_of(&lower)? else {
                continue;
            };
            let bytes = HeaderValue::from_bytes(value.as_bytes());
            let Ok(value) = bytes else {
                return Err(S3Error::invalid_argument(
                    "A form field holds characters that it must not hold.",
                    shown(name),
                    "",
                ));
            };
            if headers.insert(header, value).is_some() {
                return Err(conflict());
            }
        }
        for name in CONDITIONS {
            match (request.get(&name), headers.get(&name)) {
                (None, _) => {}
                // Nobody signed the header, and its answer says what is there.
                (Some(_), None) if name == header::IF_MATCH => {
                    return Err(S3Error::not_implemented("If-Match beside an upload form"));
                }
                (Some(value), None) => {
                    headers.insert(name, value.clone());
                }
                (Some(value), Some(known)) if value == known => {}
                (Some(_), Some(_)) => return Err(conflict()),
            }
        }
        // What a browser says besides the form.
        for name in [header::HOST, header::REFERER] {
            if let Some(value) = request.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        Ok(headers)
    }
}

/// Fields that S3 promises to ignore.
pub(crate) fn is_ignored(name: &str) -> bool {
    name.get(..9)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-ignore-"))
}

/// The header that a field stands for; `None` where it stands for none.
fn header_of(lower: &str) -> Result<Option<HeaderName>, S3Error> {
    let plain = match lower {
        "acl" => Some(names::ACL),
        "tagging" => Some(names::TAGGING),
        "cache-control"
        | "content-disposition"
        | "content-encoding"
        | "content-language"
        | "content-md5"
        | "content-type"
        | "expires"
        | "if-match"
        | "if-none-match"
        | "if-modified-since"
        | "if-unmodified-since" => None,
        _ if SIGNATURE.contains(&lower) || !lower.starts_with("x-amz-") => return Ok(None),
        _ if !is_known(lower) => {
            return Err(
                S3Error::not_implemented("A form field you provided").with("Field", shown(lower))
            );
        }
        _ => None,
    };
    match plain {
        Some(header) => Ok(Some(header)),
        None => HeaderName::try_from(lower).map(Some).map_err(|_| {
            S3Error::invalid_argument("A form field has no valid name.", shown(lower), "")
        }),
    }
}

/// Whether PutObject takes a header of this name, or refuses it by its own rules.
fn is_known(lower: &str) -> bool {
    const PREFIXES: [&str; 5] = [
        "x-amz-checksum-",
        "x-amz-grant-",
        "x-amz-meta-",
        "x-amz-object-lock-",
        "x-amz-server-side-encryption",
    ];
    let names = [
        names::ACL,
        names::EXPECTED_BUCKET_OWNER,
        names::SDK_CHECKSUM_ALGORITHM,
        names::STORAGE_CLASS,
        names::TAGGING,
        names::WEBSITE_REDIRECT,
        names::WRITE_OFFSET,
    ];
    PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) || names.iter().any(|n| n == lower)
}

/// Headers that say something of the body as a whole, which is not what is stored.
fn refuse_headers(request: &HeaderMap) -> Result<(), S3Error> {
    let coded = request
        .get(header::CONTENT_ENCODING)
        .filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        .map(|_| header::CONTENT_ENCODING);
    let digest = request
        .contains_key(names::CONTENT_MD5)
        .then_some(names::CONTENT_MD5);
    match coded.or(digest) {
        None => Ok(()),
        Some(name) => {
            Err(S3Error::not_implemented("A header of a form").with("Header", name.as_str()))
        }
    }
}

fn conflict() -> S3Error {
    S3Error::invalid_request("Conflicting values provided in HTTP headers and POST form fields.")
}

/// A name as error documents show it.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(128).collect()
}

const CONDITIONS: [HeaderName; 4] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// Fields of the signature itself.
const SIGNATURE: [&str; 5] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];

/// 400 MalformedPOSTRequest.
pub(crate) fn malformed() -> S3Error {
    S3Error::from_code(S3Code::MalformedPostRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)], file_name: Option<&str>) -> Result<FormFields, S3Error> {
        FormFields::new(FormHead {
            fields: pairs
                .iter()
                .map(|(name, value)| FormField {
                    name: (*name).to_owned(),
                    value: (*value).to_owned(),
                })
                .collect(),
            file_name: file_name.map(str::to_owned),
        })
    }

    fn headers(pairs: &[(&str, &str)]) -> Result<HeaderMap, S3Error> {
        fields(pairs, None)?.headers(&HeaderMap::new())
    }

    #[test]
    fn names_of_files_become_names_of_objects() {
        for (key, file, object_key) in [
            ("a/${filename}", Some("f.txt"), "a/f.txt"),
            ("a/${filename}", Some("C:\\dir\\f.txt"), "a/f.txt"),
            ("a/${filename}", Some("../../etc/passwd"), "a/passwd"),
            ("a/${filename}", Some(""), "a/"),
            ("a/${filename}", Some(".."), "a/.."),
            ("a/${filename}", None, "a/${filename}"),
            ("a/${filename}", Some("${filename}"), "a/${filename}"),
            ("${filename}${filename}", Some("x/y"), "yy"),
            ("a", Some("f"), "a"),
        ] {
            let form = fields(&[("Key", key)], file).unwrap();
            assert_eq!(form.object_key().unwrap(), object_key, "{key} {file:?}");
        }
        let none = fields(&[("keys", "a")], None).unwrap().object_key();
        assert_eq!(none.unwrap_err().code, S3Code::InvalidArgument);
        for (key, file) in [
            ("", None),
            ("${filename}", Some("")),
            ("${filename}", Some("a/")),
        ] {
            let empty = fields(&[("key", key)], file).unwrap().object_key();
            assert_eq!(empty.unwrap_err().code, S3Code::InvalidArgument);
        }
    }

    #[test]
    fn fields_become_headers() {
        let map = headers(&[
            ("key", "k"),
            ("ACL", "private"),
            ("Content-Type", "text/plain"),
            ("x-amz-meta-A", "\u{e9}"),
            ("X-Amz-Server-Side-Encryption", "aws:kms"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("policy", "p"),
            ("success_action_status", "201"),
            ("x-amz-signature", "s"),
            ("X-Amz-Date", "d"),
            ("x-ignore-a", "1"),
            ("x-ignore-a", "2"),
            ("submit", "go"),
            ("content-length", "9"),
            ("transfer-encoding", "chunked"),
            ("host", "elsewhere"),
        ])
        .unwrap();
        let mut found: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                "content-type",
                "x-amz-acl",
                "x-amz-checksum-crc32",
                "x-amz-meta-a",
                "x-amz-server-side-encryption"
            ]
        );
        assert_eq!(
            map.get("x-amz-meta-a").unwrap().as_bytes(),
            "\u{e9}".as_bytes()
        );
    }

    #[test]
    fn sec_n67_fields_that_are_there_twice() {
        for (a, b) in [
            ("key", "Key"),
            ("x-amz-meta-a", "x-amz-meta-A"),
            ("policy", "policy"),
        ] {
            let error = fields(&[(a, "1"), (b, "1")], None).unwrap_err();
            assert_eq!(error.code, S3Code::InvalidArgument, "{a}");
        }
        let error = headers(&[("acl", "private"), ("x-amz-acl", "private")]).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidRequest);
    }

    #[test]
    fn fields_that_nobody_knows_are_refused_if_they_could_decide_something() {
        for name in [
            "x-amz-copy-source",
            "x-amz-trailer",
            "x-amz-decoded-content-length",
            "x-amz-content-sha256",
            "x-amz-metadata-directive",
            "x-amz-new",
            "x-amz-",
        ] {
            let error = headers(&[(name, "x")]).unwrap_err();
            assert_eq!(error.code, S3Code::NotImplemented, "{name}");
        }
        for value in ["a\nb", "a\r\nx-amz-acl: private", "\0", "\u{7f}"] {
            let error = headers(&[("x-amz-meta-a", value)]).unwrap_err();
            assert_eq!(error.code, S3Code::InvalidArgument, "{value:?}");
        }
        let error = headers(&[("x-amz-meta-a b", "x")]).unwrap_err();
        assert_eq!(error.code, S3Code::InvalidArgument);
    }

    #[test]
    fn sec_a_name_does_not_outgrow_names() {
        let long = "&".repeat(1000);
        let name =
            |key: &str, file: &str| fields(&[("key", key)], Some(file)).unwrap().object_key();
        assert_eq!(name("a/${filename}", &long).unwrap().len(), 1002);
        assert_eq!(name("${filename}${filename}", "x").unwrap(), "xx");
        for key in ["${filename}${filename}", &"${filename}".repeat(900)] {
            assert_eq!(name(key, &long).unwrap_err().code, S3Code::KeyTooLong);
        }
    }

    #[test]
    fn headers_of_the_request_itself() {
        let request = |pairs: &[(HeaderName, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.insert(name, HeaderValue::from_static(value));
            }
            map
        };
        let form = fields(&[("If-None-Match", "*")], None).unwrap();
        let kept = form
            .headers(&request(&[
                (header::HOST, "h"),
                (header::CONTENT_TYPE, "multipart/form-data; boundary=x"),
                (header::IF_NONE_MATCH, "*"),
                (header::RANGE, "bytes=0-1"),
            ]))
            .unwrap();
        assert_eq!(kept.len(), 2);
        let signed = fields(&[("If-Match", "e")], None).unwrap();
        let kept = signed.headers(&request(&[(header::IF_MATCH, "e")]));
        assert_eq!(kept.unwrap().get(header::IF_MATCH).unwrap(), "e");
        for (name, value, code) in [
            (header::IF_MATCH, "e", S3Code::NotImplemented),
            (header::IF_NONE_MATCH, "\"e\"", S3Code::InvalidRequest),
            (header::CONTENT_ENCODING, "gzip", S3Code::NotImplemented),
            (names::CONTENT_MD5, "x", S3Code::NotImplemented),
        ] {
            let error = form.headers(&request(&[(name, value)])).unwrap_err();
            assert_eq!(error.code, code, "{value}");
        }
    }
}
