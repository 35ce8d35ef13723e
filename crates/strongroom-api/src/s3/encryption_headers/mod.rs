// SPDX-License-Identifier: Apache-2.0
//! Encryption headers: from the request into an [`EncryptionRequest`] or [`CustomerKey`], and
//! from the stored facts back into the answer.
//!
//! Order, codes and messages of each refusal are S3's; the first failure wins.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use strongroom_format::{EncryptionContext, ExternalKey};
use strongroom_md5::Md5;
use strongroom_object::{CustomerKey, Encryption, EncryptionRequest};
use zeroize::{Zeroize as _, Zeroizing};

use super::{S3Request, names};
use crate::error::{S3Code, S3Error};

/// Longest encryption context header, bytes.
const CONTEXT_BYTES_MAX: usize = 8 * 1024;

/// Which of the two customer-key trios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trio {
    /// The object itself.
    Object,
    /// The source of a copy.
    CopySource,
}

impl Trio {
    /// Algorithm, key and MD5 headers.
    fn names(self) -> [HeaderName; 3] {
        match self {
            Self::Object => [
                names::SSE_C_ALGORITHM,
                names::SSE_C_KEY,
                names::SSE_C_KEY_MD5,
            ],
            Self::CopySource => [
                names::COPY_SSE_C_ALGORITHM,
                names::COPY_SSE_C_KEY,
                names::COPY_SSE_C_KEY_MD5,
            ],
        }
    }
}

/// What a write (PutObject, CopyObject, CreateMultipartUpload) says about encryption.
pub(crate) fn for_write(req: &S3Request) -> Result<EncryptionRequest, S3Error> {
    let headers = Headers {
        headers: &req.headers,
        secure: req.secure,
    };
    let request = for_write_headers(&headers)?;
    if let EncryptionRequest::Kms { key_id: None, .. }
    | EncryptionRequest::Dsse { key_id: None, .. } = request
        && req.objects().compat().wants_kms_keys_named()
    {
        return Err(S3Error::invalid_argument(
            format!(
                "Server Side Encryption with KMS managed key requires HTTP header {}",
                names::SSE_KMS_KEY_ID
            ),
            names::SSE_KMS_KEY_ID.as_str(),
            "null",
        ));
    }
    Ok(request)
}

/// Parts and Complete take no header that chooses an encryption: CreateMultipartUpload did.
pub(crate) fn refuse_on_part(req: &S3Request) -> Result<(), S3Error> {
    match req.headers.get(&names::SSE) {
        Some(value)
            if !req
                .objects()
                .compat()
                .overlooks_encryption_headers_of_parts() =>
        {
            Err(not_supported(&names::SSE, lossy(value)))
        }
        Some(_) | None => Ok(()),
    }
}

fn not_supported(name: &HeaderName, value: String) -> S3Error {
    S3Error::invalid_argument(
        format!("{name} header is not supported for this operation."),
        name.as_str(),
        value,
    )
}

/// The customer key of a read, a part or a copy source, if one was sent.
pub(crate) fn customer_key(req: &S3Request, trio: Trio) -> Result<Option<CustomerKey>, S3Error> {
    Headers {
        headers: &req.headers,
        secure: req.secure,
    }
    .customer_key(trio)
}

/// Whether a customer key came that is well-formed and its MD5 right, but is no key of AES-256. To a
/// read it is a wrong key.
pub(super) fn has_key_of_another_length(req: &S3Request, trio: Trio) -> bool {
    let headers = Headers {
        headers: &req.headers,
        secure: req.secure,
    };
    let decoded = headers.decoded_key(trio);
    decoded.is_ok_and(|key| key.is_some_and(|(key, _)| !key.is_empty() && key.len() != 32))
}

/// Refuses a request that brings a customer key over an unencrypted connection.
pub(crate) fn refuse_insecure_customer_key(req: &S3Request) -> Result<(), S3Error> {
    Headers {
        headers: &req.headers,
        secure: req.secure,
    }
    .refuse_insecure_customer_key()
}

