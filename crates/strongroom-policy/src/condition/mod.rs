// SPDX-License-Identifier: Apache-2.0
//! Conditions: one operator, one key, its values.
//!
//! Where AWS documents an answer, it is ours (`docs/policy-language.md` names the pages). Where it
//! does not, a condition in a statement that allows fails and one in a statement that denies holds.
//! So it is with a key that has one value and is there twice, as `a` and `A` of an encryption context.

mod binary;
mod date;
mod decimal;
mod network;
mod operator;

use std::cmp::Ordering;

use crate::arn::{Arn, PARTS};
use crate::context::{Context, KeyName, Values};
use crate::pattern::{Case, Pattern, Syntax};
use crate::policy::Effect;

use date::Instant;
use decimal::Decimal;
use network::Network;
pub(crate) use operator::Operator;
use operator::{Kind, Quantifier};

/// One line of a condition block.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    key: KeyName,
    quantifier: Quantifier,
    if_exists: bool,
    negated: bool,
    test: Test,
}

/// The values of a policy, ready to be compared with.
#[derive(Debug, Clone)]
enum Test {
    Null { when_null: bool, when_present: bool },
    String(Vec<Pattern>),
    StringIgnoreCase(Vec<Pattern>),
    Numeric(Relation, Vec<Decimal>),
    Date(Relation, Vec<Instant>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<Network>),
    Arn(Vec<ArnPattern>),
}

/// How the value of the request has to be to that of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value that the operator cannot compare with, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadValue {
    Variable,
    Wanted(&'static str),
}

impl Condition {
    /// `values` are texts: JSON's numbers and booleans as they are written.
    pub(crate) fn new(
        operator: Operator,
        key: &str,
        values: &[String],
        has_variables: bool,
    ) -> Result<Self, (usize, BadValue)> {
        Ok(Self {
            key: KeyName::new(key),
            quantifier: operator.quantifier,
            if_exists: operator.if_exists,
            negated: operator.negated,
            test: Test::new(operator.kind, values, has_variables)?,
        })
    }

    /// The keys that it looks at: its own, and those that its variables stand for.
    pub(crate) fn looks_at(&self) -> impl Iterator<Item = &KeyName> {
        std::iter::once(&self.key).chain(self.test.variables())
    }

    /// Whether it holds for a request.
    pub(crate) fn holds(&self, effect: Effect, context: &Context) -> bool {
        let values = context.values(&self.key);
        if values.is_ambiguous() {
            return effect == Effect::Deny && self.holds_for_one_of(values, context);
        }
        if let Test::Null {
            when_null,
            when_present,
        } = self.test
        {
            return if values.is_null() {
                when_null
            } else {
                when_present
            };
        }
        if self.if_exists && values.is_absent() {
            return true;
        }
        match self.quantifier {
            Quantifier::None => self.holds_for(values, effect, context),
            Quantifier::ForAllValues => values.is_null() || self.holds_for_all(values, context),
            Quantifier::ForAnyValue => !values.is_null() && self.holds_for_any(values, context),
        }
    }

    /// Without a set operator. A key that may have several values requires one, and AWS does not
    /// say what happens without: see the top.
    fn holds_for(&self, values: Values<'_>, effect: Effect, context: &Context) -> bool {
        if values.is_absent() {
            return self.negated;
        }
        match effect {
            Effect::Allow => !values.is_list() && self.holds_for_all(values, context),
            Effect::Deny => self.holds_for_any(values, context),
        }
    }

    /// Whether it would hold if one of the values was the only one: for a key with one value of which
    /// a request has several. Whichever of them somebody else takes it by, a denial was meant for it,
    /// and no permission is got by another one at its side.
    fn holds_for_one_of(&self, values: Values<'_>, context: &Context) -> bool {
        values.iter().any(|value| {
            let matches = || self.test.matches(value, context) != self.negated;
            let is_null = value.is_empty();
            match (&self.test, self.quantifier) {
                (Test::Null { when_null, .. }, _) if is_null => *when_null,
                (Test::Null { when_present, .. }, _) => *when_present,
                (_, Quantifier::None) => matches(),
                (_, Quantifier::ForAllValues) => is_null || matches(),
                (_, Quantifier::ForAnyValue) => !is_null && matches(),
            }
        })
    }

