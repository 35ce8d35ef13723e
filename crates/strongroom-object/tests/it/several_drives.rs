// SPDX-License-Identifier: Apache-2.0
//! Objects whose bodies are spread over drives: the same bytes in every mode, with and without the
//! drives that may be lost, and nothing of them in clear on any.

use std::sync::Arc;

use strongroom_object::{ByteRange, EncryptionRequest, Error};
use strongroom_store::drive::{Drive, DriveNo, DriveSet, LocalDrive, SetMember};
use strongroom_store::layout::{DriveUid, Redundancy};
use strongroom_testkit::contents_below;

use crate::at_rest::contains;
use crate::harness::*;

/// Whole stripes and not; under every code the last one has another shape.
const SIZES: [usize; 6] = [
    40_000,
    65_536,
    5 * 65_536,
    8 * 65_536,
    12 * 65_536 + 1,
    25 * 65_536 - 7,
];

fn modes() -> [(fn() -> EncryptionRequest, bool); 4] {
    [
        (|| EncryptionRequest::S3, false),
        (kms, false),
        (|| EncryptionRequest::Customer(customer(b'K')), true),
        (dsse, false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn dur_d8_objects_in_every_mode_survive_the_drives_that_may_be_lost() {
    for (data, parity) in [(1, 1), (3, 2), (4, 2)] {
        let redundancy = Redundancy::new(data, parity).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let drives: Vec<Arc<dyn Drive>> = (0..redundancy.shards())
            .map(|number| {
                let place = folder.path().join(number.to_string());
                Arc::new(LocalDrive::open(&place).unwrap()) as Arc<dyn Drive>
            })
            .collect();
        let members = drives.iter().zip(0_u8..).map(|(drive, number)| {
            let uid = DriveUid([number; 16]);
            SetMember::online(DriveNo(u16::from(number)), uid, "main", Arc::clone(drive))
        });
        let set = DriveSet::new(members.collect()).unwrap();
        let house = house_over(set.clone(), Arc::clone(&drives[0]), redundancy).await;
        house.sse_c_bucket("bucket").await;
        for (mode, (request, _)) in modes().into_iter().enumerate() {
            for size in SIZES {
                let name = format!("{mode}/{size}");
                house
                    .put("bucket", &name, &pattern(size), request())
                    .await
                    .unwrap();
            }
        }
        let entries = house.store.catalogue(None, 1000).unwrap();
        assert_eq!(entries.len(), 4 * SIZES.len());
        assert!(entries.iter().all(|entry| entry.keeping.owed.is_empty()));
        for (file, bytes) in contents_below(folder.path()).unwrap() {
            assert!(!contains(&bytes, b"Plaintext-Marker"), "{}", file.display());
        }
        // The first drive has the tables.
        let last = drives.len();
        for lost in 0..=usize::from(parity) {
            for number in last - lost..last {
                set.set_drive(DriveNo(u16::try_from(number).unwrap()), None);
            }
            for (mode, (_, with_key)) in modes().into_iter().enumerate() {
                for size in SIZES {
                    let name = format!("{mode}/{size}");
                    let key = || with_key.then(|| customer(b'K'));
                    let read = house.get("bucket", &name, key()).await.unwrap();
                    assert!(read == pattern(size), "{redundancy}, {name} without {lost}");
                    let (first, last) = (size / 3, size / 3 + size / 2);
                    let mut input = get_input("bucket", &name, key());
                    input.range = Some(ByteRange::FromTo(first as u64, last as u64));
                    let output = house
                        .objects
                        .get_object(house.request().scope(), input)
                        .await
                        .unwrap();
                    let read = collect(output).await.unwrap();
                    assert!(read == pattern(size)[first..=last], "{name} without {lost}");
                }
            }
        }
        assert!(house.store.blobs().damage().is_empty());
        if last - usize::from(parity) > 1 {
            let number = last - usize::from(parity) - 1;
            set.set_drive(DriveNo(u16::try_from(number).unwrap()), None);
            let name = format!("0/{}", SIZES[5]);
            let error = house.get("bucket", &name, None).await.unwrap_err();
            assert!(
                matches!(&error, Error::Store(inner) if !inner.is_corruption()),
                "{error}"
            );
        }
    }
}
