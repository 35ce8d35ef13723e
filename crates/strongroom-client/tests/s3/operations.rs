// SPDX-License-Identifier: Apache-2.0
//! Head, list, delete, copy, re-wrap, re-encrypt.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use strongroom_client::keyring::{
    KmsKeyring, MasterKeyring, MultiKeyring, RsaPrivateKey, RsaPublicKey,
};
use strongroom_client::transport::{Address, Attributes, ServerSideEncryption, TransportErrorKind};
use strongroom_client::{CommitmentPolicy, EncryptedS3, Error, MetadataDirective, Storage};

use crate::faulty::{Call, Fault, Faulty, plain};
use crate::keys::{AnyService, Failing, aes, keyring, kms, map};
use crate::writing::PART;

const STORAGES: [Storage; 2] = [Storage::Metadata, Storage::InstructionFile];

fn client(store: &Arc<Faulty>, byte: u8, storage: Storage) -> EncryptedS3 {
    let builder = EncryptedS3::builder(Arc::clone(store), keyring(byte)).storage(storage);
    builder
        .part_bytes(u64::try_from(PART).unwrap())
        .build()
        .unwrap()
}

async fn read(s3: &EncryptedS3, key: &str) -> Result<Vec<u8>, Error> {
    s3.get_object("b", key).send().await?.body.collect().await
}

fn exists(store: &Faulty, key: &str) -> bool {
    store.store.stored(&Address::new("b", key)).is_some()
}

#[tokio::test]
async fn head_tells_sizes_and_verdicts_without_keys() {
    let store = Faulty::new();
    for storage in STORAGES {
        let s3 = client(&store, 1, storage);
        s3.put_object("b", "k")
            .body("hello")
            .metadata("a", "b")
            .send()
            .await
            .unwrap();
        let nobody = EncryptedS3::new(Arc::clone(&store), MasterKeyring::new());
        let head = nobody.head_object("b", "k").send().await.unwrap();
        assert_eq!((head.stored_bytes, head.plaintext_bytes), (21, Some(5)));
        assert_eq!(head.metadata, map(&[("a", "b")]));
        let encryption = head.encryption.unwrap();
        assert_eq!(
            (encryption.envelope.format(), encryption.storage),
            ("V3", storage)
        );
        assert_eq!(encryption.envelope.wrap().name(), "AES/GCM");
        encryption.verdict.unwrap();
    }
    let s3 = client(&store, 1, Storage::Metadata);
    let old = EncryptedS3::builder(Arc::clone(&store), keyring(1));
    let old = old
        .commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt)
        .build()
        .unwrap();
    old.put_object("b", "v2")
        .body("hello")
        .send()
        .await
        .unwrap();
    let head = s3.head_object("b", "v2").send().await.unwrap();
    let encryption = head.encryption.unwrap();
    assert_eq!(encryption.envelope.format(), "V2");
    assert!(matches!(encryption.verdict, Err(Error::Refused { .. })));
    store.place("plain", "hello", &Attributes::default()).await;
    let head = s3.head_object("b", "plain").send().await.unwrap();
    assert_eq!((head.stored_bytes, head.plaintext_bytes), (5, None));
    assert!(matches!(head.encryption, Err(Error::NotEncrypted)));
    assert!(
        s3.head_object("b", "none")
            .send()
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn lists_in_pages() {
    let store = Faulty::new();
    let s3 = client(&store, 1, Storage::InstructionFile);
    for key in ["a/1", "a/2", "b", "c/x/y"] {
        s3.put_object("b", key).body("hello").send().await.unwrap();
    }
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let list = s3.list_objects_v2("b").max_keys(3);
        let list = match &token {
            Some(token) => list.continuation_token(token),
            None => list,
        };
        let page = list.send().await.unwrap();
        assert!(page.contents.len() <= 3);
        all.extend(page.contents);
        token = page.next_continuation_token;
        if token.is_none() {
            break;
        }
    }
    let objects: Vec<_> = all.iter().filter(|one| !one.is_instruction_file).collect();
    let names: Vec<_> = objects.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(names, ["a/1", "a/2", "b", "c/x/y"]);
    assert!(objects.iter().all(|one| one.stored_bytes == 21));
    assert_eq!(all.len(), 8);
    let page = s3.list_objects_v2("b").delimiter("/").send().await.unwrap();
    assert_eq!(page.common_prefixes, ["a/", "c/"]);
    assert_eq!(page.contents.len(), 2);
    let page = s3
        .list_objects_v2("b")
        .prefix("a/")
        .start_after("a/1.instruction")
        .send()
        .await;
    assert_eq!(page.unwrap().contents[0].key, "a/2");
}