/// GET and HEAD take no header that chooses an encryption: the object's own is what it is.
pub(crate) fn refuse_on_read(req: &S3Request) -> Result<(), S3Error> {
    for name in [
        names::SSE,
        names::SSE_KMS_KEY_ID,
        names::SSE_CONTEXT,
        names::SSE_BUCKET_KEY,
    ] {
        if let Some(value) = req.headers.get(&name) {
            let shown = if name == names::SSE {
                lossy(value)
            } else {
                String::new()
            };
            return Err(not_supported(&name, shown));
        }
    }
    Ok(())
}

/// Reports how an object is sealed; `context` only for answers to writes.
pub(crate) fn echo(headers: &mut HeaderMap, encryption: &Encryption, with_context: bool) {
    match encryption {
        Encryption::S3 => {
            headers.insert(names::SSE, HeaderValue::from_static("AES256"));
        }
        Encryption::Kms {
            key_arn,
            context,
            bucket_key,
        } => {
            headers.insert(names::SSE, HeaderValue::from_static("aws:kms"));
            echo_kms(headers, key_arn, context.as_ref().filter(|_| with_context));
            if *bucket_key {
                headers.insert(names::SSE_BUCKET_KEY, HeaderValue::from_static("true"));
            }
        }
        Encryption::Dsse { key_arn, context } => {
            headers.insert(names::SSE, HeaderValue::from_static("aws:kms:dsse"));
            echo_kms(headers, key_arn, context.as_ref().filter(|_| with_context));
        }
        Encryption::Customer {
            md5_base64: Some(md5),
        } => {
            headers.insert(names::SSE_C_ALGORITHM, HeaderValue::from_static("AES256"));
            set(headers, names::SSE_C_KEY_MD5, md5);
        }
        Encryption::Customer { md5_base64: None } => {}
    }
}

fn echo_kms(headers: &mut HeaderMap, key_arn: &str, context: Option<&EncryptionContext>) {
    set(headers, names::SSE_KMS_KEY_ID, key_arn);
    if let Some(context) = context.filter(|context| !context.is_empty()) {
        set(headers, names::SSE_CONTEXT, &context_header(context));
    }
}

/// `SSEApplied` of the audit event of a write: what was done, and whether the bucket said so.
pub(crate) fn sse_applied(by_default: bool, encryption: &Encryption) -> &'static str {
    match (encryption, by_default) {
        (Encryption::S3, true) => "Default_SSE_S3",
        (Encryption::S3, false) => "SSE_S3",
        (Encryption::Kms { .. }, true) => "Default_SSE_KMS",
        (Encryption::Kms { .. }, false) => "SSE_KMS",
        (Encryption::Dsse { .. }, true) => "Default_SSE_KMS_DSSE",
        (Encryption::Dsse { .. }, false) => "SSE_KMS_DSSE",
        (Encryption::Customer { .. }, _) => "SSE_C",
    }
}

/// Whether the request brings a customer key for the object it is about.
pub(crate) fn has_customer_key(req: &S3Request) -> bool {
    Headers {
        headers: &req.headers,
        secure: req.secure,
    }
    .has_trio(Trio::Object)
}

struct Headers<'h> {
    headers: &'h HeaderMap,
    secure: bool,
}

