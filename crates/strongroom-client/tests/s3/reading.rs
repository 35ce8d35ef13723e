// SPDX-License-Identifier: Apache-2.0
//! What is read, verified before anybody sees it.

use std::sync::Arc;

use bytes::Bytes;
use strongroom_client::envelope::Fields;
use strongroom_client::transport::{
    Address, Attributes, Condition, Transport as _, TransportErrorKind,
};
use strongroom_client::{ByteRange, CommitmentPolicy, EncryptedS3, Error};

use crate::faulty::{Call, Fault, Faulty, plain};
use crate::keys::{keyring, map};

/// More than one range, and no multiple of anything.
const LONG: usize = (10 << 20) + 77;

/// A client that keeps nothing long in memory, with a long object `k`.
async fn long_object() -> (Arc<Faulty>, EncryptedS3, Vec<u8>) {
    let store = Faulty::new();
    let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1));
    let s3 = s3.memory_bytes(1 << 20).build().unwrap();
    let plain = plain(LONG);
    s3.put_object("b", "k")
        .body(plain.clone())
        .send()
        .await
        .unwrap();
    (store, s3, plain)
}

async fn read(s3: &EncryptedS3, key: &str) -> Result<Vec<u8>, Error> {
    s3.get_object("b", key).send().await?.body.collect().await
}

fn is_range(call: &Call, from: u64) -> bool {
    matches!(call, Call::Get(key, Some(ByteRange::FromTo(first, _))) if key == "k" && *first >= from)
}

/// Every way to read, with a store that fails now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_objects_come_in_ranges_and_cut_ranges_come_again() {
    let (store, s3, plain) = long_object().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    for cut in [
        None,
        Some(Fault::Cut(1_500_000)),
        Some(Fault::Short(1_500_000)),
        Some(Fault::LostAnswer),
    ] {
        let mut seen = Vec::new();
        let rule = move |call: &Call| {
            let is_first = !seen.contains(call);
            seen.push(call.clone());
            cut.filter(|_| is_first && is_range(call, 0))
                .unwrap_or(Fault::Nothing)
        };
        store.rule(rule.clone());
        let told = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = Arc::clone(&told);
        let get = s3.get_object("b", "k").on_progress(move |bytes| {
            counter.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        });
        let object = get.send().await.unwrap();
        assert_eq!(object.content_length, u64::try_from(LONG).unwrap());
        assert_eq!(
            told.load(std::sync::atomic::Ordering::Relaxed),
            object.content_length
        );
        let mut copied = Vec::new();
        assert_eq!(
            object.body.copy_to(&mut copied).await.unwrap(),
            object.content_length
        );
        assert!(copied == plain, "{cut:?}");
        store.rule(rule);
        let down = s3.get_object("b", "k").download_to(&path).await.unwrap();
        assert_eq!(down.plaintext_bytes, object.content_length);
        assert!(std::fs::read(&path).unwrap() == plain, "{cut:?}");
        store.rule(|_| Fault::Nothing);
    }
    // As a reader.
    let object = s3.get_object("b", "k").send().await.unwrap();
    let mut all = Vec::new();
    let mut reader = object.body.into_async_read();
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut all)
        .await
        .unwrap();
    assert!(all == plain);
    let unverified = s3.get_object("b", "k").send_unverified().await.unwrap();
    assert!(unverified.body.collect().await.unwrap() == plain);
    // A cut that never ends.
    store.rule(|call| {
        if is_range(call, 1) {
            Fault::Cut(100)
        } else {
            Fault::Nothing
        }
    });
    assert!(matches!(
        s3.get_object("b", "k").send().await,
        Err(Error::Transport(_))
    ));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Somebody writes another object while ranges are fetched. The ETag tells, and where the store
/// forgets to compare it, the tag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_changes_between_ranges_is_refused() {
    let (store, s3, plain) = long_object().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    std::fs::write(&path, "the old result").unwrap();
    let (first, attributes) = store.stored("k");
    let other = s3.put_object("b", "other").body(plain);
    other.send().await.unwrap();
    let second = store.stored("other").0;
    for forgets in [false, true] {
        for download in [false, true] {
            store.place("k", first.clone(), &attributes).await;
            let writer = Arc::clone(&store);
            let (second, attributes) = (second.clone(), attributes.clone());
            store.rule(move |call| {
                if !is_range(call, 0) {
                    return Fault::Nothing;
                }
                if is_range(call, 1) {
                    let writer = Arc::clone(&writer);
                    let (at, always) = (Address::new("b", "k"), Condition::default());
                    let put = writer
                        .store
                        .put_object(&at, second.clone(), &attributes, &always);
                    let ready = futures_util::FutureExt::now_or_never(put).unwrap();
                    ready.unwrap();
                }
                if forgets {
                    Fault::NoCondition
                } else {
                    Fault::Nothing
                }
            });
            let get = s3.get_object("b", "k");
            let error = if download {
                get.download_to(&path).await.unwrap_err()
            } else {
                get.send().await.unwrap_err()
            };
            let is_right = if forgets {
                matches!(error, Error::Content)
            } else {
                matches!(error, Error::Changed)
            };
            assert!(is_right, "{forgets} {download} {error:?}");
            store.rule(|_| Fault::Nothing);
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"the old result");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left behind"
    );
}