#[tokio::test]
async fn delete_takes_the_instruction_file_and_nothing_else() {
    let store = Faulty::new();
    for storage in [Storage::InstructionFile, Storage::Metadata] {
        let s3 = client(&store, 1, storage);
        s3.put_object("b", "k").body("hello").send().await.unwrap();
        if storage == Storage::Metadata {
            // Somebody's own object that happens to have the name.
            store
                .place("k.instruction", "mine", &Attributes::default())
                .await;
        }
        s3.delete_object("b", "k").send().await.unwrap();
        assert!(!exists(&store, "k"));
        assert_eq!(
            exists(&store, "k.instruction"),
            storage == Storage::Metadata
        );
        // Nothing there is no error, and no reason to delete what belongs to somebody else.
        s3.delete_object("b", "k").send().await.unwrap();
        assert_eq!(
            exists(&store, "k.instruction"),
            storage == Storage::Metadata
        );
    }
    // A plain object that has such a neighbour.
    store.place("p", "plain", &Attributes::default()).await;
    store
        .place("p.instruction", "mine", &Attributes::default())
        .await;
    let s3 = client(&store, 1, Storage::Metadata);
    s3.delete_object("b", "p").send().await.unwrap();
    assert!(!exists(&store, "p") && exists(&store, "p.instruction"));
    // If it breaks off in the middle, no object is left that nothing opens.
    let s3 = client(&store, 1, Storage::InstructionFile);
    s3.put_object("b", "j").body("hello").send().await.unwrap();
    store.rule(|call| match call {
        Call::Delete(key) if key == "j" => Fault::Refused(TransportErrorKind::AccessDenied),
        _ => Fault::Nothing,
    });
    assert!(s3.delete_object("b", "j").send().await.is_err());
    assert_eq!(read(&s3, "j").await.unwrap(), b"hello");
}

#[tokio::test]
async fn copies_open_and_copies_that_would_not_are_refused() {
    let store = Faulty::new();
    for storage in STORAGES {
        let s3 = client(&store, 1, storage);
        s3.put_object("b", "k")
            .body("hello")
            .metadata("a", "b")
            .send()
            .await
            .unwrap();
        s3.copy_object(("b", "k"), ("b", "copy"))
            .send()
            .await
            .unwrap();
        assert_eq!(read(&s3, "copy").await.unwrap(), b"hello");
        let copy = s3.get_object("b", "copy").send().await.unwrap();
        assert_eq!(copy.metadata, map(&[("a", "b")]));
        let replace = s3.copy_object(("b", "k"), ("b", "bad"));
        let replace = replace
            .metadata_directive(MetadataDirective::Replace)
            .send()
            .await;
        assert!(matches!(replace, Err(Error::Refused { .. })));
        assert!(!exists(&store, "bad"));
    }
    let s3 = client(&store, 1, Storage::Metadata);
    store.place("plain", "hello", &Attributes::default()).await;
    let plain = s3.copy_object(("b", "plain"), ("b", "bad")).send().await;
    assert!(matches!(plain, Err(Error::NotEncrypted)));
    let none = s3.copy_object(("b", "none"), ("b", "bad")).send().await;
    assert!(none.unwrap_err().is_not_found());
    // Written by somebody else between the two requests.
    let writer = Arc::clone(&store);
    let (content, attributes) = store.stored("k");
    store.rule(move |call| {
        if let Call::Copy(_) = call {
            let put = writer.place("k", content.clone(), &attributes);
            futures_util::FutureExt::now_or_never(put).unwrap();
        }
        Fault::Nothing
    });
    let changed = s3.copy_object(("b", "k"), ("b", "bad")).send().await;
    assert!(matches!(changed, Err(Error::Changed)));
}

