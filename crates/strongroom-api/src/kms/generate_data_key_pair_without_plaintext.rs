// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKeyPairWithoutPlaintext.

use serde::Serialize;

use super::Call;
use super::fault::KmsFault;
use super::generate_data_key_pair::decode;
use super::members::Members;
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let output = call
        .kms
        .generate_data_key_pair_without_plaintext(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        private_key_ciphertext_blob: Blob(&output.private_key_blob.0),
        public_key: Blob(&output.public_key),
        key_id: &output.key_arn,
        key_pair_spec: output.key_pair_spec.as_str(),
        key_material_id: &output.key_material_id,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    private_key_ciphertext_blob: Blob<'a>,
    public_key: Blob<'a>,
    key_id: &'a str,
    key_pair_spec: &'static str,
    key_material_id: &'a str,
}
