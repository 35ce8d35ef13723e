// SPDX-License-Identifier: Apache-2.0
//! A second evaluator, written from AWS's documentation alone: it reads the JSON again for every
//! question, compares text with text, and has no idea of speed. Where the documentation says
//! nothing it follows `docs/policy-language.md`.

use serde_json::Value;
use strongroom_policy::{Decision, DenySource, Missing, Principal, PrincipalKind};

use crate::generate::{Case, Known};

/// The decision about a case.
pub(crate) fn decide(case: &Case) -> Decision {
    let asks_identity = matches!(
        case.principal.kind,
        PrincipalKind::User | PrincipalKind::AssumedRole
    );
    let mut key_allows = false;
    let mut key_delegates = false;
    let mut identity_allows = case.principal.kind == PrincipalKind::Root;
    let mut identity_denies = false;
    if let Some(policy) = &case.key_policy {
        for statement in statements(policy) {
            if !applies(case, policy, statement) {
                continue;
            }
            let reach = reach(statement, &case.principal);
            if statement["Effect"] == "Deny" && reach != "nobody" {
                return Decision::ExplicitDeny(DenySource::ResourcePolicy);
            }
            if statement["Effect"] == "Allow" {
                key_allows |= reach == "the principal";
                key_delegates |= reach == "the account";
            }
        }
    }
    if asks_identity {
        for policy in &case.identity {
            for statement in statements(policy) {
                if applies(case, policy, statement) {
                    identity_denies |= statement["Effect"] == "Deny";
                    identity_allows |= statement["Effect"] == "Allow";
                }
            }
        }
    }
    if identity_denies {
        return Decision::ExplicitDeny(DenySource::IdentityPolicy);
    }
    let owner = case.resource.split(':').nth(4).unwrap();
    let mine = case.principal.account_id;
    let foreign = !owner.is_empty() && !mine.is_empty() && owner != mine;
    if case.key_policy.is_none() {
        return if foreign {
            Decision::ImplicitDeny(Missing::ResourcePolicy)
        } else if identity_allows {
            Decision::Allow
        } else {
            Decision::ImplicitDeny(Missing::IdentityPolicy)
        };
    }
    if !key_allows && !key_delegates {
        Decision::ImplicitDeny(Missing::ResourcePolicy)
    } else if (key_allows && !foreign) || identity_allows {
        Decision::Allow
    } else {
        Decision::ImplicitDeny(Missing::IdentityPolicy)
    }
}

fn statements(policy: &Value) -> Vec<&Value> {
    list(&policy["Statement"])
}

/// "a value or a list of values"
fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    list(value)
        .into_iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

fn applies(case: &Case, policy: &Value, statement: &Value) -> bool {
    let new = policy["Version"] == "2012-10-17";
    let action = |pattern: &&str| glob(&pattern.to_lowercase(), &case.action.to_lowercase());
    let action_fits = if statement["Action"].is_null() {
        !texts(&statement["NotAction"]).iter().any(action)
    } else {
        texts(&statement["Action"]).iter().any(action)
    };
    let resource = |pattern: &&str| {
        replace(case, pattern, new).is_some_and(|pattern| glob(&pattern, case.resource))
    };
    // A statement that allows must not profit from a variable that nobody knows.
    let could_be = |pattern: &&str| {
        let open = new && statement["Effect"] == "Allow";
        open && glob(
            &replace_or(case, pattern, Some("*")).unwrap(),
            case.resource,
        )
    };
    let resource_fits = if statement["Resource"].is_null() {
        let exempt = texts(&statement["NotResource"]);
        !exempt.iter().any(resource) && !exempt.iter().any(could_be)
    } else {
        texts(&statement["Resource"]).iter().any(resource)
    };
    let allows = statement["Effect"] == "Allow";
    let mut conditions_fit = true;
    for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().unwrap() {
            conditions_fit &= condition(case, operator, key, &texts(values), new, allows);
        }
    }
    action_fits && resource_fits && conditions_fit
}