#[tokio::test]
async fn objects_bound_to_their_key_open_nowhere_else() {
    let store = Faulty::new();
    let service = AnyService::default();
    let builder = || EncryptedS3::builder(Arc::clone(&store), kms(&service, "k"));
    let bound = builder().bind_key(true).build().unwrap();
    let free = builder().build().unwrap();
    let put = bound
        .put_object("b", "k")
        .body("hello")
        .encryption_context("tenant", "a");
    put.send().await.unwrap();
    let get =
        |s3: &EncryptedS3, key: &str| s3.get_object("b", key).encryption_context("tenant", "a");
    let object = get(&bound, "k").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap(), b"hello");
    // Other clients open it when they say where it lies.
    let said = get(&free, "k")
        .encryption_context("s3-bucket", "b")
        .encryption_context("s3-key", "k");
    assert!(said.send().await.is_ok());
    let (content, attributes) = store.stored("k");
    store.place("moved", content, &attributes).await;
    for (s3, key) in [(&bound, "moved"), (&free, "k"), (&free, "moved")] {
        let refused = get(s3, key).send().await;
        assert!(matches!(refused, Err(Error::WrongContext)), "{key}");
    }
    let copy = bound.copy_object(("b", "k"), ("b", "c")).send().await;
    assert!(matches!(copy, Err(Error::Refused { .. })));
    let own = bound
        .put_object("b", "k")
        .body("x")
        .encryption_context("s3-key", "other")
        .send()
        .await;
    assert!(matches!(own, Err(Error::Config(_))));
    // Wrapping keys bind no context.
    let raw = EncryptedS3::builder(Arc::clone(&store), keyring(1))
        .bind_key(true)
        .build()
        .unwrap();
    assert!(matches!(
        raw.put_object("b", "k").body("x").send().await,
        Err(Error::Config(_))
    ));
    // Under another name it is encrypted anew.
    let anew = bound
        .reencrypt("b", "k")
        .encryption_context("tenant", "a")
        .to_key("b", "renamed");
    anew.send().await.unwrap();
    assert!(get(&bound, "renamed").send().await.is_ok());
}

/// Another key, the same ciphertext; the old key is out.
#[tokio::test]
async fn rewrap_changes_the_key_and_not_the_content() {
    let store = Faulty::new();
    for storage in STORAGES {
        let (one, two) = (client(&store, 1, storage), client(&store, 2, storage));
        let put = one
            .put_object("b", "k")
            .body("hello")
            .metadata("a", "b")
            .content_type("text/x");
        put.send().await.unwrap();
        let before = store.stored("k");
        let done = one
            .rewrap("b", "k")
            .to(keyring(2))
            .enforce_rotation()
            .send()
            .await
            .unwrap();
        assert_eq!(done.storage, storage);
        assert_ne!(
            done.envelope_before.wrapped(),
            done.envelope_after.wrapped()
        );
        let after = store.stored("k");
        assert_eq!(before.0, after.0);
        for name in ["x-amz-c", "x-amz-d", "x-amz-i", "a"] {
            assert_eq!(before.1.metadata[name], after.1.metadata[name]);
        }
        assert_eq!(after.1.content_type.as_deref(), Some("text/x"));
        assert_eq!(read(&two, "k").await.unwrap(), b"hello");
        assert!(matches!(
            read(&one, "k").await,
            Err(Error::UnknownDescription(_))
        ));
        // Back, by a client that has both keys.
        let both = MultiKeyring::new(keyring(1)).read(keyring(2));
        let both = EncryptedS3::new(Arc::clone(&store), both);
        assert_eq!(read(&both, "k").await.unwrap(), b"hello");
        let stays = both.rewrap("b", "k").enforce_rotation().send().await;
        assert!(matches!(stays, Err(Error::Config(_))));
        assert_eq!(read(&two, "k").await.unwrap(), b"hello");
        both.rewrap("b", "k").send().await.unwrap();
        assert_eq!(read(&one, "k").await.unwrap(), b"hello");
    }
    // For another reader, beside.
    let one = client(&store, 1, Storage::InstructionFile);
    let two = client(&store, 2, Storage::InstructionFile);
    one.rewrap("b", "k")
        .to(keyring(2))
        .instruction_suffix(".partner")
        .send()
        .await
        .unwrap();
    assert_eq!(read(&one, "k").await.unwrap(), b"hello");
    assert!(read(&two, "k").await.is_err());
    let other = two
        .get_object("b", "k")
        .instruction_suffix(".partner")
        .send()
        .await
        .unwrap();
    assert_eq!(other.body.collect().await.unwrap(), b"hello");
    let one = client(&store, 1, Storage::Metadata);
    one.put_object("b", "m").body("hello").send().await.unwrap();
    let beside = one
        .rewrap("b", "m")
        .to(keyring(2))
        .instruction_suffix(".partner")
        .send()
        .await;
    assert!(matches!(beside, Err(Error::Config(_))));
}

