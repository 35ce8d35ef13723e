// SPDX-License-Identifier: Apache-2.0
//! Which format an object has, and its envelope. No key is used and nothing is decrypted here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::encoded_words::undo;
use super::json::{self, TextMap};
use super::{Envelope, Fields, V1, V2, V2Content, V3, Wrap, field};
use crate::error::Error;

/// What the fields of an object say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Detected {
    /// The whole envelope.
    Here(Envelope),
    /// The envelope, or the rest of it, is in an instruction file; or there is none.
    Elsewhere(Partial),
}

/// What an object says whose instruction file has to say the rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Partial {
    /// Nothing: format V1 or V2 if there is an instruction file, or no encrypted object at all.
    Nothing,
    /// Format V3: commitment and message id are the object's own.
    V3 {
        /// The object's commitment.
        commitment: [u8; 28],
        /// The object's message id.
        message_id: [u8; 28],
    },
}

/// Decides the format by the fields of an object (user metadata; names in any case, without
/// `x-amz-meta-`). Other fields than the envelope's are ignored.
pub fn detect(metadata: &Fields) -> Result<Detected, Error> {
    let fields = Named::new(metadata)?;
    let markers = [field::V1_KEY, field::V2_KEY, field::V3_KEY];
    match markers.iter().filter(|name| fields.has(name)).count() {
        0 => elsewhere(&fields).map(Detected::Elsewhere),
        1 => whole(&fields).map(Detected::Here),
        _ => Err(Error::Envelope("it has the fields of two formats")),
    }
}

impl Partial {
    /// The envelope, with what the instruction file says. Its size is the transport's to bound
    /// ([`Self::FILE_BYTES_MAX`]).
    pub fn complete(&self, file: &[u8]) -> Result<Envelope, Error> {
        if file.len() > Self::FILE_BYTES_MAX {
            return Err(Error::Envelope("the instruction file is too long"));
        }
        let map = json::read_with_numbers(file, &NUMBERS).ok_or(Error::Envelope(
            "the instruction file is no JSON object of texts",
        ))?;
        let fields = Named::new(&map)?;
        if fields.names().any(|name| !KNOWN.contains(&name)) {
            return Err(Error::Envelope("the instruction file has an unknown field"));
        }
        if OBJECT_ONLY.iter().any(|name| fields.has(name)) {
            return Err(Error::Envelope(
                "the instruction file has a field that only the object may have",
            ));
        }
        match self {
            Self::Nothing if fields.has(field::V3_KEY) => Err(Error::Envelope(
                "the instruction file is of another format than the object",
            )),
            Self::Nothing => {
                let markers = [field::V1_KEY, field::V2_KEY];
                match markers.iter().filter(|name| fields.has(name)).count() {
                    1 => whole(&fields),
                    _ => Err(Error::Envelope("the instruction file names no data key")),
                }
            }
            Self::V3 {
                commitment,
                message_id,
            } => {
                if !fields.has(field::V3_KEY) || fields.any(&OLD) {
                    return Err(Error::Envelope(
                        "the instruction file is of another format than the object",
                    ));
                }
                v3_with(&fields, *commitment, *message_id).map(Envelope::V3)
            }
        }
    }

    /// What to say if there is no instruction file: an object that says nothing may never have been
    /// encrypted, one of format V3 was.
    #[cfg(feature = "s3")]
    pub(crate) fn without_file(&self) -> Error {
        match self {
            Self::Nothing => Error::NotEncrypted,
            Self::V3 { .. } => Error::Envelope("the instruction file is missing"),
        }
    }

    /// Whether this can be an instruction file of any format, rather than somebody's own object.
    #[cfg(feature = "s3")]
    pub(crate) fn is_file(file: &[u8]) -> bool {
        let map = json::read_with_numbers(file, &NUMBERS);
        map.is_some_and(|map| {
            let is_known = |name: &String| KNOWN.contains(&name.to_ascii_lowercase().as_str());
            !map.is_empty() && map.keys().all(is_known)
        })
    }

    /// The longest instruction file that is read, bytes.
    pub const FILE_BYTES_MAX: usize = 64 * 1024;
}

/// The fields of the envelope by name, what S3 did to their values undone.
struct Named(TextMap);

