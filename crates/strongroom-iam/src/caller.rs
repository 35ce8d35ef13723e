// SPDX-License-Identifier: Apache-2.0
//! The authenticated principal of a request.

use strongroom_audit::{RequestFacts, UserIdentity};
use strongroom_wire::sigv4::AuthKind;

/// Who makes a request, proven by its signature.
///
/// INVARIANT: only [`crate::Iam::authenticate`] makes one; an operation that takes a `&Caller`
/// cannot be reached by an unauthenticated request.
#[derive(Debug, Clone)]
pub struct Caller {
    facts: RequestFacts,
    arn: String,
    account_id: String,
    access_key_id: String,
    service: String,
    is_root: bool,
    secure_transport: bool,
    auth_method: AuthMethod,
}

/// Where the signature stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// In the `Authorization` header.
    Header,
    /// In the query (presigned).
    Query,
}

/// What a verified request says about its caller.
pub(crate) struct Verified {
    /// With the identity of the principal.
    pub(crate) facts: RequestFacts,
    pub(crate) arn: String,
    pub(crate) account_id: String,
    pub(crate) access_key_id: String,
    pub(crate) service: String,
    pub(crate) secure_transport: bool,
    pub(crate) kind: AuthKind,
}

impl Caller {
    pub(crate) fn new(verified: Verified) -> Self {
        let is_root = matches!(verified.facts.identity, UserIdentity::Root { .. });
        Self {
            facts: verified.facts,
            arn: verified.arn,
            account_id: verified.account_id,
            access_key_id: verified.access_key_id,
            service: verified.service,
            is_root,
            secure_transport: verified.secure_transport,
            auth_method: match verified.kind {
                AuthKind::Presigned => AuthMethod::Query,
                AuthKind::Header | AuthKind::Anonymous => AuthMethod::Header,
            },
        }
    }

    /// The principal, as audit events show it.
    pub fn identity(&self) -> &UserIdentity {
        &self.facts.identity
    }

    /// ARN of the principal.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The account, twelve digits.
    pub fn account_id(&self) -> &str {
        &self.account_id
    }

    /// The access key that signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The service the request was signed for (`s3`, `kms`). An adapter must refuse a caller who
    /// signed for another service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whether this is the root user of the account.
    pub fn is_root(&self) -> bool {
        self.is_root
    }

    /// Whether the request came over TLS.
    pub fn secure_transport(&self) -> bool {
        self.secure_transport
    }

    /// Where the signature stood.
    pub fn auth_method(&self) -> AuthMethod {
        self.auth_method
    }

    /// The facts of the request, with the identity filled in: what its receipt begins with.
    pub fn facts(&self) -> &RequestFacts {
        &self.facts
    }
}

/// A caller out of nothing, for the tests of crates above this one.
#[cfg(feature = "testing")]
pub fn dangerous_caller_for_tests(
    facts: RequestFacts,
    arn: &str,
    account_id: &str,
    access_key_id: &str,
) -> Caller {
    let secure_transport = facts.tls.is_some();
    Caller::new(Verified {
        facts,
        arn: arn.to_owned(),
        account_id: account_id.to_owned(),
        access_key_id: access_key_id.to_owned(),
        service: "s3".to_owned(),
        secure_transport,
        kind: AuthKind::Header,
    })
}
