// SPDX-License-Identifier: Apache-2.0
//! Policies and requests that are likely to have to do with each other, from a stream of bytes.
//!
//! The bytes come from proptest (which makes them simpler when it found something: a zero always
//! picks the plainest choice) or from a seeded generator (for the comparison with the simulator).

use serde_json::{Map, Value, json};
use strongroom_policy::{
    Context, Decision, Policy, PolicyKind, Principal, PrincipalKind, Request, decide_account,
    decide_key,
};

/// One question, with all policies that are asked.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) key_policy: Option<Value>,
    pub(crate) identity: Vec<Value>,
    pub(crate) principal: Principal<'static>,
    pub(crate) action: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) context: Vec<(&'static str, Known)>,
}

/// What is known of a condition key.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    One(&'static str),
    Several(Vec<&'static str>),
}

/// A stream of decisions.
pub(crate) struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        usize::from(*first) % count
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    /// One, or now and then a list of up to three.
    fn one_or_more(&mut self, list: &[&str]) -> Value {
        match self.below(5) {
            0..=2 => json!(self.of(list)),
            3 => json!([self.of(list)]),
            _ => json!([self.of(list), self.of(list), self.of(list)]),
        }
    }
}

impl Case {
    pub(crate) fn new(choices: &mut Choices<'_>) -> Self {
        let about_keys = !choices.percent(50);
        let count = choices.below(3);
        let identity = (0..count)
            .map(|_| policy(choices, PolicyKind::Identity))
            .collect();
        let key_policy = about_keys.then(|| policy(choices, PolicyKind::Resource));
        let (actions, resources) = if about_keys {
            (&KMS_ACTIONS[..], &KEYS[..])
        } else {
            (&S3_ACTIONS[..], &OBJECTS[..])
        };
        let principals = if about_keys {
            &PRINCIPALS[..]
        } else {
            &PRINCIPALS[..5]
        };
        Self {
            key_policy,
            identity,
            principal: choices.of(principals),
            action: choices.of(actions),
            resource: choices.of(resources),
            context: context(choices),
        }
    }

    /// What our evaluator says.
    pub(crate) fn decision(&self) -> Decision {
        let parse = |policy: &Value, kind| {
            let text = policy.to_string();
            Policy::parse(&text, kind).unwrap_or_else(|error| panic!("{error}\n{text}"))
        };
        let mut context = Context::new();
        for (name, known) in &self.context {
            match known {
                Known::One(value) => context.set(name, value),
                Known::Several(values) => context.set_all(name, values),
            };
        }
        let identity: Vec<Policy> = self
            .identity
            .iter()
            .map(|policy| parse(policy, PolicyKind::Identity))
            .collect();
        let request = Request {
            principal: self.principal,
            action: self.action,
            resource: self.resource,
            context: &context,
        };
        match &self.key_policy {
            Some(policy) => {
                let policy = parse(policy, PolicyKind::Resource);
                decide_key(&policy, &identity, false, &request)
            }
            None => decide_account(&identity, &request),
        }
    }
}

fn policy(choices: &mut Choices<'_>, kind: PolicyKind) -> Value {
    let count = 1 + choices.below(3);
    let statements: Vec<Value> = (0..count).map(|_| statement(choices, kind)).collect();
    let version = if choices.percent(4) {
        "2008-10-17"
    } else {
        "2012-10-17"
    };
    json!({ "Version": version, "Statement": statements })
}