fn for_write_headers(req: &Headers<'_>) -> Result<EncryptionRequest, S3Error> {
    req.refuse_insecure_customer_key()?;
    let sse = req.get(&names::SSE);
    if req.has_trio(Trio::Object) {
        if let Some(sse) = sse {
            return Err(sse_argument(
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
                lossy(sse),
            ));
        }
        req.refuse_kms_headers()?;
        let key = req.customer_key(Trio::Object)?;
        req.bucket_key_header()?;
        return key
            .map(EncryptionRequest::Customer)
            .ok_or_else(|| S3Error::internal("a customer key vanished between two looks"));
    }
    match sse.map(HeaderValue::as_bytes) {
        None => {
            req.refuse_kms_headers()?;
            Ok(EncryptionRequest::Default {
                bucket_key: req.bucket_key_header()?,
            })
        }
        Some(b"AES256") => {
            req.refuse_kms_headers()?;
            req.bucket_key_header()?;
            Ok(EncryptionRequest::S3)
        }
        Some(b"aws:kms") => {
            let bucket_key = req.bucket_key_header()?;
            let (key_id, context) = req.kms_request("aws:kms")?;
            Ok(EncryptionRequest::Kms {
                key_id,
                context,
                bucket_key,
            })
        }
        Some(b"aws:kms:dsse") => {
            req.bucket_key_header()?;
            let (key_id, context) = req.kms_request("aws:kms:dsse")?;
            Ok(EncryptionRequest::Dsse { key_id, context })
        }
        Some(_) => Err(sse_argument(
            "The encryption method specified is not supported",
            sse.map(lossy).unwrap_or_default(),
        )),
    }
}

impl Headers<'_> {
    fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    fn has_trio(&self, trio: Trio) -> bool {
        trio.names()
            .iter()
            .any(|name| self.headers.contains_key(name))
    }

    /// A customer key that came in clear is to be taken for lost; nothing is done with it.
    fn refuse_insecure_customer_key(&self) -> Result<(), S3Error> {
        if !self.secure && (self.has_trio(Trio::Object) || self.has_trio(Trio::CopySource)) {
            return Err(S3Error::invalid_request(
                "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.",
            ));
        }
        Ok(())
    }

    fn refuse_kms_headers(&self) -> Result<(), S3Error> {
        if self.get(&names::SSE_KMS_KEY_ID).is_some() || self.get(&names::SSE_CONTEXT).is_some() {
            return Err(sse_argument(
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
                self.get(&names::SSE)
                    .map_or_else(|| "null".to_owned(), lossy),
            ));
        }
        Ok(())
    }

    /// Whether a bucket key is wanted; without SSE-KMS it has no effect, and is checked all the
    /// same.
    fn bucket_key_header(&self) -> Result<Option<bool>, S3Error> {
        match self.get(&names::SSE_BUCKET_KEY) {
            None => Ok(None),
            Some(value) if value == "true" => Ok(Some(true)),
            Some(value) if value == "false" => Ok(Some(false)),
            Some(value) => Err(S3Error::invalid_argument(
                "The value of the bucket key header must be true or false.",
                names::SSE_BUCKET_KEY.as_str(),
                lossy(value),
            )),
        }
    }

    /// Key and context of a request for `method`, which is one of the two with a KMS key.
    fn kms_request(
        &self,
        method: &'static str,
    ) -> Result<(Option<String>, EncryptionContext), S3Error> {
        if !self.secure {
            return Err(sse_argument(
                "Requests specifying Server Side Encryption with AWS KMS managed keys must be made over a secure connection.",
                method,
            ));
        }
        let key_id = match self.get(&names::SSE_KMS_KEY_ID) {
            None => None,
            Some(value) => Some(
                value
                    .to_str()
                    .map_err(|_| S3Error::new(S3Code::KmsNotFound, "Invalid keyId"))?
                    .to_owned(),
            )
            .filter(|id| !id.is_empty()),
        };
        let context = match self.get(&names::SSE_CONTEXT) {
            None => EncryptionContext::default(),
            Some(value) => parse_context(value.as_bytes()).ok_or_else(|| {
                S3Error::invalid_argument(
                    "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map",
                    names::SSE_CONTEXT.as_str(),
                    "",
                )
            })?,
        };
        Ok((key_id, context))
    }

    /// Rows 2 to 7 of the order in which S3 checks a customer key.
    fn customer_key(&self, trio: Trio) -> Result<Option<CustomerKey>, S3Error> {
        let Some((decoded, md5_base64)) = self.decoded_key(trio)? else {
            return Ok(None);
        };
        let Ok(bytes) = <&[u8; 32]>::try_from(decoded.as_slice()) else {
            return Err(sse_argument(
                "The secret key was invalid for the specified algorithm.",
                "null",
            ));
        };
        Ok(Some(CustomerKey {
            secret: ExternalKey::copied_from(bytes),
            md5_base64,
        }))
    }

    /// Rows 2 to 6: the key, of whatever length, and its MD5. One that is no base64 is empty.
    fn decoded_key(&self, trio: Trio) -> Result<Option<DecodedKey>, S3Error> {
        if !self.has_trio(trio) {
            return Ok(None);
        }
        self.refuse_insecure_customer_key()?;
        let [algorithm, key, md5] = trio.names();
        let provide = |what: &str| {
            sse_argument(
                format!(
                    "Requests specifying Server Side Encryption with Customer provided keys must provide {what}."
                ),
                "null",
            )
        };
        let Some(algorithm) = self.get(&algorithm) else {
            return Err(provide("a valid encryption algorithm"));
        };
        let Some(key) = self.get(&key) else {
            return Err(provide("an appropriate secret key"));
        };
        if algorithm != "AES256" {
            return Err(S3Error::from_code(S3Code::InvalidEncryptionAlgorithm)
                .with("ArgumentName", names::SSE.as_str())
                .with("ArgumentValue", lossy(algorithm)));
        }
        let Some(md5) = self.get(&md5) else {
            return Err(provide("the client calculated MD5 of the secret key"));
        };
        let decoded = Zeroizing::new(STANDARD.decode(key.as_bytes()).unwrap_or_default());
        let computed = STANDARD.encode(md5_of_key(&decoded));
        // A key that is no base64 has no MD5 to compare; it is the key that is wrong then.
        if !decoded.is_empty() && computed.as_bytes() != md5.as_bytes() {
            return Err(sse_argument(
                "The calculated MD5 hash of the key did not match the hash that was provided.",
                "null",
            ));
        }
        Ok(Some((decoded, computed)))
    }
}