    fn holds_for_all(&self, values: Values<'_>, context: &Context) -> bool {
        values
            .iter()
            .all(|value| self.test.matches(value, context) != self.negated)
    }

    fn holds_for_any(&self, values: Values<'_>, context: &Context) -> bool {
        values
            .iter()
            .any(|value| self.test.matches(value, context) != self.negated)
    }
}

impl Test {
    fn new(kind: Kind, values: &[String], has_variables: bool) -> Result<Self, (usize, BadValue)> {
        let text = |wildcards: bool| {
            let syntax = Syntax {
                wildcards,
                variables: has_variables,
            };
            move |value: &str| Pattern::parse(value, syntax).map_err(|_| BadValue::Variable)
        };
        Ok(match kind {
            Kind::Null => {
                let wanted = each(values, |value| boolean(value).ok_or(A_BOOLEAN))?;
                Self::Null {
                    when_null: wanted.contains(&true),
                    when_present: wanted.contains(&false),
                }
            }
            Kind::StringEquals => Self::String(each(values, text(false))?),
            Kind::StringLike => Self::String(each(values, text(true))?),
            Kind::StringEqualsIgnoreCase => Self::StringIgnoreCase(each(values, text(false))?),
            Kind::Numeric(relation) => {
                let number = |value: &str| Decimal::parse(value).ok_or(A_NUMBER);
                Self::Numeric(relation, each(values, number)?)
            }
            Kind::Date(relation) => {
                let date = |value: &str| {
                    let instant = Instant::parse(value).ok_or(A_DATE)?;
                    if is_year(value) {
                        Err(A_DATE_NOT_A_YEAR)
                    } else {
                        Ok(instant)
                    }
                };
                Self::Date(relation, each(values, date)?)
            }
            Kind::Bool => Self::Bool(each(values, |value| boolean(value).ok_or(A_BOOLEAN))?),
            Kind::Binary => {
                Self::Binary(each(values, |value| binary::decode(value).ok_or(BASE_64))?)
            }
            Kind::Ip => Self::Ip(each(values, |value| {
                Network::parse(value).ok_or(AN_ADDRESS)
            })?),
            Kind::Arn => {
                let arn = |value: &str| ArnPattern::new(text(true)(value)?);
                Self::Arn(each(values, arn)?)
            }
        })
    }

    fn variables(&self) -> impl Iterator<Item = &KeyName> {
        let (texts, arns): (&[Pattern], &[ArnPattern]) = match self {
            Self::String(patterns) | Self::StringIgnoreCase(patterns) => (patterns, &[]),
            Self::Arn(arns) => (&[], arns),
            Self::Null { .. }
            | Self::Numeric(..)
            | Self::Date(..)
            | Self::Bool(_)
            | Self::Binary(_)
            | Self::Ip(_) => (&[], &[]),
        };
        let of_texts = texts.iter().flat_map(Pattern::variables);
        of_texts.chain(arns.iter().flat_map(ArnPattern::variables))
    }