/// Whom a statement is about: the principal, the account or nobody.
fn reach(statement: &Value, principal: &Principal<'_>) -> &'static str {
    let named = |element: &Value| -> Vec<&'static str> {
        if element == "*" {
            return vec!["the principal"];
        }
        let services = texts(&element["Service"]);
        let by_service = services.iter().map(|name| {
            if principal.kind == PrincipalKind::Service && principal.arn == *name {
                "the principal"
            } else {
                "nobody"
            }
        });
        let by_name = texts(&element["AWS"]);
        let by_name = by_name.iter().map(|name| reach_of(name, principal));
        by_service.chain(by_name).collect()
    };
    if statement["NotPrincipal"].is_null() {
        let found = named(&statement["Principal"]);
        ["the principal", "the account"]
            .into_iter()
            .find(|reach| found.contains(reach))
            .unwrap_or("nobody")
    } else if named(&statement["NotPrincipal"]).contains(&"the principal") {
        "nobody"
    } else {
        "the principal"
    }
}

fn reach_of(name: &str, principal: &Principal<'_>) -> &'static str {
    if name == "*" {
        return "the principal";
    }
    let parts: Vec<&str> = name.split(':').collect();
    let account = match parts.as_slice() {
        [account] | ["arn", "aws", "iam", "", account, "root"] => Some(*account),
        _ => None,
    };
    if let Some(account) = account {
        return match principal.kind {
            _ if principal.account_id != account => "nobody",
            PrincipalKind::Root => "the principal",
            _ => "the account",
        };
    }
    let role = principal
        .arn
        .strip_prefix("arn:aws:sts::")
        .map(|rest| rest.replace(":assumed-role/", ":role/"))
        .and_then(|rest| {
            rest.rsplit_once('/')
                .map(|(role, _)| format!("arn:aws:iam::{role}"))
        });
    if principal.arn == name || role.as_deref() == Some(name) {
        "the principal"
    } else {
        "nobody"
    }
}

/// What is known of a key, as often as it was told.
fn told(case: &Case, key: &str) -> Vec<Known> {
    let known = case.context.iter();
    known
        .filter(|(name, _)| name.to_lowercase() == key.to_lowercase())
        .map(|(_, known)| known.clone())
        .collect()
}

fn asked(case: &Case, key: &str) -> Option<Known> {
    let mut told = told(case, key);
    if told.len() > 1 {
        return Some(Known::Several(Vec::new()));
    }
    told.pop()
}

/// Replaces variables; wildcards in their values and in `${*}` are marked as characters by a
/// private sign in front.
fn replace_or(case: &Case, text: &str, without_value: Option<&str>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let end = start + rest[start..].find('}').unwrap();
        let inside = &rest[start + 2..end];
        rest = &rest[end + 1..];
        if ["*", "?", "$"].contains(&inside) {
            out.push_str(&literal(inside));
            continue;
        }
        let (name, default) = match inside.split_once(", ") {
            Some((name, default)) => (name, Some(default.trim_matches('\''))),
            None => (inside, None),
        };
        let value = match asked(case, name) {
            Some(Known::One("") | Known::Several(_)) | None => default,
            Some(Known::One(value)) => Some(value),
        };
        match value {
            Some(value) => out.push_str(&literal(value)),
            None => out.push_str(without_value?),
        }
    }
    out.push_str(rest);
    Some(out)
}

fn replace(case: &Case, text: &str, new: bool) -> Option<String> {
    if new {
        replace_or(case, text, None)
    } else {
        Some(text.to_owned())
    }
}

fn literal(text: &str) -> String {
    text.chars().flat_map(|c| [MARK, c]).collect()
}

/// Says that the next character is one.
const MARK: char = '\u{1}';

/// By the definition: `*` is nothing, or a character and `*`.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    let mut text_chars = text.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            glob(pattern_chars.as_str(), text)
                || (text_chars.next().is_some() && glob(pattern, text_chars.as_str()))
        }
        Some('?') => {
            text_chars.next().is_some() && glob(pattern_chars.as_str(), text_chars.as_str())
        }
        Some(MARK) => {
            pattern_chars.next() == text_chars.next()
                && glob(pattern_chars.as_str(), text_chars.as_str())
        }
        Some(c) => {
            text_chars.next() == Some(c) && glob(pattern_chars.as_str(), text_chars.as_str())
        }
    }
}

fn condition(
    case: &Case,
    operator: &str,
    key: &str,
    values: &[&str],
    new: bool,
    allows: bool,
) -> bool {
    let of =
        |is_list, found: &[&str]| condition_on(case, operator, is_list, found, values, new, allows);
    let told = told(case, key);
    if told.len() > 1 {
        // Whatever somebody else takes it for: no permission, and a denial for each reading.
        let readings = told.into_iter().flat_map(|known| match known {
            Known::One(value) => vec![value],
            Known::Several(values) => values,
        });
        return !allows && readings.into_iter().any(|value| of(false, &[value]));
    }
    match asked(case, key) {
        None => of(false, &[]),
        Some(Known::One(value)) => of(false, &[value]),
        Some(Known::Several(values)) => of(true, &values),
    }
}

