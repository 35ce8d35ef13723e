// SPDX-License-Identifier: Apache-2.0
//! What S3 asks before it moves an object from the data key of one KMS key to one of another: the
//! rights of ReEncrypt and Encrypt, next to those of the calls that do it (Decrypt and
//! GenerateDataKey, which ask for themselves).

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::encryption::SYMMETRIC_DEFAULT;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::patience::Patience;
use crate::service::Kms;
use crate::use_key::{ENCRYPTION_ALGORITHM, Use};

/// A move of an object between data keys.
#[derive(Clone, Copy, Debug)]
pub struct S3Exchange<'a> {
    /// ARN of the KMS key of now and the context its data key is bound to; `None` where no KMS
    /// key is left behind.
    pub source: Option<(&'a str, &'a EncryptionContext)>,
    /// ARN of the KMS key to be.
    pub target: &'a str,
    /// The context that the new data key will be bound to.
    pub context: &'a EncryptionContext,
}

impl Kms {
    /// Whether the caller may exchange one data key for another: `kms:ReEncryptFrom` on the source,
    /// `kms:ReEncryptTo` and `kms:Encrypt` on the target, and both keys in a state to be used. A
    /// refusal is recorded as one of ReEncrypt; a yes is not, since nothing was done yet.
    pub async fn permit_exchange_for_s3(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        exchange: S3Exchange<'_>,
    ) -> Result<(), Error> {
        let parameters = json!({
            "sourceEncryptionAlgorithm": SYMMETRIC_DEFAULT,
            "destinationKeyId": asked(exchange.target),
            "destinationEncryptionAlgorithm": SYMMETRIC_DEFAULT,
        });
        let mut event = Event::new(receipt, "ReEncrypt", true, parameters).via_s3(self.place());
        if let Some((_, context)) = exchange.source {
            event.context_as("sourceEncryptionContext", context);
        }
        event.context_as("destinationEncryptionContext", exchange.context);
        match self.try_permit_exchange(caller, exchange, &mut event) {
            Ok(()) => {
                event.discard();
                Ok(())
            }
            Err(error) => Patience::new().wait(event.close(Err(error))).await,
        }
    }

    fn try_permit_exchange(
        &self,
        caller: &Caller,
        exchange: S3Exchange<'_>,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let source = exchange
            .source
            .map(|(arn, context)| Ok::<_, Error>((self.find(arn)?, context)))
            .transpose()?;
        let target = self.find(exchange.target)?;
        let algorithm = (ENCRYPTION_ALGORITHM, SYMMETRIC_DEFAULT.to_owned());
        let same = source
            .as_ref()
            .is_some_and(|(key, _)| key.row.uid == target.row.uid);
        let on_same_key = ("kms:ReEncryptOnSameKey", same.to_string());
        let both = [algorithm.clone(), on_same_key];
        let wish = |action, context, conditions| Use {
            caller,
            action,
            context: Some(context),
            grant_tokens: &[],
            dry_run: false,
            conditions,
        };
        if let Some((key, context)) = &source {
            self.permit(&wish(KmsAction::ReEncryptFrom, *context, &both), key, event)?;
        }
        let context = exchange.context;
        self.permit(
            &wish(KmsAction::ReEncryptTo, context, &both),
            &target,
            event,
        )?;
        self.permit(
            &wish(KmsAction::Encrypt, context, &[algorithm]),
            &target,
            event,
        )?;
        Ok(())
    }
}
