// SPDX-License-Identifier: Apache-2.0
//! DescribeKey.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::model::KeyMetadata;
use crate::service::Kms;

/// Parameters of DescribeKey.
#[derive(Clone, Debug)]
pub struct DescribeKeyInput {
    /// Any of the four key identifiers. `alias/aws/s3` makes S3's key when there is none yet, as
    /// at AWS.
    pub key_id: String,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
}

impl Kms {
    /// What there is to say about a key.
    pub async fn describe_key(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: DescribeKeyInput,
    ) -> Result<KeyMetadata, Error> {
        let parameters = json!({ "keyId": asked(&input.key_id) });
        let mut event = Event::new(receipt, "DescribeKey", true, parameters);
        let result = self
            .try_describe_key(caller, receipt, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_describe_key(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: &DescribeKeyInput,
        event: &mut Event<'_>,
    ) -> Result<KeyMetadata, Error> {
        let ask =
            Ask::new(caller, event.via(), KmsAction::DescribeKey).grant_tokens(&input.grant_tokens);
        let found = self.find_or_make(&ask, receipt, &input.key_id).await?;
        event.touches(&found.row.arn(self.place()));
        let alias = found.alias.as_deref();
        self.authorize_told(&Ask { alias, ..ask }, &found.row, &found.told)?;
        Ok(found.row.describe(self.place()))
    }
}
