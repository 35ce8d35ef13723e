// SPDX-License-Identifier: Apache-2.0
//! Storage classes, and archived objects from their upload to the end of their restore.

use std::sync::{Arc, Mutex};

use strongroom_object::{
    Checksum, CopyObject, CopySource, CreateMultipartUpload, CustomerKey, DAY_MS,
    EncryptionRequest, Error, GetObjectAttributes, KmsKeyArn, ListObjects, ObjectHead, Properties,
    PropertiesDirective, ReadConditions, RestoreObject, RestoreStarted, RestoreStatus, RestoreTier,
    StorageClass, UpdateObjectEncryption, UploadPart, WriteConditions,
};
use strongroom_store::{AtRest, AtRestError};
use strongroom_testkit::SimDrive;

use crate::harness::*;

const HOUR_MS: u64 = 60 * 60 * 1_000;

impl House {
    pub(crate) async fn put_class(
        &self,
        name: &str,
        bytes: &[u8],
        encryption: EncryptionRequest,
        class: StorageClass,
    ) -> Result<Option<Checksum>, Error> {
        let mut input = put_input("bucket", name, bytes, encryption);
        input.storage_class = class;
        let stored = self.objects.put_object(self.request().scope(), input).await;
        stored.map(|stored| stored.checksum)
    }

    pub(crate) async fn head(&self, name: &str, key: Option<CustomerKey>) -> ObjectHead {
        let input = get_input("bucket", name, key);
        let head = self
            .objects
            .head_object(self.request().scope(), input)
            .await;
        head.unwrap().0
    }

    pub(crate) async fn restore(
        &self,
        name: &str,
        days: u32,
        tier: RestoreTier,
    ) -> Result<RestoreStarted, Error> {
        let input = RestoreObject {
            bucket: "bucket".to_owned(),
            object_key: name.to_owned(),
            version_id: None,
            days,
            tier,
        };
        self.objects
            .restore_object(self.request().scope(), input)
            .await
    }

    pub(crate) async fn copy_class(
        &self,
        from: &str,
        to: &str,
        class: Option<StorageClass>,
    ) -> Result<(), Error> {
        let input = CopyObject {
            source: CopySource {
                bucket: "bucket".to_owned(),
                object_key: from.to_owned(),
                version_id: None,
                conditions: ReadConditions::default(),
                customer_key: None,
            },
            bucket: "bucket".to_owned(),
            object_key: to.to_owned(),
            directive: PropertiesDirective::Copy,
            encryption: EncryptionRequest::Default { bucket_key: None },
            storage_class: class,
            conditions: WriteConditions::default(),
            checksum_algorithm: None,
        };
        let copied = self
            .objects
            .copy_object(self.request().scope(), input)
            .await;
        copied.map(drop)
    }
}

type Mode = (fn() -> EncryptionRequest, fn() -> Option<CustomerKey>);

fn archived(result: Result<Vec<u8>, Error>, class: StorageClass) {
    match result {
        Err(Error::Archived { class: found, .. }) => assert_eq!(found, class),
        other => panic!("not archived: {other:?}"),
    }
}

#[tokio::test]
async fn every_class_holds_every_mode() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let bytes = pattern(150_000);
    let modes: [Mode; 4] = [
        (|| EncryptionRequest::S3, || None),
        (kms, || None),
        (dsse, || None),
        (
            || EncryptionRequest::Customer(customer(3)),
            || Some(customer(3)),
        ),
    ];
    for class in StorageClass::ALL {
        for (number, (request, key)) in modes.iter().enumerate() {
            for (kind, bytes) in [("small", &b"small"[..]), ("big", &bytes)] {
                let name = format!("{}/{number}/{kind}", class.name());
                let name = name.as_str();
                house
                    .put_class(name, bytes, request(), class)
                    .await
                    .unwrap();
                let head = house.head(name, key()).await;
                assert_eq!((head.storage_class, head.restore), (class, None));
                if !class.is_archive() {
                    assert_eq!(house.get("bucket", name, key()).await.unwrap(), bytes);
                    continue;
                }
                archived(house.get("bucket", name, key()).await, class);
                // No key is needed to restore, and the right one to read.
                let started = house.restore(name, 1, RestoreTier::Standard).await;
                assert_eq!(started.unwrap(), RestoreStarted::Accepted);
                archived(house.get("bucket", name, key()).await, class);
                assert_eq!(
                    house.head(name, key()).await.restore,
                    Some(RestoreStatus::Ongoing)
                );
            }
        }
    }
    house.clock.advance_ms(12 * HOUR_MS);
    for class in [StorageClass::Glacier, StorageClass::DeepArchive] {
        for (number, (_, key)) in modes.iter().enumerate() {
            for (kind, bytes) in [("small", &b"small"[..]), ("big", &bytes)] {
                let name = format!("{}/{number}/{kind}", class.name());
                assert_eq!(
                    house.get("bucket", &name, key()).await.unwrap(),
                    bytes,
                    "{name}"
                );
            }
        }
        let locked = format!("{}/3/big", class.name());
        for wrong in [None, Some(customer(4))] {
            assert!(house.get("bucket", &locked, wrong).await.is_err());
        }
    }
    let listed = house
        .objects
        .list_objects(
            house.request().scope(),
            ListObjects {
                bucket: "bucket".to_owned(),
                prefix: String::new(),
                delimiter: String::new(),
                after: None,
                max_keys: 1_000,
            },
        )
        .await
        .unwrap();
    assert_eq!(listed.objects.len(), 40);
    for object in listed.objects {
        assert!(object.object_key.starts_with(object.storage_class.name()));
        assert_eq!(object.restore.is_some(), object.storage_class.is_archive());
    }
}

