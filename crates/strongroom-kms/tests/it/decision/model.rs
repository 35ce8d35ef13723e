// SPDX-License-Identifier: Apache-2.0
//! Who may do what with a key, written down naively from the documentation: docs/security/
//! authorization.md and docs/policy-language.md. It shares nothing with the product, not even the
//! way in which policies are read: a case is data, and its documents are made from that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::{ACCOUNT, REGION};

pub(super) type Pairs = BTreeMap<&'static str, &'static str>;
/// Condition keys in lower case, with their values.
type Facts = BTreeMap<String, Vec<String>>;

/// Everything that is set up before a request comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    /// A policy for each key.
    pub(super) key_policies: [Vec<Statement>; KEYS],
    /// Of ann, bob and cat; without one a user has full access.
    pub(super) identity: [Option<Vec<Statement>>; USERS.len()],
    pub(super) grants: Vec<Grant>,
}

#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) deny: bool,
    /// Of a key policy; identity policies have none.
    pub(super) who: Vec<Who>,
    /// Everyone but `who`.
    pub(super) not_who: bool,
    pub(super) actions: Vec<&'static str>,
    pub(super) not_actions: bool,
    pub(super) resources: Vec<Resource>,
    pub(super) not_resources: bool,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Everyone,
    User(usize),
    /// By unique id.
    Id(usize),
    /// The ARN of the account's root user.
    Account,
    OtherAccount,
    Service,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    All,
    Key(usize),
    KeysOfAccount,
    KeysOfOtherAccount,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// `ForAllValues:`, `ForAnyValue:` or nothing.
    pub(super) set: &'static str,
    pub(super) operator: Operator,
    pub(super) if_exists: bool,
    pub(super) key: &'static str,
    pub(super) values: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    StringEquals,
    StringNotEquals,
    StringLike,
    StringNotLike,
    Bool,
    Null,
}

#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) key: usize,
    /// A user, or the account.
    pub(super) to: Actor,
    pub(super) operations: Vec<&'static str>,
    pub(super) constraint: Constraint,
    pub(super) revoked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Constraint {
    None,
    Equals(Pairs),
    Subset(Pairs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    Root,
    User(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) actor: Actor,
    pub(super) operation: &'static str,
    pub(super) key: usize,
    /// The second key of ReEncrypt.
    pub(super) other: usize,
    pub(super) context: Pairs,
    pub(super) by_alias: bool,
    pub(super) token: Token,
    pub(super) dry_run: bool,
    /// What CreateGrant asks for.
    pub(super) wanted: (Vec<&'static str>, Constraint),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    None,
    Of(usize),
    MadeUp,
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Allowed,
    BadToken,
    /// The action that was denied on which key, and the rule that said no.
    Denied(&'static str, usize, &'static str),
}

/// Rules that may be left out, to see whether the cases would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    Nothing,
    DenyOfKeyPolicies,
    DenyOfIdentityPolicies,
    RootOfTrust,
    Delegation,
    Grants,
    GrantsOfTheAccount,
    Constraints,
    StrictnessOfEquals,
    Revocation,
    NamesUsedAgain,
    Conditions,
    ViaService,
    CheckOfTokens,
    SecondKey,
    LimitsOfPassedOnGrants,
}

impl Without {
    pub(super) const ALL: &[Without] = &[
        Without::DenyOfKeyPolicies,
        Without::DenyOfIdentityPolicies,
        Without::RootOfTrust,
        Without::Delegation,
        Without::Grants,
        Without::GrantsOfTheAccount,
        Without::Constraints,
        Without::StrictnessOfEquals,
        Without::Revocation,
        Without::NamesUsedAgain,
        Without::Conditions,
        Without::ViaService,
        Without::CheckOfTokens,
        Without::SecondKey,
        Without::LimitsOfPassedOnGrants,
    ];
}

/// What should come of `request`, and by which rule it is allowed, if it is.
pub(super) fn decide(
    setup: &Setup,
    request: &Request,
    without: Without,
) -> (Outcome, &'static str) {
    let bad_token = match request.token {
        Token::None => false,
        Token::Of(grant) => setup.grants.get(grant).is_none_or(|grant| grant.revoked),
        Token::MadeUp => true,
    };
    if bad_token && without != Without::CheckOfTokens {
        return (Outcome::BadToken, "");
    }
    if request.operation != "ReEncrypt" {
        let question = Question {
            setup,
            request,
            without,
            action: action_of(request.operation),
            key: request.key,
        };
        return question.decide();
    }
    let question = |action, key| Question {
        setup,
        request,
        without,
        action,
        key,
    };
    let (from, why) = question("kms:ReEncryptFrom", request.key).decide();
    if from != Outcome::Allowed || without == Without::SecondKey {
        return (from, why);
    }
    question("kms:ReEncryptTo", request.other).decide()
}

struct Question<'a> {
    setup: &'a Setup,
    request: &'a Request,
    without: Without,
    action: &'static str,
    key: usize,
}

