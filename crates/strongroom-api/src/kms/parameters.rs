// SPDX-License-Identifier: Apache-2.0
//! What several operations have in common: parameters that name keys, bind ciphertexts, or ask for
//! something that is not there yet.

use std::ops::RangeInclusive;

use strongroom_format::EncryptionContext;
use strongroom_kms::CiphertextBlob;

use super::fault::KmsFault;
use super::members::Members;

/// Characters of a key id.
pub(super) const KEY_ID: RangeInclusive<usize> = 1..=2_048;
/// Characters of an alias.
pub(super) const ALIAS: RangeInclusive<usize> = 1..=256;
/// Characters of a marker.
pub(super) const MARKER: RangeInclusive<usize> = 1..=1_024;
/// Entries of a page.
pub(super) const LIMIT: RangeInclusive<i64> = 1..=1_000;
/// Characters of a word; which words there are is for the operation to say.
pub(super) const ALGORITHM: RangeInclusive<usize> = 0..=256;
/// Digits of a material's id.
pub(super) const MATERIAL_ID: RangeInclusive<usize> = 64..=64;
/// Bytes of a plaintext.
pub(super) const PLAINTEXT: RangeInclusive<usize> = 1..=4_096;
/// Bytes of a signature or a message authentication code.
pub(super) const PROOF: RangeInclusive<usize> = 1..=6_144;
/// Bytes of a ciphertext blob.
pub(super) const CIPHERTEXT: RangeInclusive<usize> = 1..=6_144;

/// Characters of a policy; how long a policy may really be is for the key service to say.
pub(super) const POLICY: RangeInclusive<usize> = 1..=131_072;
/// Characters of a policy's name.
pub(super) const POLICY_NAME: RangeInclusive<usize> = 1..=128;
/// The flag of PutKeyPolicy and CreateKey.
pub(super) const BYPASS: &str = "BypassPolicyLockoutSafetyCheck";
/// Characters of a principal.
pub(super) const PRINCIPAL: RangeInclusive<usize> = 1..=256;
/// Characters of a grant id.
pub(super) const GRANT_ID: RangeInclusive<usize> = 1..=128;
/// Characters of a grant token.
pub(super) const GRANT_TOKEN: RangeInclusive<usize> = 1..=8_192;

/// `EncryptionContext`.
pub(super) fn encryption_context(
    members: &mut Members,
    name: &'static str,
) -> Result<EncryptionContext, KmsFault> {
    let mut context = EncryptionContext::new();
    for (name, value) in members.text_map(name)? {
        if context.insert(name, value).is_err() {
            return Err(KmsFault::validation("The encryption context is too large."));
        }
    }
    Ok(context)
}

/// `DryRun`, and the refusal of what else only enclaves send.
pub(super) fn dry_run(members: &mut Members) -> Result<bool, KmsFault> {
    no_recipient(members)?;
    Ok(members.boolean("DryRun")?.unwrap_or(false))
}

/// `Recipient`, the attestation of an enclave, is not for this server.
pub(super) fn no_recipient(members: &mut Members) -> Result<(), KmsFault> {
    if members.present("Recipient") {
        return Err(KmsFault::not_yet("The parameter Recipient"));
    }
    Ok(())
}

/// `DryRunModifiers`: whether the ciphertext is to be ignored.
pub(super) fn ignore_ciphertext(members: &mut Members) -> Result<bool, KmsFault> {
    let modifiers = members.text_list("DryRunModifiers")?;
    for modifier in &modifiers {
        if modifier != IGNORE_CIPHERTEXT {
            let must = format!(
                "Member must satisfy constraint: [Member must satisfy enum value set: \
                 [{IGNORE_CIPHERTEXT}]]"
            );
            members.violate("DryRunModifiers", Some(modifier), &must);
        }
    }
    Ok(!modifiers.is_empty())
}

/// `CiphertextBlob`, which may be left out only when it is ignored.
pub(super) fn ciphertext_blob(
    members: &mut Members,
    ignored: bool,
) -> Result<CiphertextBlob, KmsFault> {
    let blob = if ignored {
        members
            .blob("CiphertextBlob", CIPHERTEXT)?
            .unwrap_or_default()
    } else {
        members.required_blob("CiphertextBlob", CIPHERTEXT)?
    };
    Ok(CiphertextBlob(blob.to_vec()))
}

/// `GrantTokens`: at most ten.
pub(super) fn grant_tokens(members: &mut Members) -> Result<Vec<String>, KmsFault> {
    let tokens = members.text_list("GrantTokens")?;
    if tokens.len() > GRANT_TOKENS_MAX {
        return Err(KmsFault::validation(
            "1 validation error detected: Value at 'grantTokens' failed to satisfy constraint: \
             Member must have length less than or equal to 10",
        ));
    }
    if tokens
        .iter()
        .any(|token| !GRANT_TOKEN.contains(&token.chars().count()))
    {
        return Err(KmsFault::validation(
            "1 validation error detected: Value at 'grantTokens' failed to satisfy constraint: \
             Member must satisfy constraint: [Member must have length less than or equal to 8192, \
             Member must have length greater than or equal to 1]",
        ));
    }
    Ok(tokens)
}

const IGNORE_CIPHERTEXT: &str = "IGNORE_CIPHERTEXT";
const GRANT_TOKENS_MAX: usize = 10;
