// SPDX-License-Identifier: Apache-2.0
//! From a document to statements. Everything that could be refused is refused here, so that
//! evaluation has no errors.

use std::collections::BTreeSet;

use crate::arn::PARTS;
use crate::condition::{BadValue, Condition, Operator};
use crate::context::KeyName;
use crate::error::{PolicyError, Reason};
use crate::json::{self, Node, Value};
use crate::pattern::{Pattern, Syntax};
use crate::policy::{Effect, Patterns, PolicyKind, Statement, Whom};
use crate::principal::PrincipalPattern;

pub(crate) fn document(text: &str, kind: PolicyKind) -> Result<Vec<Statement>, PolicyError> {
    let root = json::read(text)?;
    let mut parser = Parser {
        text,
        kind,
        has_variables: false,
    };
    let root = parser.at(&root, "");
    let members = root.object()?;
    root.only(members, &["Version", "Id", "Statement"])?;
    if let Some(version) = root.member("Version") {
        parser.has_variables = match version.string()? {
            "2012-10-17" => true,
            "2008-10-17" => false,
            other => return Err(version.refuse(Reason::Version(other.to_owned()))),
        };
    }
    if let Some(id) = root.member("Id") {
        id.string()?;
    }
    let element = root.required("Statement")?;
    let elements = match &element.node.value {
        Value::Object(_) => vec![element],
        Value::Array(_) => element.elements()?,
        _ => return Err(element.refuse(Reason::Expected("an object or a list of objects"))),
    };
    let mut ids = BTreeSet::new();
    let mut statements = Vec::with_capacity(elements.len());
    for element in &elements {
        parser.check_id(element, &mut ids)?;
        statements.push(parser.statement(element)?);
    }
    Ok(statements)
}

/// The places of the principals of type `AWS` that a document names, in the order of the text.
pub(crate) fn named_principals(text: &str) -> Result<Vec<Node>, PolicyError> {
    let mut found = Vec::new();
    let root = json::read(text)?;
    for statement in member(&root, "Statement").map(listed).unwrap_or_default() {
        for element in ["Principal", "NotPrincipal"] {
            let named = member(statement, element).and_then(|element| member(element, "AWS"));
            found.extend(named.map(listed).unwrap_or_default().iter().cloned());
        }
    }
    found.sort_by_key(|node| node.offset);
    Ok(found)
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Object(members) = &node.value else {
        return None;
    };
    members
        .iter()
        .find(|(own, _)| own == name)
        .map(|(_, value)| value)
}

/// The elements of a list, or the one value.
fn listed(node: &Node) -> &[Node] {
    match &node.value {
        Value::Array(nodes) => nodes,
        _ => std::slice::from_ref(node),
    }
}

struct Parser<'t> {
    text: &'t str,
    kind: PolicyKind,
    has_variables: bool,
}

