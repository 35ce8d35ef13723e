// SPDX-License-Identifier: Apache-2.0
//! `GET /bucket?list-type=2`: ListObjectsV2.

use strongroom_audit::Receipt;
use strongroom_object::{ListObjects, ListObjectsOutput};

use super::S3Request;
use super::listing;
use crate::error::S3Error;
use crate::query::Query;
use crate::response::Answer;
use crate::xml::Xml;

pub(crate) async fn handle(req: &mut S3Request, receipt: &Receipt) -> Result<Answer, S3Error> {
    let asked = Asked::parse(&req.query)?;
    let bucket = req.bucket()?.to_owned();
    let input = ListObjects {
        bucket: bucket.clone(),
        prefix: asked.prefix.clone(),
        delimiter: asked.delimiter.clone(),
        after: asked.after.clone(),
        max_keys: asked.max_keys,
    };
    let wants_restore = listing::wants_restore_status(req)?;
    let mut output = req
        .objects()
        .list_objects(req.scope(receipt), input)
        .await?;
    if !wants_restore {
        listing::without_restore_status(output.objects.iter_mut());
    }
    let owner = asked
        .fetch_owner
        .then(|| listing::canonical_id(req.caller.account_id()));
    Ok(Answer::xml(document(
        &bucket,
        &asked,
        &output,
        owner.as_deref(),
    )))
}

/// The parameters.
#[derive(Debug)]
struct Asked {
    prefix: String,
    delimiter: String,
    start_after: Option<String>,
    token: Option<String>,
    /// Where the page begins: the token's position, or `start-after` on the first page.
    after: Option<String>,
    max_keys: u32,
    fetch_owner: bool,
    url: bool,
}

impl Asked {
    fn parse(query: &Query) -> Result<Self, S3Error> {
        match query.get("list-type") {
            Some("2") => {}
            other => {
                return Err(S3Error::invalid_argument(
                    "Invalid List Type specified in Request",
                    "list-type",
                    other.unwrap_or_default(),
                ));
            }
        }
        let fetch_owner = match query.get("fetch-owner") {
            None | Some("" | "false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(S3Error::invalid_argument(
                    "Invalid value for fetch-owner: it must be true or false",
                    "fetch-owner",
                    other,
                ));
            }
        };
        let start_after = query
            .get("start-after")
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        let token = query.get("continuation-token").map(str::to_owned);
        let after = match &token {
            Some(token) => Some(listing::parse_token(token)?),
            None => start_after.clone(),
        };
        Ok(Self {
            max_keys: listing::limit(query, "max-keys", "maxKeys")?,
            url: listing::url_encoding(query)?,
            prefix: query.get("prefix").unwrap_or_default().to_owned(),
            delimiter: query.get("delimiter").unwrap_or_default().to_owned(),
            start_after,
            token,
            after,
            fetch_owner,
        })
    }
}

fn document(
    bucket: &str,
    asked: &Asked,
    output: &ListObjectsOutput,
    owner: Option<&str>,
) -> bytes::Bytes {
    let mut xml = Xml::document("ListBucketResult");
    xml.text("Name", bucket);
    xml.name("Prefix", &asked.prefix, asked.url);
    if let Some(start_after) = &asked.start_after {
        xml.name("StartAfter", start_after, asked.url);
    }
    xml.optional("ContinuationToken", asked.token.as_deref());
    if let Some(next) = &output.next_after {
        xml.text("NextContinuationToken", &listing::token(next));
    }
    let key_count = output
        .objects
        .len()
        .saturating_add(output.common_prefixes.len());
    xml.number("KeyCount", u64::try_from(key_count).unwrap_or(u64::MAX));
    xml.number("MaxKeys", asked.max_keys);
    if !asked.delimiter.is_empty() {
        xml.name("Delimiter", &asked.delimiter, asked.url);
    }
    if asked.url {
        xml.text("EncodingType", "url");
    }
    xml.boolean("IsTruncated", output.next_after.is_some());
    for object in &output.objects {
        listing::contents(&mut xml, object, asked.url, owner);
    }
    listing::common_prefixes(&mut xml, &output.common_prefixes, asked.url);
    xml.finish()
}

#[cfg(test)]
mod tests {
    use strongroom_object::ListedObject;

    use super::*;

    fn parse(raw: &str) -> Result<Asked, S3Error> {
        Asked::parse(&Query::parse(raw).unwrap())
    }

    #[test]
    fn answer_has_the_elements_of_s3_in_order() {
        let token = listing::token("a");
        let asked = parse(&format!(
            "list-type=2&max-keys=2&start-after=0&continuation-token={token}&fetch-owner=true"
        ))
        .unwrap();
        assert_eq!(asked.after.as_deref(), Some("a"));
        let output = ListObjectsOutput {
            objects: vec![ListedObject {
                object_key: "k".to_owned(),
                etag: "e".to_owned(),
                size: 0,
                last_modified_ms: 0,
                checksum: None,
                storage_class: strongroom_object::StorageClass::Standard,
                restore: None,
            }],
            common_prefixes: vec!["p/".to_owned()],
            next_after: Some("p/".to_owned()),
        };
        let text = String::from_utf8(document("b", &asked, &output, Some("id")).to_vec()).unwrap();
        assert_eq!(
            text,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
                 <Prefix></Prefix><StartAfter>0</StartAfter>\
                 <ContinuationToken>{token}</ContinuationToken>\
                 <NextContinuationToken>{}</NextContinuationToken><KeyCount>2</KeyCount>\
                 <MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><Contents><Key>k</Key>\
                 <LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
                 <Size>0</Size><Owner><ID>id</ID></Owner><StorageClass>STANDARD</StorageClass>\
                 </Contents><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>\
                 </ListBucketResult>",
                listing::token("p/")
            )
        );
    }

    #[test]
    fn start_after_counts_on_the_first_page_only() {
        assert_eq!(
            parse("list-type=2&start-after=x").unwrap().after.as_deref(),
            Some("x")
        );
        assert_eq!(parse("list-type=2&start-after=").unwrap().after, None);
        assert_eq!(parse("list-type=2").unwrap().after, None);
    }

    #[test]
    fn bad_parameters_are_refused() {
        for bad in [
            "list-type=3",
            "list-type=",
            "list-type",
            "list-type=2&continuation-token=",
            "list-type=2&continuation-token=a",
            "list-type=2&continuation-token=bm90IG91cnM",
            "list-type=2&fetch-owner=yes",
            "list-type=2&max-keys=-5",
            "list-type=2&encoding-type=xml",
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.code.as_str(), "InvalidArgument", "{bad}");
        }
    }
}