/// A copy onto itself is a new object to the store, which gave it the bucket's defaults: what lay in a
/// cold class under a key of its own was then in the usual class under the bucket's.
#[tokio::test]
async fn rewrap_changes_neither_class_nor_encryption_at_the_store() {
    let store = Faulty::new();
    let one = client(&store, 1, Storage::Metadata);
    one.put_object("b", "k").body("hello").send().await.unwrap();
    let (content, mut attributes) = store.stored("k");
    attributes.storage_class = Some("STANDARD_IA".to_owned());
    attributes.server_side_encryption = Some(ServerSideEncryption {
        algorithm: "aws:kms".to_owned(),
        kms_key_id: Some("arn:of:key".to_owned()),
        bucket_key: true,
    });
    attributes.expires = Some("some day".to_owned());
    attributes.website_redirect_location = Some("/there".to_owned());
    store.place("k", content, &attributes).await;
    let rewrap = one.rewrap("b", "k").to(keyring(2));
    rewrap.send().await.unwrap();
    let after = store.stored("k").1;
    assert_ne!(after.metadata, attributes.metadata);
    attributes.metadata = after.metadata.clone();
    assert_eq!(after, attributes);
    // Neither does writing it anew in its place, wherever its wrapped key goes.
    for storage in STORAGES {
        let two = client(&store, 2, storage);
        let one = client(&store, 2, Storage::Metadata);
        let reencrypt = one.reencrypt("b", "k").to(two);
        reencrypt.send().await.unwrap();
        let after = store.stored("k").1;
        attributes.metadata = after.metadata.clone();
        assert_eq!(after, attributes, "{storage:?}");
    }
    // What goes elsewhere may go anywhere.
    let two = client(&store, 2, Storage::Metadata);
    let reencrypt = two.reencrypt("b", "k").to_key("b", "other");
    reencrypt.send().await.unwrap();
    let after = store.stored("other").1;
    assert_eq!(after.storage_class, None);
    assert_eq!(after.server_side_encryption, None);
    assert_eq!(after.website_redirect_location, None);
    assert_eq!(after.expires, attributes.expires);
}

/// Story: the suffix of an instruction file for another reader was empty, and the file was written
/// over the object; it was `.pdf`, and somebody's document was gone.
#[tokio::test]
async fn instruction_files_for_other_readers_replace_nothing_else() {
    let store = Faulty::new();
    let s3 = client(&store, 1, Storage::InstructionFile);
    for key in ["k", "k.a"] {
        s3.put_object("b", key).body("hello").send().await.unwrap();
    }
    store
        .place("k.pdf", "a document", &Attributes::default())
        .await;
    let beside = |suffix: &str| {
        let rewrap = s3.rewrap("b", "k").to(keyring(2));
        rewrap.instruction_suffix(suffix).send()
    };
    for suffix in ["", ".pdf", ".a.instruction", ".instruction.instruction"] {
        let refused = beside(suffix).await;
        assert!(matches!(refused, Err(Error::Config(_))), "{suffix:?}");
    }
    assert_eq!(store.stored("k.pdf").0, "a document");
    for key in ["k", "k.a"] {
        assert_eq!(read(&s3, key).await.unwrap(), b"hello");
    }
    let get = s3.get_object("b", "k").instruction_suffix("").send();
    assert!(matches!(get.await, Err(Error::Config(_))));
    // One's own is replaced, and what somebody else has written meanwhile is not.
    beside(".partner").await.unwrap();
    beside(".partner").await.unwrap();
    let writer = Arc::clone(&store);
    store.rule(move |call| {
        if let Call::Put(key) = call {
            let attributes = Attributes::default();
            let put = writer.place(key, "theirs", &attributes);
            futures_util::FutureExt::now_or_never(put).unwrap();
        }
        Fault::Nothing
    });
    for suffix in [".partner", ".new", ".instruction"] {
        let refused = beside(suffix).await;
        assert!(matches!(refused, Err(Error::Changed)), "{suffix}");
        let file = store.stored(&format!("k{suffix}")).0;
        assert_eq!(file, "theirs", "{suffix}");
    }
}