impl<'t> Parser<'t> {
    fn at<'n>(&self, node: &'n Node, path: &str) -> Element<'t, 'n> {
        Element {
            text: self.text,
            node,
            path: path.to_owned(),
        }
    }

    /// Identity policies are stricter about ids than the policies of keys and buckets.
    fn check_id(
        &self,
        element: &Element<'_, '_>,
        ids: &mut BTreeSet<String>,
    ) -> Result<(), PolicyError> {
        element.object()?;
        let Some(sid) = element.member("Sid") else {
            return Ok(());
        };
        let text = sid.string()?;
        if self.kind == PolicyKind::Resource {
            return Ok(());
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(sid.refuse(Reason::Sid(text.to_owned())));
        }
        if !text.is_empty() && !ids.insert(text.to_owned()) {
            return Err(sid.refuse(Reason::DuplicateSid(text.to_owned())));
        }
        Ok(())
    }

    fn statement(&self, element: &Element<'_, '_>) -> Result<Statement, PolicyError> {
        element.only(element.object()?, &STATEMENT)?;
        let effect = element.required("Effect")?;
        let effect = match effect.string()? {
            "Allow" => Effect::Allow,
            "Deny" => Effect::Deny,
            other => return Err(effect.refuse(Reason::Effect(other.to_owned()))),
        };
        let conditions = match element.member("Condition") {
            Some(block) => self.conditions(&block)?,
            None => Vec::new(),
        };
        Ok(Statement {
            effect,
            whom: self.whom(element, effect)?,
            actions: self.patterns(element, "Action", "NotAction", action)?,
            resources: self.patterns(element, "Resource", "NotResource", resource)?,
            conditions,
        })
    }

    fn whom(&self, element: &Element<'_, '_>, effect: Effect) -> Result<Whom, PolicyError> {
        let named = element.member("Principal");
        let all_but = element.member("NotPrincipal");
        match (self.kind, named, all_but) {
            (_, Some(_), Some(second)) => {
                Err(second.refuse(Reason::Both("Principal", "NotPrincipal")))
            }
            (PolicyKind::Identity, Some(named), None) => {
                Err(named.refuse(Reason::NotInIdentityPolicy("Principal")))
            }
            (PolicyKind::Identity, None, Some(all_but)) => {
                Err(all_but.refuse(Reason::NotInIdentityPolicy("NotPrincipal")))
            }
            (PolicyKind::Identity, None, None) => Ok(Whom::Owner),
            (PolicyKind::Resource, Some(named), None) => Ok(Whom::Named(principals(&named)?)),
            (PolicyKind::Resource, None, Some(all_but)) => match effect {
                Effect::Deny => Ok(Whom::AllBut(principals(&all_but)?)),
                Effect::Allow => Err(all_but.refuse(Reason::NotPrincipalAllow)),
            },
            (PolicyKind::Resource, None, None) => Err(element.refuse(Reason::Missing("Principal"))),
        }
    }

    fn patterns(
        &self,
        element: &Element<'_, '_>,
        name: &'static str,
        not_name: &'static str,
        parse: fn(bool, &Element<'_, '_>) -> Result<Pattern, PolicyError>,
    ) -> Result<Patterns, PolicyError> {
        let (all_but, found) = match (element.member(name), element.member(not_name)) {
            (Some(_), Some(second)) => return Err(second.refuse(Reason::Both(name, not_name))),
            (Some(found), None) => (false, found),
            (None, Some(found)) => (true, found),
            (None, None) => return Err(element.refuse(Reason::Missing(name))),
        };
        let list = found.one_or_more()?;
        let list = list
            .iter()
            .map(|text| parse(self.has_variables, text))
            .collect::<Result<_, _>>()?;
        Ok(Patterns { all_but, list })
    }

    fn conditions(&self, block: &Element<'_, '_>) -> Result<Vec<Condition>, PolicyError> {
        let mut conditions = Vec::new();
        for (name, keys) in block.members()? {
            let operator = Operator::parse(name)
                .ok_or_else(|| keys.refuse(Reason::Operator(name.to_owned())))?;
            let mut known: Vec<KeyName> = Vec::new();
            let lines = keys.members()?;
            if lines.is_empty() {
                return Err(keys.refuse(Reason::Empty));
            }
            for (key, values) in lines {
                let is_key = key
                    .split_once(':')
                    .is_some_and(|(prefix, name)| !prefix.is_empty() && !name.is_empty());
                if !is_key {
                    return Err(values.refuse(Reason::ConditionKey(key.to_owned())));
                }
                // Names ignore case, so these are equal keys too.
                let key_name = KeyName::new(key);
                if known.contains(&key_name) {
                    return Err(values.refuse(Reason::DuplicateKey(key.to_owned())));
                }
                known.push(key_name);
                conditions.push(self.condition(operator, key, &values)?);
            }
        }
        Ok(conditions)
    }

    fn condition(
        &self,
        operator: Operator,
        key: &str,
        values: &Element<'_, '_>,
    ) -> Result<Condition, PolicyError> {
        let elements = values.one_or_more()?;
        let texts = elements
            .iter()
            .map(Element::scalar)
            .collect::<Result<Vec<String>, _>>()?;
        Condition::new(operator, key, &texts, self.has_variables).map_err(|(index, bad)| {
            let value = texts.get(index).cloned().unwrap_or_default();
            let reason = match bad {
                BadValue::Variable => Reason::Variable(value),
                BadValue::Wanted(wanted) => Reason::Value { value, wanted },
            };
            elements.get(index).unwrap_or(values).refuse(reason)
        })
    }
}

/// Actions have wildcards and no variables.
fn action(_has_variables: bool, element: &Element<'_, '_>) -> Result<Pattern, PolicyError> {
    let text = element.string()?;
    let known = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'*' | b'?')
            })
    };
    let is_action = text == "*"
        || text
            .split_once(':')
            .is_some_and(|(service, action)| known(service) && known(action));
    if !is_action {
        return Err(element.refuse(Reason::Action(text.to_owned())));
    }
    let syntax = Syntax {
        wildcards: true,
        variables: false,
    };
    pattern(element, text, syntax)
}

fn resource(has_variables: bool, element: &Element<'_, '_>) -> Result<Pattern, PolicyError> {
    let text = element.string()?;
    let syntax = Syntax {
        wildcards: true,
        variables: has_variables,
    };
    let pattern = pattern(element, text, syntax)?;
    if pattern.is_everything() && text == "*" {
        return Ok(pattern);
    }
    if pattern
        .split_at_colons(PARTS)
        .iter()
        .take(PARTS.saturating_sub(1))
        .any(Pattern::has_variables)
    {
        return Err(element.refuse(Reason::VariablePlace(text.to_owned())));
    }
    // Fewer than six parts can be meant only where a wildcard stands for the rest.
    let parts = pattern.split_at_colons(PARTS);
    let has_resource = parts.last() != Some(&Pattern::literal(""));
    let is_whole = (parts.len() == PARTS && has_resource) || text.ends_with('*');
    if parts.len() > 1 && parts.first() == Some(&Pattern::literal("arn")) && is_whole {
        Ok(pattern)
    } else {
        Err(element.refuse(Reason::Resource(text.to_owned())))
    }
}

