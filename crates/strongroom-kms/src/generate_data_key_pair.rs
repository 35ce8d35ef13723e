// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKeyPair.

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::EncryptionContext;
use strongroom_iam::Caller;

use crate::authorize::KmsAction;
use crate::encryption::SYMMETRIC_DEFAULT;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::heavy;
use crate::key_id::shortened;
use crate::key_pair::KeyPair;
use crate::model::{CiphertextBlob, KeySpec, Plaintext};
use crate::service::Kms;
use crate::use_key::{ENCRYPTION_ALGORITHM, Use};

/// Parameters of GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext.
#[derive(Clone, Debug)]
pub struct GenerateDataKeyPairInput {
    /// Any of the four key identifiers, of a symmetric key.
    pub key_id: String,
    /// Which kind of key pair; the words of asymmetric key specifications.
    pub key_pair_spec: String,
    /// What the encrypted private key is bound to.
    pub context: EncryptionContext,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// Answer of GenerateDataKeyPair.
#[derive(Debug)]
pub struct GenerateDataKeyPairOutput {
    /// The private key: PKCS#8, DER.
    pub private_key: Plaintext,
    /// The private key, encrypted.
    pub private_key_blob: CiphertextBlob,
    /// The public key: SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Which kind of key pair.
    pub key_pair_spec: KeySpec,
    /// The material that encrypted it.
    pub key_material_id: String,
}

impl Kms {
    /// A new key pair for use elsewhere, its private key in clear and encrypted.
    pub async fn generate_data_key_pair(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: GenerateDataKeyPairInput,
    ) -> Result<GenerateDataKeyPairOutput, Error> {
        let mut event = input.event(receipt, "GenerateDataKeyPair");
        let action = KmsAction::GenerateDataKeyPair;
        let result = self.data_key_pair(caller, action, &input, &mut event).await;
        event.close(result).await
    }

    pub(crate) async fn data_key_pair(
        &self,
        caller: &Caller,
        action: KmsAction,
        input: &GenerateDataKeyPairInput,
        event: &mut Event<'_>,
    ) -> Result<GenerateDataKeyPairOutput, Error> {
        let spec = key_pair_spec(&input.key_pair_spec)?;
        let found = self.find(&input.key_id)?;
        let wish = Use {
            caller,
            action,
            context: Some(&input.context),
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &[
                (ENCRYPTION_ALGORITHM, SYMMETRIC_DEFAULT.to_owned()),
                ("kms:DataKeyPairSpec", spec.as_str().to_owned()),
            ],
        };
        self.permit(&wish, &found, event)?;
        if wish.dry_run {
            return Err(Error::DryRun);
        }
        let make = move || {
            let pair = KeyPair::generate(spec)?;
            Ok((pair.private_key()?, pair.public_key()?))
        };
        let (private_key, public_key) = heavy::make_key_of(spec, make).await?;
        // Making it took its time: is all of it still allowed?
        event.start_over();
        let ask = |event: &mut Event<'_>| self.permit(&wish, &self.find(&input.key_id)?, event);
        self.reach_key(&input.key_id, event, ask).await?;
        let found = self.find(&input.key_id)?;
        let permit = self.permit(&wish, &found, event)?;
        let sealed = self.seal_blob(&permit, &found.row, &private_key, &input.context)?;
        event.material_id(&sealed.key_material_id);
        Ok(GenerateDataKeyPairOutput {
            private_key: Plaintext::from(private_key),
            private_key_blob: sealed.blob,
            public_key,
            key_arn: sealed.key_arn,
            key_pair_spec: spec,
            key_material_id: sealed.key_material_id,
        })
    }
}

impl GenerateDataKeyPairInput {
    pub(crate) fn event<'a>(&self, receipt: &'a Receipt, name: &'static str) -> Event<'a> {
        let parameters = json!({
            "keyId": asked(&self.key_id),
            "keyPairSpec": shortened(&self.key_pair_spec),
        });
        let mut event = Event::new(receipt, name, true, parameters);
        event.context(&self.context);
        event
    }
}

fn key_pair_spec(word: &str) -> Result<KeySpec, Error> {
    if let Some(spec) = KeySpec::parse(word).filter(|spec| spec.is_asymmetric()) {
        return Ok(spec);
    }
    if OTHER_KEY_PAIR_SPECS.contains(&word) {
        return Err(Error::UnsupportedOperation(format!(
            "KeyPairSpec {word} is not supported here."
        )));
    }
    let offered = KeySpec::ALL.iter().filter(|spec| spec.is_asymmetric());
    let known: Vec<&str> = offered
        .map(|spec| spec.as_str())
        .chain(OTHER_KEY_PAIR_SPECS)
        .collect();
    let must = format!("satisfy enum value set: [{}]", known.join(", "));
    Err(Error::constraint(shortened(word), "keyPairSpec", &must))
}

/// What AWS knows besides.
const OTHER_KEY_PAIR_SPECS: [&str; 5] = [
    "ECC_SECG_P256K1",
    "SM2",
    "ML_KEM_512",
    "ML_KEM_768",
    "ML_KEM_1024",
];
