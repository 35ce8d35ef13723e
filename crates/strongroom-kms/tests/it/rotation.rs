// SPDX-License-Identifier: Apache-2.0
//! Rotation: automatic, on demand, and what is told of it.

use strongroom_kms::{
    CancelKeyDeletionInput, DisableKeyInput, DisableKeyRotationInput, EnableKeyInput,
    EnableKeyRotationInput, Error, GetKeyRotationStatusInput, GetKeyRotationStatusOutput,
    ListKeyRotationsInput, RotateKeyOnDemandInput, RotationType, RotationsListEntry,
    ScheduleKeyDeletionInput,
};

use crate::world::{DAY_MS, NOON_MS, World, call, context, new_world, refused};

async fn enable(world: &World, key_id: &str, days: Option<i64>) -> Result<(), Error> {
    let input = EnableKeyRotationInput {
        key_id: key_id.to_owned(),
        rotation_period_in_days: days,
    };
    call!(world, enable_key_rotation, input)
}

async fn status(world: &World, key_id: &str) -> Result<GetKeyRotationStatusOutput, Error> {
    let key_id = key_id.to_owned();
    call!(
        world,
        get_key_rotation_status,
        GetKeyRotationStatusInput { key_id }
    )
}

async fn rotate(world: &World, key_id: &str) -> Result<String, Error> {
    let key_id = key_id.to_owned();
    call!(
        world,
        rotate_key_on_demand,
        RotateKeyOnDemandInput { key_id }
    )
}

async fn rotations(world: &World, key_id: &str, all: bool) -> Vec<RotationsListEntry> {
    let input = ListKeyRotationsInput {
        key_id: key_id.to_owned(),
        all_key_material: all,
        ..ListKeyRotationsInput::default()
    };
    call!(world, list_key_rotations, input).unwrap().rotations
}

#[tokio::test]
async fn on_demand_rotation_keeps_what_was_before() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[("a", "b")]);
    let mut blobs = Vec::new();
    let mut ids = vec![key.current_key_material_id.clone().unwrap()];
    for turn in 0..4_u8 {
        let blob = world.encrypt(&key.arn, &[turn], &context).await.unwrap();
        blobs.push(blob.ciphertext_blob.0);
        assert_eq!(rotate(&world, &key.arn).await.unwrap(), key.key_id);
        let told = world.describe(&key.key_id).await.unwrap();
        ids.push(told.current_key_material_id.unwrap());
    }
    let event = world.events().await;
    let event = event
        .iter()
        .rfind(|event| event["eventName"] == "RotateKeyOnDemand");
    assert_eq!(event.unwrap()["resources"][0]["ARN"], key.arn);
    let world = world.restarted().await;
    for (turn, blob) in blobs.iter().enumerate() {
        let opened = world.decrypt(blob, &context, None).await.unwrap();
        assert_eq!(
            opened.plaintext.expose_secret(),
            [u8::try_from(turn).unwrap()]
        );
        assert_eq!(opened.key_material_id.as_ref(), Some(&ids[turn]));
    }
    let listed = rotations(&world, &key.key_id, true).await;
    let told: Vec<_> = listed.iter().map(|entry| &entry.key_material_id).collect();
    assert_eq!(told, ids.iter().collect::<Vec<_>>());
    assert_eq!(listed[0].rotation_ms, None);
    assert_eq!(listed[0].key_material_state, "NON_CURRENT");
    assert_eq!(listed[4].key_material_state, "CURRENT");
    assert_eq!(listed[4].rotation_type, Some(RotationType::OnDemand));
    assert_eq!(listed[4].rotation_ms, Some(NOON_MS));
    assert_eq!(listed[4].imported, None);
    assert_eq!(rotations(&world, &key.key_id, false).await, listed[1..]);
}

#[tokio::test]
async fn no_more_than_25_rotations_on_demand() {
    let world = new_world().await;
    let key = world.key().await;
    for _ in 0..25 {
        rotate(&world, &key.key_id).await.unwrap();
    }
    let message = format!(
        "The on-demand rotations limit has been reached for the given keyId. No more on-demand \
         rotations can be performed for this key: {}",
        key.arn
    );
    assert_eq!(
        refused(rotate(&world, &key.key_id).await),
        ("LimitExceededException", message)
    );
    assert_eq!(rotations(&world, &key.key_id, false).await.len(), 25);
}

