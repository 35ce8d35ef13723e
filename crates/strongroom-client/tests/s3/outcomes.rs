// SPDX-License-Identifier: Apache-2.0
//! Writes whose answer nobody hears, and the instruction files beside them: whatever happens, the
//! object that is there has its own.

use std::sync::Arc;

use strongroom_client::transport::{Address, Attributes, TransportErrorKind};
use strongroom_client::{CommitmentPolicy, EncryptedS3, Error, Storage};

use crate::faulty::{Call, Fault, Faulty, plain};
use crate::keys::keyring;
use crate::writing::PART;

/// One PUT, and parts.
const LENGTHS: [usize; 2] = [300, 2 * PART + 5];

/// Format V3, of which the object keeps something, and format V2, of which it keeps nothing.
const POLICIES: [CommitmentPolicy; 2] = [
    CommitmentPolicy::RequireEncryptRequireDecrypt,
    CommitmentPolicy::ForbidEncryptAllowDecrypt,
];

fn client(store: &Arc<Faulty>, policy: CommitmentPolicy) -> EncryptedS3 {
    EncryptedS3::builder(Arc::clone(store), keyring(1))
        .part_bytes(u64::try_from(PART).unwrap())
        .commitment_policy(policy)
        .storage(Storage::InstructionFile)
        .build()
        .unwrap()
}

async fn read(s3: &EncryptedS3, key: &str) -> Result<Vec<u8>, Error> {
    s3.get_object("b", key).send().await?.body.collect().await
}

async fn put(s3: &EncryptedS3, key: &str, content: &[u8]) -> Result<(), Error> {
    let put = s3.put_object("b", key).body(content.to_vec()).send().await;
    put.map(|_| ())
}

fn makes(call: &Call, key: &str) -> bool {
    *call == Call::Complete || *call == Call::Put(key.to_owned())
}

fn exists(store: &Faulty, key: &str) -> bool {
    store.store.stored(&Address::new("b", key)).is_some()
}

/// All of them at the same time: what is waited for is waited for once.
async fn in_each_way<F: Future<Output = ()> + Send + 'static>(
    story: impl Fn(CommitmentPolicy, usize) -> F,
) {
    let mut stories = tokio::task::JoinSet::new();
    for policy in POLICIES {
        for len in LENGTHS {
            stories.spawn(story(policy, len));
        }
    }
    while let Some(told) = stories.join_next().await {
        told.unwrap();
    }
}

/// Story: the answer to a write never came, so the file that belongs to the new object stayed. The
/// old object, which was still there, could not be opened any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_not_answered_and_did_not_happen_leaves_the_old_object() {
    in_each_way(|policy, len| async move {
        let store = Faulty::new();
        let s3 = client(&store, policy);
        let old = plain(77);
        put(&s3, "k", &old).await.unwrap();
        let attributes = store.stored("k.instruction").1;
        store.rule(|call| match call {
            call if makes(call, "k") => Fault::Refused(TransportErrorKind::Unavailable),
            _ => Fault::Nothing,
        });
        assert!(put(&s3, "k", &plain(len)).await.is_err());
        assert!(read(&s3, "k").await.unwrap() == old, "{policy:?} {len}");
        assert_eq!(store.stored("k.instruction").1, attributes);
        assert_eq!(store.store_uploads().await, 0);
        // Where there was nothing, nothing that matters is left.
        store.rule(|call| match call {
            call if makes(call, "new") => Fault::Refused(TransportErrorKind::Unavailable),
            _ => Fault::Nothing,
        });
        assert!(put(&s3, "new", &plain(len)).await.is_err());
        assert!(!exists(&store, "new"));
        store.rule(|_| Fault::Nothing);
        put(&s3, "new", &plain(len)).await.unwrap();
        assert!(read(&s3, "new").await.unwrap() == plain(len));
    })
    .await;
}

/// Story: it did happen, and only the answers were lost. The file stays, and the caller is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_not_answered_and_happened_is_found() {
    in_each_way(|policy, len| async move {
        let store = Faulty::new();
        let s3 = client(&store, policy);
        // Of the same length: nothing but the content tells one from the other.
        let mut old = plain(len);
        old[0] ^= 1;
        put(&s3, "k", &old).await.unwrap();
        store.rule(|call| match call {
            call if makes(call, "k") => Fault::LostAnswer,
            _ => Fault::Nothing,
        });
        put(&s3, "k", &plain(len)).await.unwrap();
        store.rule(|_| Fault::Nothing);
        assert!(
            read(&s3, "k").await.unwrap() == plain(len),
            "{policy:?} {len}"
        );
    })
    .await;
}

