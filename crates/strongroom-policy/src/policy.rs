// SPDX-License-Identifier: Apache-2.0
//! A policy: parsed, compiled, immutable.

use crate::condition::Condition;
use crate::context::KeyName;
use crate::error::{PolicyError, Reason};
use crate::json::Value;
use crate::parse;
use crate::pattern::{Case, Pattern};
use crate::principal::{Named, PrincipalPattern};
use crate::{Principal, Request};

/// Largest policy of a KMS key, in bytes.
pub const KEY_POLICY_BYTES_MAX: usize = 32_768;
/// A policy may ask for some thousand keys; no question is worth comparing its own with all of them.
const ASKED_MAX: usize = 64;
/// Largest policy of a bucket, in bytes.
pub const BUCKET_POLICY_BYTES_MAX: usize = 20_480;

/// What a policy is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// A user: the statements are about that user, and name no principal.
    Identity,
    /// A resource: every statement says whom it is about.
    Resource,
}

/// A policy, ready to be evaluated. Share it in an `Arc`.
#[derive(Debug, Clone)]
pub struct Policy {
    kind: PolicyKind,
    pub(crate) statements: Vec<Statement>,
    asked: Asked,
}

/// The condition keys that can change what a policy says.
#[derive(Debug, Clone)]
enum Asked {
    /// Each once.
    These(Vec<KeyName>),
    /// More than are worth looking through: any key may be one.
    Many,
}

impl Policy {
    /// Reads a document of at most [`KEY_POLICY_BYTES_MAX`] bytes.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Policy, PolicyError> {
        Self::parse_bytes(text.as_bytes(), kind, KEY_POLICY_BYTES_MAX)
    }

    /// Reads a document of any bytes, of at most `bytes_max`.
    pub fn parse_bytes(
        bytes: &[u8],
        kind: PolicyKind,
        bytes_max: usize,
    ) -> Result<Policy, PolicyError> {
        let text = std::str::from_utf8(bytes);
        if bytes.len() > bytes_max {
            let reason = Reason::TooLong { max: bytes_max };
            return Err(PolicyError::new(text.unwrap_or_default(), 0, "", reason));
        }
        let text = text.map_err(|error| {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let valid = std::str::from_utf8(valid).unwrap_or_default();
            PolicyError::new(valid, valid.len(), "", Reason::NotUtf8)
        })?;
        Ok(Policy::of(kind, parse::document(text, kind)?))
    }

    fn of(kind: PolicyKind, statements: Vec<Statement>) -> Policy {
        let asked = Asked::by(&statements);
        Policy {
            kind,
            statements,
            asked,
        }
    }

    /// An identity policy that allows everything.
    pub fn full_access() -> Policy {
        let everything = Statement {
            effect: Effect::Allow,
            whom: Whom::Owner,
            actions: Patterns::everything(),
            resources: Patterns::everything(),
            conditions: Vec::new(),
        };
        Policy::of(PolicyKind::Identity, vec![everything])
    }

    /// What it is attached to.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// How many statements it has.
    pub fn statements(&self) -> usize {
        self.statements.len()
    }

    /// Whether a condition or a variable looks at this key of the request. Nothing that it does not
    /// ask for can change what it says: that need not be found out, nor be in the context.
    pub fn asks_for(&self, condition_key: &str) -> bool {
        self.asked.any(|name| name.is(condition_key))
    }

    /// The same for the keys whose names begin like this, as those of an encryption context do.
    /// `prefix` is ASCII.
    pub fn asks_for_any_of(&self, prefix: &str) -> bool {
        self.asked.any(|name| name.begins(prefix))
    }

    /// Whether it looks at any key of the request.
    pub fn asks_for_something(&self) -> bool {
        self.asked.any(|_| true)
    }

    /// The ARNs of users, roles and sessions that it names, each as often as it stands there.
    pub fn principal_arns(&self) -> impl Iterator<Item = &str> {
        self.principals().filter_map(|principal| match principal {
            PrincipalPattern::Arn(arn) => Some(arn.as_str()),
            _ => None,
        })
    }

    /// The unique ids that it names by themselves, without an ARN.
    pub fn principal_ids(&self) -> impl Iterator<Item = &str> {
        self.principals().filter_map(|principal| match principal {
            PrincipalPattern::UniqueId { id, was: None } => Some(id.as_str()),
            _ => None,
        })
    }

    /// Binds every named user and role to its unique id.
    ///
    /// Names are given again: a user `ann` that is made after another `ann` was removed must not
    /// have what the first was allowed. So a policy is pinned when it is put: `unique_id` answers
    /// with the id that an ARN has now, and from then on the id alone counts. Whoever stores the
    /// text stores these ids with it and answers from them when it is read again; an ARN that
    /// stood in the text and has no id any more is the principal of nobody, and gets any id that
    /// nobody has. Sessions (`assumed-role`, `federated-user`) are not pinned.
    ///
    /// Fails with the first ARN for which there is no id.
    pub fn pinned(
        mut self,
        mut unique_id: impl FnMut(&str) -> Option<String>,
    ) -> Result<Policy, UnknownPrincipal> {
        let whom = self
            .statements
            .iter_mut()
            .map(|statement| &mut statement.whom);
        for whom in whom {
            let (Whom::Named(list) | Whom::AllBut(list)) = whom else {
                continue;
            };
            for principal in list {
                let PrincipalPattern::Arn(arn) = principal else {
                    continue;
                };
                if !arn.contains(":iam::") {
                    continue;
                }
                let Some(id) = unique_id(arn) else {
                    return Err(UnknownPrincipal { arn: arn.clone() });
                };
                let was = Some(std::mem::take(arn));
                *principal = PrincipalPattern::UniqueId { id, was };
            }
        }
        Ok(self)
    }

    /// The document `text` with other principals: where `instead` knows something for an ARN under `AWS`
    /// of `Principal` or `NotPrincipal`, which are letters and digits, that stands in its place. All
    /// else stays as it was written.
    ///
    /// So a policy is shown whose names have become somebody else's: with the ids that it is bound to
    /// (IAM User Guide, AWS JSON policy elements: Principal), which nobody can be given by putting
    /// what was shown.
    pub fn with_principals(
        text: &str,
        instead: impl Fn(&str) -> Option<String>,
    ) -> Result<String, PolicyError> {
        let mut shown = String::new();
        let mut from = 0;
        for node in parse::named_principals(text)? {
            let Value::String(arn) = &node.value else {
                continue;
            };
            if let Some(id) = instead(arn) {
                shown.push_str(text.get(from..node.offset).unwrap_or_default());
                shown.push('"');
                shown.extend(id.chars().filter(char::is_ascii_alphanumeric));
                shown.push('"');
                from = node.end;
            }
        }
        shown.push_str(text.get(from..).unwrap_or_default());
        Ok(shown)
    }

    /// What [`Policy::pinned`] bound: ARN and unique id.
    pub fn pins(&self) -> impl Iterator<Item = (&str, &str)> {
        self.principals().filter_map(|principal| match principal {
            PrincipalPattern::UniqueId { id, was: Some(arn) } => Some((arn.as_str(), id.as_str())),
            _ => None,
        })
    }

    fn principals(&self) -> impl Iterator<Item = &PrincipalPattern> {
        self.statements
            .iter()
            .flat_map(|statement| match &statement.whom {
                Whom::Owner => [].iter(),
                Whom::Named(list) | Whom::AllBut(list) => list.iter(),
            })
    }
}

