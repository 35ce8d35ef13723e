// SPDX-License-Identifier: Apache-2.0
//! A key service with the AWS KMS protocol, by Amazon's SDK.

use std::collections::HashMap;

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;

use super::{Answer, KeyService, WrappedByService};
use crate::envelope::TextMap;
use crate::error::Error;
use crate::secret::AesKey;
use crate::transport::said;

/// A key service with the AWS KMS protocol.
#[derive(Clone, Debug)]
pub struct AwsKms(aws_sdk_kms::Client);

impl AwsKms {
    /// Uses this client, as it is configured.
    pub fn new(client: aws_sdk_kms::Client) -> Self {
        Self(client)
    }
}

impl KeyService for AwsKms {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a TextMap,
    ) -> Answer<'a, WrappedByService> {
        Box::pin(async move {
            let answer = self
                .0
                .generate_data_key()
                .key_id(key_id)
                .key_spec(DataKeySpec::Aes256)
                .set_encryption_context(Some(pairs(context)))
                .send()
                .await
                .map_err(failed)?;
            let blob = answer.ciphertext_blob.ok_or_else(no_answer)?;
            Ok(WrappedByService {
                data_key: key(answer.plaintext)?,
                blob: blob.into_inner(),
            })
        })
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a TextMap,
    ) -> Answer<'a, AesKey> {
        Box::pin(async move {
            let answer = self
                .0
                .decrypt()
                .set_key_id(key_id.map(ToOwned::to_owned))
                .ciphertext_blob(Blob::new(blob))
                .set_encryption_context(Some(pairs(context)))
                .send()
                .await
                .map_err(failed)?;
            key(answer.plaintext)
        })
    }

    fn encrypt<'a>(
        &'a self,
        key_id: &'a str,
        data_key: &'a AesKey,
        context: &'a TextMap,
    ) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            let answer = self
                .0
                .encrypt()
                .key_id(key_id)
                .plaintext(Blob::new(data_key.expose()))
                .set_encryption_context(Some(pairs(context)))
                .send()
                .await
                .map_err(failed)?;
            let blob = answer.ciphertext_blob.ok_or_else(no_answer)?;
            Ok(blob.into_inner())
        })
    }
}

/// Takes the key out of the answer, so that no copy of it is left behind there.
fn key(plaintext: Option<Blob>) -> Result<AesKey, Error> {
    AesKey::new(plaintext.ok_or_else(no_answer)?.into_inner())
}

fn pairs(context: &TextMap) -> HashMap<String, String> {
    context.clone().into_iter().collect()
}

fn no_answer() -> Error {
    Error::KeyService("the answer lacks what it must have".into())
}

#[expect(clippy::needless_pass_by_value, reason = "a function for `map_err`")]
fn failed<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    // Never the client's own words: they may hold the request, and so a data key that was to be
    // wrapped.
    match error.code() {
        Some("IncorrectKeyException") => Error::WrongKey,
        _ => Error::KeyService(said(&error).into()),
    }
}
