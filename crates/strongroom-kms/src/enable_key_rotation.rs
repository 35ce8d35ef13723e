// SPDX-License-Identifier: Apache-2.0
//! EnableKeyRotation.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;

use crate::authorize::{Ask, KmsAction};
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_change::Change;
use crate::rotation::{PERIOD_DAYS_DEFAULT, next_rotation_ms};
use crate::service::Kms;

/// Parameters of EnableKeyRotation.
#[derive(Clone, Debug)]
pub struct EnableKeyRotationInput {
    /// Key id or key ARN.
    pub key_id: String,
    /// 90 to 2,560; 365 when `None`.
    pub rotation_period_in_days: Option<i64>,
}

impl Kms {
    /// Lets a key rotate by itself, for the first time when the period has passed.
    pub async fn enable_key_rotation(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: EnableKeyRotationInput,
    ) -> Result<(), Error> {
        let mut event = Event::new(
            receipt,
            "EnableKeyRotation",
            false,
            json!({ "keyId": asked(&input.key_id) }),
        );
        if let Some(days) = input.rotation_period_in_days {
            event.parameter("rotationPeriodInDays", days.into());
        }
        let result = self
            .try_enable_key_rotation(caller, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_enable_key_rotation(
        &self,
        caller: &Caller,
        input: &EnableKeyRotationInput,
        event: &mut Event<'_>,
    ) -> Result<(), Error> {
        let days = period(input.rotation_period_in_days)?;
        let conditions = [("kms:RotationPeriodInDays", days.to_string())];
        let ask = Ask {
            conditions: &conditions,
            ..Ask::new(caller, event.via(), KmsAction::EnableKeyRotation)
        };
        let change = self.change_key(&input.key_id, &ask, event, |row| {
            self.check_rotates_by_itself(row)?;
            ask.action
                .needs()
                .check(&row.arn(self.place()), row.state)?;
            if row.rotation_period_days == Some(days) {
                return Ok(Change::Nothing(()));
            }
            row.rotation_period_days = Some(days);
            row.next_rotation_ms = Some(next_rotation_ms(self.now_ms(), days));
            Ok(Change::Row(()))
        });
        change.await.map(drop)
    }
}

fn period(days: Option<i64>) -> Result<u32, Error> {
    let Some(days) = days else {
        return Ok(PERIOD_DAYS_DEFAULT);
    };
    match u32::try_from(days) {
        Ok(period @ DAYS_MIN..=DAYS_MAX) => Ok(period),
        _ if days < i64::from(DAYS_MIN) => Err(Error::constraint(
            days,
            "rotationPeriodInDays",
            "have value greater than or equal to 90",
        )),
        _ => Err(Error::constraint(
            days,
            "rotationPeriodInDays",
            "have value less than or equal to 2560",
        )),
    }
}

const DAYS_MIN: u32 = 90;
const DAYS_MAX: u32 = 2560;