/// The usual suffix is the usual file.
#[tokio::test]
async fn the_usual_suffix_is_none() {
    let store = Faulty::new();
    for storage in STORAGES {
        let (one, two) = (client(&store, 1, storage), client(&store, 2, storage));
        one.put_object("b", "k").body("hello").send().await.unwrap();
        let rewrap = one.rewrap("b", "k").to(keyring(2));
        let done = rewrap.instruction_suffix(".instruction").send().await;
        assert_eq!(done.unwrap().storage, storage);
        let get = two.get_object("b", "k").instruction_suffix(".instruction");
        let body = get.send().await.unwrap().body;
        assert_eq!(body.collect().await.unwrap(), b"hello");
    }
}

#[tokio::test]
async fn rewraps_that_would_lose_an_object_are_refused() {
    let store = Faulty::new();
    for storage in STORAGES {
        let s3 = client(&store, 1, storage);
        s3.put_object("b", "k").body("old").send().await.unwrap();
        // Somebody writes a new object while the old one is re-wrapped.
        let (writer, other) = (Arc::clone(&store), client(&store, 1, storage));
        other
            .put_object("b", "new")
            .body("new")
            .send()
            .await
            .unwrap();
        let new = store.stored("new");
        let file = store.store.stored(&Address::new("b", "new.instruction"));
        store.rule(move |call| {
            let is_write = match storage {
                Storage::Metadata => matches!(call, Call::Copy(_)),
                Storage::InstructionFile => matches!(call, Call::Put(_)),
            };
            if is_write {
                let put = writer.place("k", new.0.clone(), &new.1);
                futures_util::FutureExt::now_or_never(put).unwrap();
                if let Some((body, attributes)) = &file {
                    let put = writer.place("k.instruction", body.clone(), attributes);
                    futures_util::FutureExt::now_or_never(put).unwrap();
                }
            }
            Fault::Nothing
        });
        let refused = s3.rewrap("b", "k").to(keyring(2)).send().await;
        assert!(
            matches!(refused, Err(Error::Changed)),
            "{storage:?} {refused:?}"
        );
        store.rule(|_| Fault::Nothing);
        assert_eq!(read(&s3, "k").await.unwrap(), b"new");
        // A data key that is not the object's gets no new wrap.
        let (content, mut attributes) = store.stored("k");
        attributes.metadata.insert(
            "x-amz-d".to_owned(),
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==".to_owned(),
        );
        store.place("k", content, &attributes).await;
        let refused = s3.rewrap("b", "k").to(keyring(2)).send().await;
        assert!(matches!(refused, Err(Error::Commitment)));
        let nobody = s3.rewrap("b", "k").to(MasterKeyring::new()).send().await;
        assert!(nobody.is_err());
    }
}

