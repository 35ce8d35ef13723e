// SPDX-License-Identifier: Apache-2.0
//! DeriveSharedSecret.

use aws_lc_rs::agreement::{
    Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, ParsedPublicKey, ParsedPublicKeyFormat, PrivateKey,
    UnparsedPublicKey, agree,
};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    EcdsaVerificationAlgorithm,
};
use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_iam::Caller;
use zeroize::Zeroizing;

use crate::authorize::KmsAction;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::shortened;
use crate::material::Material;
use crate::model::{KeySpec, Origin, Plaintext};
use crate::service::Kms;
use crate::use_key::Use;

/// Parameters of DeriveSharedSecret.
#[derive(Clone, Debug)]
pub struct DeriveSharedSecretInput {
    /// Any of the four key identifiers.
    pub key_id: String,
    /// `ECDH`.
    pub algorithm: String,
    /// The other side's public key, on the same curve: SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// Tokens of grants that may not be in force everywhere yet.
    pub grant_tokens: Vec<String>,
    /// Only say whether it would succeed.
    pub dry_run: bool,
}

/// Answer of DeriveSharedSecret.
#[derive(Debug)]
pub struct DeriveSharedSecretOutput {
    /// The x coordinate of the shared point, as long as the curve's field.
    pub shared_secret: Plaintext,
    /// Key ARN (`KeyId` on the wire).
    pub key_arn: String,
    /// Algorithm.
    pub algorithm: &'static str,
    /// Where the key's material comes from.
    pub origin: Origin,
}

impl Kms {
    /// The raw secret that the key shares with another key pair.
    pub async fn derive_shared_secret(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        input: DeriveSharedSecretInput,
    ) -> Result<DeriveSharedSecretOutput, Error> {
        let parameters = json!({
            "keyId": asked(&input.key_id),
            "keyAgreementAlgorithm": shortened(&input.algorithm),
        });
        let mut event = Event::new(receipt, "DeriveSharedSecret", true, parameters);
        let result = self
            .try_derive_shared_secret(caller, &input, &mut event)
            .await;
        event.close(result).await
    }

    async fn try_derive_shared_secret(
        &self,
        caller: &Caller,
        input: &DeriveSharedSecretInput,
        event: &mut Event<'_>,
    ) -> Result<DeriveSharedSecretOutput, Error> {
        if input.algorithm != ALGORITHM {
            return Err(Error::constraint(
                shortened(&input.algorithm),
                "keyAgreementAlgorithm",
                "satisfy enum value set: [ECDH]",
            ));
        }
        let wish = Use {
            caller,
            action: KmsAction::DeriveSharedSecret,
            context: None,
            grant_tokens: &input.grant_tokens,
            dry_run: input.dry_run,
            conditions: &[("kms:KeyAgreementAlgorithm", ALGORITHM.to_owned())],
        };
        let ask = |event: &mut Event<'_>| {
            let found = self.find(&input.key_id)?;
            let permit = self.permit(&wish, &found, event)?;
            let curve = Curve::of(found.row.spec)?;
            let public_key = curve.public_key(&input.public_key)?;
            if wish.dry_run {
                return Err(Error::DryRun);
            }
            Ok((found, permit, curve, public_key))
        };
        self.reach_key(&input.key_id, event, ask).await?;
        let (found, permit, curve, public_key) = ask(event)?;
        let row = &found.row;
        let material = self.current_material(&permit, row)?.material;
        Ok(DeriveSharedSecretOutput {
            shared_secret: curve.agree(&material, public_key)?,
            key_arn: row.arn(self.place()),
            algorithm: ALGORITHM,
            origin: row.origin,
        })
    }
}

/// A curve, as key agreement knows it and as signatures know it.
struct Curve {
    agreement: &'static Algorithm,
    signatures: &'static EcdsaVerificationAlgorithm,
}

impl Curve {
    fn of(spec: KeySpec) -> Result<Curve, Error> {
        let (agreement, signatures) = match spec {
            KeySpec::EccNistP256 => (&ECDH_P256, &ECDSA_P256_SHA256_ASN1),
            KeySpec::EccNistP384 => (&ECDH_P384, &ECDSA_P384_SHA384_ASN1),
            KeySpec::EccNistP521 => (&ECDH_P521, &ECDSA_P521_SHA512_ASN1),
            KeySpec::SymmetricDefault
            | KeySpec::Rsa2048
            | KeySpec::Rsa3072
            | KeySpec::Rsa4096
            | KeySpec::EccNistEdwards25519
            | KeySpec::Hmac224
            | KeySpec::Hmac256
            | KeySpec::Hmac384
            | KeySpec::Hmac512 => return Err(Error::Internal("a key agreement without a curve")),
        };
        Ok(Curve {
            agreement,
            signatures,
        })
    }

    /// The other side's key: a point of this curve, written as this service writes public keys
    /// and in no other way. The module would take bytes after the end, too.
    fn public_key(&self, der: &[u8]) -> Result<ParsedPublicKey, Error> {
        let refused = || {
            Error::Validation(
                "1 validation error detected: Value at 'publicKey' failed to satisfy constraint: \
                 Member must be a DER-encoded public key of the curve of the KMS key"
                    .to_owned(),
            )
        };
        let parsed = ParsedPublicKey::try_from(UnparsedPublicKey::new(self.agreement, der));
        let parsed = parsed.map_err(|_| refused())?;
        let written = signature::ParsedPublicKey::new(self.signatures, der)
            .ok()
            .and_then(|key| key.as_der().ok());
        let same = written.is_some_and(|written| written.as_ref() == der);
        if same && parsed.format() == ParsedPublicKeyFormat::X509 {
            Ok(parsed)
        } else {
            Err(refused())
        }
    }

    fn agree(&self, material: &Material, public_key: ParsedPublicKey) -> Result<Plaintext, Error> {
        let private_key =
            PrivateKey::from_private_key_der(self.agreement, material.expose_secret());
        let private_key = private_key.map_err(|_| Error::Corrupted {
            what: "a private key for key agreement".to_owned(),
        })?;
        let failed = Error::Internal("agreeing on a secret");
        agree(&private_key, public_key, failed, |secret| {
            Ok(Plaintext::from(Zeroizing::new(secret.to_vec())))
        })
    }
}

const ALGORITHM: &str = "ECDH";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_pair::openssl::vectors;

    #[test]
    fn secrets_of_openssl_are_ours() {
        let agreeing = vectors()
            .into_iter()
            .filter(|vector| vector.members.get("secret").is_some());
        let mut count = 0;
        for vector in agreeing {
            let curve = Curve::of(vector.spec).unwrap();
            let peer = curve.public_key(&vector.bytes("peer")).unwrap();
            let secret = curve.agree(&vector.private, peer).unwrap();
            assert_eq!(secret.expose_secret(), vector.bytes("secret"));
            let own = curve.public_key(&vector.bytes("public")).unwrap();
            let other = curve.agree(&vector.private, own).unwrap();
            assert_ne!(other.expose_secret(), secret.expose_secret());
            count += 1;
        }
        assert_eq!(count, 3);
    }
}
