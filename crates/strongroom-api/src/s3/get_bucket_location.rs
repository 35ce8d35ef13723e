// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket?location`: GetBucketLocation.

use bytes::Bytes;
use strongroom_audit::Receipt;

use super::S3Request;
use super::create_bucket::LEGACY_REGION;
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let region = req
        .objects()
        .get_bucket_location(req.scope(receipt), req.bucket()?)
        .await?;
    Ok(Answer::xml(document(&region)))
}

/// The root element alone; the oldest region is the empty one.
fn document(region: &str) -> Bytes {
    let mut xml = Xml::document("LocationConstraint");
    if region != LEGACY_REGION {
        xml.content(region);
    }
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_region_is_the_empty_one() {
        let text = |region| String::from_utf8(document(region).to_vec()).unwrap();
        assert!(text("us-east-1").ends_with("2006-03-01/\"></LocationConstraint>"));
        assert!(text("eu-central-1").ends_with("\">eu-central-1</LocationConstraint>"));
    }
}
