// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKeyWithoutPlaintext.

use serde::Serialize;

use super::Call;
use super::fault::KmsFault;
use super::generate_data_key::decode;
use super::members::Members;
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .generate_data_key_without_plaintext(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        ciphertext_blob: Blob(&output.ciphertext_blob.0),
        key_id: &output.key_arn,
        key_material_id: &output.key_material_id,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    ciphertext_blob: Blob<'a>,
    key_id: &'a str,
    key_material_id: &'a str,
}