    /// Whether one of the policy's values matches this value of the request. A value of another
    /// type matches nothing.
    fn matches(&self, asked: &str, context: &Context) -> bool {
        match self {
            // Decided before there is a value.
            Self::Null { .. } => false,
            Self::String(patterns) => patterns
                .iter()
                .any(|pattern| pattern.matches(asked, Case::Matters, context)),
            Self::StringIgnoreCase(patterns) => patterns
                .iter()
                .any(|pattern| pattern.equals_ignoring_case(asked, context)),
            Self::Numeric(relation, numbers) => Decimal::parse(asked)
                .is_some_and(|asked| numbers.iter().any(|own| relation.holds(asked.cmp(own)))),
            Self::Date(relation, dates) => Instant::parse(asked)
                .is_some_and(|asked| dates.iter().any(|own| relation.holds(asked.cmp(own)))),
            Self::Bool(wanted) => boolean(asked).is_some_and(|asked| wanted.contains(&asked)),
            Self::Binary(wanted) => {
                binary::decode(asked).is_some_and(|asked| wanted.contains(&asked))
            }
            Self::Ip(networks) => network::parse_address(asked)
                .is_some_and(|asked| networks.iter().any(|network| network.contains(asked))),
            Self::Arn(arns) => Arn::parse(asked)
                .is_some_and(|asked| arns.iter().any(|arn| arn.matches(&asked, context))),
        }
    }
}

impl Relation {
    fn holds(self, asked_to_own: Ordering) -> bool {
        match self {
            Self::Equal => asked_to_own.is_eq(),
            Self::Less => asked_to_own.is_lt(),
            Self::LessOrEqual => asked_to_own.is_le(),
            Self::Greater => asked_to_own.is_gt(),
            Self::GreaterOrEqual => asked_to_own.is_ge(),
        }
    }
}

/// An ARN whose six parts are compared one by one: a wildcard ends at its colon.
#[derive(Debug, Clone)]
enum ArnPattern {
    Parts(Vec<Pattern>),
    /// Variables may hold more than one part, so it is split when they are known.
    Variable(Pattern),
}

impl ArnPattern {
    fn new(pattern: Pattern) -> Result<Self, BadValue> {
        if pattern.has_variables() {
            return Ok(Self::Variable(pattern));
        }
        let parts = pattern.split_at_colons(PARTS);
        let is_arn = parts.first() == Some(&Pattern::literal("arn"));
        (is_arn && parts.len() == PARTS)
            .then_some(Self::Parts(parts))
            .ok_or(AN_ARN)
    }

    fn variables(&self) -> impl Iterator<Item = &KeyName> {
        let patterns = match self {
            Self::Parts(parts) => parts.as_slice(),
            Self::Variable(pattern) => std::slice::from_ref(pattern),
        };
        patterns.iter().flat_map(Pattern::variables)
    }

    fn matches(&self, asked: &Arn<'_>, context: &Context) -> bool {
        match self {
            Self::Parts(parts) => parts_match(parts, asked),
            Self::Variable(pattern) => pattern
                .resolved(context, asked.len())
                .is_some_and(|pattern| parts_match(&pattern.split_at_colons(PARTS), asked)),
        }
    }
}

fn parts_match(parts: &[Pattern], asked: &Arn<'_>) -> bool {
    parts.len() == PARTS
        && parts
            .iter()
            .zip(asked.parts())
            .all(|(pattern, part)| pattern.matches_plain(part, Case::Matters))
}

fn each<T>(
    values: &[String],
    parse: impl Fn(&str) -> Result<T, BadValue>,
) -> Result<Vec<T>, (usize, BadValue)> {
    let parsed = values.iter().enumerate();
    parsed
        .map(|(index, value)| parse(value).map_err(|bad| (index, bad)))
        .collect()
}

/// Four digits are a year to a reader, and in W3C's profile of ISO 8601; as seconds they are an
/// hour or two after midnight in 1970.
fn is_year(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

const A_BOOLEAN: BadValue = BadValue::Wanted("`true` or `false`");
const A_NUMBER: BadValue = BadValue::Wanted("a decimal number");
const A_DATE: BadValue = BadValue::Wanted("a date of ISO 8601 or a number of seconds since 1970");
const A_DATE_NOT_A_YEAR: BadValue =
    BadValue::Wanted("a date with at least a month, since a year alone reads as seconds, too");
const BASE_64: BadValue = BadValue::Wanted("base 64");
const AN_ADDRESS: BadValue = BadValue::Wanted("an IP address or a range in CIDR notation");
const AN_ARN: BadValue = BadValue::Wanted("an ARN of six parts");