#[tokio::test]
async fn a_restore_has_its_time_and_ends() {
    let house = house().await;
    house.bucket("bucket").await;
    let class = StorageClass::Glacier;
    house
        .put_class("k", b"cold", EncryptionRequest::S3, class)
        .await
        .unwrap();
    archived(house.get("bucket", "k", None).await, class);
    let accepted = Ok::<_, ()>(RestoreStarted::Accepted);
    assert_eq!(
        house.restore("k", 2, RestoreTier::Bulk).await.map_err(drop),
        accepted
    );
    // It can be hurried, and not slowed down or started again.
    for tier in [RestoreTier::Bulk, RestoreTier::Bulk] {
        let again = house.restore("k", 2, tier).await;
        assert!(matches!(again, Err(Error::RestoreInProgress)));
    }
    house.clock.advance_ms(HOUR_MS);
    let hurried = house.restore("k", 9, RestoreTier::Standard).await;
    assert_eq!(hurried.unwrap(), RestoreStarted::Accepted);
    let slower = house.restore("k", 2, RestoreTier::Standard).await;
    assert!(matches!(slower, Err(Error::RestoreInProgress)));
    house.clock.advance_ms(5 * HOUR_MS - 1);
    archived(house.get("bucket", "k", None).await, class);
    house.clock.advance_ms(1);
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"cold");
    // Days are those that were asked for first, from when it would have been there.
    let expires = |from_ms: u64, days: u64| (from_ms / DAY_MS + days + 1) * DAY_MS;
    let until = expires(NOW_MS + 12 * HOUR_MS, 2);
    let head = house.head("k", None).await;
    assert_eq!(head.restore, Some(RestoreStatus::Until(until)));
    assert_eq!(
        head.last_modified_ms, NOW_MS,
        "a restore is no change of the object"
    );
    // Asked again it counts from now, for longer or for less long.
    let longer = house.restore("k", 30, RestoreTier::Expedited).await;
    assert_eq!(longer.unwrap(), RestoreStarted::Extended);
    let now = NOW_MS + 6 * HOUR_MS;
    let until = Some(RestoreStatus::Until(expires(now, 30)));
    assert_eq!(house.head("k", None).await.restore, until);
    let shorter = house.restore("k", 1, RestoreTier::Bulk).await;
    assert_eq!(shorter.unwrap(), RestoreStarted::Extended);
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"cold");
    house.clock.set_ms(expires(now, 1) - 1);
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), b"cold");
    house.clock.set_ms(expires(now, 1));
    archived(house.get("bucket", "k", None).await, class);
    let head = house.head("k", None).await;
    assert_eq!((head.restore, head.storage_class), (None, class));
    // And again from the beginning.
    let started = house.restore("k", 1, RestoreTier::Expedited).await;
    assert_eq!(started.unwrap(), RestoreStarted::Accepted);
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused() {
    let house = house().await;
    house.bucket("bucket").await;
    for class in [
        StorageClass::Standard,
        StorageClass::StandardIa,
        StorageClass::OneZoneIa,
    ] {
        house
            .put_class("warm", b"x", EncryptionRequest::S3, class)
            .await
            .unwrap();
        let refused = house.restore("warm", 1, RestoreTier::Standard).await;
        assert!(
            matches!(refused, Err(Error::RestoreNotAllowed)),
            "{class:?}"
        );
    }
    let deep = StorageClass::DeepArchive;
    house
        .put_class("deep", b"x", EncryptionRequest::S3, deep)
        .await
        .unwrap();
    let refused = house.restore("deep", 1, RestoreTier::Expedited).await;
    assert!(matches!(refused, Err(Error::RestoreTierUnsupported { .. })));
    let missing = house.restore("missing", 1, RestoreTier::Standard).await;
    assert!(matches!(missing, Err(Error::NoSuchKey { .. })));
    let empty = house.restore("", 1, RestoreTier::Standard).await;
    assert!(matches!(empty, Err(Error::InvalidObjectName)));
}

