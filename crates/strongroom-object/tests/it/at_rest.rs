// SPDX-License-Identifier: Apache-2.0
//! The proof by reading the drive: after every kind of write, nothing of it is there in clear.

use std::sync::Arc;

use strongroom_object::{
    ChecksumRequest, CopyObject, CopySource, CreateMultipartUpload, EncryptionRequest, Properties,
    PropertiesDirective, ReadConditions, StorageClass, UploadPart, WriteConditions,
};
use strongroom_store::drive::LocalDrive;
use strongroom_testkit::contents_below;

use crate::harness::*;

const MARKER: &[u8] = b"Plaintext-Marker";
const METADATA: &str = "User-Metadata-Marker";

#[tokio::test]
async fn no_write_path_leaves_plaintext_on_the_drive() {
    let folder = tempfile::tempdir().unwrap();
    let house = house_on(Arc::new(LocalDrive::open(folder.path()).unwrap())).await;
    house.sse_c_bucket("bucket").await;
    let requests: [fn() -> EncryptionRequest; 4] = [
        || EncryptionRequest::S3,
        kms,
        || EncryptionRequest::Customer(customer(b'K')),
        dsse,
    ];
    for (mode, request) in requests.into_iter().enumerate() {
        for size in [0, 1_000, 32_000, 40_000, 700_000] {
            let name = format!("{mode}/{size}");
            let mut input = put_input("bucket", &name, &pattern(size), request());
            input.properties = marked_properties();
            house
                .objects
                .put_object(house.request().scope(), input)
                .await
                .unwrap();
            copy(
                &house,
                &name,
                request(),
                (mode == 2).then(|| customer(b'K')),
            )
            .await;
        }
        multipart(&house, &format!("{mode}/parts"), request(), mode == 2).await;
    }
    house.store.close().await.unwrap();
    house.audit.close().await.unwrap();
    let files = contents_below(folder.path()).unwrap();
    assert!(files.len() > 10, "the drive holds files: {}", files.len());
    let mut read = 0;
    for (file, bytes) in files {
        read += bytes.len();
        for secret in [MARKER, METADATA.as_bytes(), &[b'K'; 32], &[9; 32]] {
            assert!(
                !contains(&bytes, secret),
                "{} holds {secret:?}",
                file.display()
            );
        }
    }
    assert!(
        read > 3_000_000,
        "all bodies were there to be searched: {read} bytes"
    );
}

fn marked_properties() -> Properties {
    let mut properties = Properties {
        content_type: Some(METADATA.to_owned()),
        ..Default::default()
    };
    properties
        .user
        .insert("name".to_owned(), METADATA.to_owned());
    properties
}

async fn copy(
    house: &House,
    name: &str,
    encryption: EncryptionRequest,
    customer_key: Option<strongroom_object::CustomerKey>,
) {
    let input = CopyObject {
        source: CopySource {
            bucket: "bucket".to_owned(),
            object_key: name.to_owned(),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key,
        },
        bucket: "bucket".to_owned(),
        object_key: format!("{name}/copy"),
        directive: PropertiesDirective::Copy,
        encryption,
        // An archive is sealed exactly as what is copied into it.
        storage_class: Some(StorageClass::Glacier),
        conditions: WriteConditions::default(),
        checksum_algorithm: None,
    };
    house
        .objects
        .copy_object(house.request().scope(), input)
        .await
        .unwrap();
}

async fn multipart(house: &House, name: &str, encryption: EncryptionRequest, customer_key: bool) {
    let create = CreateMultipartUpload {
        bucket: "bucket".to_owned(),
        object_key: name.to_owned(),
        properties: marked_properties(),
        encryption,
        storage_class: StorageClass::DeepArchive,
        checksum_algorithm: None,
        checksum_type: None,
    };
    let upload = house
        .objects
        .create_multipart_upload(house.request().scope(), create)
        .await
        .unwrap();
    let part = UploadPart {
        bucket: "bucket".to_owned(),
        object_key: name.to_owned(),
        upload_id: upload.upload_id,
        part_number: 1,
        customer_key: customer_key.then(|| customer(b'K')),
        content_length: 500_000,
        checksum: ChecksumRequest::default(),
        body: body(&pattern(500_000)),
    };
    house
        .objects
        .upload_part(house.request().scope(), part)
        .await
        .unwrap();
}

pub(crate) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
