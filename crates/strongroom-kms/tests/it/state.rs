// SPDX-License-Identifier: Apache-2.0
//! EnableKey and DisableKey: disabling stops use at once.

use strongroom_kms::{
    DataKeySpec, DescribeKeyInput, DisableKeyInput, EnableKeyInput, Error, KeyState,
};

use crate::world::{World, context, new_world, refused};

async fn disable(world: &World, key_id: &str) -> Result<(), Error> {
    let receipt = world.receipt();
    let input = DisableKeyInput {
        key_id: key_id.to_owned(),
    };
    let result = world.kms.disable_key(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn enable(world: &World, key_id: &str) -> Result<(), Error> {
    let receipt = world.receipt();
    let input = EnableKeyInput {
        key_id: key_id.to_owned(),
    };
    let result = world.kms.enable_key(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

async fn state(world: &World, key_id: &str) -> (KeyState, bool) {
    let receipt = world.receipt();
    let input = DescribeKeyInput {
        key_id: key_id.to_owned(),
        grant_tokens: Vec::new(),
    };
    let key = world
        .kms
        .describe_key(&world.caller, &receipt, input)
        .await
        .unwrap();
    receipt.finish_recorded();
    (key.state, key.enabled)
}

#[tokio::test]
async fn disabled_key_is_of_no_use_until_enabled() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[("a", "b")]);
    let blob = world
        .encrypt(&key.key_id, b"secret", &context)
        .await
        .unwrap()
        .ciphertext_blob
        .0;
    let receipt = world.receipt();
    let for_s3 =
        world
            .kms
            .generate_data_key_for_s3(&world.caller, &receipt, Some(&key.arn), &context);
    let for_s3 = for_s3.await.unwrap();

    disable(&world, &key.key_id).await.unwrap();
    assert_eq!(
        state(&world, &key.key_id).await,
        (KeyState::Disabled, false)
    );
    let said = ("DisabledException", format!("{} is disabled.", key.arn));
    assert_eq!(
        refused(world.encrypt(&key.key_id, b"x", &context).await),
        said
    );
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), said);
    assert_eq!(
        refused(world.data_key(&key.arn, DataKeySpec::Aes128).await),
        said
    );
    let kms = &world.kms;
    let caller = &world.caller;
    let result = kms
        .generate_data_key_for_s3(caller, &receipt, Some(&key.arn), &context)
        .await;
    assert_eq!(refused(result), said);
    let result = kms
        .decrypt_for_s3(caller, &receipt, &for_s3.blob, &context)
        .await;
    assert_eq!(refused(result), said);

    let world = world.restarted().await;
    assert_eq!(refused(world.decrypt(&blob, &context, None).await), said);
    enable(&world, &key.arn).await.unwrap();
    assert_eq!(state(&world, &key.key_id).await, (KeyState::Enabled, true));
    let opened = world.decrypt(&blob, &context, None).await.unwrap();
    assert_eq!(opened.plaintext.expose_secret(), b"secret");
    drop(receipt);
}

#[tokio::test]
async fn state_it_has_already_is_no_change() {
    let world = new_world().await;
    let key = world.key().await;
    enable(&world, &key.key_id).await.unwrap();
    for _ in 0..2 {
        disable(&world, &key.key_id).await.unwrap();
    }
    assert_eq!(state(&world, &key.key_id).await.0, KeyState::Disabled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_that_begins_after_disabling_succeeds() {
    let world = new_world().await;
    let key = world.key().await;
    let uses: Vec<_> = (0..4)
        .map(|_| {
            let (kms, caller, audit) =
                (world.kms.clone(), world.caller.clone(), world.audit.clone());
            let key_arn = key.arn.clone();
            tokio::spawn(async move {
                let context = context(&[("a", "b")]);
                loop {
                    let begun = std::time::Instant::now();
                    let receipt = audit.begin(caller.facts().clone());
                    let made = kms
                        .generate_data_key_for_s3(&caller, &receipt, Some(&key_arn), &context)
                        .await;
                    receipt.finish_recorded();
                    match made {
                        Ok(_) => {}
                        Err(Error::Disabled { .. }) => return begun,
                        Err(error) => panic!("{error}"),
                    }
                    // Not refused: it must have begun before the key was disabled.
                    LAST_SUCCESS.lock().unwrap().push(begun);
                }
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    disable(&world, &key.key_id).await.unwrap();
    let disabled_at = std::time::Instant::now();
    for task in uses {
        task.await.unwrap();
    }
    assert!(
        LAST_SUCCESS
            .lock()
            .unwrap()
            .iter()
            .all(|begun| *begun < disabled_at)
    );
}

static LAST_SUCCESS: std::sync::Mutex<Vec<std::time::Instant>> = std::sync::Mutex::new(Vec::new());

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_the_same_time_all_end() {
    let world = new_world().await;
    let key = world.key().await;
    let changes: Vec<_> = (0..16)
        .map(|number| {
            let (kms, caller, audit) =
                (world.kms.clone(), world.caller.clone(), world.audit.clone());
            let key_id = key.key_id.clone();
            tokio::spawn(async move {
                let receipt = audit.begin(caller.facts().clone());
                let result = if number % 2 == 0 {
                    kms.disable_key(&caller, &receipt, DisableKeyInput { key_id })
                        .await
                } else {
                    kms.enable_key(&caller, &receipt, EnableKeyInput { key_id })
                        .await
                };
                receipt.finish_recorded();
                result
            })
        })
        .collect();
    for change in changes {
        change.await.unwrap().unwrap();
    }
}
