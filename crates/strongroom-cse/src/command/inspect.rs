// SPDX-License-Identifier: Apache-2.0
//! `strongroom cse inspect`: how an object says it is encrypted, and what would open it. No key.

use serde_json::{Map, Value, json};
use strongroom_client::envelope::{Cipher, Envelope, Wrap};
use strongroom_client::s3::Encryption;
use strongroom_client::{CommitmentPolicy, Error as ClientError, Legacy, Storage};

use crate::cli::{InspectArgs, ReadingArgs};
use crate::connect::Services;
use crate::error::Error;
use crate::place::Object;
use crate::show;

pub(super) async fn run(args: InspectArgs) -> Result<(), Error> {
    let object = Object::parse(&args.object)?;
    let s3 = Services::find(&args.service).await?.keyless()?;
    let head = s3
        .head_object(&object.bucket, &object.key)
        .send()
        .await
        .map_err(Error::object(&object))?;
    let mut out = Map::new();
    out.insert("object".to_owned(), json!(object.to_string()));
    let not_opened = match &head.encryption {
        Ok(found) => describe(&mut out, found, &args.reading),
        Err(ClientError::NotEncrypted) => {
            out.insert("encrypted".to_owned(), json!(false));
            Some("it is not encrypted by a client, or its instruction file is missing".to_owned())
        }
        Err(error @ ClientError::Envelope(_)) => {
            out.insert("encrypted".to_owned(), json!(true));
            out.insert("damaged".to_owned(), json!(error.to_string()));
            Some(error.to_string())
        }
        Err(_) => {
            let error = head
                .encryption
                .map_or_else(|error| error, |_| ClientError::NotEncrypted);
            return Err(Error::object(&object)(error));
        }
    };
    out.insert("stored_bytes".to_owned(), json!(head.stored_bytes));
    out.insert("plaintext_bytes".to_owned(), json!(head.plaintext_bytes));
    show::print_json(&Value::Object(out), true)?;
    not_opened.map_or(Ok(()), |why| Err(Error::NotOpened(why)))
}

/// Adds what the envelope says; why these settings would not open it, if they would not.
fn describe(
    out: &mut Map<String, Value>,
    found: &Encryption,
    reading: &ReadingArgs,
) -> Option<String> {
    let envelope = &found.envelope;
    let (wrap, legacy_wrap) = (envelope.wrap(), is_legacy(envelope.wrap()));
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("encrypted", json!(true));
    put("format", json!(envelope.format()));
    put("cipher", json!(cipher(envelope.cipher())));
    put("authenticated", json!(envelope.cipher() != Cipher::Cbc));
    put(
        "commits_to_its_key",
        json!(envelope.cipher() == Cipher::GcmCommitted),
    );
    put("wrap", json!(wrap.name()));
    put("wrap_is_legacy", json!(legacy_wrap));
    let by_service = matches!(wrap, Wrap::KmsContext | Wrap::Kms);
    let description = if by_service {
        "encryption_context"
    } else {
        "materials_description"
    };
    put(description, json!(envelope.description()));
    put("wrapped_key_bytes", json!(envelope.wrapped().len()));
    put(
        "kept_in",
        json!(match found.storage {
            Storage::Metadata => "metadata",
            Storage::InstructionFile => "instruction file",
        }),
    );
    let legacy = Legacy {
        wrapping_algorithms: reading.enable_legacy_wrapping_algorithms,
        unauthenticated_modes: reading.enable_legacy_unauthenticated_modes,
    };
    let policy = CommitmentPolicy::from(reading.commitment_policy);
    let refused = policy
        .admit(legacy, envelope)
        .err()
        .map(|error| error.to_string());
    put(
        "verdict",
        json!({
            "policy": policy_name(policy),
            "would_be_opened": refused.is_none(),
            "because": refused,
            "needs": needs(envelope),
            "needs_key": needed_key(wrap),
        }),
    );
    refused
}

/// The strictest settings that open an object, as flags.
fn needs(envelope: &Envelope) -> Vec<String> {
    let mut flags = Vec::new();
    if envelope.cipher() != Cipher::GcmCommitted {
        flags.push("--commitment-policy require-encrypt-allow-decrypt".to_owned());
    }
    if is_legacy(envelope.wrap()) {
        flags.push("--enable-legacy-wrapping-algorithms".to_owned());
    }
    if envelope.cipher() == Cipher::Cbc {
        flags.push("--enable-legacy-unauthenticated-modes".to_owned());
    }
    flags
}

fn is_legacy(wrap: Wrap) -> bool {
    !matches!(wrap, Wrap::KmsContext | Wrap::AesGcm | Wrap::RsaOaepSha1)
}

fn needed_key(wrap: Wrap) -> &'static str {
    match wrap {
        Wrap::KmsContext | Wrap::Kms => "--kms-key (an AWS KMS key)",
        Wrap::AesGcm | Wrap::AesWrap | Wrap::AesEcb => "--master-key (an AES key)",
        Wrap::RsaOaepSha1 | Wrap::RsaOaepSha256 | Wrap::RsaPkcs1 => {
            "--master-key (an RSA private key)"
        }
    }
}

fn cipher(cipher: Cipher) -> &'static str {
    match cipher {
        Cipher::Cbc => "AES-CBC",
        Cipher::Gcm => "AES-GCM",
        Cipher::GcmCommitted => "AES-256-GCM with key commitment",
    }
}

fn policy_name(policy: CommitmentPolicy) -> &'static str {
    match policy {
        CommitmentPolicy::ForbidEncryptAllowDecrypt => "forbid-encrypt-allow-decrypt",
        CommitmentPolicy::RequireEncryptAllowDecrypt => "require-encrypt-allow-decrypt",
        CommitmentPolicy::RequireEncryptRequireDecrypt => "require-encrypt-require-decrypt",
    }
}