/// A customer key of whatever length, and its MD5 in Base64.
type DecodedKey = (Zeroizing<Vec<u8>>, String);

/// The MD5 of a customer key. Md5 keeps what it was given in a buffer of its own, which lies on the
/// heap here and is wiped; what its working leaves on the stack is overwritten before anything else
/// happens on it.
fn md5_of_key(key: &[u8]) -> [u8; 16] {
    let mut md5 = Box::new(Md5::new());
    md5.update(key);
    let digest = md5.finish();
    drop(md5);
    wipe_stack();
    digest
}

/// Overwrites what calls from the caller's frame have left: more than a digest ever uses.
#[inline(never)]
fn wipe_stack() {
    let mut frame = [0_u8; 4096];
    frame.zeroize();
}

fn sse_argument(
    message: impl Into<std::borrow::Cow<'static, str>>,
    value: impl Into<String>,
) -> S3Error {
    S3Error::invalid_argument(message, names::SSE.as_str(), value)
}

/// Base64 of a flat JSON object of strings, none of them empty; a name given twice is refused.
fn parse_context(header: &[u8]) -> Option<EncryptionContext> {
    if header.len() > CONTEXT_BYTES_MAX {
        return None;
    }
    let json = STANDARD.decode(header).ok()?;
    let pairs: UniquePairs = serde_json::from_slice(&json).ok()?;
    let mut context = EncryptionContext::default();
    for (name, value) in pairs.0 {
        if name.is_empty() || value.is_empty() {
            return None;
        }
        context.insert(name, value).ok()?;
    }
    Some(context)
}

/// String pairs of a JSON object in which each name is there once.
struct UniquePairs(std::collections::BTreeMap<String, String>);

impl<'de> serde::Deserialize<'de> for UniquePairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = UniquePairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<UniquePairs, A::Error> {
                let mut pairs = std::collections::BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if pairs.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a name is there twice"));
                    }
                }
                Ok(UniquePairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn context_header(context: &EncryptionContext) -> String {
    let map: serde_json::Map<String, serde_json::Value> = context
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned().into()))
        .collect();
    STANDARD.encode(serde_json::Value::Object(map).to_string())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests;