impl Question<'_> {
    fn decide(&self) -> (Outcome, &'static str) {
        let denied = |rule| (Outcome::Denied(self.action, self.key, rule), "");
        let facts = self.facts();
        let (mut direct, mut delegated) = (false, false);
        for statement in &self.setup.key_policies[self.key] {
            if !self.is_about(statement, &facts) {
                continue;
            }
            if statement.deny {
                if self.denies_me(statement) && self.without != Without::DenyOfKeyPolicies {
                    return denied(RESOURCE_DENIES);
                }
            } else if self.names_me(statement) {
                direct = true;
            } else if statement.who.contains(&Who::Account) {
                delegated = true;
            }
        }
        // The root user is under no identity policy, and a user without one has full access.
        let mut by_identity = true;
        if let Actor::User(user) = self.request.actor
            && let Some(policy) = &self.setup.identity[user]
        {
            by_identity = false;
            for statement in policy.iter().filter(|s| self.is_about(s, &facts)) {
                if !statement.deny {
                    by_identity = true;
                } else if self.without != Without::DenyOfIdentityPolicies {
                    return denied(IDENTITY_DENIES);
                }
            }
        }
        if direct {
            return (Outcome::Allowed, "key policy");
        }
        let trusted = delegated || self.without == Without::RootOfTrust;
        if trusted && by_identity && self.without != Without::Delegation {
            return (Outcome::Allowed, "identity policy");
        }
        if let Some(why) = self.granted(by_identity) {
            return (Outcome::Allowed, why);
        }
        denied(if delegated { NO_IDENTITY } else { NO_RESOURCE })
    }

    /// The user whose name somebody else had is nobody that a policy or grant of before knows.
    fn is_me(&self, user: usize) -> bool {
        self.request.actor == Actor::User(user)
            && (user != REUSED || self.without == Without::NamesUsedAgain)
    }

    fn names_me(&self, statement: &Statement) -> bool {
        statement.who.iter().any(|who| match who {
            Who::Everyone => true,
            Who::User(user) | Who::Id(user) => self.is_me(*user),
            Who::Account => self.request.actor == Actor::Root,
            Who::OtherAccount | Who::Service => false,
        })
    }

    /// To deny the account is to deny its users; to exempt it exempts its root user alone.
    fn denies_me(&self, statement: &Statement) -> bool {
        if statement.not_who {
            !self.names_me(statement)
        } else {
            self.names_me(statement) || statement.who.contains(&Who::Account)
        }
    }

    fn is_about(&self, statement: &Statement, facts: &Facts) -> bool {
        let action = self.action.to_lowercase();
        let named = statement.actions.iter();
        let acts = named.map(|pattern| pattern.to_lowercase());
        let acts = acts.into_iter().any(|pattern| matches(&pattern, &action));
        let concerns = statement.resources.iter().any(|resource| match resource {
            Resource::All | Resource::KeysOfAccount => true,
            Resource::Key(key) => *key == self.key,
            Resource::KeysOfOtherAccount => false,
        });
        let holds = |condition: &Condition| condition.holds(facts);
        acts != statement.not_actions
            && concerns != statement.not_resources
            && (self.without == Without::Conditions || statement.conditions.iter().all(holds))
    }

    fn granted(&self, by_identity: bool) -> Option<&'static str> {
        if self.without == Without::Grants {
            return None;
        }
        let mut grants = self.setup.grants.iter();
        let grant = grants.find(|grant| {
            let mine = match (grant.to, self.request.actor) {
                (Actor::Root, Actor::Root) => true,
                (Actor::Root, Actor::User(_)) => {
                    by_identity || self.without == Without::GrantsOfTheAccount
                }
                (Actor::User(user), _) => self.is_me(user),
            };
            grant.key == self.key
                && mine
                && (!grant.revoked || self.without == Without::Revocation)
                && grant
                    .operations
                    .iter()
                    .any(|op| format!("kms:{op}") == self.action)
                && self.is_within(grant)
        })?;
        Some(match (&grant.constraint, grant.to) {
            (_, Actor::Root) => "grant to the account",
            (Constraint::None, _) => "grant",
            (Constraint::Equals(_), _) => "grant, context equals",
            (Constraint::Subset(_), _) => "grant, context subset",
        })
    }

    /// A constraint is about the encryption context. To pass on a grant, nothing may be let
    /// through that the grant itself does not let through.
    fn is_within(&self, grant: &Grant) -> bool {
        match self.action {
            "kms:DescribeKey" => true,
            "kms:CreateGrant" => {
                let (operations, wanted) = &self.request.wanted;
                let known = |op: &&'static str| grant.operations.contains(op);
                self.without == Without::LimitsOfPassedOnGrants
                    || operations.iter().all(known)
                        && all_contexts().iter().all(|context| {
                            !wanted.lets(context, Without::Nothing)
                                || grant.constraint.lets(context, Without::Nothing)
                        })
            }
            _ => grant.constraint.lets(&self.request.context, self.without),
        }
    }

    /// Everything that condition keys say about the request.
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        let mut set = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                facts.insert(name.to_lowercase(), values);
            }
        };
        let mut one = |name: &str, value: &str| set(name, vec![value.to_owned()]);
        one("kms:CallerAccount", ACCOUNT);
        let operation = self.request.operation;
        let via_s3 = operation.starts_with("S3") && self.without != Without::ViaService;
        one("aws:ViaAWSService", if via_s3 { "true" } else { "false" });
        if via_s3 {
            one("kms:ViaService", &format!("s3.{REGION}.amazonaws.com"));
        }
        if let Actor::User(user) = self.request.actor {
            one("aws:username", USERS[user]);
        }
        one(
            "kms:KeySpec",
            if self.key == MAC_KEY {
                "HMAC_256"
            } else {
                "SYMMETRIC_DEFAULT"
            },
        );
        if self.key == TAGGED_KEY {
            one("aws:ResourceTag/team", "red");
            one("kms:ResourceAliases", ALIAS);
        }
        let names_source = matches!(operation, "Decrypt" | "ReEncrypt" | "S3Decrypt");
        let names_key = !names_source || self.action == "kms:ReEncryptTo";
        if self.request.by_alias && names_key && self.key == TAGGED_KEY && takes_alias(operation) {
            one("kms:RequestAlias", ALIAS);
        }
        let pairs = match operation {
            "DescribeKey" | "GetKeyPolicy" | "ListGrants" | "GenerateMac" | "VerifyMac" => {
                Pairs::new()
            }
            "CreateGrant" => match &self.request.wanted.1 {
                Constraint::None => Pairs::new(),
                Constraint::Equals(pairs) | Constraint::Subset(pairs) => pairs.clone(),
            },
            _ => {
                one("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
                self.request.context.clone()
            }
        };
        for (name, value) in &pairs {
            one(&format!("kms:EncryptionContext:{name}"), value);
        }
        match operation {
            "GenerateMac" | "VerifyMac" => one("kms:MacAlgorithm", "HMAC_SHA_256"),
            "ReEncrypt" => {
                let same = self.request.key == self.request.other;
                one(
                    "kms:ReEncryptOnSameKey",
                    if same { "true" } else { "false" },
                );
            }
            _ => {}
        }
        let names = pairs.keys().map(|name| (*name).to_owned()).collect();
        set("kms:EncryptionContextKeys", names);
        if operation == "CreateGrant" {
            let operations = self.request.wanted.0.iter();
            let operations = operations.map(|op| (*op).to_owned()).collect();
            set("kms:GrantOperations", operations);
        }
        facts
    }
}