fn condition_on(
    case: &Case,
    operator: &str,
    is_list: bool,
    found: &[&str],
    values: &[&str],
    new: bool,
    allows: bool,
) -> bool {
    // "resolves to a null dataset, such as an empty string"
    let is_null = found.iter().all(|value| value.is_empty());
    if operator == "Null" {
        return values.contains(&if is_null { "true" } else { "false" });
    }
    let (set, operator) = operator.split_once(':').unwrap_or(("", operator));
    let if_exists = operator.ends_with("IfExists");
    let operator = operator.trim_end_matches("IfExists");
    // "If the key is not present, evaluate the condition element as true."
    if found.is_empty() && if_exists {
        return true;
    }
    let negated = operator.contains("Not");
    let base = operator.replace("Not", "");
    let one = |value: &&str| {
        let any = values
            .iter()
            .any(|own| compare(case, &base, own, value, new));
        any != negated
    };
    match set {
        "ForAllValues" => is_null || found.iter().all(one),
        "ForAnyValue" => !is_null && found.iter().any(one),
        _ if found.is_empty() => negated,
        _ if allows => !is_list && found.iter().all(one),
        _ => found.iter().any(one),
    }
}

/// Whether a value of the policy and one of the request are in the relation of the operator.
fn compare(case: &Case, base: &str, own: &str, asked: &str, new: bool) -> bool {
    let numbers = |relation: &str| match (own.parse::<f64>(), plain_number(asked)) {
        (Ok(own), Some(asked)) => in_relation(relation, asked - own),
        _ => false,
    };
    if let Some(relation) = base.strip_prefix("Numeric") {
        return numbers(relation);
    }
    if let Some(relation) = base.strip_prefix("Date") {
        return match (seconds(own), seconds(asked)) {
            (Some(own), Some(asked)) => in_relation(relation, asked - own),
            _ => false,
        };
    }
    let Some(replaced) = replace(case, own, new) else {
        return false;
    };
    let plain = replaced.replace(MARK, "");
    match base {
        "StringEquals" => plain == asked,
        "StringEqualsIgnoreCase" => plain.to_lowercase() == asked.to_lowercase(),
        "StringLike" => glob(&replaced, asked),
        "ArnEquals" | "ArnLike" => {
            let own: Vec<&str> = replaced.splitn(6, ':').collect();
            let asked: Vec<&str> = asked.splitn(6, ':').collect();
            own.len() == 6
                && asked.len() == 6
                && own.iter().zip(&asked).all(|(own, asked)| glob(own, asked))
        }
        "Bool" => {
            ["true", "false"].contains(&asked.to_lowercase().as_str())
                && own.to_lowercase() == asked.to_lowercase()
        }
        "BinaryEquals" => own == asked,
        "IpAddress" => {
            let (network, length) = own.split_once('/').unwrap_or((own, "999"));
            match (bits(network), bits(asked)) {
                (Some(network), Some(asked)) if network.len() == asked.len() => {
                    let length = length.parse::<usize>().unwrap().min(network.len());
                    network[..length] == asked[..length]
                }
                _ => false,
            }
        }
        other => panic!("{other}"),
    }
}

fn in_relation(relation: &str, difference: f64) -> bool {
    match relation {
        "Equals" => difference == 0.0,
        "LessThan" => difference < 0.0,
        "LessThanEquals" => difference <= 0.0,
        "GreaterThan" => difference > 0.0,
        "GreaterThanEquals" => difference >= 0.0,
        other => panic!("{other}"),
    }
}

fn plain_number(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || ".-".contains(c));
    plain.then(|| text.parse().ok())?
}

fn seconds(text: &str) -> Option<f64> {
    if let Some(number) = plain_number(text) {
        return Some(number);
    }
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_duration().as_secs_f64());
    }
    let date: jiff::civil::Date = text.parse().ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_duration().as_secs_f64())
}

/// The bits of an address as text.
fn bits(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
        return Some(address.octets().map(|byte| format!("{byte:08b}")).concat());
    }
    let address: std::net::Ipv6Addr = text.parse().ok()?;
    Some(address.octets().map(|byte| format!("{byte:08b}")).concat())
}