fn pattern(element: &Element<'_, '_>, text: &str, syntax: Syntax) -> Result<Pattern, PolicyError> {
    Pattern::parse(text, syntax).map_err(|_| element.refuse(Reason::Variable(text.to_owned())))
}

fn principals(element: &Element<'_, '_>) -> Result<Vec<PrincipalPattern>, PolicyError> {
    if let Value::String(text) = &element.node.value {
        return if text == "*" {
            Ok(vec![PrincipalPattern::Everyone])
        } else {
            Err(element.refuse(Reason::Principal(text.clone())))
        };
    }
    let types = element.members()?;
    if types.is_empty() {
        return Err(element.refuse(Reason::Empty));
    }
    let mut list = Vec::new();
    for (name, values) in types {
        for value in values.one_or_more()? {
            let text = value.string()?;
            let principal = match name {
                "AWS" => PrincipalPattern::aws(text),
                "Service" => service(text),
                "CanonicalUser" | "Federated" => {
                    (!text.is_empty() && text != "*").then_some(PrincipalPattern::Nobody)
                }
                other => return Err(values.refuse(Reason::PrincipalType(other.to_owned()))),
            };
            let refused = || value.refuse(Reason::Principal(text.to_owned()));
            list.push(principal.ok_or_else(refused)?);
        }
    }
    Ok(list)
}

/// For example `s3.amazonaws.com`.
fn service(text: &str) -> Option<PrincipalPattern> {
    let named = text.contains('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    named.then(|| PrincipalPattern::Service(text.to_owned()))
}

/// A value, with its name for errors.
struct Element<'t, 'n> {
    text: &'t str,
    node: &'n Node,
    path: String,
}

impl<'t, 'n> Element<'t, 'n> {
    fn refuse(&self, reason: Reason) -> PolicyError {
        PolicyError::new(self.text, self.node.offset, &self.path, reason)
    }

    fn object(&self) -> Result<&'n [(String, Node)], PolicyError> {
        match &self.node.value {
            Value::Object(members) => Ok(members),
            _ => Err(self.refuse(Reason::Expected("an object"))),
        }
    }

    fn string(&self) -> Result<&'n str, PolicyError> {
        match &self.node.value {
            Value::String(text) => Ok(text),
            _ => Err(self.refuse(Reason::Expected("a string"))),
        }
    }

    /// A value of a condition, as text.
    fn scalar(&self) -> Result<String, PolicyError> {
        match &self.node.value {
            Value::String(text) | Value::Number(text) => Ok(text.clone()),
            Value::Bool(value) => Ok(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Err(self.refuse(Reason::Expected("a string, a number or a boolean")))
            }
        }
    }

    /// The elements of a list that is not empty.
    fn elements(&self) -> Result<Vec<Element<'t, 'n>>, PolicyError> {
        let Value::Array(nodes) = &self.node.value else {
            return Err(self.refuse(Reason::Expected("a list")));
        };
        if nodes.is_empty() {
            return Err(self.refuse(Reason::Empty));
        }
        let elements = nodes.iter().enumerate().map(|(index, node)| Element {
            text: self.text,
            node,
            path: format!("{}[{index}]", self.path),
        });
        Ok(elements.collect())
    }

    /// One value, or the elements of a list that is not empty.
    fn one_or_more(&self) -> Result<Vec<Element<'t, 'n>>, PolicyError> {
        match &self.node.value {
            Value::Array(_) => self.elements(),
            _ => Ok(vec![Element {
                text: self.text,
                node: self.node,
                path: self.path.clone(),
            }]),
        }
    }

    fn members(&self) -> Result<Vec<(&'n str, Element<'t, 'n>)>, PolicyError> {
        let members = self.object()?.iter();
        Ok(members
            .map(|(name, node)| (name.as_str(), self.inner(name, node)))
            .collect())
    }

    fn member(&self, name: &str) -> Option<Element<'t, 'n>> {
        let members = self.object().ok()?;
        let (_, node) = members.iter().find(|(known, _)| known == name)?;
        Some(self.inner(name, node))
    }

    fn required(&self, name: &'static str) -> Result<Element<'t, 'n>, PolicyError> {
        self.member(name)
            .ok_or_else(|| self.refuse(Reason::Missing(name)))
    }

    fn only(&self, members: &[(String, Node)], known: &[&str]) -> Result<(), PolicyError> {
        for (name, node) in members {
            if !known.contains(&name.as_str()) {
                let reason = Reason::UnknownElement(name.clone());
                return Err(self.inner(name, node).refuse(reason));
            }
        }
        Ok(())
    }

    fn inner(&self, name: &str, node: &'n Node) -> Element<'t, 'n> {
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Element {
            text: self.text,
            node,
            path,
        }
    }
}

const STATEMENT: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
