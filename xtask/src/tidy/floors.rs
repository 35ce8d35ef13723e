// SPDX-License-Identifier: Apache-2.0
//! The floor rule: a crate uses only the crates that ARCHITECTURE.md allows it.

use cargo_metadata::{DependencyKind, Metadata};

/// Product crates and what each may use. Tests may use the test kit besides.
const ALLOWED: [(&str, &[&str]); 17] = [
    ("strongroom-format", &[]),
    ("strongroom-memory", &[]),
    ("strongroom-md5", &[]),
    ("strongroom-wire", &["memory"]),
    ("strongroom-policy", &[]),
    ("strongroom-store", &[]),
    ("strongroom-audit", &["store"]),
    ("strongroom-iam", &["audit", "store", "wire", "policy"]),
    (
        "strongroom-kms",
        &["iam", "audit", "store", "format", "policy", "memory"],
    ),
    (
        "strongroom-object",
        &["kms", "iam", "audit", "store", "format", "policy", "md5"],
    ),
    (
        "strongroom-api",
        &[
            "object", "kms", "iam", "wire", "audit", "store", "format", "md5",
        ],
    ),
    (
        "strongroom-server",
        &[
            "api", "object", "kms", "iam", "audit", "store", "format", "wire", "policy", "memory",
            "cse",
        ],
    ),
    ("strongroom-client", &[]),
    ("strongroom-cse", &["client"]),
    ("strongroom-testkit", &["store"]),
    ("strongroom-sim", &["store", "testkit"]),
    (
        "strongroom-bench",
        &[
            "object", "kms", "iam", "audit", "store", "format", "wire", "policy", "memory", "md5",
            "client", "testkit",
        ],
    ),
];

pub(crate) fn check(metadata: &Metadata, findings: &mut Vec<String>) {
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if name == "xtask" {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            findings.push(format!(
                "{name}: not in the table of floors (xtask/src/tidy/floors.rs)"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(short) = dependency.name.strip_prefix("strongroom-") else {
                continue;
            };
            let for_tests = dependency.kind == DependencyKind::Development;
            if !allowed.contains(&short) && !for_tests {
                findings.push(format!("{name}: may not use {}", dependency.name));
            }
        }
    }
}
