// SPDX-License-Identifier: Apache-2.0
//! Bodies of the fuzz targets in `/fuzz`. Each takes any bytes and panics only on a broken promise.
//!
//! The corpora in `/fuzz/corpus` run through the same functions in the ordinary tests.

use crate::envelope::{Detected, Envelope, Fields, Partial, V3, detect};
use crate::error::Error;
use crate::policy::{CommitmentPolicy, Legacy};

#[cfg(test)]
mod tests;

/// User metadata, a line `name=value` each: reading it never panics; what was read is written and
/// read again as the same; nothing old passes the policy of today; nobody adds a field of another
/// format to it.
pub fn client_envelope(data: &[u8]) {
    match detect(&fields(data)) {
        Ok(Detected::Here(envelope)) => keeps_its_promises(&envelope),
        Ok(Detected::Elsewhere(partial)) => {
            assert!(partial.complete(b"{}").is_err(), "a file that says nothing");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "no message"),
    }
}

/// An instruction file, beside an object of format V3 and beside one that says nothing: reading it
/// never panics, and it never makes the object one of another format.
pub fn client_instruction_file(file: &[u8]) {
    if let Ok(envelope) = Partial::Nothing.complete(file) {
        assert!(!matches!(envelope, Envelope::V3(_)), "a format from a file");
        keeps_its_promises(&envelope);
    }
    let (commitment, message_id) = ([1; 28], [2; 28]);
    let partial = Partial::V3 {
        commitment,
        message_id,
    };
    match partial.complete(file) {
        Ok(envelope) => {
            let own = |v3: &V3| v3.commitment == commitment && v3.message_id == message_id;
            assert!(
                matches!(&envelope, Envelope::V3(v3) if own(v3)),
                "the object's own fields from a file"
            );
            keeps_its_promises(&envelope);
        }
        Err(error) => assert!(!error.to_string().is_empty(), "no message"),
    }
}

fn fields(data: &[u8]) -> Fields {
    let line = |line: &[u8]| {
        let line = String::from_utf8_lossy(line).into_owned();
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    data.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn keeps_its_promises(envelope: &Envelope) {
    let _ = envelope.plaintext_len(0);
    let _ = envelope.plaintext_len(u64::MAX);
    let today = CommitmentPolicy::default();
    let admitted = today.admit(Legacy::default(), envelope).is_ok();
    assert_eq!(admitted, matches!(envelope, Envelope::V3(_)), "downgrade");
    let (Ok(here), Ok(beside)) = (envelope.to_metadata(), envelope.to_instruction_file()) else {
        return;
    };
    let again = detect(&here.object);
    assert!(
        matches!(&again, Ok(Detected::Here(read)) if read == envelope),
        "written and read again: {again:?}"
    );
    for foreign in ["x-amz-key", "x-amz-key-v2", "x-amz-3"] {
        let mut mixed = here.object.clone();
        if mixed
            .insert(foreign.to_owned(), "AAAA".to_owned())
            .is_none()
        {
            assert!(detect(&mixed).is_err(), "two formats at once");
        }
    }
    let file = beside.instruction.map(|file| file.body).unwrap_or_default();
    let is_short = file.len() <= Partial::FILE_BYTES_MAX;
    let again = match detect(&beside.object) {
        Ok(Detected::Elsewhere(partial)) => partial.complete(&file),
        Ok(Detected::Here(_)) => Err(Error::NotEncrypted),
        Err(error) => Err(error),
    };
    assert!(
        !is_short || matches!(&again, Ok(read) if read == envelope),
        "written to a file and read again: {again:?}"
    );
}