fn statement(choices: &mut Choices<'_>, kind: PolicyKind) -> Value {
    let mut statement = Map::new();
    let denies = choices.percent(30);
    let mut add = |name: &str, value: Value| statement.insert(name.to_owned(), value);
    add("Effect", json!(if denies { "Deny" } else { "Allow" }));
    let name = if choices.percent(12) {
        "NotAction"
    } else {
        "Action"
    };
    add(name, choices.one_or_more(&ACTION_PATTERNS));
    let name = if choices.percent(12) {
        "NotResource"
    } else {
        "Resource"
    };
    let patterns = match kind {
        PolicyKind::Resource => &KEY_PATTERNS[..],
        PolicyKind::Identity => &RESOURCE_PATTERNS[..],
    };
    add(name, choices.one_or_more(patterns));
    if kind == PolicyKind::Resource {
        let name = if denies && choices.percent(25) {
            "NotPrincipal"
        } else {
            "Principal"
        };
        let principals = match choices.below(6) {
            0 => json!("*"),
            1 => json!({ "AWS": "*" }),
            2..=4 => json!({ "AWS": choices.one_or_more(&NAMES) }),
            _ => json!({
                "Service": choices.of(&["s3.amazonaws.com", "sns.amazonaws.com"]),
                "AWS": choices.one_or_more(&NAMES),
            }),
        };
        add(name, principals);
    }
    if choices.percent(60) {
        let mut block = Map::new();
        for _ in 0..=choices.below(2) {
            condition(choices, &mut block);
        }
        add("Condition", Value::Object(block));
    }
    Value::Object(statement)
}

fn condition(choices: &mut Choices<'_>, block: &mut Map<String, Value>) {
    let family = &FAMILIES[choices.below(FAMILIES.len())];
    let base = choices.of(family.operators);
    let mut name = String::new();
    if base != "Null" {
        name.push_str(choices.of(&["", "", "", "ForAllValues:", "ForAnyValue:"]));
    }
    name.push_str(base);
    if base != "Null" && choices.percent(20) {
        name.push_str("IfExists");
    }
    let keys = if choices.percent(5) {
        FAMILIES[choices.below(FAMILIES.len())].keys
    } else {
        family.keys
    };
    let key = choices.of(keys);
    let key = if choices.percent(10) {
        key.to_uppercase()
    } else {
        key.to_owned()
    };
    let values = choices.one_or_more(family.policy_values);
    let keys = block.entry(name).or_insert_with(|| json!({}));
    let keys = keys.as_object_mut().unwrap();
    // The same key in another case is refused as the same key.
    if !keys.keys().any(|known| known.eq_ignore_ascii_case(&key)) {
        keys.insert(key, values);
    }
}

fn context(choices: &mut Choices<'_>) -> Vec<(&'static str, Known)> {
    let mut known: Vec<(&'static str, Known)> = Vec::new();
    for family in &FAMILIES {
        for key in family.keys {
            if known.iter().any(|(name, _)| name == key) || choices.percent(35) {
                continue;
            }
            let value = if LISTS.contains(key) {
                let count = choices.of(&[1, 2, 3, 1, 2, 0]);
                let values = (0..count).map(|_| choices.of(family.request_values));
                Known::Several(values.collect())
            } else {
                Known::One(choices.of(family.request_values))
            };
            known.push((key, value));
        }
    }
    known
}

/// Operators that compare the same type, with keys and values of that type.
struct Family {
    operators: &'static [&'static str],
    keys: &'static [&'static str],
    policy_values: &'static [&'static str],
    request_values: &'static [&'static str],
}

/// Keys that may have several values.
const LISTS: [&str; 3] = [
    "kms:EncryptionContextKeys",
    "aws:TagKeys",
    "logs:LogGeneratingResourceArns",
];