/// Story: the store was asked whether it happened, said no, and did it after that. The old file had
/// been put back, and neither object could be opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_comes_late_opens() {
    for policy in POLICIES {
        let store = Faulty::new();
        let s3 = client(&store, policy);
        put(&s3, "k", b"old").await.unwrap();
        store.rule(|call| match call {
            Call::Put(key) if key == "k" => Fault::Refused(TransportErrorKind::Unavailable),
            _ => Fault::Nothing,
        });
        assert!(put(&s3, "k", b"new").await.is_err());
        store.rule(|_| Fault::Nothing);
        assert_eq!(read(&s3, "k").await.unwrap(), b"old");
        let late = store.sent.lock().unwrap().last().unwrap().clone();
        let attributes = Attributes {
            metadata: late.metadata,
            ..Attributes::default()
        };
        store.place("k", late.body, &attributes).await;
        assert_eq!(read(&s3, "k").await.unwrap(), b"new", "{policy:?}");
    }
}

/// Whom nobody answers must not guess; what was refused needs no answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_answers_only_what_is_certain_is_done() {
    for fault in [
        Fault::Refused(TransportErrorKind::AccessDenied),
        Fault::Refused(TransportErrorKind::Unavailable),
    ] {
        let store = Faulty::new();
        let s3 = client(&store, POLICIES[0]);
        put(&s3, "k", b"old").await.unwrap();
        let mut heads = 0;
        store.rule(move |call| match call {
            Call::Put(key) if key == "k" => fault,
            // The first asks whether something is there, before anything is written.
            Call::Head(_) if std::mem::replace(&mut heads, 1) == 0 => Fault::Nothing,
            Call::Head(_) => Fault::Refused(TransportErrorKind::Unavailable),
            _ => Fault::Nothing,
        });
        assert!(put(&s3, "k", b"new").await.is_err());
        store.rule(|_| Fault::Nothing);
        assert_eq!(read(&s3, "k").await.unwrap(), b"old", "{fault:?}");
        // And writing it again mends it.
        put(&s3, "k", b"new").await.unwrap();
        assert_eq!(read(&s3, "k").await.unwrap(), b"new");
    }
}

/// What stores make of conditions on the writes of instruction files.
const CONDITIONS: [Fault; 3] = [Fault::Nothing, Fault::NoCondition, Fault::RefusesConditions];

/// An object and its instruction file, as a writer that is faster puts them there.
struct Third {
    writer: Arc<Faulty>,
    object: (bytes::Bytes, Attributes),
    file: (bytes::Bytes, Attributes),
}

impl Third {
    async fn make(store: &Arc<Faulty>, s3: &EncryptedS3) -> Self {
        put(s3, "third", b"third").await.unwrap();
        Self {
            writer: Arc::clone(store),
            object: store.stored("third"),
            file: store.stored("third.instruction"),
        }
    }

    fn comes(&self) {
        for (key, (content, attributes)) in [("k.instruction", &self.file), ("k", &self.object)] {
            let put = self.writer.place(key, content.clone(), attributes);
            futures_util::FutureExt::now_or_never(put).unwrap();
        }
    }
}

/// Story: between our instruction file and our object, which was refused, somebody else wrote file
/// and object and was told that they are stored. We put the file of before over theirs, or deleted
/// it, and nothing opened their object any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_write_leaves_the_file_of_a_third_object() {
    for conditions in CONDITIONS {
        in_each_way(move |policy, len| async move {
            for (has_old, fault) in [
                (false, None),
                (true, Some(TransportErrorKind::AccessDenied)),
                (false, Some(TransportErrorKind::AccessDenied)),
                (true, Some(TransportErrorKind::Unavailable)),
            ] {
                let store = Faulty::new();
                let s3 = client(&store, policy);
                let third = Third::make(&store, &s3).await;
                if has_old {
                    put(&s3, "k", b"old").await.unwrap();
                }
                store.rule(move |call| match call {
                    call if makes(call, "k") => {
                        third.comes();
                        fault.map_or(Fault::Nothing, Fault::Refused)
                    }
                    Call::Put(key) if key == "k.instruction" => conditions,
                    _ => Fault::Nothing,
                });
                let ours = s3.put_object("b", "k").body(plain(len));
                let ours = if has_old {
                    ours
                } else {
                    ours.if_none_match_any()
                };
                assert!(ours.send().await.is_err());
                store.rule(|_| Fault::Nothing);
                let told = format!("{policy:?} {len} {has_old} {fault:?} {conditions:?}");
                assert_eq!(read(&s3, "k").await.unwrap(), b"third", "{told}");
            }
        })
        .await;
    }
}

