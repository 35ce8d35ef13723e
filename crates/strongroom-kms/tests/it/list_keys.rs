// SPDX-License-Identifier: Apache-2.0
//! ListKeys.

use strongroom_kms::{Error, ListKeysInput, ListKeysOutput};

use crate::world::{World, new_world, refused};

async fn list(
    world: &World,
    limit: Option<i64>,
    marker: Option<String>,
) -> Result<ListKeysOutput, Error> {
    let receipt = world.receipt();
    let input = ListKeysInput { limit, marker };
    let result = world.kms.list_keys(&world.caller, &receipt, input).await;
    receipt.finish_recorded();
    result
}

#[tokio::test]
async fn pages() {
    let world = new_world().await;
    assert!(list(&world, None, None).await.unwrap().keys.is_empty());
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.key().await.arn);
    }
    made.sort();
    for limit in 1..7 {
        let mut seen = Vec::new();
        let mut marker = None;
        loop {
            let page = list(&world, Some(limit), marker).await.unwrap();
            assert!(i64::try_from(page.keys.len()).unwrap() <= limit);
            for entry in page.keys {
                assert!(entry.key_arn.ends_with(&format!(":key/{}", entry.key_id)));
                seen.push(entry.key_arn);
            }
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen, made);
    }
}

#[tokio::test]
async fn limits_and_markers_out_of_bounds() {
    let world = new_world().await;
    world.key().await;
    for limit in [0, -5, 1001] {
        assert_eq!(
            refused(list(&world, Some(limit), None).await).0,
            "ValidationException"
        );
    }
    for marker in ["", "k", "kzz", "k00", "a00112233445566778899aabbccddeeff"] {
        let refusal = refused(list(&world, None, Some(marker.to_owned())).await);
        assert_eq!(refusal.0, "InvalidMarkerException", "{marker}");
    }
}
