// SPDX-License-Identifier: Apache-2.0
//! One policy, one request.

use crate::context::Context;
use crate::policy::{Effect, Policy};
use crate::principal::{Named, Principal};

/// What is asked of policies.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: Principal<'a>,
    /// For example `kms:Decrypt`.
    pub action: &'a str,
    /// ARN of the resource; `*` for an action that concerns none.
    pub resource: &'a str,
    /// What else is known.
    pub context: &'a Context,
}

/// What the statements of one policy say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// A statement denies. Nothing anywhere outweighs it.
    pub denied: bool,
    /// A statement allows the principal itself (or everyone).
    pub allowed: bool,
    /// A statement of a resource policy allows the principal's account: its identity policies
    /// decide.
    pub delegated: bool,
}

/// What `policy` says about `request`.
pub fn evaluate(policy: &Policy, request: &Request<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    for statement in &policy.statements {
        let named = statement.applies(request);
        match (statement.effect, named) {
            (_, Named::No) => {}
            (Effect::Deny, Named::Account | Named::Directly) => verdict.denied = true,
            (Effect::Allow, Named::Directly) => verdict.allowed = true,
            (Effect::Allow, Named::Account) => verdict.delegated = true,
        }
    }
    verdict
}
