// SPDX-License-Identifier: Apache-2.0
//! Cases, made at random from a seed, and how they are made smaller.

use strongroom_testkit::SimRng;

use super::model::{
    ALIAS, Actor, Condition, Constraint, Grant, KEYS, MAC_KEY, OPERATIONS, Operator, Pairs,
    Request, Resource, Setup, Statement, TAGGED_KEY, Token, USERS, Who,
};

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) setup: Setup,
    pub(super) request: Request,
}

pub(super) fn setup(rng: &mut SimRng) -> Setup {
    let mut made = Setup::default();
    for policy in &mut made.key_policies {
        // Half of the keys leave something to the account, as nearly all do in life.
        if !rng.one_in(3) {
            let mut delegation = statement(rng, true);
            delegation.deny = false;
            delegation.not_who = false;
            delegation.who = vec![Who::Account];
            if rng.one_in(2) {
                delegation.actions = vec!["kms:*"];
                delegation.not_actions = false;
                delegation.conditions.clear();
            }
            policy.push(delegation);
        }
        for _ in 0..rng.below(4) {
            policy.push(statement(rng, true));
        }
    }
    for policy in &mut made.identity {
        if !rng.one_in(4) {
            let statements = 1 + rng.below(3);
            *policy = Some((0..statements).map(|_| statement(rng, false)).collect());
        }
    }
    for _ in 0..rng.below(7) {
        made.grants.push(grant(rng));
    }
    made
}

fn statement(rng: &mut SimRng, of_key: bool) -> Statement {
    let deny = rng.one_in(4);
    let mut conditions: Vec<Condition> = Vec::new();
    for _ in 0..[0, 0, 0, 1, 1, 2][rng.index(6)] {
        let new = condition(rng);
        let same =
            |old: &Condition| (old.set, old.operator, old.key) == (new.set, new.operator, new.key);
        if !conditions.iter().any(same) {
            conditions.push(new);
        }
    }
    // A statement that denies everything to everyone makes a dull case.
    let patterns = if deny { NARROW } else { WIDE };
    Statement {
        deny,
        who: if of_key {
            some(rng, PRINCIPALS, 2)
        } else {
            Vec::new()
        },
        not_who: of_key && deny && rng.one_in(4),
        actions: some(rng, patterns, 3),
        not_actions: rng.one_in(8),
        resources: if rng.one_in(2) {
            vec![Resource::All]
        } else {
            some(rng, RESOURCES, 2)
        },
        not_resources: rng.one_in(10),
        conditions,
    }
}

fn condition(rng: &mut SimRng) -> Condition {
    let (key, values, is_list) = KEYS_OF_CONDITIONS[rng.index(KEYS_OF_CONDITIONS.len())];
    let operator = match rng.below(8) {
        0 => Operator::Null,
        1 => Operator::StringNotEquals,
        2 => Operator::StringNotLike,
        3 | 4 => Operator::StringLike,
        _ if key == "aws:ViaAWSService" => Operator::Bool,
        _ => Operator::StringEquals,
    };
    let set = match (is_list && operator != Operator::Null, rng.one_in(2)) {
        (false, _) => "",
        (true, true) => "ForAllValues:",
        (true, false) => "ForAnyValue:",
    };
    let values = match operator {
        Operator::Null | Operator::Bool => vec![if rng.one_in(2) { "true" } else { "false" }],
        _ => some(rng, values, 2),
    };
    let if_exists = operator != Operator::Null && rng.one_in(4);
    Condition {
        set,
        operator,
        if_exists,
        key,
        values,
    }
}

fn grant(rng: &mut SimRng) -> Grant {
    let key = rng.index(KEYS);
    Grant {
        key,
        to: match rng.index(5) {
            0 => Actor::Root,
            number => Actor::User((number - 1) % USERS.len()),
        },
        operations: some(rng, grantable(key), 4),
        constraint: constraint(rng, key),
        revoked: rng.one_in(6),
    }
}

fn constraint(rng: &mut SimRng, key: usize) -> Constraint {
    let mut pairs = Pairs::new();
    while pairs.is_empty() {
        pairs = context(rng);
    }
    match rng.below(3) {
        _ if key == MAC_KEY => Constraint::None,
        0 => Constraint::None,
        1 => Constraint::Equals(pairs),
        _ => Constraint::Subset(pairs),
    }
}

