// SPDX-License-Identifier: Apache-2.0

use super::*;

fn rule() -> LifecycleRule {
    LifecycleRule {
        id: String::new(),
        enabled: true,
        filter: LifecycleFilter::default(),
        expiration: Some(Expiration::At(When::Days(365))),
        transitions: Vec::new(),
        noncurrent_expiration: None,
        noncurrent_transitions: Vec::new(),
        abort_days: None,
    }
}

fn check(
    rules: Vec<LifecycleRule>,
    compat: Compat,
) -> Result<LifecycleConfiguration, LifecycleFault> {
    let mut made = 0;
    LifecycleConfiguration::new(rules, TransitionMinimum::default(), compat, || {
        made += 1;
        format!("made-{made}")
    })
}

fn take(change: impl FnOnce(&mut LifecycleRule)) -> Result<LifecycleConfiguration, LifecycleFault> {
    let mut one = rule();
    change(&mut one);
    check(vec![one], Compat::Aws)
}

fn days(days: u32, class: StorageClass) -> Transition {
    Transition {
        when: When::Days(days),
        class,
    }
}

#[test]
fn rules_without_an_id_get_one_and_ids_differ() {
    let named = |id: &str| LifecycleRule {
        id: id.to_owned(),
        ..rule()
    };
    let taken = check(vec![named("a"), rule(), rule()], Compat::Aws).unwrap();
    let ids: Vec<_> = taken.rules().iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["a", "made-1", "made-2"]);
    check(vec![named(&"x".repeat(255))], Compat::Aws).unwrap();
    for bad in [vec![named("a"), named("a")], vec![named(&"x".repeat(256))]] {
        assert!(matches!(
            check(bad, Compat::Aws),
            Err(LifecycleFault::Argument(_))
        ));
    }
}

#[test]
fn there_are_one_to_a_thousand_rules() {
    check(vec![rule(); 1_000], Compat::Aws).unwrap();
    for bad in [0, 1_001] {
        let refused = check(vec![rule(); bad], Compat::Aws);
        assert!(
            matches!(refused, Err(LifecycleFault::Malformed(_))),
            "{bad}"
        );
    }
}

#[test]
fn a_rule_acts_or_is_refused() {
    let refused = take(|rule| rule.expiration = None).unwrap_err();
    let words = "At least one action needs to be specified in a rule";
    assert_eq!(refused, LifecycleFault::Request(words.to_owned()));
    for fault in [
        take(|rule| rule.expiration = Some(Expiration::At(When::Days(0)))),
        take(|rule| rule.abort_days = Some(0)),
        take(|rule| {
            rule.noncurrent_expiration = Some(NoncurrentExpiration {
                days: 0,
                newer: None,
            });
        }),
        take(|rule| {
            rule.noncurrent_expiration = Some(NoncurrentExpiration {
                days: 1,
                newer: Some(0),
            });
        }),
    ] {
        assert!(
            matches!(fault, Err(LifecycleFault::Argument(_))),
            "{fault:?}"
        );
    }
    take(|rule| {
        rule.expiration = Some(Expiration::DeleteMarker(true));
        rule.abort_days = Some(1);
        rule.noncurrent_expiration = Some(NoncurrentExpiration {
            days: 1,
            newer: Some(100),
        });
    })
    .unwrap();
}

