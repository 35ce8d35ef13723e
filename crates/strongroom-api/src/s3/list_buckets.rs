// SPDX-License-Identifier: Apache-2.0
//! `GET /`: ListBuckets, whole or page by page.

use bytes::Bytes;
use strongroom_audit::Receipt;
use strongroom_object::BucketInfo;

use super::{S3Request, listing};
use crate::error::S3Error;
use crate::query::Query;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let asked = Asked::parse(&req.query)?;
    let buckets = req.objects().list_buckets(req.scope(receipt)).await?;
    let owner = listing::canonical_id(req.caller.account_id());
    Ok(Answer::xml(document(
        &asked,
        &buckets,
        &req.services.region,
        &owner,
    )))
}

/// The parameters. Without any of them the answer is the whole list in its first form.
#[derive(Debug)]
struct Asked {
    prefix: Option<String>,
    after: Option<String>,
    region: Option<String>,
    max_buckets: Option<usize>,
}

impl Asked {
    fn parse(query: &Query) -> Result<Self, S3Error> {
        let max_buckets = match query.get("max-buckets") {
            None => None,
            Some(text) => match text.parse::<usize>() {
                Ok(number @ 1..=10_000) => Some(number),
                _ => {
                    return Err(S3Error::invalid_argument(
                        "Argument max-buckets must be an integer between 1 and 10000",
                        "max-buckets",
                        text,
                    ));
                }
            },
        };
        Ok(Self {
            prefix: query.get("prefix").map(str::to_owned),
            after: query
                .get("continuation-token")
                .map(listing::parse_token)
                .transpose()?,
            region: query.get("bucket-region").map(str::to_owned),
            max_buckets,
        })
    }

    fn any(&self) -> bool {
        self.prefix.is_some()
            || self.after.is_some()
            || self.region.is_some()
            || self.max_buckets.is_some()
    }
}

/// `buckets` come in the order of their names.
fn document(asked: &Asked, buckets: &[BucketInfo], region: &str, owner: &str) -> Bytes {
    let mut matching = buckets
        .iter()
        .filter(|_| {
            asked
                .region
                .as_deref()
                .is_none_or(|wanted| wanted == region)
        })
        .filter(|bucket| {
            asked
                .prefix
                .as_deref()
                .is_none_or(|p| bucket.name.starts_with(p))
        })
        .filter(|bucket| {
            asked
                .after
                .as_deref()
                .is_none_or(|after| bucket.name.as_str() > after)
        })
        .peekable();
    let mut xml = Xml::document("ListAllMyBucketsResult");
    listing::person(&mut xml, "Owner", owner);
    xml.open("Buckets");
    let mut last = None;
    for bucket in matching
        .by_ref()
        .take(asked.max_buckets.unwrap_or(usize::MAX))
    {
        xml.open("Bucket");
        xml.text("Name", &bucket.name);
        xml.time("CreationDate", bucket.created_ms);
        if asked.any() {
            xml.text("BucketRegion", region);
        }
        xml.close();
        last = Some(bucket);
    }
    xml.close();
    if let (Some(last), true) = (last, matching.peek().is_some()) {
        xml.text("ContinuationToken", &listing::token(&last.name));
    }
    xml.optional("Prefix", asked.prefix.as_deref());
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str) -> String {
        let buckets: Vec<_> = ["a1", "a2", "b1"]
            .iter()
            .map(|name| BucketInfo {
                name: (*name).to_owned(),
                created_ms: 0,
            })
            .collect();
        let asked = Asked::parse(&Query::parse(raw).unwrap()).unwrap();
        String::from_utf8(document(&asked, &buckets, "us-east-1", "id").to_vec()).unwrap()
    }

    #[test]
    fn the_whole_list_has_the_first_form() {
        let text = text("");
        assert!(text.contains("<Owner><ID>id</ID></Owner><Buckets><Bucket><Name>a1</Name>"));
        assert!(text.contains("<CreationDate>1970-01-01T00:00:00.000Z</CreationDate></Bucket>"));
        assert!(!text.contains("ContinuationToken") && !text.contains("BucketRegion"));
    }

    #[test]
    fn pages_and_filters_follow_the_names() {
        let first = text("max-buckets=2");
        assert!(first.contains("<Name>a2</Name>") && !first.contains("<Name>b1</Name>"));
        assert!(first.contains(&listing::token("a2")));
        assert!(first.contains("<BucketRegion>us-east-1</BucketRegion>"));
        let second = text(&format!(
            "max-buckets=2&continuation-token={}",
            listing::token("a2")
        ));
        assert!(!second.contains("<Name>a2</Name>") && second.contains("<Name>b1</Name>"));
        assert!(!second.contains("ContinuationToken"));
        let prefixed = text("prefix=b");
        assert!(prefixed.contains("<Prefix>b</Prefix>") && !prefixed.contains("<Name>a1</Name>"));
        assert!(!text("bucket-region=eu-west-1").contains("<Bucket>"));
        assert!(!text("max-buckets=3").contains("ContinuationToken"));
    }

    #[test]
    fn bad_parameters_are_refused() {
        for bad in [
            "max-buckets=0",
            "max-buckets=10001",
            "max-buckets=-1",
            "max-buckets=",
            "max-buckets=x",
            "continuation-token=",
            "continuation-token=x",
        ] {
            let error = Asked::parse(&Query::parse(bad).unwrap()).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
        }
    }
}
