// SPDX-License-Identifier: Apache-2.0
//! Random sequences of operations against a map from names to bytes.

use std::collections::BTreeMap;

use strongroom_object::{EncryptionRequest, Error, ListObjects};
use strongroom_testkit::SimRng;

use crate::harness::*;

const STEPS: u32 = 4_000;
const NAMES: u64 = 12;

#[tokio::test]
async fn random_operations_match_the_model() {
    for seed in 1..=5 {
        let house = house().await;
        house.bucket("bucket").await;
        let mut rng = SimRng::new(seed);
        let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for step in 0..STEPS {
            let name = format!("n{}/{}", rng.below(3), rng.below(NAMES));
            let context = format!("seed {seed}, step {step}, {name}");
            match rng.below(10) {
                0..=3 => {
                    let bound = if rng.one_in(20) { 200_000 } else { 300 };
                    let mut bytes = vec![0; rng.index(bound)];
                    rng.fill(&mut bytes);
                    let mode = if rng.one_in(3) {
                        kms()
                    } else {
                        EncryptionRequest::S3
                    };
                    house.put("bucket", &name, &bytes, mode).await.unwrap();
                    model.insert(name, bytes);
                }
                4..=6 => match (house.get("bucket", &name, None).await, model.get(&name)) {
                    (Ok(got), Some(expected)) => assert_eq!(&got, expected, "{context}"),
                    (Err(Error::NoSuchKey { .. }), None) => {}
                    (got, _) => panic!("{context}: {got:?}"),
                },
                7 => {
                    let request = house.request();
                    house
                        .objects
                        .delete_object(request.scope(), delete_input("bucket", &name))
                        .await
                        .unwrap();
                    model.remove(&name);
                }
                _ => {
                    let input = ListObjects {
                        bucket: "bucket".to_owned(),
                        prefix: format!("n{}/", rng.below(3)),
                        delimiter: String::new(),
                        after: None,
                        max_keys: 1000,
                    };
                    let prefix = input.prefix.clone();
                    let request = house.request();
                    let page = house
                        .objects
                        .list_objects(request.scope(), input)
                        .await
                        .unwrap();
                    let got: Vec<_> = page
                        .objects
                        .into_iter()
                        .map(|o| (o.object_key, o.size))
                        .collect();
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|(name, _)| name.starts_with(&prefix))
                        .map(|(name, bytes)| (name.clone(), bytes.len() as u64))
                        .collect();
                    assert_eq!(got, expected, "{context}");
                }
            }
        }
    }
}