impl Named {
    fn new(fields: &Fields) -> Result<Self, Error> {
        let mut named = TextMap::new();
        for (name, value) in fields {
            let name = name.to_ascii_lowercase();
            let value = undo(value).into_owned();
            if named.insert(name, value).is_some() {
                return Err(Error::Envelope("a field stands twice"));
            }
        }
        Ok(Self(named))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    fn required(&self, name: &'static str) -> Result<&str, Error> {
        self.get(name).ok_or(Error::Envelope(missing(name)))
    }

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, Error> {
        STANDARD
            .decode(self.required(name)?)
            .map_err(|_| Error::Envelope("a field is not in Base64"))
    }

    fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N], Error> {
        self.bytes(name)?
            .try_into()
            .map_err(|_| Error::Envelope("a field has not the length that it must have"))
    }

    /// A map; empty when it is not there.
    fn map(&self, name: &str) -> Result<TextMap, Error> {
        match self.get(name) {
            None => Ok(TextMap::new()),
            Some(json) => json::read(json.as_bytes())
                .ok_or(Error::Envelope("a description is no JSON object of texts")),
        }
    }
}

fn missing(name: &str) -> &'static str {
    match name {
        field::IV => "x-amz-iv is missing",
        field::CEK_ALG => "x-amz-cek-alg is missing",
        field::WRAP_ALG => "x-amz-wrap-alg is missing",
        field::V3_CIPHER => "x-amz-c is missing",
        field::V3_WRAP => "x-amz-w is missing",
        field::V3_COMMITMENT => "x-amz-d is missing",
        field::V3_MESSAGE_ID => "x-amz-i is missing",
        _ => "a field is missing",
    }
}

/// Step 4 of detection: no wrapped key among the object's own fields.
fn elsewhere(fields: &Named) -> Result<Partial, Error> {
    let own = OBJECT_ONLY.iter().filter(|name| fields.has(name)).count();
    if fields.any(&OLD_BESIDES) || fields.any(&V3_BESIDES) {
        return Err(Error::Envelope("a wrapped key is missing"));
    }
    match own {
        0 => Ok(Partial::Nothing),
        _ if own < OBJECT_ONLY.len() => Err(Error::Envelope("fields of the format V3 are missing")),
        _ => {
            committed_cipher(fields)?;
            Ok(Partial::V3 {
                commitment: fields.array(field::V3_COMMITMENT)?,
                message_id: fields.array(field::V3_MESSAGE_ID)?,
            })
        }
    }
}

/// A whole envelope among these fields, of which exactly one marks a format.
fn whole(fields: &Named) -> Result<Envelope, Error> {
    if fields.has(field::V3_KEY) {
        if fields.any(&OLD) {
            return Err(Error::Envelope("it has the fields of two formats"));
        }
        committed_cipher(fields)?;
        let commitment = fields.array(field::V3_COMMITMENT)?;
        let message_id = fields.array(field::V3_MESSAGE_ID)?;
        return v3_with(fields, commitment, message_id).map(Envelope::V3);
    }
    if fields.any(&OBJECT_ONLY) || fields.any(&V3_BESIDES) {
        return Err(Error::Envelope("it has the fields of two formats"));
    }
    if fields.has(field::V2_KEY) {
        v2(fields).map(Envelope::V2)
    } else {
        v1(fields).map(Envelope::V1)
    }
}

fn committed_cipher(fields: &Named) -> Result<(), Error> {
    match fields.required(field::V3_CIPHER)? {
        "115" => Ok(()),
        _ => Err(Error::Envelope("the content cipher is unknown")),
    }
}

fn v3_with(fields: &Named, commitment: [u8; 28], message_id: [u8; 28]) -> Result<V3, Error> {
    if message_id == [0; 28] {
        return Err(Error::Envelope("the message id is all zeros"));
    }
    let wrap = match fields.required(field::V3_WRAP)? {
        "12" => Wrap::KmsContext,
        "02" => Wrap::AesGcm,
        "22" => Wrap::RsaOaepSha1,
        _ => return Err(Error::Envelope("the wrapping algorithm is unknown")),
    };
    let (ours, other) = if wrap == Wrap::KmsContext {
        (field::V3_CONTEXT, field::V3_MATDESC)
    } else {
        (field::V3_MATDESC, field::V3_CONTEXT)
    };
    if fields.has(other) {
        return Err(Error::Envelope(
            "a description belongs to another wrapping algorithm",
        ));
    }
    if wrap == Wrap::KmsContext && !fields.has(ours) {
        return Err(Error::Envelope("the encryption context is missing"));
    }
    Ok(V3 {
        wrapped: fields.bytes(field::V3_KEY)?,
        wrap,
        description: fields.map(ours)?,
        commitment,
        message_id,
    })
}