/// Story: a copy was refused, and the file that was put back was put over that of an object that
/// had been written meanwhile.
#[tokio::test]
async fn a_refused_copy_leaves_the_file_of_a_third_object() {
    for policy in POLICIES {
        let store = Faulty::new();
        let s3 = client(&store, policy);
        let third = Third::make(&store, &s3).await;
        put(&s3, "source", b"source").await.unwrap();
        put(&s3, "k", b"old").await.unwrap();
        store.rule(move |call| match call {
            Call::Copy(_) => {
                third.comes();
                Fault::Refused(TransportErrorKind::AccessDenied)
            }
            _ => Fault::Nothing,
        });
        let copied = s3.copy_object(("b", "source"), ("b", "k")).send().await;
        assert!(copied.is_err());
        store.rule(|_| Fault::Nothing);
        assert_eq!(read(&s3, "k").await.unwrap(), b"third", "{policy:?}");
    }
}

/// Story: a write had looked at the instruction file, then its object was re-wrapped, then the
/// write replaced the file and was refused. The file that it put back was that of before the
/// re-wrapping, under a key that nobody has any more.
#[tokio::test]
async fn a_file_that_was_changed_meanwhile_is_not_replaced() {
    for policy in POLICIES {
        for conditions in [Fault::Nothing, Fault::RefusesConditions] {
            let store = Faulty::new();
            let s3 = client(&store, policy);
            put(&s3, "k", b"old").await.unwrap();
            let (old, attributes) = store.stored("k.instruction");
            s3.rewrap("b", "k").to(keyring(2)).send().await.unwrap();
            let (rewrapped, _) = store.stored("k.instruction");
            store.place("k.instruction", old, &attributes).await;
            let (writer, theirs) = (Arc::clone(&store), rewrapped.clone());
            let mut is_first = true;
            store.rule(move |call| match call {
                Call::Put(key) if key == "k.instruction" => {
                    if std::mem::take(&mut is_first) {
                        let put = writer.place(key, theirs.clone(), &attributes);
                        futures_util::FutureExt::now_or_never(put).unwrap();
                    }
                    conditions
                }
                _ => Fault::Nothing,
            });
            let refused = put(&s3, "k", b"new").await;
            assert!(matches!(refused, Err(Error::Changed)), "{refused:?}");
            store.rule(|_| Fault::Nothing);
            // The file is theirs, and the object that is there opens without it.
            assert_eq!(store.stored("k.instruction").0, rewrapped);
            assert_eq!(read(&s3, "k").await.unwrap(), b"new", "{policy:?}");
        }
    }
}

/// Story: somebody re-wrapped the file of an object that was still to come, and did not. The file
/// was not quite ours any more, so that of the object that stood was not put back.
#[tokio::test]
async fn a_file_of_ours_that_was_rewrapped_is_replaced_by_the_old_one() {
    let store = Faulty::new();
    let s3 = client(&store, CommitmentPolicy::ForbidEncryptAllowDecrypt);
    put(&s3, "k", b"old").await.unwrap();
    let writer = Arc::clone(&store);
    store.rule(move |call| match call {
        call if makes(call, "k") => {
            let (file, attributes) = writer.stored("k.instruction");
            // Another text, and the same nonce.
            let file = [b"{ ".as_slice(), &file[1..]].concat();
            let put = writer.place("k.instruction", file, &attributes);
            futures_util::FutureExt::now_or_never(put).unwrap();
            Fault::Refused(TransportErrorKind::AccessDenied)
        }
        _ => Fault::Nothing,
    });
    assert!(put(&s3, "k", b"new").await.is_err());
    store.rule(|_| Fault::Nothing);
    assert_eq!(read(&s3, "k").await.unwrap(), b"old");
}

/// A condition fails at the second try if the first was written and only its answer was lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_answer_is_lost_is_known_again() {
    for policy in POLICIES {
        for lost in [1, 4] {
            let store = Faulty::new();
            let s3 = client(&store, policy);
            for content in [b"one", b"two"] {
                let mut left = lost;
                store.rule(move |call| match call {
                    Call::Put(key) if key == "k.instruction" && left > 0 => {
                        left -= 1;
                        Fault::LostAnswer
                    }
                    _ => Fault::Nothing,
                });
                put(&s3, "k", content).await.unwrap();
                assert_eq!(read(&s3, "k").await.unwrap(), content, "{policy:?} {lost}");
            }
        }
    }
}

