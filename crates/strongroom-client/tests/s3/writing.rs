// SPDX-License-Identifier: Apache-2.0
//! What is stored, in which order, and what becomes of it when the store fails.

use std::io::Cursor;
use std::sync::Arc;

use strongroom_client::envelope::TextMap;
use strongroom_client::keyring::Keyring;
use strongroom_client::transport::{Address, TransportErrorKind};
use strongroom_client::{Client, CommitmentPolicy, EncryptedS3, Error, Plaintext, Storage};

use crate::faulty::{Call, Fault, Faulty, plain};
use crate::keys::{AnyService, keyring, kms, map};

pub(crate) const PART: usize = 64 * 1024;

pub(crate) fn small_parts(store: &Arc<Faulty>) -> EncryptedS3 {
    let part = u64::try_from(PART).unwrap();
    let s3 = EncryptedS3::builder(Arc::clone(store), keyring(1));
    s3.part_bytes(part).build().unwrap()
}

/// Opens what is stored without any of the code that stored or would read it.
async fn in_one_call<K: Keyring>(
    store: &Faulty,
    key: &str,
    client: &Client<K>,
    context: &TextMap,
) -> Vec<u8> {
    let (content, attributes) = store.stored(key);
    let file = store
        .store
        .stored(&Address::new("b", format!("{key}.instruction")));
    let file = file.map(|(body, _)| body.to_vec());
    let envelope = Client::<K>::envelope(&attributes.metadata, || Ok(file)).unwrap();
    let opened = client.open(&envelope, context).await.unwrap();
    opened.decrypt(&content).unwrap()
}

/// Whatever the source, its length, the format and the storage: what is stored is one message of
/// AES-GCM, and nothing shows how it was cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_and_one_put_are_the_same_on_the_wire() {
    let service = AnyService::default();
    let context = map(&[("tenant", "h\u{e9}llo w\u{f6}rld")]);
    for (policy, storage, by_kms) in [
        (
            CommitmentPolicy::RequireEncryptRequireDecrypt,
            Storage::Metadata,
            false,
        ),
        (
            CommitmentPolicy::RequireEncryptRequireDecrypt,
            Storage::InstructionFile,
            true,
        ),
        (
            CommitmentPolicy::ForbidEncryptAllowDecrypt,
            Storage::InstructionFile,
            false,
        ),
        (
            CommitmentPolicy::ForbidEncryptAllowDecrypt,
            Storage::Metadata,
            true,
        ),
    ] {
        let store = Faulty::new();
        let ring = || -> Arc<dyn Keyring> {
            if by_kms {
                Arc::new(kms(&service, "k"))
            } else {
                Arc::new(keyring(1))
            }
        };
        let context = if by_kms {
            context.clone()
        } else {
            TextMap::new()
        };
        let s3 = EncryptedS3::builder(Arc::clone(&store), ring())
            .part_bytes(u64::try_from(PART).unwrap())
            .commitment_policy(policy)
            .storage(storage)
            .build()
            .unwrap();
        let client = Client::new(ring()).commitment_policy(policy);
        for len in [
            0,
            1,
            15,
            16,
            17,
            PART - 1,
            PART,
            PART + 1,
            2 * PART,
            3 * PART + 4321,
        ] {
            let plain = plain(len);
            let sources = [
                Plaintext::from(plain.clone()),
                Plaintext::from_reader(Cursor::new(plain.clone())),
            ];
            for body in sources {
                let put = s3
                    .put_object("b", "k")
                    .body(body)
                    .encryption_contexts(context.clone());
                let done = put
                    .metadata("Color", "blue")
                    .content_type("text/x")
                    .send()
                    .await
                    .unwrap();
                assert_eq!(done.plaintext_bytes, u64::try_from(len).unwrap());
                assert_eq!(done.stored_bytes, done.plaintext_bytes + 16);
                assert_eq!(store.stored("k").0.len(), len + 16);
                let attributes = store.stored("k").1;
                assert_eq!(attributes.metadata["color"], "blue");
                assert_eq!(attributes.content_type.as_deref(), Some("text/x"));
                let opened = in_one_call(&store, "k", &client, &context).await;
                assert!(opened == plain, "{policy:?} {storage:?} {len}");
                let read = s3.get_object("b", "k").encryption_contexts(context.clone());
                let read = read.send().await.unwrap();
                assert_eq!(read.content_length, done.plaintext_bytes);
                assert_eq!(read.storage, storage);
                assert_eq!(read.metadata, map(&[("color", "blue")]));
                assert!(read.body.collect().await.unwrap() == plain, "{len}");
            }
        }
        assert_eq!(store.store_uploads().await, 0);
    }
}

