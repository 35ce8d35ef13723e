// SPDX-License-Identifier: Apache-2.0
//! The key service as S3 uses it.

use std::collections::BTreeSet;

use strongroom_kms::{
    CreateAliasInput, DataKeySpec, DescribeKeyInput, DisableKeyInput, KeyManager, ListAliasesInput,
    ListKeysInput,
};

use crate::world::{ACCOUNT, context, new_world, refused};

#[tokio::test]
async fn data_key_opens_again() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[("aws:s3:arn", "arn:aws:s3:::b/k")]);
    let (kms, caller) = (&world.kms, &world.caller);
    let receipt = world.receipt();
    for key_id in [None, Some(key.key_id.as_str()), Some("alias/aws/s3")] {
        let made = kms
            .generate_data_key_for_s3(caller, &receipt, key_id, &context)
            .await
            .unwrap();
        assert_eq!(made.blob.len(), 98);
        let opened = kms
            .decrypt_for_s3(caller, &receipt, &made.blob, &context)
            .await
            .unwrap();
        assert_eq!(opened.expose_secret(), made.plaintext.expose_secret());
        let other = crate::world::context(&[("aws:s3:arn", "arn:aws:s3:::b/j")]);
        let refusal = refused(
            kms.decrypt_for_s3(caller, &receipt, &made.blob, &other)
                .await,
        );
        assert_eq!(refusal, ("InvalidCiphertextException", String::new()));
    }
    drop(receipt);
}

#[tokio::test]
async fn key_of_s3_is_made_on_first_use_and_kept() {
    let world = new_world().await;
    let context = context(&[("aws:s3:arn", "arn:aws:s3:::b/k")]);
    let receipt = world.receipt();
    let made = world
        .kms
        .generate_data_key_for_s3(&world.caller, &receipt, None, &context)
        .await
        .unwrap();
    receipt.finish_recorded();
    let world = world.restarted().await;
    let receipt = world.receipt();
    let again = world
        .kms
        .generate_data_key_for_s3(&world.caller, &receipt, None, &context)
        .await
        .unwrap();
    assert_eq!(again.key_arn, made.key_arn);
    let input = DescribeKeyInput {
        key_id: "alias/aws/s3".to_owned(),
        grant_tokens: Vec::new(),
    };
    let key = world
        .kms
        .describe_key(&world.caller, &receipt, input)
        .await
        .unwrap();
    assert_eq!(key.arn, made.key_arn);
    assert_eq!(key.manager, KeyManager::Aws);
    assert_eq!(
        key.description,
        "Default key that protects my S3 objects when no other key is defined"
    );
    let aliases = world
        .kms
        .list_aliases(&world.caller, &receipt, ListAliasesInput::default());
    assert_eq!(aliases.await.unwrap().aliases[0].alias_name, "alias/aws/s3");
    receipt.finish_recorded();
}

#[tokio::test]
async fn describing_the_alias_of_s3_makes_the_key() {
    let world = new_world().await;
    let receipt = world.receipt();
    let key_id = format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/s3");
    let input = DescribeKeyInput {
        key_id,
        grant_tokens: Vec::new(),
    };
    let key = world
        .kms
        .describe_key(&world.caller, &receipt, input)
        .await
        .unwrap();
    assert_eq!(key.manager, KeyManager::Aws);
    receipt.finish_recorded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_uses_at_the_same_time_make_one_key() {
    for _ in 0..5 {
        let world = new_world().await;
        let uses: Vec<_> = (0..16)
            .map(|_| {
                let (kms, caller, audit) =
                    (world.kms.clone(), world.caller.clone(), world.audit.clone());
                tokio::spawn(async move {
                    let receipt = audit.begin(caller.facts().clone());
                    let context = context(&[("a", "b")]);
                    let made = kms
                        .generate_data_key_for_s3(&caller, &receipt, None, &context)
                        .await;
                    receipt.finish_recorded();
                    made.unwrap().key_arn
                })
            })
            .collect();
        let mut arns = BTreeSet::new();
        for one in uses {
            arns.insert(one.await.unwrap());
        }
        assert_eq!(arns.len(), 1);
        let receipt = world.receipt();
        let keys = world
            .kms
            .list_keys(&world.caller, &receipt, ListKeysInput::default());
        assert_eq!(keys.await.unwrap().keys.len(), 1);
        receipt.finish_recorded();
        let created = world
            .events()
            .await
            .iter()
            .filter(|event| event["eventName"] == "CreateKey")
            .count();
        assert_eq!(created, 1);
    }
}

#[tokio::test]
async fn key_of_s3_is_for_s3_only() {
    let world = new_world().await;
    let context = context(&[("a", "b")]);
    let receipt = world.receipt();
    let (kms, caller) = (&world.kms, &world.caller);
    let made = kms
        .generate_data_key_for_s3(caller, &receipt, None, &context)
        .await
        .unwrap();
    let denied = "AccessDeniedException";
    let alias = "alias/aws/s3";
    assert_eq!(
        refused(world.encrypt(alias, b"x", &context).await).0,
        denied
    );
    assert_eq!(
        refused(world.encrypt(&made.key_arn, b"x", &context).await).0,
        denied
    );
    assert_eq!(
        refused(world.decrypt(&made.blob, &context, None).await).0,
        denied
    );
    assert_eq!(
        refused(world.data_key(alias, DataKeySpec::Aes256).await).0,
        denied
    );
    let input = DisableKeyInput {
        key_id: made.key_arn.clone(),
    };
    assert_eq!(
        refused(kms.disable_key(caller, &receipt, input).await).0,
        denied
    );
    let input = CreateAliasInput {
        alias_name: "alias/mine".to_owned(),
        target_key_id: made.key_arn.clone(),
    };
    assert_eq!(
        refused(kms.create_alias(caller, &receipt, input).await).0,
        denied
    );
    receipt.finish_recorded();
}

#[tokio::test]
async fn keys_of_buckets() {
    let world = new_world().await;
    let (one, two) = ([1; 16], [2; 16]);
    let (key, reference) = world.kms.sse_s3_key(&one).unwrap();
    assert_eq!(reference.len(), 21);
    let (other, _) = world.kms.sse_s3_key(&two).unwrap();
    assert_ne!(key.expose_secret(), other.expose_secret());
    let world = world.restarted().await;
    let opened = world.kms.sse_s3_open(&reference, &one).unwrap();
    assert_eq!(opened.expose_secret(), key.expose_secret());
    assert!(world.kms.sse_s3_open(&reference, &two).is_err());
    for at in 0..reference.len() {
        let mut changed = reference.clone();
        changed[at] ^= 1;
        assert!(world.kms.sse_s3_open(&changed, &one).is_err());
        assert!(world.kms.sse_s3_open(&reference[..at], &one).is_err());
    }
    assert!(
        world
            .kms
            .sse_s3_open(&[reference, vec![0]].concat(), &one)
            .is_err()
    );
}