/// A store without conditions on writes keeps instruction files all the same.
#[tokio::test]
async fn a_store_without_conditions_is_written_to() {
    for policy in POLICIES {
        let store = Faulty::new();
        store.rule(|_| Fault::RefusesConditions);
        let s3 = client(&store, policy);
        for content in [b"one", b"two"] {
            put(&s3, "k", content).await.unwrap();
            assert_eq!(read(&s3, "k").await.unwrap(), content, "{policy:?}");
        }
        store.rule(|call| match call {
            call if makes(call, "k") => Fault::Refused(TransportErrorKind::AccessDenied),
            _ => Fault::RefusesConditions,
        });
        assert!(put(&s3, "k", b"new").await.is_err());
        assert_eq!(read(&s3, "k").await.unwrap(), b"two", "{policy:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_are_not_answered_leave_the_right_file_too() {
    for policy in POLICIES {
        for (fault, content) in [
            (Fault::Refused(TransportErrorKind::Unavailable), "target"),
            (Fault::Refused(TransportErrorKind::AccessDenied), "target"),
            (Fault::LostAnswer, "source"),
        ] {
            let store = Faulty::new();
            let s3 = client(&store, policy);
            put(&s3, "k", b"source").await.unwrap();
            put(&s3, "t", b"target").await.unwrap();
            store.rule(move |call| match call {
                Call::Copy(_) => fault,
                _ => Fault::Nothing,
            });
            let copied = s3.copy_object(("b", "k"), ("b", "t")).send().await;
            store.rule(|_| Fault::Nothing);
            assert_eq!(copied.is_ok(), content == "source", "{copied:?}");
            let found = read(&s3, "t").await.unwrap();
            assert_eq!(found, content.as_bytes(), "{policy:?} {fault:?}");
        }
    }
}

/// Story: a copy was refused, an earlier copy of the same object lay there, and the caller was told
/// that it had been copied. What lay there had other metadata.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_copy_is_not_taken_for_one_that_was_refused() {
    for policy in POLICIES {
        for kind in [
            TransportErrorKind::AccessDenied,
            TransportErrorKind::PreconditionFailed,
        ] {
            let store = Faulty::new();
            let s3 = client(&store, policy);
            put(&s3, "k", b"content").await.unwrap();
            let copy = || s3.copy_object(("b", "k"), ("b", "copy")).send();
            copy().await.unwrap();
            let (content, mut attributes) = store.stored("k");
            let metadata = &mut attributes.metadata;
            metadata.insert("state".to_owned(), "released".to_owned());
            store.place("k", content, &attributes).await;
            store.rule(move |call| match call {
                Call::Copy(_) => Fault::Refused(kind),
                _ => Fault::Nothing,
            });
            assert!(copy().await.is_err(), "{policy:?} {kind:?}");
            assert_eq!(read(&s3, "copy").await.unwrap(), b"content");
            store.rule(|_| Fault::Nothing);
            copy().await.unwrap();
            let attributes = store.stored("copy").1;
            assert_eq!(attributes.metadata["state"], "released");
        }
    }
}

/// Story: an object of somebody's own, whose name happened to be that of the instruction file, was
/// written over.
#[tokio::test]
async fn somebodys_own_object_is_no_instruction_file_to_write_over() {
    let store = Faulty::new();
    let s3 = client(&store, POLICIES[0]);
    put(&s3, "source", b"x").await.unwrap();
    for own in ["mine", "{}", "{\"title\":\"mine\"}", "[\"x-amz-3\"]", ""] {
        store
            .place("k.instruction", own, &Attributes::default())
            .await;
        let refused = put(&s3, "k", b"x").await;
        assert!(matches!(refused, Err(Error::Config(_))), "{own}");
        let refused = s3.copy_object(("b", "source"), ("b", "k")).send().await;
        assert!(matches!(refused, Err(Error::Config(_))), "{own}");
        assert_eq!(store.stored("k.instruction").0, own);
        assert!(!exists(&store, "k"));
    }
    // One that another client wrote, without the mark, is one.
    let (file, _) = store.stored("source.instruction");
    store
        .place("k.instruction", file, &Attributes::default())
        .await;
    put(&s3, "k", b"x").await.unwrap();
    assert_eq!(read(&s3, "k").await.unwrap(), b"x");
}
