// SPDX-License-Identifier: Apache-2.0
//! GenerateDataKey and GenerateDataKeyWithoutPlaintext.

use strongroom_format::EncryptionContext;
use strongroom_kms::{DataKeySpec, GenerateDataKeyInput};

use crate::world::{context, new_world, refused};

#[tokio::test]
async fn data_key_and_its_ciphertext_agree() {
    let world = new_world().await;
    let key = world.key().await;
    let none = EncryptionContext::new();
    let specs = [
        (DataKeySpec::Aes128, 16),
        (DataKeySpec::Aes256, 32),
        (DataKeySpec::Bytes(1), 1),
        (DataKeySpec::Bytes(1024), 1024),
    ];
    for (spec, len) in specs {
        let made = world.data_key(&key.key_id, spec).await.unwrap();
        assert_eq!(made.plaintext.expose_secret().len(), len);
        assert_eq!(made.key_arn, key.arn);
        assert_eq!(
            Some(&made.key_material_id),
            key.current_key_material_id.as_ref()
        );
        let opened = world
            .decrypt(&made.ciphertext_blob.0, &none, None)
            .await
            .unwrap();
        assert_eq!(
            opened.plaintext.expose_secret(),
            made.plaintext.expose_secret()
        );
    }
    for spec in [DataKeySpec::Bytes(0), DataKeySpec::Bytes(1025)] {
        assert_eq!(
            refused(world.data_key(&key.key_id, spec).await).0,
            "ValidationException"
        );
    }
}

#[tokio::test]
async fn without_plaintext_opens_later() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[("a", "b")]);
    let receipt = world.receipt();
    let input = GenerateDataKeyInput {
        key_id: key.key_id.clone(),
        spec: DataKeySpec::Aes256,
        context: context.clone(),
        grant_tokens: Vec::new(),
        dry_run: false,
    };
    let made = world
        .kms
        .generate_data_key_without_plaintext(&world.caller, &receipt, input.clone())
        .await
        .unwrap();
    let opened = world
        .decrypt(&made.ciphertext_blob.0, &context, None)
        .await
        .unwrap();
    assert_eq!(opened.plaintext.expose_secret().len(), 32);
    let dry = GenerateDataKeyInput {
        grant_tokens: Vec::new(),
        dry_run: true,
        ..input
    };
    let result = world
        .kms
        .generate_data_key_without_plaintext(&world.caller, &receipt, dry.clone())
        .await;
    assert_eq!(
        refused(result),
        (
            "DryRunOperationException",
            "The request would have succeeded, but the DryRun option is set.".to_owned()
        )
    );
    let result = world
        .kms
        .generate_data_key(&world.caller, &receipt, dry)
        .await;
    assert_eq!(refused(result).0, "DryRunOperationException");
    receipt.finish_recorded();
}

#[test]
fn spec_of_a_request() {
    let spec = DataKeySpec::from_request;
    assert_eq!(spec(Some("AES_128"), None).unwrap(), DataKeySpec::Aes128);
    assert_eq!(spec(Some("AES_256"), None).unwrap(), DataKeySpec::Aes256);
    assert_eq!(spec(None, Some(1)).unwrap(), DataKeySpec::Bytes(1));
    assert_eq!(spec(None, Some(1024)).unwrap(), DataKeySpec::Bytes(1024));
    let wrong = [
        (None, None),
        (Some("AES_256"), Some(32)),
        (Some("AES_512"), None),
        (Some("aes_256"), None),
        (None, Some(0)),
        (None, Some(-1)),
        (None, Some(i64::MIN)),
        (None, Some(i64::MAX)),
    ];
    for (key_spec, bytes) in wrong {
        assert_eq!(refused(spec(key_spec, bytes)).0, "ValidationException");
    }
    assert_eq!(
        refused(spec(None, Some(1025))).1,
        "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy \
         constraint: Member must have value less than or equal to 1024"
    );
}
