// SPDX-License-Identifier: Apache-2.0
//! What signatures and message authentication codes are of.

use crate::error::Error;
use crate::model::Plaintext;

/// Refuses a message of another length than the interface allows. The message may be secret, so
/// it is not repeated.
pub(crate) fn message_length(message: &Plaintext) -> Result<(), Error> {
    length(message.expose_secret().len(), "message", MESSAGE_BYTES_MAX)
}

/// Refuses a signature or code of another length than the interface allows.
pub(crate) fn proof_length(proof: &[u8], member: &str) -> Result<(), Error> {
    length(proof.len(), member, PROOF_BYTES_MAX)
}

fn length(len: usize, member: &str, max: usize) -> Result<(), Error> {
    let refused = |must: &str| {
        Error::Validation(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: \
             Member must have length {must}"
        ))
    };
    match len {
        0 => Err(refused("greater than or equal to 1")),
        len if len > max => Err(refused(&format!("less than or equal to {max}"))),
        _ => Ok(()),
    }
}

const MESSAGE_BYTES_MAX: usize = 4096;
const PROOF_BYTES_MAX: usize = 6144;