#[tokio::test]
async fn rewrap_under_a_key_service() {
    let store = Faulty::new();
    let service = AnyService::default();
    let s3 = EncryptedS3::new(Arc::clone(&store), kms(&service, "one"));
    let put = s3
        .put_object("b", "k")
        .body("hello")
        .encryption_context("t", "a");
    put.send().await.unwrap();
    // The service of these tests wraps no given key, and the keyring says so.
    let refused = s3
        .rewrap("b", "k")
        .encryption_context("t", "a")
        .to(kms(&service, "two"));
    assert!(matches!(refused.send().await, Err(Error::Config(_))));
    // To a wrapping key, which binds no context.
    let to_raw = s3
        .rewrap("b", "k")
        .encryption_context("t", "a")
        .to(keyring(1));
    to_raw.to_context(map(&[])).send().await.unwrap();
    let raw = EncryptedS3::new(Arc::clone(&store), keyring(1));
    assert_eq!(read(&raw, "k").await.unwrap(), b"hello");
    let wrong = s3
        .put_object("b", "k")
        .body("hello")
        .encryption_context("t", "a");
    wrong.send().await.unwrap();
    let wrong = s3
        .rewrap("b", "k")
        .encryption_context("t", "b")
        .to(keyring(1))
        .send()
        .await;
    assert!(matches!(wrong, Err(Error::WrongContext)));
    let discovery = KmsKeyring::discovery(service.clone());
    let reader = EncryptedS3::new(Arc::clone(&store), discovery);
    let read = reader
        .get_object("b", "k")
        .encryption_context("t", "a")
        .send()
        .await
        .unwrap();
    assert_eq!(read.body.collect().await.unwrap(), b"hello");
    assert!(matches!(
        reader.put_object("b", "k").body("x").send().await,
        Err(Error::Config(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reencrypt_writes_anew_and_keeps_what_lies_beside() {
    let store = Faulty::new();
    let old = EncryptedS3::builder(Arc::clone(&store), keyring(1))
        .commitment_policy(CommitmentPolicy::ForbidEncryptAllowDecrypt)
        .storage(Storage::InstructionFile)
        .build()
        .unwrap();
    for len in [0, 10, 3 * PART + 10] {
        let content = plain(len);
        let put = old
            .put_object("b", "k")
            .body(content.clone())
            .metadata("a", "b");
        put.content_type("text/x").send().await.unwrap();
        let before = store.stored("k").0;
        let new = client(&store, 2, Storage::Metadata);
        let done = old
            .reencrypt("b", "k")
            .to(new.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(done.plaintext_bytes, u64::try_from(len).unwrap());
        assert_ne!(store.stored("k").0, before);
        let head = new.head_object("b", "k").send().await.unwrap();
        assert_eq!(head.encryption.unwrap().envelope.format(), "V3");
        assert_eq!(head.metadata, map(&[("a", "b")]));
        assert_eq!(head.content_type.as_deref(), Some("text/x"));
        assert!(read(&new, "k").await.unwrap() == content);
    }
    // Written by somebody meanwhile: that stays.
    let new = client(&store, 2, Storage::Metadata);
    let writer = Arc::clone(&store);
    let theirs = store.stored("k");
    let expected = read(&new, "k").await.unwrap();
    store.rule(move |call| {
        if matches!(call, Call::Complete) || matches!(call, Call::Put(key) if key == "k") {
            let put = writer.place("k", theirs.0.clone(), &theirs.1);
            futures_util::FutureExt::now_or_never(put).unwrap();
        }
        Fault::Nothing
    });
    let refused = new.reencrypt("b", "k").send().await;
    assert!(matches!(refused, Err(Error::Changed)), "{refused:?}");
    store.rule(|_| Fault::Nothing);
    assert!(read(&new, "k").await.unwrap() == expected);
    // What does not verify is not written anew.
    let (mut content, attributes) = {
        let s = store.stored("k");
        (s.0.to_vec(), s.1)
    };
    content[3] ^= 1;
    store.place("k", content.clone(), &attributes).await;
    let refused = new.reencrypt("b", "k").to_key("b", "out").send().await;
    assert!(matches!(refused, Err(Error::Content)));
    assert!(!exists(&store, "out"));
}

/// That the old key opens the new wrap no more is proven by its refusal, not by silence.
#[tokio::test]
async fn a_key_service_that_does_not_answer_proves_no_rotation() {
    let (store, service) = (Faulty::new(), AnyService::default());
    let asked = Arc::default();
    let failing = |asked: &Arc<_>| Failing {
        service: service.clone(),
        asked: Arc::clone(asked),
    };
    let old = EncryptedS3::new(Arc::clone(&store), KmsKeyring::new(failing(&asked), "old"));
    old.put_object("b", "k").body("hello").send().await.unwrap();
    let rotate = || {
        let new = KmsKeyring::new(failing(&Arc::default()), "new");
        old.rewrap("b", "k").to(new)
    };
    let before = store.stored("k");
    let unproven = rotate().enforce_rotation().send().await;
    assert!(
        matches!(unproven, Err(Error::KeyService(_))),
        "{unproven:?}"
    );
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert_eq!(store.stored("k").1.metadata, before.1.metadata);
    rotate().enforce_rotation().send().await.unwrap();
    assert!(matches!(read(&old, "k").await, Err(Error::WrongKey)));
}

/// Story: the same key was registered under a new description only, and that counted as a new key,
/// since the old keyring knew no key of that description.
#[tokio::test]
async fn another_description_of_the_same_key_is_no_rotation() {
    let pair = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let rsa = |kid: &str| {
        let public = RsaPublicKey::from_der(public.as_ref()).unwrap();
        MasterKeyring::new().write_rsa(map(&[("kid", kid)]), public)
    };
    let under = |kid: &str, key| MasterKeyring::new().write_aes(map(&[("kid", kid)]), aes(key));
    let aes_under = |kid: &str| under(kid, 1).unwrap();
    for storage in STORAGES {
        let store = Faulty::new();
        let build = |keyring: MasterKeyring| {
            let builder = EncryptedS3::builder(Arc::clone(&store), keyring).storage(storage);
            builder.build().unwrap()
        };
        let old_aes = build(aes_under("1"));
        let opens = RsaPrivateKey::from_pkcs8(private.as_ref()).unwrap();
        let old_rsa = rsa("1").read_rsa(map(&[("kid", "1")]), opens);
        let old_rsa = build(old_rsa.unwrap());
        for (old, same) in [(&old_aes, aes_under("2")), (&old_rsa, rsa("2"))] {
            old.put_object("b", "k").body("hello").send().await.unwrap();
            let stays = old.rewrap("b", "k").to(same).enforce_rotation();
            let stays = stays.send().await;
            assert!(matches!(stays, Err(Error::Config(_))), "{stays:?}");
            assert_eq!(read(old, "k").await.unwrap(), b"hello");
            // Another key is one, under any description, and from one kind to the other.
            for description in ["1", "2"] {
                old.put_object("b", "k").body("hello").send().await.unwrap();
                let to = under(description, 3).unwrap();
                let done = old.rewrap("b", "k").to(to).enforce_rotation();
                done.send().await.unwrap();
                assert!(read(old, "k").await.is_err());
            }
        }
        old_aes.put_object("b", "k").body("x").send().await.unwrap();
        let to_rsa = old_aes.rewrap("b", "k").to(rsa("1")).enforce_rotation();
        to_rsa.send().await.unwrap();
        assert_eq!(read(&old_rsa, "k").await.unwrap(), b"x");
    }
}

/// Story: a write could not be given to `tokio::spawn`, since it might hold a reader that only one
/// thread may have.
#[test]
fn everything_can_be_done_on_any_thread() {
    fn goes_anywhere<T: Send>(_: &T) {}
    let s3 = client(&Faulty::new(), 1, Storage::Metadata);
    let folder = std::path::Path::new("none");
    goes_anywhere(&s3.put_object("b", "k").body("x").resumable(folder).send());
    goes_anywhere(&s3.get_object("b", "k").send());
    goes_anywhere(&s3.get_object("b", "k").download_to(folder));
    goes_anywhere(&s3.get_object("b", "k").send_unverified());
    let range = strongroom_client::ByteRange::From(0);
    goes_anywhere(&s3.get_range_unverified("b", "k", range).send());
    goes_anywhere(&s3.head_object("b", "k").send());
    goes_anywhere(&s3.list_objects_v2("b").send());
    goes_anywhere(&s3.delete_object("b", "k").send());
    goes_anywhere(&s3.copy_object(("b", "k"), ("b", "l")).send());
    goes_anywhere(&s3.rewrap("b", "k").to(keyring(2)).send());
    goes_anywhere(&s3.reencrypt("b", "k").send());
    goes_anywhere(&s3.abort_resumable(folder));
}
