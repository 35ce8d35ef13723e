// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket?versioning`: GetBucketVersioning.

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_object::BucketVersioning;

use super::S3Request;
use crate::error::S3Error;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let bucket = req.bucket()?;
    let status = req
        .objects()
        .get_bucket_versioning(req.scope(receipt), bucket)
        .await?;
    Ok(Answer::xml(document(status)))
}

/// A bucket that never had versions has no status, not a third one.
fn document(status: Option<BucketVersioning>) -> Bytes {
    let mut xml = Xml::document("VersioningConfiguration");
    let status = status.map(|status| match status {
        BucketVersioning::Enabled => "Enabled",
        BucketVersioning::Suspended => "Suspended",
    });
    xml.optional("Status", status);
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_never_had_versions_has_no_status() {
        let text = |status| String::from_utf8(document(status).to_vec()).unwrap();
        assert!(!text(None).contains("Status"));
        assert!(text(Some(BucketVersioning::Enabled)).contains("<Status>Enabled</Status>"));
        assert!(text(Some(BucketVersioning::Suspended)).contains("<Status>Suspended</Status>"));
    }
}
