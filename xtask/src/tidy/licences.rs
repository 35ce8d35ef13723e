// SPDX-License-Identifier: Apache-2.0
//! Licences of the dependencies, against the list in `deny.toml`.
//!
//! `cargo deny` checks more (advisories, duplicates, sources); this check needs nothing installed.

use std::collections::BTreeSet;

use cargo_metadata::Metadata;

use crate::step;

pub(crate) fn check(metadata: &Metadata, findings: &mut Vec<String>) -> Result<(), String> {
    let path = step::root().join("deny.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let allowed = allowed(&text);
    if allowed.is_empty() {
        return Err("deny.toml: no licence is allowed".to_owned());
    }
    for package in &metadata.packages {
        let Some(expression) = &package.license else {
            findings.push(format!(
                "{} {}: no licence given",
                package.name, package.version
            ));
            continue;
        };
        if !satisfied(expression, &allowed) {
            findings.push(format!(
                "{} {}: licence `{expression}` is not allowed by deny.toml",
                package.name, package.version
            ));
        }
    }
    Ok(())
}

/// The identifiers between `allow = [` and `]` of the section `[licenses]`.
fn allowed(text: &str) -> BTreeSet<String> {
    let section = text.split("[licenses]").nth(1).unwrap_or_default();
    let list = section
        .split("allow = [")
        .nth(1)
        .and_then(|rest| rest.split(']').next());
    let quoted = list.unwrap_or_default().split('"').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with allowed licences alone. `AND` binds before `OR`.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    if let Some(inner) = parenthesised(&expression) {
        let value = satisfied(inner.1, allowed);
        let word = if value { "ALLOWED" } else { "REFUSED" };
        return satisfied(&format!("{}{word}{}", inner.0, inner.2), allowed);
    }
    words.split(|word| *word == "OR").any(|all| {
        all.split(|word| *word == "AND").all(|licence| {
            let licence = licence.join(" ");
            licence == "ALLOWED" || allowed.contains(&licence)
        })
    })
}

/// What stands before, in and behind the innermost parentheses.
fn parenthesised(expression: &str) -> Option<(&str, &str, &str)> {
    let end = expression.find(')')?;
    let start = expression.get(..end)?.rfind('(')?;
    Some((
        expression.get(..start)?,
        expression.get(start + 1..end)?,
        expression.get(end + 1..)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed: BTreeSet<String> = ["MIT", "Apache-2.0", "ISC"]
            .iter()
            .map(|s| (*s).to_owned())
            .collect();
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "ISC AND (Apache-2.0 OR GPL-2.0)",
            "(MIT)",
        ] {
            assert!(satisfied(good, &allowed), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(GPL-2.0 OR GPL-3.0) AND MIT",
            "",
            "OR",
        ] {
            assert!(!satisfied(bad, &allowed), "{bad}");
        }
    }
}