impl Faulty {
    pub(crate) async fn store_uploads(&self) -> usize {
        use strongroom_client::transport::Transport as _;
        self.store
            .list_multipart_uploads("b", "")
            .await
            .unwrap()
            .len()
    }
}

/// Answers that are lost: everything is done twice and is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_asked_for_again() {
    for len in [100, 3 * PART + 5] {
        let store = Faulty::new();
        let mut seen: Vec<Call> = Vec::new();
        store.rule(move |call| {
            let is_first = !seen.contains(call);
            seen.push(call.clone());
            if is_first {
                Fault::LostAnswer
            } else {
                Fault::Nothing
            }
        });
        let s3 = small_parts(&store);
        let plain = plain(len);
        s3.put_object("b", "k")
            .body(plain.clone())
            .send()
            .await
            .unwrap();
        let read = s3.get_object("b", "k").send().await.unwrap();
        assert!(read.body.collect().await.unwrap() == plain);
        // Also where asking again gives another answer than the lost one.
        let other = s3
            .put_object("b", "new")
            .body(plain.clone())
            .if_none_match_any();
        other.send().await.unwrap();
        let again = s3.put_object("b", "new").body(plain).if_none_match_any();
        assert!(matches!(again.send().await, Err(Error::Changed)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stays_away_is_an_error_and_leaves_no_upload() {
    let store = Faulty::new();
    let s3 = small_parts(&store);
    for refused in [Call::Part(2), Call::Part(4), Call::Complete, Call::Create] {
        let wanted = refused.clone();
        store.rule(move |call| {
            if *call == wanted {
                Fault::Refused(TransportErrorKind::Unavailable)
            } else {
                Fault::Nothing
            }
        });
        let put = s3
            .put_object("b", "k")
            .body(plain(3 * PART + 5))
            .send()
            .await;
        assert!(matches!(put, Err(Error::Transport(_))), "{refused:?}");
        assert_eq!(store.store_uploads().await, 0, "{refused:?}");
        assert!(store.store.stored(&Address::new("b", "k")).is_none());
    }
    // What is no lost answer is not asked for again.
    store.rule(|call| match call {
        Call::Put(_) => Fault::Refused(TransportErrorKind::AccessDenied),
        _ => Fault::Nothing,
    });
    let before = store.count(|call| matches!(call, Call::Put(_)));
    assert!(s3.put_object("b", "k").body("x").send().await.is_err());
    assert_eq!(store.count(|call| matches!(call, Call::Put(_))), before + 1);
}

/// The instruction file of an object that stands must not be replaced for one that does not come
/// to be: the object would be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_leaves_the_object_its_instruction_file() {
    let store = Faulty::new();
    let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1))
        .part_bytes(u64::try_from(PART).unwrap())
        .storage(Storage::InstructionFile)
        .build()
        .unwrap();
    let read = async |key: &str| {
        let object = s3.get_object("b", key).send().await?;
        object.body.collect().await
    };
    s3.put_object("b", "k").body("old").send().await.unwrap();
    // By a condition that does not hold.
    let put = s3
        .put_object("b", "k")
        .body("new")
        .if_none_match_any()
        .send()
        .await;
    assert!(matches!(put, Err(Error::Changed)));
    assert_eq!(read("k").await.unwrap(), b"old");
    // By the store, after the file was written.
    for (len, fresh) in [(3, "fresh"), (2 * PART, "fresher")] {
        store.rule(|call| match call {
            Call::Put(key) if ["k", "fresh", "fresher"].contains(&key.as_str()) => {
                Fault::Refused(TransportErrorKind::AccessDenied)
            }
            Call::Complete => Fault::Refused(TransportErrorKind::AccessDenied),
            _ => Fault::Nothing,
        });
        let put = s3.put_object("b", "k").body(plain(len)).send().await;
        assert!(matches!(put, Err(Error::Transport(_))));
        let put = s3.put_object("b", fresh).body(plain(len)).send().await;
        assert!(matches!(put, Err(Error::Transport(_))));
        store.rule(|_| Fault::Nothing);
        assert_eq!(read("k").await.unwrap(), b"old");
        // Where there was none the file stays: whose it is now nobody can say, and without an object
        // it opens nothing. The next write takes its place.
        let address = |key: &str| Address::new("b", key);
        assert!(store.store.stored(&address(fresh)).is_none());
        let left = store
            .store
            .stored(&address(&format!("{fresh}.instruction")));
        assert!(left.is_some());
        s3.put_object("b", fresh).body("new").send().await.unwrap();
        assert_eq!(read(fresh).await.unwrap(), b"new");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_in_memory_are_as_many_as_the_concurrency() {
    let store = Faulty::new();
    let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1))
        .part_bytes(u64::try_from(PART).unwrap())
        .concurrency(3)
        .build()
        .unwrap();
    let plain = plain(40 * PART);
    s3.put_object("b", "k")
        .body(plain.clone())
        .send()
        .await
        .unwrap();
    let stream = Plaintext::from_reader(Cursor::new(plain));
    s3.put_object("b", "k").body(stream).send().await.unwrap();
    assert!(
        store.most_under_way() <= 3 * PART,
        "{}",
        store.most_under_way()
    );
}

