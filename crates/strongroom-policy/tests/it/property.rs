// SPDX-License-Identifier: Apache-2.0
//! The evaluator against the naive one, on generated policies and requests.

use proptest::prelude::*;
use strongroom_policy::{Policy, PolicyKind};

use crate::generate::{Case, Choices, Known};
use crate::naive;

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn compiled_and_naive_evaluators_agree(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let case = Case::new(&mut Choices::new(&bytes));
        prop_assert_eq!(case.decision(), naive::decide(&case), "{:#?}", case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// The same where a request tells some of the keys twice, with the same value or another.
    #[test]
    fn evaluators_agree_about_keys_that_are_there_twice(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut case = Case::new(&mut Choices::new(&bytes));
        let again = case.context.iter().enumerate().filter_map(|(at, (name, known))| {
            let of_another = |(_, other): &(&str, Known)| match other {
                Known::One(value) => Some(Known::One(value)),
                Known::Several(_) => None,
            };
            match at % 3 {
                0 => None,
                // The same value, or one that is another key's.
                1 => Some((*name, known.clone())),
                _ => Some((*name, case.context.iter().skip(at + 1).find_map(of_another)?)),
            }
        });
        let again: Vec<_> = again
            .filter(|(_, known)| matches!(known, Known::One(_)))
            .collect();
        case.context.extend(again);
        prop_assert_eq!(case.decision(), naive::decide(&case), "{:#?}", case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// What no policy asks for changes nothing, so services leave it out of the context.
    #[test]
    fn what_nobody_asks_for_changes_no_decision(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let whole = Case::new(&mut Choices::new(&bytes));
        let halves = |policy: &Policy, name: &str| {
            policy.asks_for_any_of(name.split_at(name.len() / 2).0)
        };
        let something = |policy: &Policy, _: &str| policy.asks_for_something();
        for asks in [Policy::asks_for, halves, something] {
            let told = told_to(&whole, asks);
            prop_assert_eq!(told.decision(), whole.decision(), "{:#?}", whole);
        }
    }
}

/// The same question with those keys only that a policy asks for.
fn told_to(case: &Case, asks: fn(&Policy, &str) -> bool) -> Case {
    let identity = case.identity.iter();
    let identity = identity.map(|policy| (policy, PolicyKind::Identity));
    let resource = case.key_policy.iter();
    let resource = resource.map(|policy| (policy, PolicyKind::Resource));
    let policies: Vec<Policy> = identity
        .chain(resource)
        .map(|(policy, kind)| Policy::parse(&policy.to_string(), kind).unwrap())
        .collect();
    let mut told = case.clone();
    told.context
        .retain(|(name, _)| policies.iter().any(|policy| asks(policy, name)));
    told
}

/// What is generated is worth asking: every decision comes up often.
#[test]
fn generated_cases_are_of_every_kind() {
    let mut seen = std::collections::BTreeMap::new();
    let mut told_less = 0;
    for number in 0_u64..4_000 {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bytes: Vec<u8> = (0..400)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let case = Case::new(&mut Choices::new(&bytes));
        let told = told_to(&case, Policy::asks_for).context.len();
        told_less += usize::from(0 < told && told < case.context.len());
        *seen.entry(format!("{:?}", case.decision())).or_insert(0) += 1;
    }
    assert!(told_less > 400, "{told_less}");
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.values().all(|count| *count > 40), "{seen:?}");
}