const FAMILIES: [Family; 8] = [
    Family {
        operators: &[
            "StringEquals",
            "StringLike",
            "StringNotEquals",
            "StringNotLike",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
        ],
        keys: &[
            "aws:username",
            "kms:ViaService",
            "kms:EncryptionContext:app",
            "aws:PrincipalTag/team",
            "kms:EncryptionContextKeys",
            "aws:TagKeys",
        ],
        policy_values: &[
            "ann",
            "Ann",
            "bob",
            "a*",
            "?nn",
            "*",
            "red",
            "RED",
            "*e*",
            "a?n*",
            "app.x",
            "${aws:username}",
            "${aws:PrincipalTag/team}",
            "${aws:PrincipalTag/team, 'red'}",
            "${AWS:UserName}x",
            "${*}",
            "${?}nn",
            "${$}{x}",
            "s3.*.amazonaws.com",
            "s3.us-east-1.amazonaws.com",
            "",
            "??",
            "a**n",
        ],
        request_values: &[
            "ann",
            "bob",
            "red",
            "Ann",
            "",
            "*",
            "?nn",
            "${x}",
            "annx",
            "app.x",
            "appyx",
            "s3.us-east-1.amazonaws.com",
            "${aws:username}",
            "a*",
        ],
    },
    Family {
        operators: &["Bool"],
        keys: &["aws:SecureTransport", "aws:MultiFactorAuthPresent"],
        policy_values: &["true", "false", "True", "FALSE"],
        request_values: &["true", "false", "TRUE", "yes", ""],
    },
    Family {
        operators: &["IpAddress", "NotIpAddress"],
        keys: &["aws:SourceIp", "aws:VpcSourceIp"],
        policy_values: &[
            "203.0.113.0/24",
            "203.0.113.7",
            "0.0.0.0/0",
            "10.0.0.0/8",
            "2001:db8::/32",
            "::/0",
            "2001:db8:0:1::/64",
            "203.0.113.128/25",
        ],
        request_values: &[
            "203.0.113.7",
            "203.0.113.200",
            "10.1.2.3",
            "192.0.2.1",
            "2001:db8::1",
            "2001:db8:0:1::9",
            "2001:db9::1",
            "not an address",
        ],
    },
    Family {
        operators: &["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"],
        keys: &[
            "aws:PrincipalArn",
            "aws:SourceArn",
            "logs:LogGeneratingResourceArns",
        ],
        policy_values: &[
            "arn:aws:iam::123456789012:user/ann",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:iam::*:user/ann",
            "arn:aws:iam::*:*",
            "arn:*:iam::*:user/?nn",
            "arn:aws:iam::123456789012:user/${aws:username}",
            "arn:aws:s3:::b/*",
            "arn:aws:sns:*:123456789012:t*",
            "arn:aws:iam:*:123456789012:role/a?b",
            "arn:aws:iam::123456789012:user/${aws:PrincipalTag/team}",
        ],
        request_values: &[
            "arn:aws:iam::123456789012:user/ann",
            "arn:aws:iam::123456789012:user/bob",
            "arn:aws:iam::210987654321:user/ann",
            "arn:aws:s3:::b/k:l",
            "arn:aws:s3:::c",
            "arn:aws:sns:us-east-1:123456789012:t:1",
            "arn:aws:iam::123456789012:role/a/b",
            "not an arn",
            "arn:aws:iam::123456789012:user/red",
        ],
    },
    Family {
        operators: &["Null"],
        keys: &[
            "aws:username",
            "aws:TagKeys",
            "aws:SourceIp",
            "kms:ViaService",
            "aws:MultiFactorAuthAge",
        ],
        policy_values: &["true", "false"],
        // Values come from the key's own family, which stands before or behind.
        request_values: &["ann", "bob"],
    },
    Family {
        operators: &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
        keys: &["s3:max-keys", "kms:RotationPeriodInDays"],
        policy_values: &["0", "10", "10.0", "-5", "3600", "0.5", "9.75", "007", "-0"],
        request_values: &["0", "10", "9.75", "-5", "3599.9", "7", "10.00", "many", ""],
    },
    Family {
        operators: &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
        keys: &["aws:CurrentTime", "aws:TokenIssueTime"],
        policy_values: &[
            "2020-01-01T00:00:00Z",
            "2020-01-01",
            "2020-06-30T12:00:00+02:00",
            "1577836800",
            "2019-12-31T23:59:59.5Z",
            "2021-03-04T05:06Z",
            "1593511200",
        ],
        request_values: &[
            "2020-01-01T00:00:00Z",
            "2020-06-30T10:00:00Z",
            "2019-12-31T23:59:59Z",
            "2021-03-04T05:06:00Z",
            "1577836800",
            "yesterday",
            "2020-01-01T00:00:00.000Z",
        ],
    },
    Family {
        operators: &["BinaryEquals"],
        keys: &["sample:blob"],
        policy_values: &["Zm9v", "Zm8=", "aGVsbG8="],
        request_values: &["Zm9v", "Zm8=", "aGVsbG8=", "Zg=="],
    },
];

