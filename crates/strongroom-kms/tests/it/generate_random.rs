// SPDX-License-Identifier: Apache-2.0
//! GenerateRandom.

use strongroom_kms::{Error, GenerateRandomInput, Plaintext};

use crate::world::{World, caller_of, new_world, refused};

async fn random(world: &World, number_of_bytes: Option<u16>) -> Result<Plaintext, Error> {
    let receipt = world.receipt();
    let input = GenerateRandomInput { number_of_bytes };
    let result = world.kms.generate_random(&world.caller, &receipt, input);
    let result = result.await;
    receipt.finish_recorded();
    result
}

#[tokio::test]
async fn sec_n83_sizes_of_random_bytes() {
    let world = new_world().await;
    for len in [1, 32, 1024] {
        let bytes = random(&world, Some(len)).await.unwrap();
        assert_eq!(bytes.expose_secret().len(), usize::from(len));
    }
    let (one, two) = (
        random(&world, Some(32)).await.unwrap(),
        random(&world, Some(32)).await.unwrap(),
    );
    assert_ne!(one.expose_secret(), two.expose_secret());
    for (len, message) in [
        (
            Some(1025),
            "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy \
             constraint: Member must have value less than or equal to 1024",
        ),
        (
            Some(0),
            "1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy \
             constraint: Member must have value greater than or equal to 1",
        ),
        (None, "NumberOfBytes is required."),
    ] {
        let refusal = refused(random(&world, len).await);
        assert_eq!(refusal, ("ValidationException", message.to_owned()));
    }
    let event = world.last_event().await;
    assert_eq!(event["eventName"], "GenerateRandom");
    assert_eq!(event["errorCode"], "ValidationException");
}

#[tokio::test]
async fn random_bytes_are_for_the_account() {
    let world = new_world().await;
    let receipt = world.receipt();
    let stranger = caller_of("999988887777");
    let input = GenerateRandomInput {
        number_of_bytes: Some(1),
    };
    let result = world.kms.generate_random(&stranger, &receipt, input).await;
    receipt.finish_recorded();
    assert_eq!(refused(result).0, "AccessDeniedException");
    assert_eq!(world.last_event().await["errorCode"], "AccessDenied");
}
