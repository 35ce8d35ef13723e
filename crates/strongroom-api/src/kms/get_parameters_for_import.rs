// SPDX-License-Identifier: Apache-2.0
//! GetParametersForImport.

use serde::Serialize;
use strongroom_kms::GetParametersForImportInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::{ALGORITHM, KEY_ID};
use super::reply::{Blob, EpochSeconds, Reply};

pub(super) async fn handle(call: Call<'_>, mut members: Members) -> Result<Reply, KmsFault> {
    let input = GetParametersForImportInput {
        key_id: members.required_text("KeyId", KEY_ID)?,
        wrapping_algorithm: members.required_text("WrappingAlgorithm", ALGORITHM)?,
        wrapping_key_spec: members.required_text("WrappingKeySpec", ALGORITHM)?,
    };
    members.finish()?;
    let output = call
        .kms
        .get_parameters_for_import(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        key_id: &output.key_arn,
        import_token: Blob(&output.import_token),
        public_key: Blob(&output.public_key),
        parameters_valid_to: EpochSeconds(output.valid_to_ms),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    key_id: &'a str,
    import_token: Blob<'a>,
    public_key: Blob<'a>,
    parameters_valid_to: EpochSeconds,
}
