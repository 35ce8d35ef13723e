// SPDX-License-Identifier: Apache-2.0
//! GenerateRandom.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use zeroize::Zeroizing;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::Event;
use crate::material;
use crate::model::Plaintext;
use crate::service::Kms;

/// Parameters of GenerateRandom.
#[derive(Clone, Copy, Debug)]
pub struct GenerateRandomInput {
    /// 1 to 1,024; must be given.
    pub number_of_bytes: Option<u16>,
}

impl Kms {
    /// Random bytes of the cryptographic module.
    pub async fn generate_random(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GenerateRandomInput,
    ) -> Result<Plaintext, Error> {
        let parameters = json!({ "numberOfBytes": input.number_of_bytes });
        let event = Event::new(receipt, "GenerateRandom", true, parameters);
        let result = self.try_generate_random(caller, input, &event);
        event.close(result).await
    }

    fn try_generate_random(
        &self,
        caller: &Caller,
        input: GenerateRandomInput,
        event: &Event<'_>,
    ) -> Result<Plaintext, Error> {
        let Some(len) = input.number_of_bytes else {
            return Err(Error::Validation("NumberOfBytes is required.".to_owned()));
        };
        if !(1..=BYTES_MAX).contains(&len) {
            let must = if len == 0 {
                "have value greater than or equal to 1"
            } else {
                "have value less than or equal to 1024"
            };
            return Err(Error::constraint(len, "numberOfBytes", must));
        }
        self.authorize_account(&Ask::new(caller, event.via(), KmsAction::GenerateRandom))?;
        let mut bytes = Zeroizing::new(vec![0; usize::from(len)]);
        material::fill(&mut bytes)?;
        Ok(Plaintext::from(bytes))
    }
}

const BYTES_MAX: u16 = 1024;