impl Constraint {
    fn lets(&self, context: &Pairs, without: Without) -> bool {
        match self {
            _ if without == Without::Constraints => true,
            Constraint::None => true,
            Constraint::Equals(pairs) if without != Without::StrictnessOfEquals => context == pairs,
            Constraint::Equals(pairs) | Constraint::Subset(pairs) => pairs
                .iter()
                .all(|(name, value)| context.get(name) == Some(value)),
        }
    }
}

impl Condition {
    fn holds(&self, facts: &Facts) -> bool {
        let present = facts.get(&self.key.to_lowercase());
        if self.operator == Operator::Null {
            return self.values.contains(&"true") == present.is_none();
        }
        let Some(values) = present else {
            let negated = matches!(
                self.operator,
                Operator::StringNotEquals | Operator::StringNotLike
            );
            return match self.set {
                "ForAllValues:" => true,
                "ForAnyValue:" => self.if_exists,
                _ => self.if_exists || negated,
            };
        };
        let compare = |value: &String| {
            let is = |pattern: &&'static str| match (self.operator, *pattern) {
                // The one variable of these cases, which the root user has no value for.
                (_, "${aws:username}") => facts.get("aws:username").is_some_and(|u| &u[0] == value),
                (Operator::StringLike | Operator::StringNotLike, pattern) => {
                    matches(pattern, value)
                }
                (_, literal) => literal == value,
            };
            let equals = self.values.iter().any(is);
            match self.operator {
                Operator::StringNotEquals | Operator::StringNotLike => !equals,
                _ => equals,
            }
        };
        match self.set {
            "ForAllValues:" => values.iter().all(compare),
            _ => values.iter().any(compare),
        }
    }
}

