// SPDX-License-Identifier: Apache-2.0
//! Credentials in the fields of a browser's upload form: the policy is what is signed.

use super::super::error::UnsupportedScheme;
use super::super::{ALGORITHM, RequestToVerify, SigV4Error, Timestamp};
use super::{AuthKind, Credentials, ParsedAuth, PayloadMode, SIGNATURE_BYTES_MAX};

/// Reads the credentials of a form. Names are compared without regard to case, and none may be
/// there twice. A form without any, even if it has a policy, is anonymous; a form with some of them
/// is an error, and so are credentials in a header or in the query besides.
pub fn parse_form<'a>(
    request: &RequestToVerify<'_>,
    fields: &(impl Iterator<Item = (&'a str, &'a str)> + Clone),
) -> Result<ParsedAuth, SigV4Error> {
    if super::signs_outside_of_form(request) {
        return Err(SigV4Error::MultipleAuthMechanisms);
    }
    let get = |name: &'static str| {
        let mut found = fields
            .clone()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        match (found.next(), found.next()) {
            (Some(value), Some(_)) => Err(invalid(name, value, "the field is repeated")),
            (value, _) => Ok(value),
        }
    };
    if get("AWSAccessKeyId")?.is_some() || get("Signature")?.is_some() {
        return Err(SigV4Error::UnsupportedSignature {
            scheme: UnsupportedScheme::SigV2,
        });
    }
    let token = get("X-Amz-Security-Token")?;
    let of_signature = (
        get("X-Amz-Algorithm")?,
        get("X-Amz-Credential")?,
        get("X-Amz-Date")?,
        get("X-Amz-Signature")?,
    );
    if of_signature == (None, None, None, None) && token.is_none() {
        return Ok(ParsedAuth::Anonymous);
    }
    let (algorithm, credential, date, signature) = of_signature;
    let there = |value: Option<&'a str>, name| value.ok_or(SigV4Error::FormFieldMissing { name });
    let algorithm = there(algorithm, "X-Amz-Algorithm")?;
    let credential = there(credential, "X-Amz-Credential")?;
    let date = there(date, "X-Amz-Date")?;
    let signature = there(signature, "X-Amz-Signature")?;
    let policy = there(get("Policy")?, "Policy")?;
    if algorithm != ALGORITHM {
        let message = "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"";
        return Err(invalid("X-Amz-Algorithm", algorithm, message));
    }
    let (access_key_id, scope) = super::credential(credential)
        .map_err(|message| invalid("X-Amz-Credential", credential, message))?;
    let timestamp = Timestamp::parse_amz(date).ok_or_else(|| {
        let message = "X-Amz-Date must be formated via ISO8601 Long format";
        invalid("X-Amz-Date", date, message)
    })?;
    if scope.date() != timestamp.date() {
        let message = format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{date}\".",
            scope.date(),
        );
        return Err(invalid("X-Amz-Credential", credential, message));
    }
    if signature.len() > SIGNATURE_BYTES_MAX {
        let message = "the signature is too long";
        return Err(invalid("X-Amz-Signature", "", message));
    }
    let token: Vec<&[u8]> = token.iter().map(|token| token.as_bytes()).collect();
    Ok(super::signed(Credentials {
        kind: AuthKind::Form,
        access_key_id,
        scope,
        timestamp,
        expires_seconds: Some(SIGNATURE_SECONDS_MAX),
        signed_headers: Vec::new(),
        payload: PayloadMode::Unsigned,
        session_token: super::one_token(&token)?,
        signature: signature.to_owned(),
        form_policy: Some(policy.to_owned()),
    }))
}

fn invalid(name: &'static str, value: &str, message: impl Into<String>) -> SigV4Error {
    SigV4Error::FormFieldInvalid {
        name,
        value: value.chars().take(VALUE_CHARS_SHOWN).collect(),
        message: message.into(),
        region: None,
    }
}

/// A signing key, and so what it signed, is good for a week.
const SIGNATURE_SECONDS_MAX: u32 = 604_800;
const VALUE_CHARS_SHOWN: usize = 256;
