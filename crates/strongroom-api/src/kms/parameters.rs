// SPDX-License-Identifier: Apache-2.0
//! What several operations have in common: parameters that name keys, bind ciphertexts, or ask for
//! something that is not there yet.

use std::ops::RangeInclusive;

use strongroom_format::EncryptionContext;

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
/// Bytes of a plaintext.
pub(super) const PLAINTEXT: RangeInclusive<usize> = 1..=4_096;
/// Bytes of a ciphertext blob.
pub(super) const CIPHERTEXT: RangeInclusive<usize> = 1..=6_144;

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

/// `DryRun`, and refusals of what goes with it: the parameters of enclaves.
pub(super) fn dry_run(members: &mut Members) -> Result<bool, KmsFault> {
    if members.present("Recipient") {
        return Err(KmsFault::not_yet("The parameter Recipient"));
    }
    if members.present("DryRunModifiers") {
        return Err(KmsFault::not_yet("The parameter DryRunModifiers"));
    }
    Ok(members.boolean("DryRun")?.unwrap_or(false))
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
    Ok(tokens)
}

const GRANT_TOKENS_MAX: usize = 10;
