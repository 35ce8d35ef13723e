// SPDX-License-Identifier: Apache-2.0

use super::*;
use crate::compat::Compat;
use crate::lifecycle::{LifecycleFilter, NoncurrentExpiration, NoncurrentTransition, Transition};
use crate::restore::{DAY_MS, RestoreDelays};

const BIG: u64 = TRANSITION_BYTES_MIN;
/// When everything in these tests was made: in the middle of a day.
const MADE: u64 = 1_000 * DAY_MS + DAY_MS / 2;

fn options() -> ObjectsOptions {
    ObjectsOptions {
        region: String::new(),
        account_id: String::new(),
        compat: Compat::Aws,
        day_ms: DAY_MS,
        restore_delays: RestoreDelays::default(),
    }
}

fn rule(id: &str) -> LifecycleRule {
    LifecycleRule {
        id: id.to_owned(),
        enabled: true,
        filter: LifecycleFilter::default(),
        expiration: None,
        transitions: Vec::new(),
        noncurrent_expiration: None,
        noncurrent_transitions: Vec::new(),
        abort_days: None,
    }
}

fn expiring(id: &str, days: u32) -> LifecycleRule {
    LifecycleRule {
        expiration: Some(Expiration::At(When::Days(days))),
        ..rule(id)
    }
}

fn moving(id: &str, days: u32, class: StorageClass) -> LifecycleRule {
    let when = When::Days(days);
    LifecycleRule {
        transitions: vec![Transition { when, class }],
        ..rule(id)
    }
}

fn configuration(rules: Vec<LifecycleRule>) -> LifecycleConfiguration {
    sized(rules, TransitionMinimum::AllClasses)
}

fn sized(rules: Vec<LifecycleRule>, minimum: TransitionMinimum) -> LifecycleConfiguration {
    LifecycleConfiguration::new(rules, minimum, Compat::Ceph, String::new).unwrap()
}

fn version(name: &str, size: u64, class: StorageClass) -> Version<'_> {
    Version {
        name,
        size,
        created_ms: MADE,
        class: Some(class),
    }
}

const MARKER: Version<'static> = Version {
    name: "k",
    size: 0,
    created_ms: MADE,
    class: None,
};
const LOST: Standing = Standing::Current {
    alone: false,
    kept: false,
};
const KEPT: Standing = Standing::Current {
    alone: false,
    kept: true,
};

/// What is due some days after the midnight behind `MADE`, and by which rule.
fn due(
    configuration: &LifecycleConfiguration,
    version: Version<'_>,
    standing: Standing,
    days: u64,
) -> Option<(Act, String)> {
    let options = options();
    let rules = Rules {
        configuration,
        options: &options,
    };
    let now_ms = (1_001 + days) * DAY_MS;
    let due = rules.due(version, standing, now_ms);
    let before = rules.due(version, standing, now_ms - 1);
    if days == 0 {
        assert_eq!(before, None, "due before any midnight");
    }
    due.map(|due| (due.act, due.rule.id.clone()))
}

#[test]
fn an_object_ends_at_the_midnight_behind_its_days() {
    let rules = configuration(vec![expiring("e", 3)]);
    let object = version("k", 1, StorageClass::Standard);
    for (days, ended) in [(0, false), (2, false), (3, true), (4, true), (10_000, true)] {
        let due = due(&rules, object, LOST, days);
        assert_eq!(due.is_some(), ended, "{days}");
        assert!(due.is_none_or(|(act, _)| act == Act::Expire));
    }
    let options = options();
    let expiry = Rules {
        configuration: &rules,
        options: &options,
    }
    .expiry("k", 1, MADE);
    assert_eq!(
        expiry,
        Some(ObjectExpiry {
            at_ms: 1_004 * DAY_MS,
            rule_id: "e".to_owned()
        })
    );
}

#[test]
fn a_date_holds_for_everything_from_then_on() {
    let mut dated = rule("d");
    dated.expiration = Some(Expiration::At(When::Date(1_003 * DAY_MS)));
    let rules = configuration(vec![dated]);
    let object = version("k", 1, StorageClass::Standard);
    assert_eq!(due(&rules, object, LOST, 1), None);
    assert!(due(&rules, object, LOST, 2).is_some());
    let late = Version {
        created_ms: 1_003 * DAY_MS - 1,
        ..object
    };
    assert!(due(&rules, late, LOST, 2).is_some());
}

