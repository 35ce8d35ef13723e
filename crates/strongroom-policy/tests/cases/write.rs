// SPDX-License-Identifier: Apache-2.0
//! Writes generated cases with our decisions as JSON lines, for the comparison with the simulator:
//! `policy_cases COUNT SEED`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a tool of the tests"
)]

mod generate;

use std::io::{BufWriter, Write as _};

use serde_json::{Map, Value, json};
use strongroom_policy::{Decision, PrincipalKind};

use generate::{Case, Choices, Known};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = || {
        args.next()
            .expect("COUNT SEED")
            .parse::<u64>()
            .expect("a number")
    };
    let (count, mut state) = (number(), number());
    let mut out = BufWriter::new(std::io::stdout().lock());
    for _ in 0..count {
        let bytes: Vec<u8> = (0..50)
            .flat_map(|_| split_mix(&mut state).to_le_bytes())
            .collect();
        let case = Case::new(&mut Choices::new(&bytes));
        writeln!(out, "{}", line(&case)).expect("standard output");
    }
    out.flush().expect("standard output");
}

fn line(case: &Case) -> Value {
    let context: Map<String, Value> = case
        .context
        .iter()
        .map(|(name, known)| {
            let value = match known {
                Known::One(value) => json!(value),
                Known::Several(values) => json!(values),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    let decision = match case.decision() {
        Decision::Allow => "Allowed",
        Decision::ExplicitDeny(_) => "ExplicitlyDenied",
        Decision::ImplicitDeny(_) => "ImplicitlyDenied",
    };
    json!({
        "keyPolicy": case.key_policy,
        "identity": case.identity,
        "principal": case.principal.arn,
        "isRoot": case.principal.kind == PrincipalKind::Root,
        "isAnonymous": case.principal.kind == PrincipalKind::Anonymous,
        "action": case.action,
        "resource": case.resource,
        "context": context,
        "decision": decision,
    })
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