fn action_of(operation: &'static str) -> &'static str {
    match operation {
        "S3GenerateDataKey" => "kms:GenerateDataKey",
        "S3Decrypt" => "kms:Decrypt",
        other => {
            OPERATIONS
                .iter()
                .find(|(name, _)| *name == other)
                .unwrap()
                .1
        }
    }
}

pub(super) fn takes_alias(operation: &str) -> bool {
    !matches!(operation, "GetKeyPolicy" | "ListGrants" | "CreateGrant")
}

/// `*` is any characters, `?` is one.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            matches(&pattern[1..], text) || (!text.is_empty() && matches(pattern, &text[1..]))
        }
        (Some('?'), Some(_)) => matches(&pattern[1..], &text[1..]),
        (Some(p), Some(t)) => p == t && matches(&pattern[1..], &text[1..]),
        _ => false,
    }
}

/// Every context of these cases, and one that no case has.
fn all_contexts() -> Vec<Pairs> {
    let mut contexts = Vec::new();
    for dept in [None, Some("a"), Some("b"), Some("ann")] {
        for proj in [None, Some("x"), Some("y")] {
            for more in [None, Some("z")] {
                let pairs = [("dept", dept), ("proj", proj), ("more", more)];
                let pairs = pairs.into_iter().filter_map(|(name, v)| Some((name, v?)));
                contexts.push(pairs.collect());
            }
        }
    }
    contexts
}

// ---- documents ------------------------------------------------------------------------

