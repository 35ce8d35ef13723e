// SPDX-License-Identifier: Apache-2.0
//! Features that open doors for tests stay out of what is shipped.
//!
//! `strongroom-iam/testing` makes callers without a signature. Cargo unifies features within one
//! build, so a single ordinary dependency that asks for it would put it into the server.

use cargo_metadata::{DependencyKind, Metadata};

/// Crate and feature.
const FOR_TESTS: [(&str, &str); 1] = [("strongroom-iam", "testing")];

pub(crate) fn check(metadata: &Metadata, findings: &mut Vec<String>) {
    for package in &metadata.packages {
        for (name, feature) in FOR_TESTS {
            let wants = package.dependencies.iter().any(|dependency| {
                dependency.name == name
                    && dependency.kind != DependencyKind::Development
                    && dependency.features.iter().any(|wanted| wanted == feature)
            });
            let passes_on = package.features.iter().find(|(own, enables)| {
                enables
                    .iter()
                    .any(|enabled| reaches(package.name.as_str(), own, enabled, name, feature))
            });
            if wants {
                findings.push(format!(
                    "{}: asks for `{name}/{feature}` outside of [dev-dependencies]",
                    package.name
                ));
            }
            if let Some((own, _)) = passes_on {
                findings.push(format!(
                    "{}: its feature `{own}` turns on `{name}/{feature}`",
                    package.name
                ));
            }
        }
    }
}

/// Whether the feature `own` of `package` turns the feature of the crate `name` on by enabling
/// `enabled`.
fn reaches(package: &str, own: &str, enabled: &str, name: &str, feature: &str) -> bool {
    if package == name {
        return own != feature && enabled == feature;
    }
    enabled
        .split_once('/')
        .is_some_and(|(to, what)| to.trim_end_matches('?') == name && what == feature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_turn_a_feature_on() {
        let reaches =
            |package, own, enabled| reaches(package, own, enabled, "strongroom-iam", "testing");
        assert!(reaches(
            "strongroom-api",
            "fuzzing",
            "strongroom-iam/testing"
        ));
        assert!(reaches(
            "strongroom-api",
            "default",
            "strongroom-iam?/testing"
        ));
        assert!(reaches("strongroom-iam", "default", "testing"));
        assert!(!reaches("strongroom-iam", "testing", "dep:x"));
        assert!(!reaches(
            "strongroom-api",
            "default",
            "strongroom-iam/other"
        ));
        assert!(!reaches("strongroom-api", "default", "testing"));
        assert!(!reaches(
            "strongroom-api",
            "default",
            "strongroom-kms/testing"
        ));
    }

    #[test]
    fn only_tests_may_ask_for_it() {
        let found = |kind: &str, features: &str| {
            let mut findings = Vec::new();
            check(&metadata(kind, features), &mut findings);
            findings
        };
        assert!(found("\"dev\"", "[\"testing\"]").is_empty());
        assert!(found("null", "[]").is_empty());
        assert_eq!(found("null", "[\"testing\"]").len(), 1);
        assert_eq!(found("\"build\"", "[\"testing\"]").len(), 1);
    }

    /// A workspace of one package with one dependency, as cargo describes it.
    fn metadata(kind: &str, features: &str) -> Metadata {
        let json = format!(
            r#"{{"packages":[{{"name":"strongroom-api","version":"0.0.0","id":"a","source":null,
            "dependencies":[{{"name":"strongroom-iam","source":null,"req":"*","kind":{kind},
            "rename":null,"optional":false,"uses_default_features":true,"features":{features},
            "target":null,"registry":null}}],"targets":[],"features":{{}},
            "manifest_path":"/a/Cargo.toml","metadata":null}}],"workspace_members":["a"],
            "resolve":null,"target_directory":"/t","version":1,"workspace_root":"/"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }
}