#[tokio::test]
async fn copies_say_their_own_class_and_archives_are_no_source() {
    let house = house().await;
    house.bucket("bucket").await;
    let bytes = pattern(150_000);
    let ia = StorageClass::StandardIa;
    house
        .put_class("ia", &bytes, EncryptionRequest::S3, ia)
        .await
        .unwrap();
    house.copy_class("ia", "plain", None).await.unwrap();
    assert_eq!(
        house.head("plain", None).await.storage_class,
        StorageClass::Standard
    );
    // A copy that stands on the same bodies has a class of its own.
    let cold = Some(StorageClass::Glacier);
    house.copy_class("ia", "cold", cold).await.unwrap();
    assert_eq!(
        house.head("cold", None).await.storage_class,
        StorageClass::Glacier
    );
    assert_eq!(house.head("ia", None).await.storage_class, ia);
    assert_eq!(house.get("bucket", "ia", None).await.unwrap(), bytes);
    let refused = house.copy_class("cold", "x", None).await;
    assert!(matches!(
        refused,
        Err(Error::Archived {
            class: StorageClass::Glacier,
            copy_source: true
        })
    ));
    house
        .restore("cold", 1, RestoreTier::Expedited)
        .await
        .unwrap();
    assert!(house.copy_class("cold", "x", None).await.is_err());
    house.clock.advance_ms(HOUR_MS);
    // A restored object becomes warm by a copy onto itself.
    house
        .copy_class("cold", "cold", Some(StorageClass::Standard))
        .await
        .unwrap();
    let head = house.head("cold", None).await;
    assert_eq!(
        (head.storage_class, head.restore),
        (StorageClass::Standard, None)
    );
    assert_eq!(house.get("bucket", "cold", None).await.unwrap(), bytes);
    // The class alone is enough of a change, as S3 has it, also if it is the one of now.
    let nothing = house.copy_class("plain", "plain", None).await;
    assert!(matches!(nothing, Err(Error::CopyOntoItself)));
    for class in [StorageClass::Standard, ia] {
        house
            .copy_class("plain", "plain", Some(class))
            .await
            .unwrap();
        assert_eq!(house.head("plain", None).await.storage_class, class);
    }
}

#[tokio::test]
async fn uploads_keep_the_class_that_they_were_opened_with() {
    let house = house().await;
    house.bucket("bucket").await;
    let class = StorageClass::DeepArchive;
    let create = CreateMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        properties: Properties::default(),
        encryption: EncryptionRequest::S3,
        storage_class: class,
        checksum_algorithm: None,
        checksum_type: None,
    };
    let request = house.request();
    let upload = house
        .objects
        .create_multipart_upload(request.scope(), create);
    let upload = upload.await.unwrap().upload_id;
    let bytes = pattern(100_000);
    let part = UploadPart {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        upload_id: upload.clone(),
        part_number: 1,
        customer_key: None,
        content_length: 100_000,
        checksum: strongroom_object::ChecksumRequest::default(),
        body: body(&bytes),
    };
    let part = house
        .objects
        .upload_part(house.request().scope(), part)
        .await
        .unwrap();
    let parts = vec![crate::multipart::completed(1, &part)];
    crate::multipart::complete(&house, &upload, parts, None)
        .await
        .unwrap();
    archived(house.get("bucket", "k", None).await, class);
    let attributes = GetObjectAttributes {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        version_id: None,
        customer_key: None,
        checksum: true,
        parts: None,
    };
    let attributes = house
        .objects
        .get_object_attributes(house.request().scope(), attributes)
        .await
        .unwrap();
    assert_eq!(attributes.storage_class, class);
    assert!(
        attributes.checksum.is_some(),
        "what is said of an archived object needs no restore"
    );
    house.restore("k", 1, RestoreTier::Standard).await.unwrap();
    house.clock.advance_ms(12 * HOUR_MS);
    assert_eq!(house.get("bucket", "k", None).await.unwrap(), bytes);
}