/// A policy document; `ids` are the unique ids of the users, `arns` the ARNs of the keys.
pub(super) fn document(statements: &[Statement], ids: &[String], arns: &[String]) -> String {
    let statements: Vec<Value> = statements.iter().map(|s| s.json(ids, arns)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

impl Statement {
    fn json(&self, ids: &[String], arns: &[String]) -> Value {
        let not = |not: bool, name: &str| format!("{}{name}", if not { "Not" } else { "" });
        let resources = self.resources.iter().map(|resource| match resource {
            Resource::All => "*".to_owned(),
            Resource::Key(key) => arns[*key].clone(),
            Resource::KeysOfAccount => format!("arn:aws:kms:*:{ACCOUNT}:key/*"),
            Resource::KeysOfOtherAccount => "arn:aws:kms:*:999988887777:key/*".to_owned(),
        });
        let mut all = json!({
            "Effect": if self.deny { "Deny" } else { "Allow" },
            (not(self.not_actions, "Action")): self.actions,
            (not(self.not_resources, "Resource")): resources.collect::<Vec<_>>(),
        });
        if !self.who.is_empty() {
            let aws = |who: &Who| match who {
                Who::Everyone => "*".to_owned(),
                Who::User(user) => format!("arn:aws:iam::{ACCOUNT}:user/{}", USERS[*user]),
                Who::Id(user) => ids[*user].clone(),
                Who::Account | Who::Service => format!("arn:aws:iam::{ACCOUNT}:root"),
                Who::OtherAccount => "arn:aws:iam::999988887777:root".to_owned(),
            };
            let named = self.who.iter().filter(|who| **who != Who::Service);
            let named: Vec<String> = named.map(aws).collect();
            let mut principal = json!({});
            if !named.is_empty() {
                principal["AWS"] = json!(named);
            }
            if self.who.contains(&Who::Service) {
                principal["Service"] = json!("s3.amazonaws.com");
            }
            all[not(self.not_who, "Principal")] = principal;
        }
        for condition in &self.conditions {
            let if_exists = if condition.if_exists { "IfExists" } else { "" };
            let operator = format!("{}{:?}{if_exists}", condition.set, condition.operator);
            all["Condition"][operator][condition.key] = json!(condition.values);
        }
        all
    }
}

pub(super) const USERS: [&str; 3] = ["ann", "bob", "cat"];
/// cat is removed after everything was set up, and another user gets that name.
pub(super) const REUSED: usize = 2;
/// Two symmetric keys, the first with a tag and an alias, and one for MACs.
pub(super) const KEYS: usize = 3;
pub(super) const TAGGED_KEY: usize = 0;
pub(super) const MAC_KEY: usize = 2;
pub(super) const ALIAS: &str = "alias/first";
pub(super) const OPERATIONS: &[(&str, &str)] = &[
    ("Encrypt", "kms:Encrypt"),
    ("Decrypt", "kms:Decrypt"),
    ("GenerateDataKey", "kms:GenerateDataKey"),
    (
        "GenerateDataKeyWithoutPlaintext",
        "kms:GenerateDataKeyWithoutPlaintext",
    ),
    ("ReEncrypt", "kms:ReEncryptFrom"),
    ("DescribeKey", "kms:DescribeKey"),
    ("GetKeyPolicy", "kms:GetKeyPolicy"),
    ("ListGrants", "kms:ListGrants"),
    ("CreateGrant", "kms:CreateGrant"),
    ("S3GenerateDataKey", "kms:GenerateDataKey"),
    ("S3Decrypt", "kms:Decrypt"),
    ("GenerateMac", "kms:GenerateMac"),
    ("VerifyMac", "kms:VerifyMac"),
];
pub(super) const NO_IDENTITY: &str = "because no identity-based policy allows";
pub(super) const NO_RESOURCE: &str = "because no resource-based policy allows";
pub(super) const IDENTITY_DENIES: &str = "with an explicit deny in an identity-based policy";
pub(super) const RESOURCE_DENIES: &str = "with an explicit deny in a resource-based policy";
