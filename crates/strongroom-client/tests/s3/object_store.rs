// SPDX-License-Identifier: Apache-2.0
//! The transport over the `object_store` crate, with its store in memory.

use strongroom_client::transport::{
    Address, ObjectStoreTransport, Transport as _, TransportErrorKind,
};
use strongroom_client::{ByteRange, EncryptedS3, Error, Plaintext, Storage};

use crate::faulty::plain;
use crate::keys::keyring;
use crate::writing::PART;

fn client(storage: Storage) -> EncryptedS3 {
    let store = ObjectStoreTransport::new(object_store::memory::InMemory::new(), "b");
    EncryptedS3::builder(store, keyring(1))
        .part_bytes(u64::try_from(PART).unwrap())
        .storage(storage)
        .enable_legacy_unauthenticated_modes(true)
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_the_crate_can_do() {
    for storage in [Storage::Metadata, Storage::InstructionFile] {
        let s3 = client(storage);
        for len in [0, 1, PART, 3 * PART + 7] {
            let content = plain(len);
            let key = format!("folder/{len}");
            let put = s3
                .put_object("b", &key)
                .body(content.clone())
                .metadata("a", "b");
            put.content_type("text/x").send().await.unwrap();
            let object = s3.get_object("b", &key).send().await.unwrap();
            assert_eq!(object.content_type.as_deref(), Some("text/x"));
            assert_eq!(object.metadata["a"], "b");
            assert!(object.body.collect().await.unwrap() == content);
            s3.copy_object(("b", &*key), ("b", "copy"))
                .send()
                .await
                .unwrap();
            let copy = s3.get_object("b", "copy").send().await.unwrap();
            assert!(copy.body.collect().await.unwrap() == content);
            let head = s3.head_object("b", &key).send().await.unwrap();
            assert_eq!(head.plaintext_bytes, Some(u64::try_from(len).unwrap()));
        }
        let range = s3.get_range_unverified("b", "folder/65536", ByteRange::Last(10));
        let range = range.send().await.unwrap();
        assert_eq!(
            range.body.collect().await.unwrap(),
            &plain(PART)[PART - 10..]
        );
        let list = s3
            .list_objects_v2("b")
            .prefix("folder/1")
            .send()
            .await
            .unwrap();
        let names: Vec<_> = list
            .contents
            .iter()
            .filter(|one| !one.is_instruction_file)
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        let list = s3.list_objects_v2("b").delimiter("/").send().await.unwrap();
        assert_eq!(list.common_prefixes, ["folder/"]);
        s3.delete_object("b", "copy").send().await.unwrap();
        assert!(
            s3.get_object("b", "copy")
                .send()
                .await
                .unwrap_err()
                .is_not_found()
        );
        let s3_put = s3
            .put_object("b", "folder/1")
            .body("x")
            .if_none_match_any()
            .send()
            .await;
        assert!(matches!(s3_put, Err(Error::Changed)));
        assert!(
            s3.get_object("other", "folder/1")
                .send()
                .await
                .unwrap_err()
                .is_not_found()
        );
    }
}

/// The crate answers a range of an object without bytes by an error of no kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_without_bytes_is_not_encrypted_and_not_a_failure_of_the_store() {
    use strongroom_client::transport::{Attributes, Condition, Fetch};
    let transport = ObjectStoreTransport::new(object_store::memory::InMemory::new(), "b");
    let (at, always) = (Address::new("b", "empty"), Condition::default());
    let nothing = Attributes::default();
    let put = transport.put_object(&at, "".into(), &nothing, &always);
    put.await.unwrap();
    let short = Address::new("b", "short");
    let put = transport.put_object(&short, "12345".into(), &nothing, &always);
    put.await.unwrap();
    let kind = async |at: &Address, range| {
        let range = Some(range);
        let fetch = Fetch {
            range,
            ..Fetch::default()
        };
        transport.get_object(at, &fetch).await.err().map(|e| e.kind)
    };
    let outside = Some(TransportErrorKind::InvalidRange);
    assert_eq!(kind(&at, ByteRange::FromTo(0, 9)).await, outside);
    assert_eq!(kind(&at, ByteRange::From(0)).await, outside);
    assert_eq!(kind(&short, ByteRange::FromTo(5, 9)).await, outside);
    assert_eq!(kind(&short, ByteRange::From(7)).await, outside);
    assert_eq!(kind(&short, ByteRange::FromTo(4, 9)).await, None);
    let missing = kind(&Address::new("b", "none"), ByteRange::From(0)).await;
    assert_eq!(missing, Some(TransportErrorKind::NotFound));
    let s3 = EncryptedS3::builder(transport, keyring(1))
        .enable_legacy_unauthenticated_modes(true)
        .build()
        .unwrap();
    for key in ["empty", "short"] {
        let read = s3.get_object("b", key).send().await;
        assert!(matches!(read, Err(Error::NotEncrypted)), "{read:?}");
    }
    let range = s3.get_range_unverified("b", "empty", ByteRange::From(0));
    assert!(matches!(range.send().await, Err(Error::NotEncrypted)));
}

/// What the crate has no call for is an error that says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_crate_cannot_do() {
    let unsupported = |error: Error| match error {
        Error::Transport(error) => error.kind == TransportErrorKind::Unsupported,
        _ => false,
    };
    let s3 = client(Storage::Metadata);
    s3.put_object("b", "k").body("hello").send().await.unwrap();
    assert!(unsupported(
        s3.rewrap("b", "k").to(keyring(2)).send().await.unwrap_err()
    ));
    let conditional = s3
        .put_object("b", "k")
        .body(plain(2 * PART))
        .if_none_match_any();
    assert!(unsupported(conditional.send().await.unwrap_err()));
    let list = s3.list_objects_v2("b").delimiter("-").send().await;
    assert!(unsupported(list.unwrap_err()));
    assert!(unsupported(
        s3.put_object("b", "a//b")
            .body("x")
            .send()
            .await
            .unwrap_err()
    ));
    // Instruction files are re-wrapped under a condition.
    let s3 = client(Storage::InstructionFile);
    s3.put_object("b", "k").body("hello").send().await.unwrap();
    s3.rewrap("b", "k").to(keyring(2)).send().await.unwrap();
    assert!(matches!(
        s3.get_object("b", "k").send().await,
        Err(Error::UnknownDescription(_))
    ));
}

/// Parts cannot be listed, so an interrupted upload is begun anew, under another data key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_uploads_are_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (source, record) = (folder.path().join("source"), folder.path().join("record"));
    std::fs::write(&source, plain(3 * PART)).unwrap();
    let s3 = client(Storage::Metadata);
    let failing = Plaintext::from_reader(tokio::io::AsyncReadExt::chain(
        std::io::Cursor::new(plain(2 * PART)),
        Broken,
    ));
    let put = s3
        .put_object("b", "k")
        .body(failing)
        .resumable(&record)
        .send()
        .await;
    assert!(matches!(put, Err(Error::Io(_))));
    assert!(record.exists());
    let body = Plaintext::from_path(&source).unwrap();
    let done = s3
        .put_object("b", "k")
        .body(body)
        .resumable(&record)
        .send()
        .await
        .unwrap();
    assert_eq!(done.resumed_parts, 0);
    assert!(!record.exists());
    let read = s3.get_object("b", "k").send().await.unwrap();
    assert!(read.body.collect().await.unwrap() == plain(3 * PART));
    let store = ObjectStoreTransport::new(object_store::memory::InMemory::new(), "b");
    assert!(
        store
            .list_parts(&Address::new("b", "k"), "1")
            .await
            .is_err()
    );
}

struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::Error::other("broken")))
    }
}
