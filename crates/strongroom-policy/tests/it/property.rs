// SPDX-License-Identifier: Apache-2.0
//! The evaluator against the naive one, on generated policies and requests.

use proptest::prelude::*;

use crate::generate::{Case, Choices};
use crate::naive;

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn compiled_and_naive_evaluators_agree(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let case = Case::new(&mut Choices::new(&bytes));
        prop_assert_eq!(case.decision(), naive::decide(&case), "{:#?}", case);
    }
}

/// What is generated is worth asking: every decision comes up often.
#[test]
fn generated_cases_are_of_every_kind() {
    let mut seen = std::collections::BTreeMap::new();
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
        *seen.entry(format!("{:?}", case.decision())).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.values().all(|count| *count > 40), "{seen:?}");
}
