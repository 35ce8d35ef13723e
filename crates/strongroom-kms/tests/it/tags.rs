// SPDX-License-Identifier: Apache-2.0
//! TagResource, UntagResource, ListResourceTags, UpdateKeyDescription, and UpdateAlias.

use strongroom_kms::{
    CreateAliasInput, CreateKeyInput, Error, ListResourceTagsInput, ScheduleKeyDeletionInput, Tag,
    TagResourceInput, UntagResourceInput, UpdateAliasInput, UpdateKeyDescriptionInput,
};

use crate::world::{World, call, context, new_world, refused};

fn tag(key: &str, value: &str) -> Tag {
    Tag {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

async fn put(world: &World, key_id: &str, tags: Vec<Tag>) -> Result<(), Error> {
    let key_id = key_id.to_owned();
    call!(world, tag_resource, TagResourceInput { key_id, tags })
}

async fn take(world: &World, key_id: &str, names: &[&str]) -> Result<(), Error> {
    let input = UntagResourceInput {
        key_id: key_id.to_owned(),
        tag_keys: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    call!(world, untag_resource, input)
}

async fn list(world: &World, key_id: &str) -> Vec<(String, String)> {
    let input = ListResourceTagsInput {
        key_id: key_id.to_owned(),
        ..ListResourceTagsInput::default()
    };
    let listed = call!(world, list_resource_tags, input).unwrap();
    assert_eq!(listed.next_marker, None);
    let tags = listed.tags.into_iter();
    tags.map(|tag| (tag.key, tag.value)).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    pairs.iter().map(owned).collect()
}

async fn delete_later(world: &World, key_id: &str) {
    let input = ScheduleKeyDeletionInput {
        key_id: key_id.to_owned(),
        pending_window_in_days: None,
    };
    call!(world, schedule_key_deletion, input).unwrap();
}

#[tokio::test]
async fn tags_come_change_and_go() {
    let world = new_world().await;
    let input = CreateKeyInput {
        tags: vec![tag("a", "1")],
        ..CreateKeyInput::default()
    };
    let key = call!(world, create_key, input).unwrap();
    put(&world, &key.arn, vec![tag("b", ""), tag("a", "2")])
        .await
        .unwrap();
    assert_eq!(
        list(&world, &key.key_id).await,
        pairs(&[("a", "2"), ("b", "")])
    );
    take(&world, &key.key_id, &["a", "never there"])
        .await
        .unwrap();
    let world = world.restarted().await;
    assert_eq!(list(&world, &key.key_id).await, pairs(&[("b", "")]));
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "ListResourceTags");
    assert_eq!(event["readOnly"], true);
}

#[tokio::test]
async fn tags_that_no_key_may_have() {
    let world = new_world().await;
    let key = world.key().await;
    let many = |count: usize| (0..count).map(|n| tag(&format!("t{n:02}"), "")).collect();
    put(&world, &key.key_id, many(50)).await.unwrap();
    for (tags, message) in [
        (
            vec![tag("aws:x", "")],
            "Tags beginning with aws: are reserved",
        ),
        (vec![tag("x", ""), tag("x", "1")], "Duplicate tag keys"),
        (vec![tag("one more", "")], "Too many tags"),
        (many(51), "Too many tags"),
    ] {
        assert_eq!(
            refused(put(&world, &key.key_id, tags).await),
            ("TagException", message.to_owned())
        );
    }
    for tags in [
        vec![tag("", "x")],
        vec![tag(&"k".repeat(129), "x")],
        vec![tag("k", &"v".repeat(257))],
    ] {
        assert_eq!(
            refused(put(&world, &key.key_id, tags).await).0,
            "ValidationException"
        );
    }
    for name in ["", &"k".repeat(129)] {
        assert_eq!(
            refused(take(&world, &key.key_id, &[name]).await).0,
            "ValidationException"
        );
    }
    assert_eq!(list(&world, &key.key_id).await.len(), 50);
    put(&world, &key.key_id, vec![tag("t00", "changed")])
        .await
        .unwrap();
}

#[tokio::test]
async fn pages_of_tags() {
    let world = new_world().await;
    let key = world.key().await;
    let tags = (0..7).map(|n| tag(&format!("t{n}"), "")).collect();
    put(&world, &key.key_id, tags).await.unwrap();
    let mut names = Vec::new();
    let mut marker = None;
    loop {
        let input = ListResourceTagsInput {
            key_id: key.key_id.clone(),
            limit: Some(3),
            marker,
        };
        let page = call!(world, list_resource_tags, input).unwrap();
        assert!(page.tags.len() <= 3);
        names.extend(page.tags.into_iter().map(|tag| tag.key));
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t4", "t5", "t6"]);
    for (limit, marker, code) in [
        (Some(0), None, "ValidationException"),
        (Some(51), None, "ValidationException"),
        (None, Some("k00"), "InvalidMarkerException"),
        (None, Some("t0g"), "InvalidMarkerException"),
        (None, Some("tff"), "InvalidMarkerException"),
    ] {
        let input = ListResourceTagsInput {
            key_id: key.key_id.clone(),
            limit,
            marker: marker.map(str::to_owned),
        };
        assert_eq!(refused(call!(world, list_resource_tags, input)).0, code);
    }
}

#[tokio::test]
async fn descriptions() {
    let world = new_world().await;
    let key = world.key().await;
    let update = |description: String| UpdateKeyDescriptionInput {
        key_id: key.arn.clone(),
        description,
    };
    call!(
        world,
        update_key_description,
        update("w\u{f6}rter".to_owned())
    )
    .unwrap();
    assert_eq!(
        world.describe(&key.key_id).await.unwrap().description,
        "w\u{f6}rter"
    );
    call!(world, update_key_description, update("x".repeat(8192))).unwrap();
    let long = call!(world, update_key_description, update("x".repeat(8193)));
    assert_eq!(refused(long).0, "ValidationException");
    call!(world, update_key_description, update(String::new())).unwrap();
    for bad in ["alias/a", "no key"] {
        let input = UpdateKeyDescriptionInput {
            key_id: bad.to_owned(),
            description: String::new(),
        };
        assert_eq!(
            refused(call!(world, update_key_description, input)).0,
            "NotFoundException"
        );
    }
    delete_later(&world, &key.key_id).await;
    let said = (
        "KMSInvalidStateException",
        format!("{} is pending deletion.", key.arn),
    );
    let late = call!(world, update_key_description, update("late".to_owned()));
    assert_eq!(refused(late), said);
    assert_eq!(
        refused(put(&world, &key.key_id, vec![tag("a", "")]).await),
        said
    );
    assert_eq!(refused(take(&world, &key.key_id, &["a"]).await), said);
    assert!(list(&world, &key.key_id).await.is_empty());
}

#[tokio::test]
async fn sec_n82_repointed_alias_decrypts_by_the_key_in_the_blob() {
    let world = new_world().await;
    let (first, second) = (world.key().await, world.key().await);
    let input = CreateAliasInput {
        alias_name: "alias/a".to_owned(),
        target_key_id: first.key_id.clone(),
    };
    call!(world, create_alias, input).unwrap();
    let context = context(&[]);
    let blob = world.encrypt("alias/a", b"x", &context).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    let point = |target: &str| UpdateAliasInput {
        alias_name: "alias/a".to_owned(),
        target_key_id: target.to_owned(),
    };
    call!(world, update_alias, point(&second.arn)).unwrap();
    assert_eq!(world.describe("alias/a").await.unwrap().arn, second.arn);
    let again = world.encrypt("alias/a", b"y", &context).await.unwrap();
    assert_eq!(again.key_arn, second.arn);
    // The old blob is the first key's for ever; asking for the alias is asking for the second.
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
    let wrong = world.decrypt(&blob, &context, Some("alias/a")).await;
    assert_eq!(refused(wrong).0, "IncorrectKeyException");

    for (bad, code) in [
        ("alias/a", "ValidationException"),
        ("12345678-1234-4234-8234-123456789012", "NotFoundException"),
        ("nonsense", "NotFoundException"),
    ] {
        assert_eq!(refused(call!(world, update_alias, point(bad))).0, code);
    }
    let missing = UpdateAliasInput {
        alias_name: "alias/b".to_owned(),
        target_key_id: first.key_id.clone(),
    };
    assert_eq!(
        refused(call!(world, update_alias, missing)).0,
        "NotFoundException"
    );
    let reserved = UpdateAliasInput {
        alias_name: "alias/aws/s3".to_owned(),
        target_key_id: first.key_id.clone(),
    };
    assert_eq!(
        refused(call!(world, update_alias, reserved)).0,
        "InvalidAliasNameException"
    );
    // From a key that is to be deleted, but not to one.
    delete_later(&world, &second.key_id).await;
    call!(world, update_alias, point(&first.key_id)).unwrap();
    assert_eq!(
        refused(call!(world, update_alias, point(&second.key_id))),
        (
            "KMSInvalidStateException",
            format!("{} is pending deletion.", second.arn)
        )
    );
}