#[test]
fn rules_that_are_disabled_or_for_others_do_nothing() {
    let mut off = expiring("off", 1);
    off.enabled = false;
    let mut other = expiring("other", 1);
    other.filter.prefix = Some("other/".to_owned());
    let mut big = expiring("big", 1);
    big.filter.larger_than = Some(10);
    let mut small = expiring("small", 1);
    small.filter.smaller_than = Some(10);
    let rules = configuration(vec![off, other, big, small]);
    for (name, size, id) in [
        ("k", 10, None),
        ("k", 11, Some("big")),
        ("k", 9, Some("small")),
        ("other", 10, None),
        ("other/", 10, Some("other")),
        ("Other/k", 10, None),
    ] {
        let due = due(&rules, version(name, size, StorageClass::Standard), LOST, 9);
        assert_eq!(due.map(|(_, id)| id).as_deref(), id, "{name} {size}");
    }
}

#[test]
fn classes_change_downwards_only_and_the_furthest_counts() {
    use StorageClass::{DeepArchive, Glacier, OneZoneIa, Standard, StandardIa};
    let rules = configuration(vec![
        moving("ia", 1, StandardIa),
        moving("one", 3, OneZoneIa),
        moving("glacier", 2, Glacier),
        moving("deep", 5, DeepArchive),
    ]);
    for (class, days, to) in [
        (Standard, 0, None),
        (Standard, 1, Some(StandardIa)),
        (Standard, 2, Some(Glacier)),
        (Standard, 3, Some(Glacier)),
        (Standard, 5, Some(DeepArchive)),
        (StandardIa, 1, None),
        (StandardIa, 2, Some(Glacier)),
        (OneZoneIa, 1, None),
        (Glacier, 4, None),
        (Glacier, 5, Some(DeepArchive)),
        (DeepArchive, 900, None),
    ] {
        let due = due(&rules, version("k", BIG, class), LOST, days);
        assert_eq!(
            due.map(|(act, _)| act),
            to.map(Act::Move),
            "{class:?} {days}"
        );
    }
}

#[test]
fn small_objects_stay_unless_a_rule_speaks_of_sizes() {
    use StorageClass::{Glacier, Standard, StandardIa};
    let mut any = moving("any", 0, Glacier);
    any.filter.larger_than = Some(0);
    for (rules, minimum, size, moved) in [
        (
            vec![moving("r", 0, Glacier)],
            TransitionMinimum::AllClasses,
            BIG,
            true,
        ),
        (
            vec![moving("r", 0, Glacier)],
            TransitionMinimum::AllClasses,
            BIG - 1,
            false,
        ),
        (
            vec![moving("r", 0, Glacier)],
            TransitionMinimum::ByClass,
            1,
            true,
        ),
        (
            vec![moving("r", 0, StandardIa)],
            TransitionMinimum::ByClass,
            BIG - 1,
            false,
        ),
        (vec![any.clone()], TransitionMinimum::AllClasses, 1, true),
        (vec![any], TransitionMinimum::AllClasses, 0, false),
    ] {
        let rules = sized(rules, minimum);
        let due = due(&rules, version("k", size, Standard), LOST, 0);
        assert_eq!(due.is_some(), moved, "{rules:?} {size}");
    }
}

/// S3: an end for good comes before another class, and that before a delete marker.
#[test]
fn of_several_acts_one_is_chosen_as_s3_does() {
    let rules = configuration(vec![
        moving("glacier", 1, StorageClass::Glacier),
        expiring("end", 2),
    ]);
    let big = version("k", BIG, StorageClass::Standard);
    let act = |version, standing| due(&rules, version, standing, 2).map(|(act, _)| act);
    assert_eq!(act(big, LOST), Some(Act::Expire));
    assert_eq!(act(big, KEPT), Some(Act::Move(StorageClass::Glacier)));
    let moved = version("k", BIG, StorageClass::Glacier);
    assert_eq!(act(moved, KEPT), Some(Act::Expire));
    let small = version("k", 1, StorageClass::Standard);
    assert_eq!(act(small, KEPT), Some(Act::Expire));
}