fn v2(fields: &Named) -> Result<V2, Error> {
    let content = match fields.required(field::CEK_ALG)? {
        "AES/GCM/NoPadding" => {
            // Some writers leave it out; none writes another length.
            if fields.get(field::TAG_LEN).is_some_and(|len| len != "128") {
                return Err(Error::Envelope("the tag has not 128 bits"));
            }
            let nonce: [u8; 12] = fields.array(field::IV)?;
            if nonce == [0; 12] {
                return Err(Error::Envelope("the nonce is all zeros"));
            }
            V2Content::Gcm(nonce)
        }
        "AES/CBC/PKCS5Padding" | "AES/CBC/PKCS7Padding" => V2Content::Cbc(fields.array(field::IV)?),
        _ => return Err(Error::Envelope("the content cipher is unknown")),
    };
    let wrap = match fields.required(field::WRAP_ALG)? {
        "kms+context" => Wrap::KmsContext,
        "AES/GCM" => Wrap::AesGcm,
        "RSA-OAEP-SHA1" => Wrap::RsaOaepSha1,
        "kms" => Wrap::Kms,
        "AESWrap" => Wrap::AesWrap,
        "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" => Wrap::RsaOaepSha256,
        _ => return Err(Error::Envelope("the wrapping algorithm is unknown")),
    };
    // These wraps bind the data key to authenticated content: no writer pairs them with CBC.
    let binds = matches!(wrap, Wrap::KmsContext | Wrap::AesGcm | Wrap::RsaOaepSha1);
    if binds && matches!(content, V2Content::Cbc(_)) {
        return Err(Error::Envelope(
            "the content cipher is not one of this wrapping algorithm",
        ));
    }
    Ok(V2 {
        wrapped: fields.bytes(field::V2_KEY)?,
        wrap,
        content,
        description: fields.map(field::MATDESC)?,
    })
}

fn v1(fields: &Named) -> Result<V1, Error> {
    if fields.any(&[field::CEK_ALG, field::WRAP_ALG, field::TAG_LEN]) {
        return Err(Error::Envelope("it has the fields of two formats"));
    }
    Ok(V1 {
        wrapped: fields.bytes(field::V1_KEY)?,
        iv: fields.array(field::IV)?,
        description: fields.map(field::MATDESC)?,
    })
}

/// Fields of instruction files that some writers leave without quotes.
const NUMBERS: [&str; 2] = [field::TAG_LEN, field::PLAIN_LEN];
/// Fields of the formats V1 and V2.
const OLD: [&str; 7] = [
    field::V1_KEY,
    field::V2_KEY,
    field::IV,
    field::CEK_ALG,
    field::WRAP_ALG,
    field::MATDESC,
    field::TAG_LEN,
];
/// Those of them that stand beside a wrapped key.
const OLD_BESIDES: [&str; 5] = [
    field::IV,
    field::CEK_ALG,
    field::WRAP_ALG,
    field::MATDESC,
    field::TAG_LEN,
];
/// Fields of the format V3 that only the object itself may have.
const OBJECT_ONLY: [&str; 3] = [field::V3_CIPHER, field::V3_COMMITMENT, field::V3_MESSAGE_ID];
/// The other fields of the format V3 that stand beside a wrapped key.
const V3_BESIDES: [&str; 3] = [field::V3_WRAP, field::V3_CONTEXT, field::V3_MATDESC];
/// Everything that may stand in an instruction file, or would have to be refused there.
pub(super) const KNOWN: [&str; 15] = [
    field::V1_KEY,
    field::V2_KEY,
    field::IV,
    field::CEK_ALG,
    field::WRAP_ALG,
    field::MATDESC,
    field::TAG_LEN,
    field::PLAIN_LEN,
    field::V3_KEY,
    field::V3_CIPHER,
    field::V3_WRAP,
    field::V3_COMMITMENT,
    field::V3_MESSAGE_ID,
    field::V3_CONTEXT,
    field::V3_MATDESC,
];