/// S3: the encryption of an archived object can be updated, and verified, where it lies.
#[tokio::test]
async fn archives_are_rewrapped_and_verified_without_a_restore() {
    let house = house().await;
    house.bucket("bucket").await;
    let class = StorageClass::Glacier;
    house
        .put_class("k", &pattern(100_000), kms(), class)
        .await
        .unwrap();
    let key = house.head("k", None).await.encryption;
    let strongroom_object::Encryption::Kms { key_arn, .. } = key else {
        panic!("another mode");
    };
    let update = UpdateObjectEncryption {
        bucket: "bucket".to_owned(),
        object_key: "k".to_owned(),
        version_id: None,
        key_arn: KmsKeyArn::parse(&key_arn).unwrap(),
        bucket_key: false,
    };
    let updated = house
        .objects
        .update_object_encryption(house.request().scope(), update)
        .await;
    updated.unwrap();
    assert_eq!(house.head("k", None).await.storage_class, class);
    let report = house
        .objects
        .verify(house.request().scope(), &|_| {})
        .await
        .unwrap();
    assert!(report.damaged.is_empty(), "{:?}", report.damaged.lines());
    assert_eq!(report.objects, 1);
    house.restore("k", 1, RestoreTier::Expedited).await.unwrap();
    house.clock.advance_ms(HOUR_MS);
    assert_eq!(
        house.get("bucket", "k", None).await.unwrap(),
        pattern(100_000)
    );
}

/// A sealer that remembers what it sealed.
struct Recorder {
    inner: Arc<dyn AtRest>,
    rows: Mutex<Vec<Sealed>>,
}

#[derive(Clone)]
struct Sealed {
    stream: u64,
    aad: Vec<u8>,
    bytes: Vec<u8>,
    plain: Vec<u8>,
}

impl AtRest for Recorder {
    fn seal(&self, stream: u64, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, AtRestError> {
        let sealed = self.inner.seal(stream, aad, plain)?;
        let row = Sealed {
            stream,
            aad: aad.to_vec(),
            bytes: sealed.clone(),
            plain: plain.to_vec(),
        };
        self.rows.lock().unwrap().push(row);
        Ok(sealed)
    }

    fn open(&self, stream: u64, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, AtRestError> {
        self.inner.open(stream, aad, sealed)
    }
}

/// The record does not bind the class and the restore of a version (ADR 0033), so that rules can change
/// them without a key. The seal of the row does: on the drive nobody changes a bit of them, puts
/// the row of another object there, or the row of before in the place of that of now.
#[tokio::test]
async fn sec_class_and_restore_are_under_the_seal_of_their_row() {
    let mut recorder = None;
    let house = house_sealed_by(Arc::new(SimDrive::new(1)), |inner| {
        let made = Arc::new(Recorder {
            inner,
            rows: Mutex::default(),
        });
        recorder = Some(Arc::clone(&made));
        made
    })
    .await;
    let recorder = recorder.unwrap();
    house.bucket("bucket").await;
    for name in ["archived", "other"] {
        let encryption = EncryptionRequest::S3;
        let put = house.put_class(name, b"cold", encryption, StorageClass::Glacier);
        put.await.unwrap();
    }
    let restored = house.restore("archived", 3, RestoreTier::Bulk);
    restored.await.unwrap();
    let rows = recorder.rows.lock().unwrap().clone();
    let of = |name: &str| -> Vec<&Sealed> {
        let rows = rows.iter().filter(|row| {
            let has = |bytes: &[u8]| row.aad.windows(bytes.len()).any(|part| part == bytes);
            row.aad.starts_with(b"strongroom row") && has(name.as_bytes())
        });
        rows.collect()
    };
    let (archived, other) = (of("archived"), of("other"));
    let ([before, now], [other]) = (archived.as_slice(), other.as_slice()) else {
        panic!("{} and {} rows", archived.len(), other.len());
    };
    assert!(now.plain.len() > before.plain.len(), "with its restore");
    assert_eq!(
        recorder.open(now.stream, &now.aad, &now.bytes).unwrap(),
        now.plain
    );
    for bit in 0..now.bytes.len() * 8 {
        let mut bad = now.bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(recorder.open(now.stream, &now.aad, &bad).is_err(), "{bit}");
    }
    for wrong in [before, other] {
        assert!(recorder.open(now.stream, &now.aad, &wrong.bytes).is_err());
        assert!(recorder.open(wrong.stream, &now.aad, &wrong.bytes).is_err());
    }
}