#[test]
fn delete_markers_go_when_nothing_is_behind_them() {
    let alone = Standing::Current {
        alone: true,
        kept: true,
    };
    let mut clean = rule("clean");
    clean.expiration = Some(Expiration::DeleteMarker(true));
    let mut not = rule("not");
    not.expiration = Some(Expiration::DeleteMarker(false));
    let at_once = |rule: LifecycleRule, standing| {
        let rules = configuration(vec![rule]);
        let options = options();
        let rules = Rules {
            configuration: &rules,
            options: &options,
        };
        rules.due(MARKER, standing, MADE).map(|due| due.act)
    };
    assert_eq!(at_once(clean.clone(), alone), Some(Act::RemoveMarker));
    assert_eq!(at_once(clean.clone(), KEPT), None);
    assert_eq!(at_once(not, alone), None);
    // An object is no delete marker.
    let object = version("k", 0, StorageClass::Standard);
    assert_eq!(due(&configuration(vec![clean]), object, alone, 99), None);
    // Days count for markers that hide nothing, too.
    let days = configuration(vec![expiring("e", 2)]);
    assert_eq!(due(&days, MARKER, alone, 1), None);
    let gone = Some((Act::RemoveMarker, "e".to_owned()));
    assert_eq!(due(&days, MARKER, alone, 2), gone);
    assert_eq!(due(&days, MARKER, KEPT, 99), None);
}

#[test]
fn noncurrent_versions_count_from_when_something_newer_came() {
    let mut rule = rule("n");
    rule.noncurrent_expiration = Some(NoncurrentExpiration {
        days: 3,
        newer: Some(2),
    });
    rule.noncurrent_transitions = vec![NoncurrentTransition {
        days: 1,
        newer: None,
        class: StorageClass::Glacier,
    }];
    // Rules for current versions are not for them.
    rule.expiration = Some(Expiration::At(When::Days(1)));
    let rules = configuration(vec![rule]);
    let old = Version {
        created_ms: 0,
        ..version("k", BIG, StorageClass::Standard)
    };
    for (newer, days, act) in [
        (0, 0, None),
        (0, 1, Some(Act::Move(StorageClass::Glacier))),
        (1, 9, Some(Act::Move(StorageClass::Glacier))),
        (2, 2, Some(Act::Move(StorageClass::Glacier))),
        (2, 3, Some(Act::RemoveVersion)),
        (100, 3, Some(Act::RemoveVersion)),
    ] {
        let standing = Standing::Noncurrent {
            since_ms: MADE,
            newer,
        };
        let found = due(&rules, old, standing, days).map(|(act, _)| act);
        assert_eq!(found, act, "{newer} newer, {days} days");
        // Delete markers end as other noncurrent versions do, and have no class.
        let marker = due(&rules, MARKER, standing, days).map(|(act, _)| act);
        let ends = act.filter(|act| *act == Act::RemoveVersion);
        assert_eq!(marker, ends, "{newer} newer, {days} days");
    }
}

#[test]
fn of_several_ends_the_earliest_is_told() {
    let mut uploads = rule("u");
    uploads.abort_days = Some(7);
    let mut off = expiring("off", 1);
    off.enabled = false;
    let mut clean = rule("clean");
    clean.expiration = Some(Expiration::DeleteMarker(true));
    let rules = configuration(vec![
        off,
        clean,
        expiring("later", 9),
        expiring("first", 2),
        expiring("second", 2),
        uploads,
    ]);
    let options = options();
    let rules = Rules {
        configuration: &rules,
        options: &options,
    };
    let expiry = rules.expiry("k", 1, MADE).unwrap();
    assert_eq!(
        (expiry.at_ms, expiry.rule_id.as_str()),
        (1_003 * DAY_MS, "first")
    );
    let (at_ms, rule) = rules.abort("k", MADE).unwrap();
    assert_eq!((at_ms, rule.id.as_str()), (1_008 * DAY_MS, "u"));
}