impl Asked {
    fn by(statements: &[Statement]) -> Asked {
        let mut these: Vec<KeyName> = Vec::new();
        for name in statements.iter().flat_map(Statement::looks_at) {
            if these.contains(name) {
                continue;
            }
            if these.len() >= ASKED_MAX {
                return Asked::Many;
            }
            these.push(name.clone());
        }
        Asked::These(these)
    }

    fn any(&self, is_one: impl Fn(&KeyName) -> bool) -> bool {
        match self {
            Asked::These(these) => these.iter().any(is_one),
            Asked::Many => true,
        }
    }
}

/// A policy names somebody who does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no principal `{arn}`")]
pub struct UnknownPrincipal {
    /// As the policy names them.
    pub arn: String,
}

/// What a statement that applies does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// A statement.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    pub(crate) whom: Whom,
    pub(crate) actions: Patterns,
    pub(crate) resources: Patterns,
    pub(crate) conditions: Vec<Condition>,
}

/// Whom a statement is about.
#[derive(Debug, Clone)]
pub(crate) enum Whom {
    /// Whoever the identity policy belongs to.
    Owner,
    /// `Principal`.
    Named(Vec<PrincipalPattern>),
    /// `NotPrincipal`, which only statements that deny have.
    AllBut(Vec<PrincipalPattern>),
}

/// `Action` and `Resource`, or `NotAction` and `NotResource`.
#[derive(Debug, Clone)]
pub(crate) struct Patterns {
    pub(crate) all_but: bool,
    pub(crate) list: Vec<Pattern>,
}

impl Statement {
    /// The condition keys that can change whether it applies.
    fn looks_at(&self) -> impl Iterator<Item = &KeyName> {
        let resources = self.resources.list.iter().flat_map(Pattern::variables);
        let conditions = self.conditions.iter().flat_map(Condition::looks_at);
        resources.chain(conditions)
    }

    /// Whether it applies to a request, and how it is about the principal. The cheapest and most
    /// selective questions come first.
    pub(crate) fn applies(&self, request: &Request<'_>) -> Named {
        if !self.actions.match_action(request.action) {
            return Named::No;
        }
        let named = self.whom.names(&request.principal);
        if named == Named::No || !self.resources.match_resource(self.effect, request) {
            return Named::No;
        }
        let mut conditions = self.conditions.iter();
        if conditions.all(|condition| condition.holds(self.effect, request.context)) {
            named
        } else {
            Named::No
        }
    }
}

impl Whom {
    fn names(&self, principal: &Principal<'_>) -> Named {
        match self {
            Self::Owner => Named::Directly,
            Self::Named(list) => list
                .iter()
                .map(|named| named.names(principal))
                .max()
                .unwrap_or(Named::No),
            // An account in the list is its root user: AWS's own example names a user and the
            // account to exempt that user alone.
            Self::AllBut(list) => {
                let mut exempt = list.iter();
                if exempt.any(|named| named.names(principal) == Named::Directly) {
                    Named::No
                } else {
                    Named::Directly
                }
            }
        }
    }
}

impl Patterns {
    fn everything() -> Self {
        Self {
            all_but: true,
            list: Vec::new(),
        }
    }

    fn match_action(&self, action: &str) -> bool {
        let mut list = self.list.iter();
        list.any(|pattern| pattern.matches_plain(action, Case::Ignored)) != self.all_but
    }

    /// In `NotResource`, a pattern whose variable has no value exempts nothing from a statement
    /// that denies; from one that allows it exempts whatever it might have been.
    fn match_resource(&self, effect: Effect, request: &Request<'_>) -> bool {
        let (resource, context) = (request.resource, request.context);
        let careful = self.all_but && effect == Effect::Allow;
        let mut list = self.list.iter();
        list.any(|pattern| {
            pattern.is_everything()
                || pattern.matches(resource, Case::Matters, context)
                || (careful
                    && pattern.has_variables()
                    && pattern.may_match(resource, Case::Matters, context))
        }) != self.all_but
    }
}