#[tokio::test]
async fn automatic_rotation_comes_when_it_is_due() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let first = world.encrypt(&key.arn, b"1", &context).await.unwrap();
    enable(&world, &key.key_id, Some(90)).await.unwrap();
    let told = status(&world, &key.key_id).await.unwrap();
    assert_eq!(told.rotation_period_in_days, Some(90));
    assert_eq!(told.next_rotation_ms, Some(NOON_MS + 90 * DAY_MS));
    assert_eq!(told.key_id, key.key_id);
    world.clock.advance_ms(90 * DAY_MS - 1);
    assert_eq!(world.run_due().await.rotated, 0);
    world.clock.advance_ms(1);
    assert_eq!(world.run_due().await.rotated, 1);
    assert_eq!(world.run_due().await.rotated, 0);
    let events = world.events().await;
    let event = events
        .iter()
        .rfind(|event| event["eventName"] == "RotateKey");
    let detail = &event.unwrap()["additionalEventData"]["serviceEventDetails"];
    assert_eq!(detail["rotationType"], "AUTOMATIC");
    assert_eq!(
        detail["previousKeyMaterialId"],
        key.current_key_material_id.clone().unwrap()
    );
    let now = world.describe(&key.key_id).await.unwrap();
    assert_eq!(
        detail["currentKeyMaterialId"],
        now.current_key_material_id.clone().unwrap()
    );
    assert_ne!(now.current_key_material_id, key.current_key_material_id);
    let opened = world
        .decrypt(&first.ciphertext_blob.0, &context, None)
        .await
        .unwrap();
    assert_eq!(opened.key_material_id, key.current_key_material_id);
    let told = status(&world, &key.key_id).await.unwrap();
    assert_eq!(told.next_rotation_ms, Some(NOON_MS + 180 * DAY_MS));
    let listed = rotations(&world, &key.key_id, false).await;
    assert_eq!(listed[0].rotation_type, Some(RotationType::Automatic));
    // On demand does not change the schedule.
    rotate(&world, &key.key_id).await.unwrap();
    assert_eq!(status(&world, &key.key_id).await.unwrap(), told);

    let key_id = key.key_id.clone();
    call!(
        world,
        disable_key_rotation,
        DisableKeyRotationInput { key_id }
    )
    .unwrap();
    assert_eq!(
        status(&world, &key.key_id)
            .await
            .unwrap()
            .rotation_period_in_days,
        None
    );
    world.clock.advance_ms(1000 * DAY_MS);
    assert_eq!(world.run_due().await.rotated, 0);
}

#[tokio::test]
async fn disabled_keys_do_not_rotate_until_they_are_enabled() {
    let world = new_world().await;
    let key = world.key().await;
    enable(&world, &key.key_id, None).await.unwrap();
    let told = status(&world, &key.key_id).await.unwrap();
    assert_eq!(told.rotation_period_in_days, Some(365));
    let key_id = key.key_id.clone();
    call!(world, disable_key, DisableKeyInput { key_id }).unwrap();
    world.clock.advance_ms(400 * DAY_MS);
    assert_eq!(world.run_due().await.rotated, 0);
    let said = ("DisabledException", format!("{} is disabled.", key.arn));
    assert_eq!(refused(rotate(&world, &key.key_id).await), said);
    assert_eq!(refused(enable(&world, &key.key_id, None).await), said);
    let key_id = key.key_id.clone();
    let off = call!(
        world,
        disable_key_rotation,
        DisableKeyRotationInput { key_id }
    );
    assert_eq!(refused(off), said);
    assert_eq!(
        status(&world, &key.key_id)
            .await
            .unwrap()
            .rotation_period_in_days,
        Some(365)
    );
    let key_id = key.key_id.clone();
    call!(world, enable_key, EnableKeyInput { key_id }).unwrap();
    assert_eq!(world.run_due().await.rotated, 1);
}

