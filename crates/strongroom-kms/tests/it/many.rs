// SPDX-License-Identifier: Apache-2.0
//! Many grants and many aliases: what is read for a request does not grow with them.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::json;
use strongroom_iam::Caller;
use strongroom_kms::{
    CreateAliasInput, CreateGrantInput, Error, ListAliasesInput, ListGrantsInput,
    ListRetirableGrantsInput, RetireGrantInput, RevokeGrantInput, ScheduleKeyDeletionInput,
    UpdateAliasInput,
};
use strongroom_store::{Batch, Row, TableId, Write};

use crate::users::{
    ALL_OF_KMS, NOTHING_OF_KMS, allowed, delegation, denial, grant_to, policy, root_arn, user_arn,
};
use crate::world::{DAY_MS, World, call, context, new_world, refused};

const GRANTS: TableId = TableId(4);
const GRANT_INDEX: TableId = TableId(5);
const GRANTS_MAX: usize = 50_000;
/// Rows of any request about one grant: those of the key, its number of grants, some entries.
const FEW: u64 = 24;

#[expect(clippy::unnecessary_wraps, reason = "as inputs have it")]
fn pairs(pairs: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    let pairs = pairs.iter();
    Some(
        pairs
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
    )
}

fn uid(key_id: &str) -> Vec<u8> {
    hex::decode(key_id.replace('-', "")).unwrap()
}

fn rows_of(world: &World, table: TableId) -> Vec<(Vec<u8>, Row)> {
    use std::ops::Bound::Unbounded;
    let tables = world.store.tables();
    tables
        .scan(table, Unbounded, Unbounded, 200_000, false)
        .unwrap()
}

/// The hash that the index keeps pairs under.
fn pairs_hash(name: &str, value: &str) -> Vec<u8> {
    let mut hash = Context::new(&SHA256);
    for text in [name, value] {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finish().as_ref()[..16].to_vec()
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|part| part == old);
    let mut bytes = bytes.to_vec();
    if let Some(at) = at {
        bytes[at..at + new.len()].copy_from_slice(new);
    }
    bytes
}

fn tenant(at: usize) -> String {
    format!("tenant-{at:05}")
}

/// Copies of a grant, in its table and its index: copy `at` has another id, and `tenant(at)` where
/// the grant has `tenant(0)`.
async fn multiply(world: &World, grant_id: &str, copies: std::ops::Range<usize>) {
    let id = hex::decode(grant_id).unwrap();
    let mut template = Vec::new();
    for table in [GRANTS, GRANT_INDEX] {
        let rows = rows_of(world, table).into_iter();
        let own = rows.filter(|(key, _)| key.ends_with(&id));
        template.extend(own.map(|(key, row)| (table, key, row.value)));
    }
    assert!(template.len() >= 2, "{}", template.len());
    let (first, mut writes) = (tenant(0), Vec::new());
    for at in copies.clone() {
        let mut other = id.clone();
        other[12..20].copy_from_slice(&(at as u64).to_be_bytes());
        for (table, key, value) in &template {
            let key = replace(key, &id, &other);
            let (old, new) = (
                pairs_hash("tenant", &first),
                pairs_hash("tenant", &tenant(at)),
            );
            writes.push(Write::Put {
                table: *table,
                key: replace(&key, &old, &new),
                value: replace(value, first.as_bytes(), tenant(at).as_bytes()),
            });
        }
        if writes.len() > 3_000 || at + 1 == copies.end {
            let batch = Batch {
                preconditions: Vec::new(),
                writes: std::mem::take(&mut writes),
            };
            world.store.tables().commit(batch).await.unwrap();
        }
    }
}

async fn set_count(world: &World, key_id: &str, count: usize) {
    let write = Write::Put {
        table: GRANT_INDEX,
        key: [&[0], uid(key_id).as_slice()].concat(),
        value: u32::try_from(count).unwrap().to_be_bytes().to_vec(),
    };
    let batch = Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    world.store.tables().commit(batch).await.unwrap();
}

/// Runs something, and says how many rows it read.
macro_rules! rows_read {
    ($world:expr, $run:expr) => {{
        let before = $world.rows_read();
        let result = $run;
        (result, $world.rows_read() - before)
    }};
}