#[test]
fn filters_have_one_form() {
    let filter = |change: fn(&mut LifecycleFilter)| take(|rule| change(&mut rule.filter));
    for good in [
        filter(|_| {}),
        filter(|filter| filter.prefix = Some(String::new())),
        filter(|filter| filter.larger_than = Some(0)),
        filter(|filter| filter.smaller_than = Some(1)),
        filter(|filter| {
            filter.prefix = Some("a".repeat(1_024));
            filter.rule_prefix = true;
        }),
        filter(|filter| {
            filter.larger_than = Some(1);
            filter.smaller_than = Some(2);
            filter.and = true;
        }),
    ] {
        good.unwrap();
    }
    for bad in [
        filter(|filter| {
            filter.prefix = Some("a".to_owned());
            filter.larger_than = Some(1);
        }),
        filter(|filter| filter.and = true),
        filter(|filter| {
            filter.prefix = Some("a".to_owned());
            filter.and = true;
        }),
        filter(|filter| filter.rule_prefix = true),
    ] {
        assert!(matches!(bad, Err(LifecycleFault::Malformed(_))), "{bad:?}");
    }
    for bad in [
        filter(|filter| filter.smaller_than = Some(0)),
        filter(|filter| filter.smaller_than = Some(SIZE_MAX + 1)),
        filter(|filter| filter.larger_than = Some(SIZE_MAX + 1)),
        filter(|filter| {
            filter.larger_than = Some(2);
            filter.smaller_than = Some(2);
            filter.and = true;
        }),
    ] {
        assert!(matches!(bad, Err(LifecycleFault::Request(_))), "{bad:?}");
    }
    let long = filter(|filter| filter.prefix = Some("a".repeat(1_025)));
    assert!(matches!(long, Err(LifecycleFault::Argument(_))));
}

#[test]
fn markers_and_uploads_have_no_size() {
    let sized = |change: fn(&mut LifecycleRule)| {
        take(|rule| {
            rule.filter.larger_than = Some(1);
            change(rule);
        })
    };
    sized(|_| {}).unwrap();
    for (bad, words) in [
        (
            sized(|rule| rule.expiration = Some(Expiration::DeleteMarker(false))),
            "ExpiredObjectDeleteMarker cannot be specified with Object Size.",
        ),
        (
            sized(|rule| rule.abort_days = Some(1)),
            "AbortIncompleteMultipartUpload cannot be specified with Object Size.",
        ),
    ] {
        assert_eq!(bad.unwrap_err(), LifecycleFault::Request(words.to_owned()));
    }
}

#[test]
fn both_forms_of_rules_do_not_mix() {
    let prefix = |prefix: &str| LifecycleRule {
        filter: LifecycleFilter {
            prefix: Some(prefix.to_owned()),
            rule_prefix: true,
            ..LifecycleFilter::default()
        },
        ..rule()
    };
    check(vec![prefix("a/"), prefix("b/"), prefix("ab")], Compat::Aws).unwrap();
    for (bad, words) in [
        (
            vec![prefix("a"), rule()],
            "Filter element can only be used in Lifecycle V2.",
        ),
        (
            vec![rule(), prefix("a")],
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
        ),
        (
            vec![prefix("a"), prefix("")],
            "Found overlapping prefixes '' and 'a' for same action type 'Expiration'",
        ),
        (
            vec![prefix("a/b"), prefix("c"), prefix("a")],
            "Found overlapping prefixes 'a' and 'a/b' for same action type 'Expiration'",
        ),
    ] {
        assert_eq!(
            check(bad, Compat::Aws).unwrap_err(),
            LifecycleFault::Request(words.to_owned())
        );
    }
    let mut newer = prefix("a");
    newer.noncurrent_expiration = Some(NoncurrentExpiration {
        days: 1,
        newer: Some(1),
    });
    assert!(matches!(
        check(vec![newer], Compat::Aws),
        Err(LifecycleFault::Request(_))
    ));
}

