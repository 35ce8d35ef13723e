// SPDX-License-Identifier: Apache-2.0
//! Several policies, one decision.

use std::borrow::Borrow;
use std::fmt;

use crate::arn::Arn;
use crate::evaluate::{Request, Verdict, evaluate};
use crate::policy::Policy;
use crate::principal::PrincipalKind;

/// Whether a request may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow,
    /// A statement forbids it.
    ExplicitDeny(DenySource),
    /// Nothing allows it.
    ImplicitDeny(Missing),
}

/// Where the statement that denies stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenySource {
    /// In the policy of the key or bucket.
    ResourcePolicy,
    /// In a policy of the user.
    IdentityPolicy,
}

/// Which policy would have had to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// That of the key or bucket.
    ResourcePolicy,
    /// One of the user.
    IdentityPolicy,
}

impl Decision {
    /// Whether it is [`Decision::Allow`].
    pub fn is_allowed(self) -> bool {
        self == Decision::Allow
    }

    /// Why not, as AWS says it behind "is not authorized to perform: .. on resource: ..".
    pub fn why_not(self, action: &str) -> Option<String> {
        match self {
            Decision::Allow => None,
            Decision::ExplicitDeny(source) => Some(format!("with an explicit deny in {source}")),
            Decision::ImplicitDeny(missing) => {
                Some(format!("because no {missing} allows the {action} action"))
            }
        }
    }
}

impl fmt::Display for DenySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DenySource::ResourcePolicy => "a resource-based policy",
            DenySource::IdentityPolicy => "an identity-based policy",
        })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::ResourcePolicy => "resource-based policy",
            Missing::IdentityPolicy => "identity-based policy",
        })
    }
}

/// The rule of the key service.
///
/// The key policy is the root of trust: what it does not allow, directly or by delegating to the
/// account, no identity policy can allow. A grant allows as a direct statement does. An explicit
/// deny in any policy wins. A principal of another account needs both sides.
///
/// The root user has no identity policies; `identity` is not looked at for it. Who has no
/// identity policy has no permission by one: pass [`Policy::full_access`] for users who are meant
/// to have all.
pub fn decide_key<P: Borrow<Policy>>(
    key_policy: &Policy,
    identity: &[P],
    grants_allow: bool,
    request: &Request<'_>,
) -> Decision {
    let of_key = evaluate(key_policy, request);
    if of_key.denied {
        return Decision::ExplicitDeny(DenySource::ResourcePolicy);
    }
    let of_user = identity_verdict(identity, request);
    if of_user.denied {
        return Decision::ExplicitDeny(DenySource::IdentityPolicy);
    }
    let directly = of_key.allowed || grants_allow;
    if !directly && !of_key.delegated {
        return Decision::ImplicitDeny(Missing::ResourcePolicy);
    }
    let suffices = directly && !is_cross_account(request);
    if suffices || of_user.allowed {
        Decision::Allow
    } else {
        Decision::ImplicitDeny(Missing::IdentityPolicy)
    }
}

/// The rule where there is no resource policy: identity policies alone, for resources of the
/// principal's own account. The root user may do everything there.
pub fn decide_account<P: Borrow<Policy>>(identity: &[P], request: &Request<'_>) -> Decision {
    let verdict = identity_verdict(identity, request);
    if verdict.denied {
        Decision::ExplicitDeny(DenySource::IdentityPolicy)
    } else if is_cross_account(request) {
        Decision::ImplicitDeny(Missing::ResourcePolicy)
    } else if verdict.allowed {
        Decision::Allow
    } else {
        Decision::ImplicitDeny(Missing::IdentityPolicy)
    }
}

fn identity_verdict<P: Borrow<Policy>>(identity: &[P], request: &Request<'_>) -> Verdict {
    match request.principal.kind {
        PrincipalKind::User | PrincipalKind::AssumedRole => {}
        // Not subject to identity policies; of another account, what is shared with that one.
        PrincipalKind::Root => {
            return Verdict {
                allowed: true,
                ..Verdict::default()
            };
        }
        PrincipalKind::Service | PrincipalKind::Anonymous => return Verdict::default(),
    }
    let mut sum = Verdict::default();
    for policy in identity {
        let verdict = evaluate(policy.borrow(), request);
        sum.denied |= verdict.denied;
        sum.allowed |= verdict.allowed;
    }
    sum
}

/// Whether the principal is of another account than the resource. Services and anonymous requests
/// are of none, and have no identity policies that could be asked.
fn is_cross_account(request: &Request<'_>) -> bool {
    let of_resource = Arn::parse(request.resource).map_or("", |arn| arn.account_id);
    let of_principal = request.principal.account_id;
    !of_resource.is_empty() && !of_principal.is_empty() && of_resource != of_principal
}
