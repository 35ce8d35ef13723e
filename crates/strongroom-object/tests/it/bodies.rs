// SPDX-License-Identifier: Apache-2.0
//! What goes in comes out, whole and in ranges, in every mode; what fails leaves nothing.

use strongroom_object::{
    BodyLength, ByteRange, ChecksumAlgorithm, ChecksumRequest, Encryption, EncryptionRequest,
    Error, PUT_BYTES_MAX, Served,
};

use crate::harness::*;

const SIZES: [usize; 12] = [
    0, 1, 100, 32_735, 32_736, 32_737, 65_535, 65_536, 65_537, 131_072, 600_000, 3_000_001,
];

#[tokio::test]
async fn every_size_in_every_mode() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    for size in SIZES {
        let bytes = pattern(size);
        house
            .put("bucket", "s3", &bytes, EncryptionRequest::S3)
            .await
            .unwrap();
        house.put("bucket", "kms", &bytes, kms()).await.unwrap();
        let customer_key = EncryptionRequest::Customer(customer(1));
        house
            .put("bucket", "c", &bytes, customer_key)
            .await
            .unwrap();
        assert_eq!(
            house.get("bucket", "s3", None).await.unwrap(),
            bytes,
            "SSE-S3, {size} bytes"
        );
        assert_eq!(
            house.get("bucket", "kms", None).await.unwrap(),
            bytes,
            "SSE-KMS, {size} bytes"
        );
        let got = house.get("bucket", "c", Some(customer(1))).await.unwrap();
        assert_eq!(got, bytes, "SSE-C, {size} bytes");
    }
}

/// A form does not say how long its file is.
#[tokio::test]
async fn bodies_of_unknown_length_are_stored_like_others() {
    let house = house().await;
    house.bucket("bucket").await;
    for size in SIZES {
        let bytes = pattern(size);
        for most in [size as u64, size as u64 + 1, PUT_BYTES_MAX, u64::MAX] {
            let mut input = put_input("bucket", "k", &bytes, EncryptionRequest::S3);
            input.content_length = BodyLength::AtMost(most);
            let output = house
                .objects
                .put_object(house.request().scope(), input)
                .await
                .unwrap();
            assert_eq!(output.size, size as u64);
            assert_eq!(house.get("bucket", "k", None).await.unwrap(), bytes);
        }
    }
    house.tidied().await;
    assert_eq!(blob_files(&house), 1, "small bodies lie in the table");
}

#[tokio::test]
async fn ranges_at_every_boundary() {
    let house = house().await;
    house.bucket("bucket").await;
    let size = 3 * 65_536 + 17;
    let bytes = pattern(size);
    house
        .put("bucket", "k", &bytes, EncryptionRequest::S3)
        .await
        .unwrap();
    let edges = [
        0,
        1,
        65_535,
        65_536,
        65_537,
        131_071,
        131_072,
        196_608,
        size - 1,
    ];
    for first in edges {
        for last in edges
            .into_iter()
            .chain([size + 5])
            .filter(|last| *last >= first)
        {
            let mut input = get_input("bucket", "k", None);
            input.range = Some(ByteRange::FromTo(first as u64, last as u64));
            let output = house
                .objects
                .get_object(house.request().scope(), input)
                .await
                .unwrap();
            let end = (last + 1).min(size);
            let expected = Served {
                start: first as u64,
                len: (end - first) as u64,
                partial: true,
            };
            assert_eq!(output.served, expected);
            assert!(
                output.head.checksum.is_none(),
                "a range has no checksum of the whole"
            );
            assert_eq!(
                collect(output).await.unwrap(),
                &bytes[first..end],
                "{first}-{last}"
            );
        }
    }
}