const KMS_ACTIONS: [&str; 4] = [
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:PutKeyPolicy",
];
const S3_ACTIONS: [&str; 3] = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"];
const ACTION_PATTERNS: [&str; 14] = [
    "*",
    "kms:*",
    "s3:*",
    "kms:Decrypt",
    "s3:GetObject",
    "kms:decrypt",
    "KMS:De*",
    "kms:?ncrypt",
    "kms:*Key*",
    "s3:Get*",
    "s3:*Object",
    "s3:PutObject",
    "kms:Generate*Key",
    "sqs:*",
];
const KEYS: [&str; 3] = [
    "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    "arn:aws:kms:us-east-1:123456789012:key/5678ef00",
    "arn:aws:kms:eu-west-1:123456789012:key/1234abcd",
];
const KEY_PATTERNS: [&str; 7] = [
    "*",
    "*",
    "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    "arn:aws:kms:*:123456789012:key/1234*",
    "arn:aws:kms:us-east-1:123456789012:key/????abcd",
    "arn:aws:kms:us-east-?:*:key/*",
    "arn:aws:kms:us-east-1:123456789012:alias/*",
];
const OBJECTS: [&str; 12] = [
    "arn:aws:s3:::b/ann/x",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b/bob/x",
    "arn:aws:s3:::b/red/x",
    "arn:aws:s3:::bb/ann/x",
    "arn:aws:s3:::b/abc",
    "arn:aws:s3:::b/a:c",
    "arn:aws:s3:::b/${aws:username}/x",
    "arn:aws:s3:::B/ann/x",
    "arn:aws:s3:::b/Ann/x",
    "arn:aws:s3:::b/",
    "arn:aws:s3:::c/ann/x",
];
const RESOURCE_PATTERNS: [&str; 20] = [
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    "arn:aws:kms:*:123456789012:key/*",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team, 'ann'}/*",
    "arn:aws:s3:::b/${aws:TagKeys}/*",
    "arn:aws:s3:::b/a?c",
    "arn:aws:s3:::b/${$}{aws:username}/*",
    "arn:aws:s3:::b/${*}",
    "arn:aws:s3:::*/x",
    "arn:aws:s3:::b/*/x",
    "arn:aws:kms:us-east-1:*:key/5*",
    "arn:*:s3:::b/a*",
    "arn:aws:s3:::?/*",
    "arn:aws:s3:*:*:b/*",
];
const NAMES: [&str; 9] = [
    "arn:aws:iam::123456789012:root",
    "arn:aws:iam::123456789012:user/ann",
    "123456789012",
    "arn:aws:iam::123456789012:user/bob",
    "arn:aws:iam::123456789012:role/deploy",
    "arn:aws:sts::123456789012:assumed-role/deploy/s1",
    "arn:aws:iam::210987654321:root",
    "arn:aws:iam::210987654321:user/eve",
    "*",
];
const PRINCIPALS: [Principal<'static>; 7] = [
    Principal {
        arn: "arn:aws:iam::123456789012:user/ann",
        account_id: "123456789012",
        user_id: "AIDAANNANNANNANNANNAN",
        kind: PrincipalKind::User,
    },
    Principal {
        arn: "arn:aws:iam::123456789012:user/bob",
        account_id: "123456789012",
        user_id: "AIDABOBBOBBOBBOBBOBBO",
        kind: PrincipalKind::User,
    },
    Principal {
        arn: "arn:aws:iam::123456789012:root",
        account_id: "123456789012",
        user_id: "123456789012",
        kind: PrincipalKind::Root,
    },
    Principal {
        arn: "arn:aws:sts::123456789012:assumed-role/deploy/s1",
        account_id: "123456789012",
        user_id: "AROADEPLOYDEPLOYDEPLO:s1",
        kind: PrincipalKind::AssumedRole,
    },
    Principal {
        arn: "arn:aws:iam::210987654321:user/eve",
        account_id: "210987654321",
        user_id: "AIDAEVEEVEEVEEVEEVEEV",
        kind: PrincipalKind::User,
    },
    Principal {
        arn: "s3.amazonaws.com",
        account_id: "",
        user_id: "",
        kind: PrincipalKind::Service,
    },
    Principal {
        arn: "",
        account_id: "",
        user_id: "",
        kind: PrincipalKind::Anonymous,
    },
];