#[test]
fn transitions_wait_as_long_as_s3_wants() {
    use StorageClass::{DeepArchive, Glacier, OneZoneIa, Standard, StandardIa};
    let moves = |moves: Vec<Transition>| take(|rule| rule.transitions = moves);
    for good in [
        vec![days(0, Glacier)],
        vec![days(30, StandardIa)],
        vec![
            days(30, StandardIa),
            days(60, Glacier),
            days(150, DeepArchive),
        ],
        vec![days(60, Glacier), days(30, StandardIa)],
        vec![days(364, DeepArchive)],
    ] {
        moves(good).unwrap();
    }
    for (bad, words) in [
        (
            vec![days(29, StandardIa)],
            "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
        ),
        (
            vec![days(0, OneZoneIa)],
            "'Days' in Transition action must be greater than or equal to 30 for storageClass 'ONEZONE_IA'",
        ),
        (
            vec![days(30, StandardIa), days(59, Glacier)],
            "'Days' in the 'Transition' action for StorageClass 'GLACIER' for filter '(prefix=)' must be 30 days more than 'filter '(prefix=)'' in the 'Transition' action for StorageClass 'STANDARD_IA'",
        ),
        (
            vec![days(10, Glacier), days(99, DeepArchive)],
            "'Days' in the 'Transition' action for StorageClass 'DEEP_ARCHIVE' for filter '(prefix=)' must be 90 days more than 'filter '(prefix=)'' in the 'Transition' action for StorageClass 'GLACIER'",
        ),
        (
            vec![days(100, Glacier), days(10, DeepArchive)],
            "'Days' in the 'Transition' action for StorageClass 'DEEP_ARCHIVE' for filter '(prefix=)' must be 90 days more than 'filter '(prefix=)'' in the 'Transition' action for StorageClass 'GLACIER'",
        ),
        (
            vec![days(365, Glacier)],
            "'Days' in the Expiration action for filter '(prefix=)' must be greater than 'Days' in the Transition action",
        ),
    ] {
        assert_eq!(
            moves(bad).unwrap_err(),
            LifecycleFault::Argument(words.to_owned())
        );
    }
    let twice = moves(vec![days(1, Glacier), days(100, Glacier)]).unwrap_err();
    let words = "'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '(prefix=)'";
    assert_eq!(twice, LifecycleFault::Request(words.to_owned()));
    let dated = Transition {
        when: When::Date(0),
        class: Glacier,
    };
    let mixed = moves(vec![dated]).unwrap_err();
    let words = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '(prefix=)'";
    assert_eq!(mixed, LifecycleFault::Request(words.to_owned()));
    let up = moves(vec![days(1, Standard)]).unwrap_err();
    assert!(matches!(up, LifecycleFault::Malformed(_)));
    // Ceph's suite moves objects day by day.
    let mut quick = rule();
    quick.transitions = vec![days(1, StandardIa), days(2, Glacier)];
    check(vec![quick], Compat::Ceph).unwrap();
}

#[test]
fn noncurrent_versions_have_the_same_waterfall() {
    let moves = |end: u32, moves: &[(u32, StorageClass)]| {
        take(|rule| {
            rule.noncurrent_expiration = Some(NoncurrentExpiration {
                days: end,
                newer: None,
            });
            rule.noncurrent_transitions = moves
                .iter()
                .map(|(days, class)| NoncurrentTransition {
                    days: *days,
                    newer: None,
                    class: *class,
                })
                .collect();
        })
    };
    moves(31, &[(30, StorageClass::StandardIa)]).unwrap();
    for bad in [
        moves(90, &[(29, StorageClass::StandardIa)]),
        moves(30, &[(30, StorageClass::StandardIa)]),
        moves(
            900,
            &[(30, StorageClass::StandardIa), (31, StorageClass::Glacier)],
        ),
    ] {
        assert!(matches!(bad, Err(LifecycleFault::Argument(_))), "{bad:?}");
    }
}

#[test]
fn stored_rules_come_back() {
    let mut all = rule();
    all.filter.prefix = Some("a/".to_owned());
    all.transitions = vec![days(30, StorageClass::StandardIa)];
    all.abort_days = Some(7);
    let row = LifecycleRow {
        bucket: "b".to_owned(),
        configuration: check(vec![all, rule()], Compat::Aws).unwrap(),
    };
    let bytes = minicbor::to_vec(&row).unwrap();
    let back: LifecycleRow = minicbor::decode(&bytes).unwrap();
    assert_eq!(back.configuration, row.configuration);
    for cut in 0..bytes.len() {
        let part = bytes.get(..cut).unwrap();
        let damaged = minicbor::decode::<LifecycleRow>(part);
        assert!(damaged.is_err(), "{cut}");
    }
}
