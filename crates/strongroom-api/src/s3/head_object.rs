// SPDX-License-Identifier: Apache-2.0
//! `HEAD /bucket/key`: HeadObject.

use http::{HeaderValue, header};
use strongroom_audit::Receipt;
use strongroom_object::{Error as ObjectError, GetObject, ObjectHead, Served};

use super::{S3Request, get_object};
use crate::error::S3Error;
use crate::response::{Answer, ResponseBody};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    req.admit(receipt, get_object::read_action(req)?)?;
    let overrides = get_object::overrides(req)?;
    let input = get_object::input(req, receipt).await?;
    let part = input.part_number.is_some();
    let validator = get_object::if_range(req, &input)?;
    let (head, served) = match validator {
        None => req.objects().head_object(req.scope(receipt), input).await?,
        Some(validator) => conditional_range(req, receipt, input, &validator).await?,
    };
    let mut answer = Answer::new(get_object::status(served), ResponseBody::empty());
    get_object::describe(answer.response.headers_mut(), &head, served, part);
    answer.set(header::CONTENT_LENGTH, HeaderValue::from(served.len));
    for (name, value) in overrides {
        answer.set(name, value);
    }
    Ok(answer)
}

/// What [`get_object`] would say of the range, or of the whole object.
async fn conditional_range(
    req: &S3Request,
    receipt: &Receipt,
    ranged: GetObject,
    validator: &get_object::Validator,
) -> Result<(ObjectHead, Served), S3Error> {
    let ranged = req.objects().head_object(req.scope(receipt), ranged).await;
    match &ranged {
        Ok((head, _)) if validator.holds(head) => return Ok(ranged?),
        Ok(_) | Err(ObjectError::InvalidRange { .. }) => {}
        Err(_) => return Ok(ranged?),
    }
    let whole = GetObject {
        range: None,
        range_text: String::new(),
        ..get_object::input(req, receipt).await?
    };
    let whole = req.objects().head_object(req.scope(receipt), whole).await?;
    if ranged.is_err() && validator.holds(&whole.0) {
        return Ok(ranged?);
    }
    Ok(whole)
}