/// As many grants as a key may have, nearly all of one principal.
async fn crowded() -> (World, Caller, Caller, String, Vec<String>) {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let bob = world.user(&iam, "bob", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await.key_id;
    let mut made = Vec::new();
    let both = ["Encrypt", "Decrypt"];
    for (equals, subset, operations) in [
        (pairs(&[("tenant", &tenant(0))]), None, both.as_slice()),
        (None, pairs(&[("tenant", &tenant(0)), ("x", "y")]), &both),
        (None, None, &["DescribeKey"]),
    ] {
        let input = CreateGrantInput {
            context_equals: equals,
            context_subset: subset,
            retiring_principal: Some(user_arn("bob")),
            ..grant_to(&key, "ann", operations)
        };
        let grant = world.grant_as(&world.caller, input).await.unwrap();
        made.push(grant.grant_id);
    }
    (world, ann, bob, key, made)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one crowd, every request")]
async fn fifty_thousand_grants_cost_a_request_no_more_than_one() {
    let (world, ann, bob, key, made) = crowded().await;
    let [equals, _, describe] = made.as_slice() else {
        panic!("{made:?}")
    };
    multiply(&world, equals, 1..40_000).await;
    multiply(&world, describe, 1..9_000).await;
    let at_first = rows_of(&world, GRANTS).len();
    assert!(at_first > 48_000);
    set_count(&world, &key, at_first).await;

    // Use: whatever the answer.
    for at in [0, 1, 777, 39_999] {
        let own = context(&[("tenant", &tenant(at))]);
        let (sealed, read) = rows_read!(world, world.encrypt_as(&ann, &key, &own, &[]).await);
        assert!(read <= FEW, "{read}");
        let (opened, read) =
            rows_read!(world, world.decrypt_as(&ann, &sealed.unwrap(), &own).await);
        assert!(opened.is_ok() && read <= FEW, "{read}");
    }
    for wrong in [
        context(&[("tenant", "tenant-40000")]),
        context(&[("tenant", &tenant(1)), ("more", "x")]),
        context(&[("Tenant", &tenant(1))]),
        context(&[]),
    ] {
        for user in [&ann, &bob] {
            let (refusal, read) =
                rows_read!(world, world.encrypt_as(user, &key, &wrong, &[]).await);
            denial(refusal);
            assert!(read <= FEW, "{read}");
        }
    }
    let more = context(&[("tenant", &tenant(0)), ("x", "y"), ("z", "w")]);
    let (sealed, read) = rows_read!(world, world.encrypt_as(&ann, &key, &more, &[]).await);
    assert!(sealed.is_ok() && read <= FEW, "{read}");
    let (seen, read) = rows_read!(world, world.describe_as(&ann, &key).await);
    assert!(seen.is_ok() && read <= FEW, "{read}");
    let receipt = world.audit.begin(ann.facts().clone());
    let (made, read) = rows_read!(
        world,
        world
            .kms
            .generate_data_key_for_s3(&ann, &receipt, Some(&key), &context(&[]))
            .await
    );
    receipt.finish_recorded();
    denial(made);
    assert!(read <= FEW, "{read}");

    // A name: the same grant again, and another.
    let named = |tenant: &str| CreateGrantInput {
        context_equals: pairs(&[("tenant", tenant)]),
        name: Some("mine".to_owned()),
        ..grant_to(&key, "ann", &["Decrypt", "Encrypt"])
    };
    let (first, read) = rows_read!(world, world.grant_as(&world.caller, named("a")).await);
    assert!(read <= FEW, "{read}");
    let (again, read) = rows_read!(world, world.grant_as(&world.caller, named("a")).await);
    assert!(read <= FEW, "{read}");
    assert_eq!(again.unwrap().grant_id, first.as_ref().unwrap().grant_id);
    let other = world.grant_as(&world.caller, named("b")).await.unwrap();
    assert_ne!(other.grant_id, first.unwrap().grant_id);
    set_count(&world, &key, GRANTS_MAX).await;
    let (full, read) = rows_read!(world, world.grant_as(&world.caller, named("c")).await);
    assert_eq!(refused(full).0, "LimitExceededException");
    assert!(read <= FEW, "{read}");
    // What is there is found all the same.
    let again = world.grant_as(&world.caller, named("b")).await.unwrap();
    assert_eq!(again.grant_id, other.grant_id);

    // Listings.
    let mut ids = BTreeSet::new();
    let mut marker = None;
    loop {
        let input = ListGrantsInput {
            key_id: key.clone(),
            limit: Some(1_000),
            marker,
            ..ListGrantsInput::default()
        };
        let (page, read) = rows_read!(world, call!(world, list_grants, input).unwrap());
        assert!(read <= 100 + FEW, "{read}");
        assert!(page.grants.len() <= 100);
        for grant in page.grants {
            assert!(ids.insert(grant.grant_id), "listed twice");
        }
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(ids.len(), at_first + 2);
    for (principal, most) in [
        (user_arn("bob"), FEW),
        (ann.user_id().to_owned(), 1_000 + FEW),
    ] {
        let input = ListGrantsInput {
            key_id: key.clone(),
            grantee_principal: Some(principal),
            ..ListGrantsInput::default()
        };
        let (page, read) = rows_read!(world, call!(world, list_grants, input).unwrap());
        assert!(read <= most, "{read}");
        assert!(page.grants.len() == 50 || page.next_marker.is_none());
    }
    let input = ListRetirableGrantsInput {
        retiring_principal: user_arn("bob"),
        limit: Some(100),
        marker: None,
    };
    let (page, read) = rows_read!(world, call!(world, list_retirable_grants, input).unwrap());
    assert!(page.grants.len() == 100 && page.next_marker.is_some());
    assert!(read <= 202 + FEW, "{read}");

    // The end of one of them, and of all.
    let input = RetireGrantInput {
        key_id: Some(key.clone()),
        grant_id: Some(page.grants[7].grant_id.clone()),
        ..RetireGrantInput::default()
    };
    let receipt = world.audit.begin(bob.facts().clone());
    let (done, read) = rows_read!(world, world.kms.retire_grant(&bob, &receipt, input).await);
    receipt.finish_recorded();
    assert!(done.is_ok() && read <= FEW, "{read}");
    let own = context(&[("tenant", &tenant(0))]);
    assert!(world.encrypt_as(&ann, &key, &own, &[]).await.is_ok());
    let input = RevokeGrantInput {
        key_id: key.clone(),
        grant_id: equals.clone(),
        dry_run: false,
    };
    let (done, read) = rows_read!(world, call!(world, revoke_grant, input));
    assert!(done.is_ok() && read <= FEW, "{read}");
    denial(world.encrypt_as(&ann, &key, &own, &[]).await);
    let input = ScheduleKeyDeletionInput {
        key_id: key.clone(),
        pending_window_in_days: Some(7),
    };
    call!(world, schedule_key_deletion, input).unwrap();
    world.clock.advance_ms(7 * DAY_MS);
    world.kms.confirm_clock().await.unwrap();
    let report = world.run_due().await;
    assert!(report.destroyed == 1 && report.failed.is_empty());
    let uid = uid(&key);
    for table in [GRANTS, GRANT_INDEX] {
        let left = rows_of(&world, table).into_iter();
        let mut left = left.filter(|(key, _)| key.windows(16).any(|part| part == uid));
        assert!(left.next().is_none(), "{table:?}");
    }
}

/// One grant as the rules read it: whom it is for, what, and on which pairs it insists.
#[derive(Clone, Debug)]
struct Given {
    id: String,
    grantee: String,
    operations: Vec<&'static str>,
    equals: Option<BTreeMap<String, String>>,
    subset: Option<BTreeMap<String, String>>,
}

impl Given {
    fn allows(&self, name: &str, operation: &str, context: &[(&str, &str)]) -> bool {
        let has = |(n, v): (&String, &String)| context.contains(&(n.as_str(), v.as_str()));
        let constrained = match (&self.equals, &self.subset) {
            (Some(pairs), _) => pairs.len() == context.len() && pairs.iter().all(has),
            (_, Some(pairs)) => pairs.iter().all(has),
            _ => true,
        };
        [user_arn(name), root_arn()].contains(&self.grantee)
            && self.operations.contains(&operation)
            && (constrained || operation == "DescribeKey")
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    /// A context of few names and values, so that many of them meet.
    fn context(&mut self) -> Vec<(&'static str, &'static str)> {
        let names = ["a", "b", "c"].into_iter();
        let pick = |name| (self.roll(2) == 0).then(|| (name, ["1", "2"][self.roll(2)]));
        names.filter_map(pick).collect()
    }
}

/// What the index finds is what reading every grant would find.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one model, every request")]
async fn the_index_finds_what_reading_all_grants_would() {
    let world = new_world().await;
    let iam = world.iam().await;
    let users = ["ann", "bob"];
    let mut callers = Vec::new();
    for name in users {
        callers.push(world.user(&iam, name, Some(ALL_OF_KMS)).await);
    }
    let key = world.key().await.key_id;
    // Nothing is left to identity policies but what the grants leave to them.
    let mut own = delegation();
    own["Condition"] = json!({ "ArnEquals": { "aws:PrincipalArn": root_arn() } });
    world.put_policy(&key, &policy(&json!([own]))).await;
    let mut dice = Dice(20_261_121);
    let mut given: Vec<Given> = Vec::new();
    for _ in 0..400 {
        if dice.roll(3) == 0 || given.len() > 12 {
            if given.is_empty() {
                continue;
            }
            let gone = given.swap_remove(dice.roll(given.len()));
            let input = RevokeGrantInput {
                key_id: key.clone(),
                grant_id: gone.id,
                dry_run: false,
            };
            call!(world, revoke_grant, input).unwrap();
        } else {
            let all = ["Encrypt", "DescribeKey", "CreateGrant", "Decrypt"];
            let mut operations: Vec<_> = all.into_iter().filter(|_| dice.roll(2) == 0).collect();
            if operations.is_empty() {
                operations.push("Encrypt");
            }
            let wanted = pairs(&dice.context()).filter(|pairs| !pairs.is_empty());
            let equals = dice.roll(2) == 0;
            let who = dice.roll(5);
            let input = CreateGrantInput {
                grantee_principal: if who == 4 {
                    root_arn()
                } else {
                    user_arn(users[who % 2])
                },
                context_equals: wanted.clone().filter(|_| equals),
                context_subset: wanted.filter(|_| !equals),
                ..grant_to(&key, "ann", &operations)
            };
            let made = world.grant_as(&world.caller, input.clone()).await.unwrap();
            given.push(Given {
                id: made.grant_id,
                grantee: input.grantee_principal,
                operations,
                equals: input.context_equals,
                subset: input.context_subset,
            });
        }
        for _ in 0..3 {
            let who = dice.roll(2);
            let asked = dice.context();
            let expected = |op: &str| given.iter().any(|g| g.allows(users[who], op, &asked));
            let sealed = world
                .encrypt_as(&callers[who], &key, &context(&asked), &[])
                .await;
            assert_eq!(
                allowed(&sealed),
                expected("Encrypt"),
                "{asked:?} {given:#?}"
            );
            let seen = world.describe_as(&callers[who], &key).await;
            assert_eq!(allowed(&seen), expected("DescribeKey"), "{given:#?}");
            let passed = world
                .grant_as(
                    &callers[who],
                    CreateGrantInput {
                        context_equals: pairs(&asked).filter(|pairs| !pairs.is_empty()),
                        dry_run: true,
                        ..grant_to(&key, "ann", &["Encrypt"])
                    },
                )
                .await;
            // Whoever may pass it on has a grant for both; one that insists on nothing passes on
            // everything, one that insists on these pairs, these.
            let mut passers = given
                .iter()
                .filter(|g| g.operations.contains(&"CreateGrant"));
            let may = passers.any(|g| {
                let free = g.equals.is_none() && g.subset.is_none();
                g.allows(users[who], "Encrypt", &asked) && (free || !asked.is_empty())
            });
            match passed {
                Err(Error::DryRun) => assert!(may, "{asked:?} {given:#?}"),
                Err(Error::AccessDenied(_)) => assert!(!may, "{asked:?} {given:#?}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_principal_has_few_sets_of_names_and_any_values() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    world.user(&iam, "bob", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await.key_id;
    let with = |name: String, who: &str| CreateGrantInput {
        context_subset: pairs(&[(&name, "v")]),
        ..grant_to(&key, who, &["Encrypt"])
    };
    let mut last = None;
    for at in 0..100 {
        let made = world
            .grant_as(&world.caller, with(format!("n{at}"), "ann"))
            .await;
        last = Some(made.unwrap().grant_id);
    }
    let more = || world.grant_as(&world.caller, with("n100".to_owned(), "ann"));
    assert_eq!(refused(more().await).0, "LimitExceededException");
    let dry = CreateGrantInput {
        dry_run: true,
        ..with("n0".to_owned(), "ann")
    };
    assert_eq!(
        refused(world.grant_as(&world.caller, dry).await).0,
        "DryRunOperationException"
    );
    // Other values of the same names, other operations, other principals: as many as they like.
    for input in [
        CreateGrantInput {
            context_subset: pairs(&[("n7", "w")]),
            ..grant_to(&key, "ann", &["Encrypt"])
        },
        CreateGrantInput {
            context_subset: pairs(&[("n100", "v")]),
            ..grant_to(&key, "ann", &["Decrypt"])
        },
        with("n100".to_owned(), "bob"),
    ] {
        world.grant_as(&world.caller, input).await.unwrap();
    }
    let (sealed, read) = rows_read!(
        world,
        world
            .encrypt_as(&ann, &key, &context(&[("n99", "v")]), &[])
            .await
    );
    assert!(sealed.is_ok() && read <= 200 + FEW, "{read}");
    let input = RevokeGrantInput {
        key_id: key.clone(),
        grant_id: last.unwrap(),
        dry_run: false,
    };
    call!(world, revoke_grant, input).unwrap();
    more().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_made_and_taken_at_once_all_get_through() {
    let world = std::sync::Arc::new(new_world().await);
    let iam = world.iam().await;
    world.user(&iam, "ann", Some(NOTHING_OF_KMS)).await;
    let key = world.key().await.key_id;
    for name in [None, Some("one".to_owned())] {
        let mut making = Vec::new();
        for _ in 0..64 {
            let input = CreateGrantInput {
                name: name.clone(),
                ..grant_to(&key, "ann", &["Encrypt"])
            };
            let world = world.clone();
            making.push(tokio::spawn(async move {
                world.grant_as(&world.caller, input).await.unwrap().grant_id
            }));
        }
        let mut ids = BTreeSet::new();
        for made in making {
            ids.insert(made.await.unwrap());
        }
        // A name makes one grant, whoever was first.
        assert_eq!(ids.len(), if name.is_some() { 1 } else { 64 });
        assert_eq!(rows_of(&world, GRANTS).len(), ids.len());
        let mut taking = Vec::new();
        for grant_id in ids {
            let (world, key_id) = (world.clone(), key.clone());
            let input = RevokeGrantInput {
                key_id,
                grant_id,
                dry_run: false,
            };
            taking.push(tokio::spawn(
                async move { call!(world, revoke_grant, input) },
            ));
        }
        for taken in taking {
            taken.await.unwrap().unwrap();
        }
        assert!(rows_of(&world, GRANTS).is_empty());
        // What is left of the index is the number.
        assert_eq!(rows_of(&world, GRANT_INDEX).len(), 1);
    }
}

async fn alias(world: &World, name: &str, key_id: &str) -> Result<(), Error> {
    let input = CreateAliasInput {
        alias_name: name.to_owned(),
        target_key_id: key_id.to_owned(),
    };
    call!(world, create_alias, input)
}

async fn names_of(world: &World, key_id: &str, limit: i64) -> Vec<String> {
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let input = ListAliasesInput {
            key_id: Some(key_id.to_owned()),
            limit: Some(limit),
            marker,
        };
        let (page, read) = rows_read!(world, call!(world, list_aliases, input).unwrap());
        let most = 2 * u64::try_from(limit).unwrap() + FEW;
        assert!(read <= most, "{read} rows for {limit}");
        names.extend(page.aliases.into_iter().map(|alias| alias.alias_name));
        marker = page.next_marker;
        if marker.is_none() {
            return names;
        }
    }
}

#[tokio::test]
async fn many_aliases_cost_a_key_no_more_than_its_own() {
    let world = new_world().await;
    let iam = world.iam().await;
    let ann = world.user(&iam, "ann", Some(ALL_OF_KMS)).await;
    let mut keys = Vec::new();
    for at in 0..12 {
        let key = world.key().await.key_id;
        for number in 0..50 {
            alias(&world, &format!("alias/{number:02}/{at:02}"), &key)
                .await
                .unwrap();
        }
        keys.push(key);
    }
    let none = context(&[]);
    let all: Vec<String> = (0..50)
        .map(|number| format!("alias/{number:02}/07"))
        .collect();
    for limit in [1, 7, 49, 50, 51, 1_000] {
        assert_eq!(names_of(&world, &keys[7], limit).await, all, "{limit}");
    }
    let sealed = |key: usize| world.encrypt_as(&ann, &keys[key], &none, &[]);
    let (done, read) = rows_read!(world, sealed(7).await);
    assert!(done.is_ok() && read <= FEW, "{read}");
    // Only who is asked about the aliases reads them, those of the key.
    let mut own = delegation();
    own["Condition"] =
        json!({ "ForAnyValue:StringEquals": { "kms:ResourceAliases": "alias/31/07" } });
    let document = policy(&json!([
        own,
        crate::users::statement("Allow", &json!({ "AWS": root_arn() }), "kms:PutKeyPolicy"),
    ]));
    for (key, may) in [(7, true), (8, false)] {
        world.put_policy(&keys[key], &document).await;
        let (done, read) = rows_read!(world, sealed(key).await);
        assert_eq!(allowed(&done), may);
        assert!(read <= 50 + FEW, "{read}");
    }
    let by_name = world
        .encrypt_as(&ann, "alias/49/07", &context(&[]), &[])
        .await;
    assert!(by_name.is_ok());
    world
        .put_policy(&keys[8], &policy(&json!([delegation()])))
        .await;
    // A name that moves is listed under the other key, and acts there at once.
    let refusal = refused(alias(&world, "alias/one-more", &keys[8]).await);
    assert_eq!(refusal.0, "LimitExceededException");
    keys.push(world.key().await.key_id);
    let update = |name: &str, key: usize| {
        let input = UpdateAliasInput {
            alias_name: name.to_owned(),
            target_key_id: keys[key].clone(),
        };
        async { call!(world, update_alias, input) }
    };
    assert_eq!(
        refused(update("alias/31/07", 8).await).0,
        "LimitExceededException"
    );
    update("alias/00/07", 7).await.unwrap();
    assert_eq!(names_of(&world, &keys[7], 1_000).await, all);
    update("alias/31/07", 12).await.unwrap();
    assert_eq!(names_of(&world, &keys[12], 1_000).await, ["alias/31/07"]);
    let sealed = |key: usize| world.encrypt_as(&ann, &keys[key], &none, &[]);
    denial(sealed(7).await);
    assert!(sealed(12).await.is_ok());
    let own = policy(&json!([delegation()]));
    world.put_policy(&keys[7], &own).await;
    assert_eq!(names_of(&world, &keys[7], 1_000).await.len(), 49);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_place_for_an_alias_is_taken_once() {
    let world = std::sync::Arc::new(new_world().await);
    let key = world.key().await.key_id;
    let mut making = Vec::new();
    for at in 0..60 {
        let (world, key) = (world.clone(), key.clone());
        making.push(tokio::spawn(async move {
            alias(&world, &format!("alias/{at}"), &key).await
        }));
    }
    let mut made = 0;
    for one in making {
        match one.await.unwrap() {
            Ok(()) => made += 1,
            refusal => assert_eq!(refused(refusal).0, "LimitExceededException"),
        }
    }
    assert_eq!(made, 50);
    assert_eq!(names_of(&world, &key, 1_000).await.len(), 50);
}