#[tokio::test]
async fn etag_is_md5_for_sse_s3_and_opaque_otherwise() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let md5_of_hello = "5d41402abc4b2a76b9719d911017c592";
    let s3 = house
        .put(
            "bucket",
            "a",
            b"hello",
            EncryptionRequest::Default { bucket_key: None },
        )
        .await
        .unwrap();
    assert_eq!(s3.etag, md5_of_hello);
    assert_eq!(s3.encryption, Encryption::S3);
    for request in [kms, || EncryptionRequest::Customer(customer(1))] {
        let one = house.put("bucket", "b", b"hello", request()).await.unwrap();
        let two = house.put("bucket", "b", b"hello", request()).await.unwrap();
        assert_eq!(one.etag.len(), 32);
        assert_ne!(one.etag, md5_of_hello);
        assert_ne!(one.etag, two.etag, "equal bytes must not show");
    }
}

#[tokio::test]
async fn checksums_are_checked_stored_and_returned() {
    let house = house().await;
    house.bucket("bucket").await;
    let crc = 0xcbf4_3926_u32.to_be_bytes().to_vec();
    let mut input = put_input("bucket", "k", b"123456789", kms());
    input.checksum.algorithm = Some(ChecksumAlgorithm::Crc32);
    input.checksum.expected = Some(crc.clone());
    house
        .objects
        .put_object(house.request().scope(), input)
        .await
        .unwrap();
    let head = house.get_output("bucket", "k", None).await.unwrap().head;
    assert_eq!(head.checksum.unwrap().value, crc);

    for wrong in [vec![0, 0, 0, 1], vec![], vec![0; 8]] {
        let mut input = put_input("bucket", "other", b"123456789", EncryptionRequest::S3);
        input.checksum.algorithm = Some(ChecksumAlgorithm::Crc32);
        input.checksum.expected = Some(wrong);
        let refused = house
            .objects
            .put_object(house.request().scope(), input)
            .await;
        assert!(matches!(refused, Err(Error::ChecksumMismatch { .. })));
    }
    let mut input = put_input("bucket", "other", b"123456789", EncryptionRequest::S3);
    input.checksum = ChecksumRequest {
        content_md5: Some([1; 16]),
        ..Default::default()
    };
    let refused = house
        .objects
        .put_object(house.request().scope(), input)
        .await;
    assert!(matches!(refused, Err(Error::BadDigest { .. })));
    let missing = house.get("bucket", "other", None).await;
    assert!(
        matches!(missing, Err(Error::NoSuchKey { .. })),
        "a refused body leaves no object"
    );
}

#[tokio::test]
async fn sec_n63_broken_bodies_leave_nothing() {
    let house = house().await;
    house.bucket("bucket").await;
    for len in [0, 1, 65_535, 65_536, 65_537, 524_288, 524_289, 2_000_000] {
        let bytes = pattern(len);
        let announced = len as u64 + 1_000_000;
        for broken in [true, false] {
            let mut input = put_input("bucket", "k", &[], EncryptionRequest::S3);
            input.content_length = BodyLength::Exactly(announced);
            input.body = if broken {
                broken_body(&bytes)
            } else {
                body(&bytes)
            };
            let refused = house
                .objects
                .put_object(house.request().scope(), input)
                .await;
            assert!(matches!(
                refused,
                Err(Error::Body(_) | Error::IncompleteBody)
            ));
        }
        let mut too_long = put_input("bucket", "k", &pattern(len + 70_000), EncryptionRequest::S3);
        too_long.content_length = BodyLength::Exactly(len as u64);
        let refused = house
            .objects
            .put_object(house.request().scope(), too_long)
            .await;
        assert!(matches!(refused, Err(Error::IncompleteBody)));
        let mut too_long = put_input("bucket", "k", &pattern(len + 1), EncryptionRequest::S3);
        too_long.content_length = BodyLength::AtMost(len as u64);
        let refused = house
            .objects
            .put_object(house.request().scope(), too_long)
            .await;
        assert!(matches!(refused, Err(Error::EntityTooLarge { .. })));
        let mut broken = put_input("bucket", "k", &[], EncryptionRequest::S3);
        broken.content_length = BodyLength::AtMost(announced);
        broken.body = broken_body(&bytes);
        let refused = house
            .objects
            .put_object(house.request().scope(), broken)
            .await;
        assert!(matches!(refused, Err(Error::Body(_))));
    }
    let missing = house.get("bucket", "k", None).await;
    assert!(matches!(missing, Err(Error::NoSuchKey { .. })));
    house.tidied().await;
    assert_eq!(blob_files(&house), 0, "no blob stays behind");
}

