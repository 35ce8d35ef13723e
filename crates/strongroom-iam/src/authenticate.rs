// SPDX-License-Identifier: Apache-2.0
//! From a signed request to its caller.

use strongroom_audit::{RequestFacts, UserIdentity};
use strongroom_wire::ChunkSigner;
use strongroom_wire::sigv4::{Expected, ParsedAuth, PayloadMode, RequestToVerify, SigV4Error};

use crate::caller::{Caller, Verified};
use crate::error::AuthError;
use crate::iam::Iam;

/// A request whose signature verified.
#[derive(Debug)]
pub struct Authenticated {
    /// Who made it.
    pub caller: Caller,
    /// How long ago it was signed, milliseconds; none if the signer's clock is ahead.
    pub signature_age_ms: u64,
    /// How its body is covered: a declared hash is still to be compared with the body's.
    pub payload: PayloadMode,
    /// The seed of the chunk signatures, in the two modes that have them.
    pub chunk_seed: Option<ChunkSigner>,
}

impl Iam {
    /// Finds the secret of the access key and verifies the request with it.
    ///
    /// `facts` comes with any identity; the caller's is put in. An unknown access key id costs
    /// the same hashing as a wrong secret, with a decoy in place of the secret.
    pub fn authenticate(
        &self,
        auth: &ParsedAuth,
        request: &RequestToVerify<'_>,
        mut facts: RequestFacts,
        now_ms: u64,
    ) -> Result<Authenticated, AuthError> {
        let credentials = auth
            .credentials()
            .ok_or(SigV4Error::MissingAuthentication)?;
        let services: Vec<&str> = self.options().services.iter().map(String::as_str).collect();
        let expected = Expected {
            region: &self.options().region,
            services: &services,
            now_ms,
        };
        let admitted = auth.admit(request, &expected)?;

        let access_key_id = credentials.access_key_id();
        let principal = self.principal(access_key_id);
        let (cached_as, secret) = match &principal {
            Some((principal, _)) => (access_key_id, &principal.secret),
            None => ("", self.decoy()),
        };
        let key = self
            .signing_keys()
            .signing_key(cached_as, secret, credentials.scope());
        let outcome = admitted.verify(&key);
        let Some((principal, granted)) = principal else {
            let access_key_id = access_key_id.to_owned();
            return Err(AuthError::InvalidAccessKeyId { access_key_id });
        };
        let verified = outcome?;
        if credentials.session_token().is_some() {
            return Err(AuthError::InvalidToken {
                access_key_id: access_key_id.to_owned(),
            });
        }

        facts.identity = principal.identity.clone();
        let caller = Caller::new(Verified {
            facts,
            arn: principal.arn.clone(),
            account_id: self.options().account_id.clone(),
            access_key_id: access_key_id.to_owned(),
            service: credentials.scope().service().to_owned(),
            secure_transport: request.secure,
            kind: verified.kind(),
            region: self.options().region.clone(),
            now_ms,
            identity_policies: granted.policies,
        });
        let payload = verified.payload_mode();
        Ok(Authenticated {
            caller,
            signature_age_ms: now_ms.saturating_sub(verified.signed_at_ms()),
            payload,
            chunk_seed: verified.into_chunk_signer(),
        })
    }
}

/// The identity that the audit event of a refused request shows. `None`: the credentials could
/// not even be read.
pub fn claimed_identity(auth: Option<&ParsedAuth>) -> UserIdentity {
    match auth {
        Some(ParsedAuth::Anonymous) => UserIdentity::Anonymous,
        Some(ParsedAuth::Signed(credentials)) => UserIdentity::Unknown {
            access_key_id: Some(credentials.access_key_id().to_owned()),
        },
        None => UserIdentity::Unknown {
            access_key_id: None,
        },
    }
}