/// Whatever is done to the stored bytes, nothing of them is handed out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_bytes_are_not_handed_out() {
    let (store, s3, _) = long_object().await;
    s3.put_object("b", "short")
        .body(plain(100))
        .send()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    for key in ["short", "k"] {
        let (good, attributes) = store.stored(key);
        let len = good.len();
        let flipped = |at: usize| {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            bad
        };
        let mut swapped = good.to_vec();
        swapped.rotate_left((len / 2) & !15);
        let stories = [
            ("first byte", flipped(0)),
            ("last byte of ciphertext", flipped(len - 17)),
            ("first byte of the tag", flipped(len - 16)),
            ("last byte", flipped(len - 1)),
            ("one byte fewer", good[..len - 1].to_vec()),
            ("a tag fewer", good[..len - 16].to_vec()),
            ("a byte more", [&good[..], b"x"].concat()),
            ("blocks in another order", swapped),
            ("fewer bytes than a tag", good[..15].to_vec()),
            ("nothing", Vec::new()),
        ];
        for (story, bad) in stories {
            store.place("bad", bad, &attributes).await;
            let error = read(&s3, "bad").await.unwrap_err();
            assert!(matches!(error, Error::Content), "{key}: {story}: {error:?}");
            let down = s3.get_object("b", "bad").download_to(&path).await;
            assert!(matches!(down, Err(Error::Content)), "{key}: {story}");
            let unverified = match s3.get_object("b", "bad").send_unverified().await {
                Ok(object) => object.body.collect().await.unwrap_err(),
                Err(error) => error,
            };
            assert!(matches!(unverified, Error::Content), "{key}: {story}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The mode is the file's own when it gets its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_downloaded_file_is_its_owners_unless_said_otherwise() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_, s3, plain) = long_object().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    for (wanted, mode) in [
        (None, 0o600),
        (Some(0o644), 0o644),
        (Some(0o104_640), 0o640),
    ] {
        let get = s3.get_object("b", "k");
        let get = match wanted {
            Some(mode) => get.file_mode(mode),
            None => get,
        };
        get.download_to(&path).await.unwrap();
        let found = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(found & 0o7777, mode, "{wanted:?}");
        assert!(std::fs::read(&path).unwrap() == plain);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The end of an unverified body is an error as often as it is asked for.
#[tokio::test]
async fn an_unverified_body_never_ends_well_after_an_error() {
    let store = Faulty::new();
    let s3 = EncryptedS3::new(Arc::clone(&store), keyring(1));
    s3.put_object("b", "k")
        .body(plain(100_000))
        .send()
        .await
        .unwrap();
    let (good, attributes) = store.stored("k");
    let mut bad = good.to_vec();
    bad[70_000] ^= 1;
    store.place("k", bad, &attributes).await;
    let mut body = s3
        .get_object("b", "k")
        .send_unverified()
        .await
        .unwrap()
        .body;
    let mut came = 0;
    let error = loop {
        match body.next().await {
            Ok(Some(piece)) => came += piece.len(),
            Ok(None) => panic!("ended well"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Content));
    assert!(came > 0, "it comes before it is verified");
    for _ in 0..3 {
        assert!(body.next().await.is_err());
    }
    // And cut off without an error of the store.
    store.place("k", good, &attributes).await;
    store.rule(|call| match call {
        Call::Get(..) => Fault::Short(60_000),
        _ => Fault::Nothing,
    });
    let mut body = s3
        .get_object("b", "k")
        .send_unverified()
        .await
        .unwrap()
        .body;
    while let Ok(piece) = body.next().await {
        assert!(piece.is_some(), "ended well");
    }
    assert!(body.next().await.is_err());
}

/// What is not encrypted is an error of its own, never plaintext.
#[tokio::test]
async fn errors_say_whose_fault_it_is() {
    let store = Faulty::new();
    let s3 = EncryptedS3::new(Arc::clone(&store), keyring(1));
    for content in [
        Bytes::new(),
        Bytes::from_static(b"plain"),
        Bytes::from(plain(100_000)),
    ] {
        store.place("k", content, &Attributes::default()).await;
        assert!(matches!(read(&s3, "k").await, Err(Error::NotEncrypted)));
        let unverified = s3.get_object("b", "k").send_unverified().await;
        assert!(matches!(unverified, Err(Error::NotEncrypted)));
    }
    assert!(read(&s3, "missing").await.unwrap_err().is_not_found());
    s3.put_object("b", "k").body("hello").send().await.unwrap();
    let (good, attributes) = store.stored("k");
    let with = |name: &str, value: &str| {
        let mut changed = attributes.clone();
        changed.metadata.insert(name.to_owned(), value.to_owned());
        changed
    };
    store
        .place("t", good.clone(), &with("x-amz-key-v2", "AAAA"))
        .await;
    assert!(matches!(read(&s3, "t").await, Err(Error::Envelope(_))));
    let d = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
    store.place("t", good.clone(), &with("x-amz-d", d)).await;
    assert!(matches!(read(&s3, "t").await, Err(Error::Commitment)));
    store
        .place("t", good.clone(), &with("x-amz-m", "{\"kid\":\"9\"}"))
        .await;
    assert!(matches!(
        read(&s3, "t").await,
        Err(Error::UnknownDescription(_))
    ));
    // Another key of the same name.
    let other = keyring(2)
        .read_aes(map(&[("kid", "1")]), crate::keys::aes(2))
        .unwrap();
    let other = EncryptedS3::new(Arc::clone(&store), other);
    assert!(matches!(read(&other, "k").await, Err(Error::WrongKey)));
    let context = s3
        .get_object("b", "k")
        .encryption_context("a", "b")
        .send()
        .await;
    assert!(matches!(context, Err(Error::WrongContext)));
    // Format V2 is refused by default, before any key is asked.
    let old = EncryptedS3::builder(Arc::clone(&store), keyring(1));
    let old = old.commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt);
    let old = old.build().unwrap();
    old.put_object("b", "v2")
        .body("hello")
        .send()
        .await
        .unwrap();
    assert!(matches!(read(&s3, "v2").await, Err(Error::Refused { .. })));
    assert_eq!(read(&old, "v2").await.unwrap(), b"hello");
    // The store refuses.
    store.rule(|_| Fault::Refused(TransportErrorKind::AccessDenied));
    match read(&s3, "k").await {
        Err(Error::Transport(error)) => assert_eq!(error.kind, TransportErrorKind::AccessDenied),
        other => panic!("{other:?}"),
    }
}

/// An instruction file is bounded, and a store that does not answer is no missing file.
#[tokio::test]
async fn instruction_files_that_are_none() {
    let store = Faulty::new();
    let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1));
    let s3 = s3
        .storage(strongroom_client::Storage::InstructionFile)
        .build()
        .unwrap();
    s3.put_object("b", "k").body("hello").send().await.unwrap();
    assert_eq!(store.stored("k").1.metadata.len(), 3);
    let (file, attributes) = store.stored("k.instruction");
    assert_eq!(
        attributes.metadata,
        Fields::from([("x-amz-crypto-instr-file".to_owned(), String::new())])
    );
    assert_eq!(read(&s3, "k").await.unwrap(), b"hello");
    for bad in [
        b"".to_vec(),
        b"[]".to_vec(),
        vec![b' '; 70_000],
        b"{\"x-amz-key-v2\":\"AAAA\"}".to_vec(),
    ] {
        store.place("k.instruction", bad, &attributes).await;
        assert!(matches!(read(&s3, "k").await, Err(Error::Envelope(_))));
    }
    store.rule(|call| match call {
        Call::Get(key, _) if key == "k.instruction" => {
            Fault::Refused(TransportErrorKind::Unavailable)
        }
        _ => Fault::Nothing,
    });
    assert!(matches!(read(&s3, "k").await, Err(Error::Transport(_))));
    store.rule(|_| Fault::Nothing);
    store.place("k.instruction", file, &attributes).await;
    assert_eq!(read(&s3, "k").await.unwrap(), b"hello");
    store
        .store
        .delete_object(&Address::new("b", "k.instruction"), None)
        .await
        .unwrap();
    // An object of format V3 says itself that it is encrypted.
    assert!(matches!(read(&s3, "k").await, Err(Error::Envelope(_))));
}