#[tokio::test]
async fn overwrite_and_delete_take_the_old_bytes_away() {
    let house = house().await;
    house.bucket("bucket").await;
    for _ in 0..3 {
        house
            .put("bucket", "k", &pattern(200_000), EncryptionRequest::S3)
            .await
            .unwrap();
    }
    house.tidied().await;
    assert_eq!(blob_files(&house), 1);
    house
        .objects
        .delete_object(house.request().scope(), delete_input("bucket", "k"))
        .await
        .unwrap();
    house
        .objects
        .delete_object(house.request().scope(), delete_input("bucket", "k"))
        .await
        .unwrap();
    house.tidied().await;
    assert_eq!(blob_files(&house), 0);
    house
        .objects
        .delete_bucket(house.request().scope(), "bucket")
        .await
        .unwrap();
}

#[tokio::test]
async fn kms_needs_tls_and_a_usable_key() {
    let mut house = house().await;
    house.bucket("bucket").await;
    house.put("bucket", "k", b"x", kms()).await.unwrap();
    house.caller = caller(false);
    let put = house.put("bucket", "k2", b"x", kms()).await;
    assert!(matches!(
        put,
        Err(Error::KmsNeedsSecureTransport { two_layers: false })
    ));
    let get = house.get("bucket", "k", None).await;
    assert!(matches!(
        get,
        Err(Error::KmsNeedsSecureTransport { two_layers: false })
    ));
    house.caller = caller(true);
    let unknown = EncryptionRequest::Kms {
        key_id: Some("no-such-key".to_owned()),
        context: strongroom_format::EncryptionContext::new(),
        bucket_key: None,
    };
    let put = house.put("bucket", "k2", b"x", unknown).await;
    assert!(matches!(put, Err(Error::Kms(_))));
    assert!(matches!(
        house.get("bucket", "k2", None).await,
        Err(Error::NoSuchKey { .. })
    ));
}

#[tokio::test]
async fn customer_keys_open_their_own_objects_only() {
    let house = house().await;
    house.sse_c_bucket("bucket").await;
    let own = EncryptionRequest::Customer(customer(1));
    house
        .put("bucket", "c", &pattern(100_000), own)
        .await
        .unwrap();
    house
        .put("bucket", "s3", b"x", EncryptionRequest::S3)
        .await
        .unwrap();
    assert!(matches!(
        house.get("bucket", "c", None).await,
        Err(Error::CustomerKeyRequired)
    ));
    let wrong = house.get("bucket", "c", Some(customer(2))).await;
    assert!(matches!(wrong, Err(Error::CustomerKeyWrong)));
    let needless = house.get("bucket", "s3", Some(customer(1))).await;
    assert!(matches!(needless, Err(Error::CustomerKeyNotApplicable)));
    let mut head = get_input("bucket", "c", Some(customer(2)));
    head.checksum_mode = false;
    let wrong = house
        .objects
        .head_object(house.request().scope(), head)
        .await;
    assert!(
        matches!(wrong, Err(Error::CustomerKeyWrong)),
        "HEAD checks the key too"
    );
}

fn blob_files(house: &House) -> usize {
    use strongroom_store::drive::Folder;
    (0..=u8::MAX)
        .map(|shelf| {
            house
                .drive
                .list(Folder::Blobs(shelf))
                .map_or(0, |files| files.len())
        })
        .sum::<usize>()
        + house
            .drive
            .list(Folder::Temporary)
            .map_or(0, |files| files.len())
}
