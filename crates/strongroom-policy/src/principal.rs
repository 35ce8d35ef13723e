// SPDX-License-Identifier: Apache-2.0
//! Who asks, and whom a policy names.

use crate::arn::{Arn, is_account_id};

/// Who makes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal<'a> {
    /// ARN of the principal; of a service, its name (`s3.amazonaws.com`); else empty.
    pub arn: &'a str,
    /// The principal's account; empty for services and anonymous requests.
    pub account_id: &'a str,
    /// The unique id, which no other principal ever has again: `AIDA..` of a user,
    /// `AROA..:SESSION` of an assumed role, the account id of the root user.
    pub user_id: &'a str,
    /// What it is.
    pub kind: PrincipalKind,
}

/// Kinds of principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The root user of the account.
    Root,
    /// A user of the account.
    User,
    /// A session of a role.
    AssumedRole,
    /// A service, acting on its own.
    Service,
    /// Nobody who proved who they are.
    Anonymous,
}

/// How a statement is about a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    /// Not at all.
    No,
    /// Through its account.
    Account,
    /// Itself, or everyone.
    Directly,
}

/// One entry of a `Principal` or `NotPrincipal` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PrincipalPattern {
    Everyone,
    /// Account id or ARN of the root user: the account.
    Account(String),
    /// A user, role, or session by its ARN.
    Arn(String),
    /// A user or role by its unique id, given so or pinned. With a pinned one goes the ARN.
    UniqueId {
        id: String,
        was: Option<String>,
    },
    Service(String),
    /// Canonical users and federated identities: kinds of principal that do not exist here.
    Nobody,
}

impl PrincipalPattern {
    /// An entry of type `AWS`.
    pub(crate) fn aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everyone);
        }
        if is_account_id(text) {
            return Some(Self::Account(text.to_owned()));
        }
        if is_unique_id(text) {
            let id = text.to_owned();
            return Some(Self::UniqueId { id, was: None });
        }
        // No wildcards here but `*` alone: IAM has none, and half a name would name too many.
        let arn = Arn::parse(text).filter(|_| !text.contains(['*', '?', '$']))?;
        // Another partition has other accounts, though their ids may look the same.
        let here = arn.partition == PARTITION && arn.region.is_empty();
        if !here || !is_account_id(arn.account_id) {
            return None;
        }
        if (arn.service, arn.resource) == ("iam", "root") {
            return Some(Self::Account(arn.account_id.to_owned()));
        }
        let (kind, name) = arn.resource.split_once('/')?;
        let known = matches!(
            (arn.service, kind),
            ("iam", "user" | "role") | ("sts", "assumed-role" | "federated-user")
        );
        (known && !name.is_empty()).then(|| Self::Arn(text.to_owned()))
    }

    /// How it is about this principal.
    pub(crate) fn names(&self, principal: &Principal<'_>) -> Named {
        let directly = match self {
            Self::Everyone => true,
            Self::Account(account_id) => return of_account(account_id, principal),
            Self::Arn(arn) => by_arn(arn, principal),
            Self::UniqueId { id, .. } => by_unique_id(id, principal),
            Self::Service(name) => {
                principal.kind == PrincipalKind::Service && principal.arn == name
            }
            Self::Nobody => false,
        };
        if directly { Named::Directly } else { Named::No }
    }
}

fn of_account(account_id: &str, principal: &Principal<'_>) -> Named {
    if principal.account_id != account_id {
        return Named::No;
    }
    match principal.kind {
        PrincipalKind::Root => Named::Directly,
        PrincipalKind::User | PrincipalKind::AssumedRole => Named::Account,
        PrincipalKind::Service | PrincipalKind::Anonymous => Named::No,
    }
}

fn by_arn(arn: &str, principal: &Principal<'_>) -> bool {
    match principal.kind {
        PrincipalKind::User => principal.arn == arn,
        PrincipalKind::AssumedRole => principal.arn == arn || is_session_of(principal.arn, arn),
        PrincipalKind::Root | PrincipalKind::Service | PrincipalKind::Anonymous => false,
    }
}

fn by_unique_id(id: &str, principal: &Principal<'_>) -> bool {
    match principal.kind {
        PrincipalKind::User => principal.user_id == id,
        PrincipalKind::AssumedRole => principal
            .user_id
            .split_once(':')
            .is_some_and(|(role, _)| role == id),
        PrincipalKind::Root | PrincipalKind::Service | PrincipalKind::Anonymous => false,
    }
}

/// Whether `session` (`arn:aws:sts::A:assumed-role/NAME/SESSION`) is one of the role `role`
/// (`arn:aws:iam::A:role/PATH/NAME`). Sessions do not tell the path; names are unique without it.
fn is_session_of(session: &str, role: &str) -> bool {
    let (Some(session), Some(role)) = (Arn::parse(session), Arn::parse(role)) else {
        return false;
    };
    let of_session = session
        .resource
        .strip_prefix("assumed-role/")
        .and_then(|rest| rest.split_once('/'));
    let name = role
        .resource
        .strip_prefix("role/")
        .and_then(|path| path.rsplit('/').next());
    let same_place = session.partition == role.partition && session.account_id == role.account_id;
    let services = session.service == "sts" && role.service == "iam";
    same_place && services && name.is_some() && of_session.map(|(role, _)| role) == name
}

/// Unique ids of users and roles.
fn is_unique_id(text: &str) -> bool {
    let rest = text.strip_prefix("AIDA").or(text.strip_prefix("AROA"));
    rest.is_some_and(|rest| {
        (12..=124).contains(&rest.len())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}

/// Every ARN here is of this partition.
const PARTITION: &str = "aws";
