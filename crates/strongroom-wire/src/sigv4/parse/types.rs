// SPDX-License-Identifier: Apache-2.0
//! What the credentials of a request say.

use super::super::SigV4Error;
use super::super::Timestamp;
use crate::chunked::ChunkMode;

/// Where the credentials stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// In the `Authorization` header.
    Header,
    /// In the query string.
    Presigned,
    /// In the fields of a form.
    Form,
    /// Nowhere.
    Anonymous,
}

/// How the body is covered by the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadMode {
    /// The body must have this SHA-256.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    SignedChunks,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    SignedChunksTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedTrailer,
    /// Not declared: the hash of the whole body as it came. Services other than S3 only.
    WholeBody,
}

impl PayloadMode {
    /// The framing of the body, for the streaming modes.
    pub fn chunk_mode(self) -> Option<ChunkMode> {
        match self {
            Self::SignedChunks => Some(ChunkMode::Signed),
            Self::SignedChunksTrailer => Some(ChunkMode::SignedTrailer),
            Self::UnsignedTrailer => Some(ChunkMode::UnsignedTrailer),
            Self::Sha256(_) | Self::Unsigned | Self::WholeBody => None,
        }
    }

    /// Reads a value of `x-amz-content-sha256`.
    pub fn parse(text: &[u8]) -> Result<Self, SigV4Error> {
        match text {
            b"UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::SignedChunks),
            b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::SignedChunksTrailer),
            b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::UnsignedTrailer),
            _ => {
                let mut hash = [0u8; 32];
                let lower_case = text.iter().all(|b| !b.is_ascii_uppercase());
                match hex::decode_to_slice(text, &mut hash) {
                    Ok(()) if lower_case => Ok(Self::Sha256(hash)),
                    _ => Err(SigV4Error::InvalidContentSha256),
                }
            }
        }
    }

    /// The text that stands in the canonical request, or `None` for [`PayloadMode::WholeBody`].
    pub fn text(self) -> Option<String> {
        match self {
            Self::Sha256(hash) => Some(hex::encode(hash)),
            Self::Unsigned => Some("UNSIGNED-PAYLOAD".to_owned()),
            Self::SignedChunks => Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned()),
            Self::SignedChunksTrailer => {
                Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned())
            }
            Self::UnsignedTrailer => Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned()),
            Self::WholeBody => None,
        }
    }
}

/// Date, region and service a signature is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    date: String,
    region: String,
    service: String,
}

impl Scope {
    pub(crate) fn new(date: &str, region: &str, service: &str) -> Self {
        Self {
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        }
    }

    /// The date, `YYYYMMDD`.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The service, `s3`, `kms` and so on.
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// `date/region/service/aws4_request`.
impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.date,
            self.region,
            self.service,
            super::TERMINATOR
        )
    }
}

/// The credentials of a request as they were sent: nothing in here is verified.
#[derive(Debug, Clone)]
pub enum ParsedAuth {
    /// No credentials at all.
    Anonymous,
    /// Credentials that remain to be verified.
    Signed(Box<Credentials>),
}

/// Well-formed credentials; only [`super::parse_auth`] makes them.
#[derive(Clone)]
pub struct Credentials {
    pub(in crate::sigv4) kind: AuthKind,
    pub(in crate::sigv4) access_key_id: String,
    pub(in crate::sigv4) scope: Scope,
    pub(in crate::sigv4) timestamp: Timestamp,
    pub(in crate::sigv4) expires_seconds: Option<u32>,
    pub(in crate::sigv4) signed_headers: Vec<String>,
    pub(in crate::sigv4) payload: PayloadMode,
    pub(in crate::sigv4) session_token: Option<String>,
    pub(in crate::sigv4) signature: String,
    /// What a form's signature covers: its policy, as it was sent.
    pub(in crate::sigv4) form_policy: Option<String>,
}

impl ParsedAuth {
    /// Where the credentials stood.
    pub fn kind(&self) -> AuthKind {
        self.credentials().map_or(AuthKind::Anonymous, |c| c.kind)
    }

    /// The credentials, unless the request is anonymous.
    pub fn credentials(&self) -> Option<&Credentials> {
        match self {
            Self::Anonymous => None,
            Self::Signed(credentials) => Some(credentials),
        }
    }

    /// The access key id that is claimed.
    pub fn access_key_id(&self) -> Option<&str> {
        self.credentials().map(Credentials::access_key_id)
    }

    /// Date, region and service that are claimed; dispatch goes by the service.
    pub fn scope(&self) -> Option<&Scope> {
        self.credentials().map(Credentials::scope)
    }

    /// How the body is covered. An anonymous body is unsigned.
    pub fn payload_mode(&self) -> PayloadMode {
        self.credentials()
            .map_or(PayloadMode::Unsigned, |c| c.payload)
    }
}

impl Credentials {
    /// Header, presigned or form.
    pub fn kind(&self) -> AuthKind {
        self.kind
    }

    /// The access key id that is claimed: 1 to 128 characters of `A-Za-z0-9-_.`.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Date, region and service that are claimed.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The time of the request.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// How long a presigned request, or the signature of a form, lives.
    pub fn expires_seconds(&self) -> Option<u32> {
        self.expires_seconds
    }

    /// Lower-case names of the covered headers, sorted.
    pub fn signed_headers(&self) -> &[String] {
        &self.signed_headers
    }

    /// How the body is covered.
    pub fn payload_mode(&self) -> PayloadMode {
        self.payload
    }

    /// The session token that came with the request.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }
}

/// Session tokens are credentials; signatures of presigned requests are as good as one.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("kind", &self.kind)
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("timestamp", &self.timestamp)
            .field("signed_headers", &self.signed_headers)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}