pub(super) fn request(rng: &mut SimRng, setup: &Setup) -> Request {
    let (operation, _) = OPERATIONS[rng.index(OPERATIONS.len())];
    let with_tokens = !matches!(
        operation,
        "GetKeyPolicy" | "ListGrants" | "S3GenerateDataKey" | "S3Decrypt"
    );
    let key = if operation.ends_with("Mac") {
        MAC_KEY
    } else {
        rng.index(MAC_KEY)
    };
    let mut made = Request {
        actor: match rng.index(8) {
            0 => Actor::Root,
            number => Actor::User(number % USERS.len()),
        },
        operation,
        key,
        other: rng.index(MAC_KEY),
        context: context(rng),
        by_alias: rng.one_in(3),
        token: Token::None,
        dry_run: operation == "CreateGrant" || rng.one_in(4),
        wanted: (some(rng, grantable(key), 2), constraint(rng, key)),
    };
    if with_tokens && rng.one_in(12) {
        made.token = Token::MadeUp;
    } else if with_tokens && !setup.grants.is_empty() && rng.one_in(4) {
        made.token = Token::Of(rng.index(setup.grants.len()));
    }
    // Often what some grant is about.
    if !setup.grants.is_empty() && rng.one_in(2) {
        let grant = &setup.grants[rng.index(setup.grants.len())];
        let asked = if operation == "ReEncrypt" {
            "ReEncryptFrom"
        } else {
            operation
        };
        if grant.operations.contains(&asked) && grant.key == key || rng.one_in(2) {
            if let Actor::User(_) = grant.to {
                made.actor = grant.to;
            }
            let fits = |op: &&&str| OPERATIONS.iter().any(|(name, _)| name == *op);
            if let Some(wanted) = grant.operations.iter().find(fits) {
                made.operation = wanted;
                made.key = grant.key;
                made.dry_run |= *wanted == "CreateGrant";
                made.wanted = (
                    grant.operations.iter().copied().take(2).collect(),
                    if rng.one_in(2) {
                        grant.constraint.clone()
                    } else {
                        constraint(rng, grant.key)
                    },
                );
            }
            if let Constraint::Equals(pairs) | Constraint::Subset(pairs) = &grant.constraint
                && !rng.one_in(3)
            {
                made.context.clone_from(pairs);
                if rng.one_in(3) {
                    made.context.extend(context(rng));
                }
            }
        }
    }
    if matches!(made.operation, "GetKeyPolicy" | "ListGrants") {
        made.token = Token::None;
    }
    made
}

/// At most two pairs, as in the constraints.
pub(super) fn context(rng: &mut SimRng) -> Pairs {
    let mut pairs = Pairs::new();
    if rng.one_in(2) {
        pairs.insert("dept", ["a", "b", "ann"][rng.index(3)]);
    }
    if rng.one_in(3) {
        pairs.insert("proj", ["x", "y"][rng.index(2)]);
    }
    pairs
}

/// One to `most` of `all`, each once.
fn some<T: Copy + PartialEq>(rng: &mut SimRng, all: &[T], most: u64) -> Vec<T> {
    let mut picked = Vec::new();
    for _ in 0..=rng.below(most) {
        let one = all[rng.index(all.len())];
        if !picked.contains(&one) {
            picked.push(one);
        }
    }
    picked
}

fn grantable(key: usize) -> &'static [&'static str] {
    if key == MAC_KEY {
        &["GenerateMac", "VerifyMac", "DescribeKey", "CreateGrant"]
    } else {
        &[
            "Encrypt",
            "Decrypt",
            "GenerateDataKey",
            "GenerateDataKeyWithoutPlaintext",
            "ReEncryptFrom",
            "ReEncryptTo",
            "DescribeKey",
            "CreateGrant",
        ]
    }
}

impl Case {
    /// Cases with one thing less.
    pub(super) fn smaller(&self) -> Vec<Case> {
        let mut found = Vec::new();
        let mut push = |change: &dyn Fn(&mut Case)| {
            let mut case = self.clone();
            change(&mut case);
            found.push(case);
        };
        for (key, policy) in self.setup.key_policies.iter().enumerate() {
            for (at, statement) in policy.iter().enumerate() {
                push(&|case| drop(case.setup.key_policies[key].remove(at)));
                for less in statement.smaller() {
                    push(&|case| case.setup.key_policies[key][at] = less.clone());
                }
            }
        }
        for (user, policy) in self.setup.identity.iter().enumerate() {
            let Some(policy) = policy else { continue };
            push(&|case| case.setup.identity[user] = None);
            for (at, statement) in policy.iter().enumerate() {
                let set = |case: &mut Case, change: &dyn Fn(&mut Vec<Statement>)| {
                    change(case.setup.identity[user].as_mut().unwrap());
                };
                if policy.len() > 1 {
                    push(&|case| set(case, &|policy| drop(policy.remove(at))));
                }
                for less in statement.smaller() {
                    push(&|case| set(case, &|policy| policy[at] = less.clone()));
                }
            }
        }
        for (at, grant) in self.setup.grants.iter().enumerate() {
            push(&|case| {
                drop(case.setup.grants.remove(at));
                match case.request.token {
                    Token::Of(number) if number == at => case.request.token = Token::None,
                    Token::Of(number) if number > at => case.request.token = Token::Of(number - 1),
                    _ => {}
                }
            });
            if grant.operations.len() > 1 {
                for op in 0..grant.operations.len() {
                    push(&|case| {
                        case.setup.grants[at].operations.remove(op);
                    });
                }
            }
            if grant.constraint != Constraint::None {
                push(&|case| case.setup.grants[at].constraint = Constraint::None);
            }
        }
        for name in self.request.context.keys() {
            push(&|case| {
                case.request.context.remove(name);
            });
        }
        if self.request.token != Token::None {
            push(&|case| case.request.token = Token::None);
        }
        if self.request.by_alias {
            push(&|case| case.request.by_alias = false);
        }
        if self.request.wanted.1 != Constraint::None {
            push(&|case| case.request.wanted.1 = Constraint::None);
        }
        found
    }
}