#[tokio::test]
async fn keys_to_be_deleted_do_not_rotate() {
    let world = new_world().await;
    let key = world.key().await;
    enable(&world, &key.key_id, Some(2560)).await.unwrap();
    let input = ScheduleKeyDeletionInput {
        key_id: key.key_id.clone(),
        pending_window_in_days: None,
    };
    call!(world, schedule_key_deletion, input).unwrap();
    let said = (
        "KMSInvalidStateException",
        format!("{} is pending deletion.", key.arn),
    );
    assert_eq!(refused(rotate(&world, &key.key_id).await), said);
    assert_eq!(refused(enable(&world, &key.key_id, None).await), said);
    let told = status(&world, &key.key_id).await.unwrap();
    assert_eq!(told.rotation_period_in_days, None);
    let key_id = key.key_id.clone();
    call!(
        world,
        cancel_key_deletion,
        CancelKeyDeletionInput { key_id }
    )
    .unwrap();
    let told = status(&world, &key.key_id).await.unwrap();
    assert_eq!(told.rotation_period_in_days, Some(2560));
}

#[tokio::test]
async fn periods_and_names_out_of_bounds() {
    let world = new_world().await;
    let key = world.key().await;
    for days in [89, 0, -90, i64::MIN, 2561, i64::MAX] {
        let (code, message) = refused(enable(&world, &key.key_id, Some(days)).await);
        assert_eq!(code, "ValidationException");
        assert!(message.contains(&format!("Value '{days}' at 'rotationPeriodInDays'")));
    }
    for bad in ["alias/x", "nonsense"] {
        assert_eq!(
            refused(enable(&world, bad, None).await).0,
            "NotFoundException"
        );
        assert_eq!(refused(status(&world, bad).await).0, "NotFoundException");
        assert_eq!(refused(rotate(&world, bad).await).0, "NotFoundException");
    }
    for (limit, marker, code) in [
        (Some(0), None, "ValidationException"),
        (Some(1001), None, "ValidationException"),
        (None, Some("r00"), "InvalidMarkerException"),
        (None, Some("t00000001"), "InvalidMarkerException"),
    ] {
        let input = ListKeyRotationsInput {
            key_id: key.key_id.clone(),
            all_key_material: true,
            limit,
            marker: marker.map(str::to_owned),
        };
        assert_eq!(refused(call!(world, list_key_rotations, input)).0, code);
    }
}

#[tokio::test]
async fn pages_of_rotations() {
    let world = new_world().await;
    let key = world.key().await;
    for _ in 0..6 {
        rotate(&world, &key.key_id).await.unwrap();
    }
    let whole = rotations(&world, &key.key_id, true).await;
    assert_eq!(whole.len(), 7);
    let mut paged = Vec::new();
    let mut marker = None;
    loop {
        let input = ListKeyRotationsInput {
            key_id: key.key_id.clone(),
            all_key_material: true,
            limit: Some(3),
            marker,
        };
        let page = call!(world, list_key_rotations, input).unwrap();
        assert!(page.rotations.len() <= 3);
        paged.extend(page.rotations);
        marker = page.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole);
}

#[tokio::test]
async fn keys_of_services_rotate_every_year_and_are_nobodys_to_change() {
    let world = new_world().await;
    let context = context(&[]);
    let receipt = world.receipt();
    let made = world
        .kms
        .generate_data_key_for_s3(&world.caller, &receipt, None, &context)
        .await
        .unwrap();
    let told = status(&world, &made.key_arn).await.unwrap();
    assert_eq!(told.rotation_period_in_days, Some(365));
    let input = || ScheduleKeyDeletionInput {
        key_id: made.key_arn.clone(),
        pending_window_in_days: None,
    };
    call!(world, schedule_key_deletion, input()).unwrap_err();
    enable(&world, &made.key_arn, Some(90)).await.unwrap_err();
    rotate(&world, &made.key_arn).await.unwrap_err();
    let key_id = made.key_arn.clone();
    call!(
        world,
        disable_key_rotation,
        DisableKeyRotationInput { key_id }
    )
    .unwrap_err();
    let key_id = made.key_arn.clone();
    call!(world, disable_key, DisableKeyInput { key_id }).unwrap_err();
    world.clock.advance_ms(365 * DAY_MS);
    assert_eq!(world.run_due().await.rotated, 1);
    let opened = world
        .kms
        .decrypt_for_s3(&world.caller, &receipt, &made.blob, &context)
        .await
        .unwrap();
    assert_eq!(opened.expose_secret(), made.plaintext.expose_secret());
    let next = world
        .kms
        .generate_data_key_for_s3(&world.caller, &receipt, None, &context)
        .await
        .unwrap();
    assert_ne!(next.key_material_id, made.key_material_id);
    receipt.finish_recorded();
}
