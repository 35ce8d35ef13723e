// SPDX-License-Identifier: Apache-2.0
//! Envelopes as fields of the object, or as an instruction file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{self, Spaces, TextMap};
use super::{Envelope, Fields, V2Content, Wrap, field};
use crate::error::Error;

/// An envelope as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// User metadata of the object: names without `x-amz-meta-`.
    pub object: Fields,
    /// The instruction file, if the wrapped key is to lie in one.
    pub instruction: Option<Instruction>,
}

/// A file beside the object.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instruction {
    /// Its content.
    pub body: Vec<u8>,
    /// Its own user metadata.
    pub metadata: Fields,
}

/// User metadata of an instruction file.
pub(crate) fn instruction_metadata() -> Fields {
    Fields::from([(field::INSTRUCTION.to_owned(), String::new())])
}

impl Envelope {
    /// The envelope as user metadata of the object. Format V1 is not written.
    pub fn to_metadata(&self) -> Result<Stored, Error> {
        let (mut object, key) = self.fields(Spaces::Plain)?;
        object.extend(key);
        Ok(Stored {
            object,
            instruction: None,
        })
    }

    /// The envelope with the wrapped key in an instruction file. Format V1 is not written.
    pub fn to_instruction_file(&self) -> Result<Stored, Error> {
        let (object, key) = self.fields(Spaces::Escaped)?;
        let instruction = Instruction {
            body: json::write(&key, Spaces::Escaped).into_bytes(),
            metadata: instruction_metadata(),
        };
        Ok(Stored {
            object,
            instruction: Some(instruction),
        })
    }

    /// What must lie with the object, and what may lie in a file.
    fn fields(&self, spaces: Spaces) -> Result<(Fields, Fields), Error> {
        let put = |fields: &mut Fields, name: &str, value: String| {
            fields.insert(name.to_owned(), value);
        };
        let description = |map: &TextMap| json::write(map, spaces);
        let (mut object, mut key) = (Fields::new(), Fields::new());
        match self {
            Self::V1(_) => return Err(Error::Config("the format V1 is not written")),
            Self::V2(v2) => {
                if !matches!(v2.wrap, Wrap::KmsContext | Wrap::AesGcm | Wrap::RsaOaepSha1) {
                    return Err(Error::Config("legacy wrapping algorithms are not written"));
                }
                let V2Content::Gcm(nonce) = v2.content else {
                    return Err(Error::Config("AES-CBC is not written"));
                };
                put(&mut key, field::V2_KEY, STANDARD.encode(&v2.wrapped));
                put(&mut key, field::IV, STANDARD.encode(nonce));
                put(&mut key, field::CEK_ALG, self.cipher().name().to_owned());
                put(&mut key, field::WRAP_ALG, v2.wrap.name().to_owned());
                put(&mut key, field::MATDESC, description(&v2.description));
                put(&mut key, field::TAG_LEN, "128".to_owned());
            }
            Self::V3(v3) => {
                let (wrap, map) = match v3.wrap {
                    Wrap::KmsContext => ("12", field::V3_CONTEXT),
                    Wrap::AesGcm => ("02", field::V3_MATDESC),
                    Wrap::RsaOaepSha1 => ("22", field::V3_MATDESC),
                    _ => return Err(Error::Config("legacy wrapping algorithms are not written")),
                };
                put(&mut key, field::V3_KEY, STANDARD.encode(&v3.wrapped));
                put(&mut key, field::V3_WRAP, wrap.to_owned());
                put(&mut key, map, description(&v3.description));
                let id = STANDARD.encode(v3.message_id);
                put(
                    &mut object,
                    field::V3_CIPHER,
                    self.cipher().name().to_owned(),
                );
                put(
                    &mut object,
                    field::V3_COMMITMENT,
                    STANDARD.encode(v3.commitment),
                );
                put(&mut object, field::V3_MESSAGE_ID, id);
            }
        }
        Ok((object, key))
    }
}