impl Statement {
    fn smaller(&self) -> Vec<Statement> {
        let mut found = Vec::new();
        for at in 0..self.conditions.len() {
            let mut less = self.clone();
            drop(less.conditions.remove(at));
            found.push(less);
        }
        for at in 0..self.actions.len() * usize::from(self.actions.len() > 1) {
            let mut less = self.clone();
            less.actions.remove(at);
            found.push(less);
        }
        for at in 0..self.who.len() * usize::from(self.who.len() > 1) {
            let mut less = self.clone();
            less.who.remove(at);
            found.push(less);
        }
        if self.resources != [Resource::All] || self.not_resources {
            found.push(Statement {
                resources: vec![Resource::All],
                not_resources: false,
                ..self.clone()
            });
        }
        found
    }
}

const PRINCIPALS: &[Who] = &[
    Who::Everyone,
    Who::User(0),
    Who::User(0),
    Who::User(1),
    Who::User(2),
    Who::Id(0),
    Who::Id(1),
    Who::Id(2),
    Who::Account,
    Who::OtherAccount,
    Who::Service,
];
const RESOURCES: &[Resource] = &[
    Resource::All,
    Resource::Key(0),
    Resource::Key(1),
    Resource::Key(2),
    Resource::KeysOfAccount,
    Resource::KeysOfOtherAccount,
];
const WIDE: &[&str] = &[
    "kms:*",
    "*",
    "kms:Encrypt",
    "kms:De*",
    "kms:Generate*",
    "KMS:encrypt",
    "kms:ReEncrypt*",
    "kms:DescribeKey",
    "kms:*Mac",
    "kms:Get*",
    "kms:List*",
    "kms:CreateGrant",
    "s3:*",
    "kms:GenerateDataKey",
    "kms:???rypt",
];
const NARROW: &[&str] = &[
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:GenerateDataKey*",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:DescribeKey",
    "kms:GenerateMac",
    "kms:VerifyMac",
    "kms:Create*",
    "kms:GetKeyPolicy",
    "kms:ListGrants",
    "kms:decrypt",
    "kms:GenerateDataKey?ithoutPlaintext",
];
/// Keys of conditions, with values that come up, and whether they are lists.
const KEYS_OF_CONDITIONS: &[(&str, &[&str], bool)] = &[
    (
        "kms:EncryptionContext:dept",
        &["a", "b", "?", "${aws:username}"],
        false,
    ),
    ("kms:EncryptionContext:PROJ", &["x", "y", "*"], false),
    ("kms:EncryptionContextKeys", &["dept", "proj", "d*"], true),
    (
        "kms:ViaService",
        &[
            "s3.us-east-1.amazonaws.com",
            "s3.*.amazonaws.com",
            "ec2.us-east-1.amazonaws.com",
        ],
        false,
    ),
    ("aws:ViaAWSService", &["true", "false"], false),
    (
        "kms:CallerAccount",
        &["111122223333", "999988887777"],
        false,
    ),
    (
        "kms:EncryptionAlgorithm",
        &["SYMMETRIC_DEFAULT", "RSAES*"],
        false,
    ),
    ("aws:username", &["ann", "bob", "?a?"], false),
    ("aws:ResourceTag/team", &["red", "blue"], false),
    ("kms:KeySpec", &["SYMMETRIC_DEFAULT", "HMAC_*"], false),
    ("kms:RequestAlias", &[ALIAS, "alias/*"], false),
    ("kms:ResourceAliases", &[ALIAS, "alias/other"], true),
    ("kms:MacAlgorithm", &["HMAC_SHA_256", "HMAC_SHA_384"], false),
    (
        "kms:GrantOperations",
        &["Encrypt", "De*", "GenerateMac"],
        true,
    ),
    ("kms:ReEncryptOnSameKey", &["true", "false"], false),
];
const _: () = assert!(TAGGED_KEY == 0);
