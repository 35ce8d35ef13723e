// SPDX-License-Identifier: Apache-2.0
//! `HEAD /bucket/key`: HeadObject.

use http::{HeaderValue, header};
use strongroom_audit::Receipt;

use super::{S3Request, get_object};
use crate::error::S3Error;
use crate::response::{Answer, ResponseBody};

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let req: &S3Request = req;
    req.admit(receipt, get_object::read_action(req)?)?;
    let overrides = get_object::overrides(req)?;
    let input = get_object::input(req, receipt).await?;
    let part = input.part_number.is_some();
    let read = |input| req.objects().head_object(req.scope(receipt), input);
    let (head, served) = get_object::range_if(req, receipt, input, read, |(head, _)| head).await?;
    let mut answer = Answer::new(get_object::status(served), ResponseBody::empty());
    get_object::describe(answer.response.headers_mut(), &head, served, part);
    answer.set(header::CONTENT_LENGTH, HeaderValue::from(served.len));
    for (name, value) in overrides {
        answer.set(name, value);
    }
    Ok(answer)
}
