// SPDX-License-Identifier: Apache-2.0
//! GenerateRandom.

use serde::Serialize;
use strongroom_kms::GenerateRandomInput;

use super::Call;
use super::fault::KmsFault;
use super::members::Members;
use super::parameters::no_recipient;
use super::reply::{Blob, Reply};

pub(super) async fn handle(call: Call<'_>, members: Members) -> Result<Reply, KmsFault> {
    let input = decode(members)?;
    let plaintext = call
        .kms
        .generate_random(call.caller, call.receipt, input)
        .await?;
    Reply::new(&Answer {
        plaintext: Blob(plaintext.expose_secret()),
    })
}

pub(super) fn decode(mut members: Members) -> Result<GenerateRandomInput, KmsFault> {
    no_recipient(&mut members)?;
    if members.present("CustomKeyStoreId") {
        return Err(KmsFault::not_yet("The parameter CustomKeyStoreId"));
    }
    let bytes = members.integer("NumberOfBytes", 1..=1_024)?;
    members.finish()?;
    Ok(GenerateRandomInput {
        number_of_bytes: bytes.and_then(|bytes| u16::try_from(bytes).ok()),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    plaintext: Blob<'a>,
}

#[cfg(test)]
mod tests {
    use super::super::tests::members;
    use super::*;

    #[test]
    fn sec_n83_requests_are_held_against_the_model() {
        for (good, bytes) in [
            (r#"{"NumberOfBytes":1}"#, Some(1)),
            (r#"{"NumberOfBytes":1024}"#, Some(1_024)),
            ("{}", None),
        ] {
            let input = decode(members(good)).unwrap();
            assert_eq!(input.number_of_bytes, bytes, "{good}");
        }
        for (bad, code) in [
            (r#"{"NumberOfBytes":0}"#, "ValidationException"),
            (r#"{"NumberOfBytes":-1}"#, "ValidationException"),
            (r#"{"NumberOfBytes":1025}"#, "ValidationException"),
            (r#"{"NumberOfBytes":65537}"#, "ValidationException"),
            (r#"{"NumberOfBytes":"1"}"#, "SerializationException"),
            (r#"{"NumberOfBytes":1.5}"#, "SerializationException"),
            (
                r#"{"NumberOfBytes":1,"CustomKeyStoreId":"cks-1"}"#,
                "UnsupportedOperationException",
            ),
            (
                r#"{"NumberOfBytes":1,"Recipient":{}}"#,
                "UnsupportedOperationException",
            ),
        ] {
            let fault = decode(members(bad)).unwrap_err();
            assert_eq!(fault.kind.as_str(), code, "{bad}");
        }
    }
}