#[tokio::test]
async fn settings_and_metadata_that_make_no_sense() {
    let store = Faulty::new();
    for bytes in [0, 100, 64 * 1024 + 1, 6 << 30] {
        let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1));
        assert!(matches!(
            s3.part_bytes(bytes).build(),
            Err(Error::Config(_))
        ));
    }
    let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1));
    assert!(matches!(s3.concurrency(0).build(), Err(Error::Config(_))));
    let s3 = small_parts(&store);
    for name in [
        "x-amz-3",
        "X-Amz-Key-V2",
        "x-amz-crypto-instr-file",
        "x-amz-unencrypted-content-md5",
    ] {
        let put = s3
            .put_object("b", "k")
            .body("x")
            .metadata(name, "v")
            .send()
            .await;
        assert!(matches!(put, Err(Error::Config(_))), "{name}");
    }
    // An encryption context that nothing would bind.
    let put = s3
        .put_object("b", "k")
        .body("x")
        .encryption_context("a", "b");
    assert!(matches!(put.send().await, Err(Error::Config(_))));
    assert!(store.sent.lock().unwrap().is_empty());
}

/// A stream that fails is no object that ends there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_is_not_stored() {
    struct Failing(usize);
    impl tokio::io::AsyncRead for Failing {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            to: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if self.0 == 0 {
                return std::task::Poll::Ready(Err(std::io::Error::other("gone")));
            }
            let len = self.0.min(to.remaining()).min(1000);
            to.put_slice(&vec![7; len]);
            self.0 -= len;
            std::task::Poll::Ready(Ok(()))
        }
    }
    let store = Faulty::new();
    let s3 = small_parts(&store);
    for len in [10, 2 * PART + 10] {
        let put = s3
            .put_object("b", "k")
            .body(Plaintext::from_reader(Failing(len)));
        assert!(matches!(put.send().await, Err(Error::Io(_))));
        assert!(store.store.stored(&Address::new("b", "k")).is_none());
        assert_eq!(store.store_uploads().await, 0);
    }
    // A file that is cut while it is read.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    std::fs::write(&path, plain(3 * PART)).unwrap();
    let body = Plaintext::from_path(&path).unwrap();
    std::fs::write(&path, plain(PART)).unwrap();
    let put = s3.put_object("b", "k").body(body).send().await;
    assert!(matches!(put, Err(Error::SourceChanged { .. })));
    assert!(Plaintext::from_path(folder.path()).is_err(), "a folder");
    // A short one that grows meanwhile: what is stored would be its beginning.
    std::fs::write(&path, plain(100)).unwrap();
    let body = Plaintext::from_path(&path).unwrap();
    std::fs::write(&path, plain(101)).unwrap();
    let put = s3.put_object("b", "k").body(body).send().await;
    assert!(matches!(put, Err(Error::SourceChanged { .. })));
    // And one that says it is empty, as those of the kernel do.
    let body = Plaintext::from_path("/proc/self/status").unwrap();
    let put = s3.put_object("b", "k").body(body).send().await;
    assert!(matches!(put, Err(Error::SourceChanged { .. })));
    assert!(store.store.stored(&Address::new("b", "k")).is_none());
}
