// SPDX-License-Identifier: Apache-2.0
//! CreateAlias, ListAliases, DeleteAlias.

use strongroom_kms::{
    AliasListEntry, CreateAliasInput, DataKeySpec, DeleteAliasInput, Error, ListAliasesInput,
    ListAliasesOutput,
};

use crate::world::{ACCOUNT, NOON_MS, World, new_world, refused};

async fn create(world: &World, alias: &str, target: &str) -> Result<(), Error> {
    let receipt = world.receipt();
    let input = CreateAliasInput {
        alias_name: alias.to_owned(),
        target_key_id: target.to_owned(),
    };
    let result = world.kms.create_alias(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn delete(world: &World, alias: &str) -> Result<(), Error> {
    let receipt = world.receipt();
    let input = DeleteAliasInput {
        alias_name: alias.to_owned(),
    };
    let result = world.kms.delete_alias(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn list(world: &World, input: ListAliasesInput) -> Result<ListAliasesOutput, Error> {
    let receipt = world.receipt();
    let result = world.kms.list_aliases(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

fn names(page: &ListAliasesOutput) -> Vec<&str> {
    page.aliases
        .iter()
        .map(|alias| alias.alias_name.as_str())
        .collect()
}

#[tokio::test]
async fn made_listed_and_taken_away() {
    let world = new_world().await;
    let key = world.key().await;
    create(&world, "alias/app/data-1_x", &key.arn)
        .await
        .unwrap();
    let page = list(&world, ListAliasesInput::default()).await.unwrap();
    assert_eq!(
        page.aliases,
        [AliasListEntry {
            alias_name: "alias/app/data-1_x".to_owned(),
            alias_arn: format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/app/data-1_x"),
            target_key_id: key.key_id.clone(),
            created_ms: NOON_MS,
            updated_ms: NOON_MS,
        }]
    );
    assert_eq!(page.next_marker, None);
    delete(&world, "alias/app/data-1_x").await.unwrap();
    let said = format!("Alias arn:aws:kms:us-east-1:{ACCOUNT}:alias/app/data-1_x is not found.");
    let refusal = refused(delete(&world, "alias/app/data-1_x").await);
    assert_eq!(refusal, ("NotFoundException", said));
    let refusal = refused(
        world
            .data_key("alias/app/data-1_x", DataKeySpec::Aes256)
            .await,
    );
    assert_eq!(refusal.0, "NotFoundException");
    assert!(
        world
            .data_key(&key.key_id, DataKeySpec::Aes256)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn names_that_no_alias_may_have() {
    let world = new_world().await;
    let key = world.key().await;
    let prefix = "Alias must start with the prefix \"alias/\". Please see \
                  https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html";
    assert_eq!(
        refused(create(&world, "mine", &key.key_id).await),
        ("ValidationException", prefix.to_owned())
    );
    let long = format!("alias/{}", "x".repeat(251));
    let cases = [
        ("", "ValidationException"),
        ("alias", "ValidationException"),
        ("Alias/x", "ValidationException"),
        ("alias/a b", "ValidationException"),
        ("alias/\u{e4}", "ValidationException"),
        (&long, "ValidationException"),
        ("alias/", "InvalidAliasNameException"),
        ("alias/a:b", "InvalidAliasNameException"),
        ("alias/aws/s3", "InvalidAliasNameException"),
        ("alias/aws/mine", "InvalidAliasNameException"),
    ];
    for (name, code) in cases {
        assert_eq!(
            refused(create(&world, name, &key.key_id).await).0,
            code,
            "{name}"
        );
        assert_eq!(refused(delete(&world, name).await).0, code, "{name}");
    }
    create(&world, &long[..256], &key.key_id).await.unwrap();
}

#[tokio::test]
async fn targets_that_are_no_keys() {
    let world = new_world().await;
    let key = world.key().await;
    create(&world, "alias/a", &key.key_id).await.unwrap();
    assert_eq!(
        refused(create(&world, "alias/b", "alias/a").await),
        (
            "ValidationException",
            "Aliases must refer to keys. Not aliases".to_owned()
        )
    );
    let absent = "12345678-1234-4234-8234-123456789012";
    assert_eq!(
        refused(create(&world, "alias/b", absent).await).0,
        "NotFoundException"
    );
    assert_eq!(
        refused(create(&world, "alias/b", "x").await).0,
        "NotFoundException"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_a_name_one_gets_it() {
    let world = new_world().await;
    let key = world.key().await;
    let tries: Vec<_> = (0..12)
        .map(|_| {
            let (kms, caller, audit) =
                (world.kms.clone(), world.caller.clone(), world.audit.clone());
            let input = CreateAliasInput {
                alias_name: "alias/one".to_owned(),
                target_key_id: key.key_id.clone(),
            };
            tokio::spawn(async move {
                let receipt = audit.begin(caller.facts().clone());
                let result = kms.create_alias(&caller, &receipt, input).await;
                receipt.finish_recorded();
                result
            })
        })
        .collect();
    let mut made = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(()) => made += 1,
            Err(error) => {
                let arn = format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/one");
                assert_eq!(error.code(), "AlreadyExistsException");
                let said = format!("An alias with the name {arn} already exists");
                assert_eq!(error.to_string(), said);
            }
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn pages() {
    let world = new_world().await;
    let (one, two) = (world.key().await, world.key().await);
    for number in 0..7 {
        let target = if number % 2 == 0 { &one } else { &two };
        create(&world, &format!("alias/k{number}"), &target.key_id)
            .await
            .unwrap();
    }
    let mut marker = None;
    let mut seen = Vec::new();
    loop {
        let input = ListAliasesInput {
            limit: Some(3),
            marker,
            key_id: None,
        };
        let page = list(&world, input).await.unwrap();
        assert!(page.aliases.len() == 3 || page.next_marker.is_none());
        seen.extend(names(&page).into_iter().map(str::to_owned));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..7).map(|number| format!("alias/k{number}")).collect();
    assert_eq!(seen, expected);

    let of_two = |limit, marker| {
        list(
            &world,
            ListAliasesInput {
                key_id: Some(two.arn.clone()),
                limit,
                marker,
            },
        )
    };
    let page = of_two(Some(2), None).await.unwrap();
    assert_eq!(names(&page), ["alias/k1", "alias/k3"]);
    let page = of_two(Some(2), page.next_marker).await.unwrap();
    assert_eq!(
        (names(&page), page.next_marker.clone()),
        (vec!["alias/k5"], None)
    );

    for limit in [0, -1, 1001] {
        assert_eq!(
            refused(of_two(Some(limit), None).await).0,
            "ValidationException"
        );
    }
    for marker in ["", "x", "a", "azz", "k616c", "a0g"] {
        let refusal = refused(of_two(None, Some(marker.to_owned())).await);
        assert_eq!(refusal.0, "InvalidMarkerException", "{marker}");
    }
    let input = ListAliasesInput {
        key_id: Some("alias/k1".to_owned()),
        ..ListAliasesInput::default()
    };
    assert_eq!(refused(list(&world, input).await).0, "NotFoundException");
}

#[tokio::test]
async fn fifty_aliases_for_a_key() {
    let world = new_world().await;
    let key = world.key().await;
    for number in 0..50 {
        create(&world, &format!("alias/k{number}"), &key.key_id)
            .await
            .unwrap();
    }
    let refusal = refused(create(&world, "alias/more", &key.key_id).await);
    assert_eq!(refusal.0, "LimitExceededException");
}
