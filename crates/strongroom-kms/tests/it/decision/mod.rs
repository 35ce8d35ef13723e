// SPDX-License-Identifier: Apache-2.0
//! Generated key policies, identity policies, grants and requests: what the key service decides has
//! to be what the naive model says, to the letter of the refusal.

mod generate;
mod model;
mod run;

use std::collections::BTreeMap;

use strongroom_testkit::SimRng;

use generate::{Case, request, setup};
use model::{Outcome, Setup, Without, decide};
use run::Stage;

/// Each set-up of policies and grants is asked many requests.
#[tokio::test]
async fn sec_n27_n36_decisions_are_those_of_the_naive_model() {
    let mut rng = SimRng::new(SEED);
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    let mut unnoticed = Without::ALL.to_vec();
    let mut cases = 0_u32;
    for _ in 0..SETUPS {
        let setup = setup(&mut rng);
        let stage = Stage::new(&setup).await;
        for _ in 0..REQUESTS {
            let request = request(&mut rng, &setup);
            let (expected, why) = decide(&setup, &request, Without::Nothing);
            let actual = stage.ask(&request).await;
            if actual != expected {
                let setup = setup.clone();
                let case = shrunk(Case { setup, request }).await;
                panic!("after {cases} cases: {}", told(&case).await);
            }
            cases += 1;
            *outcomes
                .entry(format!("{} {}", request.operation, class(&expected)))
                .or_default() += 1;
            *outcomes.entry(class(&expected).to_owned()).or_default() += 1;
            *outcomes.entry(why.to_owned()).or_default() += 1;
            unnoticed.retain(|rule| decide(&setup, &request, *rule).0 == actual);
        }
    }
    println!("{cases} cases: {outcomes:#?}");
    assert!(cases >= 10_000);
    assert!(unnoticed.is_empty(), "no case depends on {unnoticed:?}");
    for class in CLASSES {
        let count = outcomes.get(*class).copied().unwrap_or(0);
        assert!(count >= 50, "`{class}` came up {count} times");
    }
    for (operation, _) in model::OPERATIONS {
        for class in ["allowed", model::NO_IDENTITY, model::RESOURCE_DENIES] {
            let name = format!("{operation} {class}");
            assert!(outcomes.contains_key(&name), "`{name}` did not come up");
        }
    }
}

/// A difference is shown as its smallest case: here one that is made up.
#[tokio::test]
async fn shrinking_leaves_what_the_difference_needs() {
    let mut rng = SimRng::new(SEED);
    let differs = |case: &Case| {
        let with = decide(&case.setup, &case.request, Without::Nothing).0;
        with != decide(&case.setup, &case.request, Without::Constraints).0
    };
    let mut shown = 0;
    while shown < 5 {
        let setup = setup(&mut rng);
        let request = request(&mut rng, &setup);
        let mut case = Case { setup, request };
        if !differs(&case) {
            continue;
        }
        while let Some(smaller) = case.smaller().into_iter().find(differs) {
            case = smaller;
        }
        shown += 1;
        let Setup {
            grants,
            key_policies,
            identity,
        } = &case.setup;
        assert_eq!(grants.len(), 1, "{case:?}");
        assert!(key_policies.iter().all(Vec::is_empty), "{case:?}");
        let statements: usize = identity.iter().flatten().map(Vec::len).sum();
        assert_eq!(statements, 0, "{case:?}");
        assert!(case.request.context.len() <= 1, "{case:?}");
    }
}

/// The smallest case on which product and model still differ.
async fn shrunk(case: Case) -> Case {
    let mut smallest = case;
    'smaller: loop {
        for case in smallest.smaller() {
            let stage = Stage::new(&case.setup).await;
            let actual = stage.ask(&case.request).await;
            if actual != decide(&case.setup, &case.request, Without::Nothing).0 {
                smallest = case;
                continue 'smaller;
            }
        }
        return smallest;
    }
}

async fn told(case: &Case) -> String {
    let stage = Stage::new(&case.setup).await;
    let actual = stage.ask(&case.request).await;
    let expected = decide(&case.setup, &case.request, Without::Nothing);
    format!("{case:#?}\nthe model says {expected:?}, the key service {actual:?}")
}

fn class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "allowed",
        Outcome::BadToken => "bad token",
        Outcome::Denied(_, _, rule) => rule,
    }
}

const SEED: u64 = 27_36;
const SETUPS: u32 = 150;
const REQUESTS: u32 = 80;
const CLASSES: &[&str] = &[
    "allowed",
    "bad token",
    model::NO_IDENTITY,
    model::NO_RESOURCE,
    model::IDENTITY_DENIES,
    model::RESOURCE_DENIES,
    "key policy",
    "identity policy",
    "grant",
    "grant, context equals",
    "grant, context subset",
    "grant to the account",
];
