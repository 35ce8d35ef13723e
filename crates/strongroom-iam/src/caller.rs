// SPDX-License-Identifier: Apache-2.0
//! The authenticated principal of a request.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use strongroom_audit::{RequestFacts, UserIdentity};
use strongroom_policy::{Context, Policy, Principal, PrincipalKind, SharedContext};
use strongroom_wire::sigv4::AuthKind;

use crate::event;
#[cfg(feature = "testing")]
use crate::iam::Iam;
#[cfg(feature = "testing")]
use crate::identity_policy::BuiltIn;

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
    region: String,
    now_ms: u64,
    identity_policies: Arc<[Arc<Policy>]>,
    conditions: Conditions,
    /// [`Self::policy_context`]: a request is decided about more than once.
    context: OnceLock<SharedContext>,
}

/// What an adapter says for the conditions of its own service: names of its own, values of the client.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// For every decision about the request.
    pub always: Vec<(&'static str, String)>,
    /// For decisions about what the request writes or deletes. The same request may have to read, too
    /// (a copy its source, a write what its `If-Match` compares with), and this says nothing of that.
    pub of_writes: Vec<(&'static str, String)>,
}

/// Where the signature stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// In the `Authorization` header.
    Header,
    /// In the query (presigned).
    Query,
    /// In the fields of a form, over its policy. Only the policy says what may be done with it: the
    /// adapter compares it with the form.
    Form,
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
    pub(crate) region: String,
    pub(crate) now_ms: u64,
    pub(crate) identity_policies: Arc<[Arc<Policy>]>,
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
                AuthKind::Form => AuthMethod::Form,
                AuthKind::Header | AuthKind::Anonymous => AuthMethod::Header,
            },
            region: verified.region,
            now_ms: verified.now_ms,
            identity_policies: verified.identity_policies,
            conditions: Conditions::default(),
            context: OnceLock::new(),
        }
    }

    /// Adds what the request says for conditions of its own service, like `s3:prefix`. Only an
    /// adapter calls this, with names of its own: a client chooses values, never names.
    #[must_use]
    pub fn with_conditions(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// Adds one more that the body of a request says of what it writes.
    pub fn add_condition_of_writes(&mut self, name: &'static str, value: String) {
        self.conditions.of_writes.push((name, value));
    }

    /// What the adapter added for conditions of its own service.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The identity policies of the principal when its request was authenticated. Full access is a
    /// policy too, so the list is never empty; root has it.
    pub fn identity_policies(&self) -> &[Arc<Policy>] {
        &self.identity_policies
    }

    /// The principal, for policies.
    pub fn principal(&self) -> Principal<'_> {
        Principal {
            arn: &self.arn,
            account_id: &self.account_id,
            user_id: self.user_id(),
            kind: if self.is_root {
                PrincipalKind::Root
            } else {
                PrincipalKind::User
            },
        }
    }

    /// `aws:userid`: the unique id of a user, the account id for root.
    pub fn user_id(&self) -> &str {
        match &self.facts.identity {
            UserIdentity::IamUser { principal_id, .. } => principal_id,
            UserIdentity::Root { .. }
            | UserIdentity::AwsService { .. }
            | UserIdentity::Anonymous
            | UserIdentity::Unknown { .. } => &self.account_id,
        }
    }

    /// The condition keys that every request has; its time is that of its authentication. Nothing here comes from a
    /// header but `aws:UserAgent`, which a client may set as it likes, here as at AWS. By which
    /// door a request came (`aws:ViaAWSService`) is for the service to add.
    pub fn policy_context(&self) -> &SharedContext {
        // INVARIANT: nothing that it is made of changes after the caller was made.
        self.context.get_or_init(|| self.make_context().share())
    }

    fn make_context(&self) -> Context {
        let mut context = Context::new();
        let flag = |on: bool| if on { "true" } else { "false" };
        context.set("aws:PrincipalArn", &self.arn);
        context.set("aws:PrincipalAccount", &self.account_id);
        context.set("aws:PrincipalIsAWSService", "false");
        context.set("aws:userid", self.user_id());
        context.set("aws:SecureTransport", flag(self.secure_transport));
        context.set("aws:RequestedRegion", &self.region);
        context.set("aws:CurrentTime", event::iso(self.now_ms));
        context.set("aws:EpochTime", (self.now_ms / 1_000).to_string());
        match &self.facts.identity {
            UserIdentity::IamUser { user_name, .. } => {
                context.set("aws:PrincipalType", "User");
                context.set("aws:username", user_name);
            }
            UserIdentity::Root { .. }
            | UserIdentity::AwsService { .. }
            | UserIdentity::Anonymous
            | UserIdentity::Unknown { .. } => {
                context.set("aws:PrincipalType", "Account");
            }
        }
        // The address of the socket; what a proxy or a client says in a header counts for nothing.
        if let Ok(ip) = self.facts.source_ip.parse::<IpAddr>() {
            context.set("aws:SourceIp", ip.to_canonical().to_string());
        }
        if !self.facts.user_agent.is_empty() {
            context.set("aws:UserAgent", &self.facts.user_agent);
        }
        context
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
        region: "us-east-1".to_owned(),
        now_ms: 0,
        identity_policies: BuiltIn::new().map_or_else(
            |_| Arc::from([]),
            |built_in| built_in.full_access().policies,
        ),
    })
}

/// A user of `iam` as a caller, without a signed request, for the tests of crates above this one.
#[cfg(feature = "testing")]
pub fn dangerous_user_for_tests(iam: &Iam, mut facts: RequestFacts, name: &str) -> Option<Caller> {
    let folded = name.to_ascii_lowercase();
    let key = iam.inner().read(|directory| directory.user(&folded))?;
    let access_key_id = &key.access_keys.first()?.access_key_id;
    let (principal, granted) = iam.principal(access_key_id)?;
    facts.identity = principal.identity.clone();
    let secure_transport = facts.tls.is_some();
    Some(Caller::new(Verified {
        facts,
        arn: principal.arn.clone(),
        account_id: iam.options().account_id.clone(),
        access_key_id: access_key_id.clone(),
        service: "s3".to_owned(),
        secure_transport,
        kind: AuthKind::Header,
        region: iam.options().region.clone(),
        now_ms: iam.inner().now_ms(),
        identity_policies: granted.policies,
    }))
}
