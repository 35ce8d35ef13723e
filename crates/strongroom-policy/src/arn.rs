// SPDX-License-Identifier: Apache-2.0
//! Amazon Resource Names: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.

/// An ARN, taken apart. The resource keeps its colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// For example `aws`.
    pub partition: &'a str,
    /// For example `kms`.
    pub service: &'a str,
    /// May be empty.
    pub region: &'a str,
    /// May be empty.
    pub account_id: &'a str,
    /// What is behind the fifth colon.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Takes a text apart; `None` if it is not an ARN.
    pub fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("arn:")?;
        let (partition, rest) = cut(rest)?;
        let (service, rest) = cut(rest)?;
        let (region, rest) = cut(rest)?;
        let (account_id, resource) = cut(rest)?;
        let arn = Self {
            partition,
            service,
            region,
            account_id,
            resource,
        };
        let named = !arn.partition.is_empty() && !arn.service.is_empty();
        (named && !arn.resource.is_empty()).then_some(arn)
    }

    /// How long it is, in bytes.
    pub(crate) fn len(&self) -> usize {
        let colons = PARTS.saturating_sub(1);
        let parts = self.parts();
        parts
            .iter()
            .fold(colons, |len, part| len.saturating_add(part.len()))
    }

    /// Its six parts, with `arn` itself.
    pub(crate) fn parts(&self) -> [&'a str; PARTS] {
        [
            "arn",
            self.partition,
            self.service,
            self.region,
            self.account_id,
            self.resource,
        ]
    }
}

/// What stands before and behind the first colon. Parts are a few bytes long: to look at each costs
/// less than a search that is made for long texts.
fn cut(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b':')?;
    Some((text.get(..at)?, text.get(at.saturating_add(1)..)?))
}

/// Whether this is an account id: twelve digits.
pub fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parts of an ARN.
pub(crate) const PARTS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_what_is_not_an_arn() {
        let arn = Arn::parse("arn:aws:kms:us-east-1:123456789012:key/a:b").unwrap();
        assert_eq!((arn.service, arn.resource), ("kms", "key/a:b"));
        assert_eq!(Arn::parse("arn:aws:s3:::b/k").unwrap().account_id, "");
        for bad in [
            "",
            "arn",
            "*",
            "arn:aws:s3:::",
            "arn:aws:s3::b",
            "ARN:aws:s3:::b",
            "arn::s3:::b",
            "arn:aws::::b",
        ] {
            assert_eq!(Arn::parse(bad), None, "{bad}");
        }
        assert!(is_account_id("123456789012"));
        assert!(!is_account_id("12345678901") && !is_account_id("12345678901x"));
    }
}
