// SPDX-License-Identifier: Apache-2.0
//! No two plaintexts under one nonce and counter: by search among all that was ever sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use strongroom_client::envelope::Fields;
use strongroom_client::{CommitmentPolicy, EncryptedS3, Error, Plaintext};

use crate::faulty::{Fault, Faulty, Sent, plain};
use crate::keys::{keyring, map};
use crate::writing::PART;

/// What has a nonce and a key of its own: in format V3 the message id, which belongs to one data
/// key, in format V2 the nonce and the wrapped data key.
fn id(fields: &Fields) -> Option<String> {
    let field = |name| fields.get(name).map(String::as_str);
    let v2 = || Some([field("x-amz-iv")?, field("x-amz-key-v2")?].join(" "));
    field("x-amz-i").map(ToOwned::to_owned).or_else(v2)
}

/// The first place at which two different blocks were sent under the same counter: nonce and key,
/// part, block.
fn reused(sent: &[Sent]) -> Option<(String, u32, usize)> {
    let mut seen: BTreeMap<(String, u32), Vec<&Bytes>> = BTreeMap::new();
    for one in sent {
        let id = id(&one.metadata).expect("of what was sent, its nonce and key are not known");
        let earlier = seen.entry((id.clone(), one.part)).or_default();
        for other in earlier.iter() {
            let blocks = one.body.chunks(16).zip(other.chunks(16)).enumerate();
            // One that is shorter has its tag where the other goes on: that is a difference, too.
            for (index, (a, b)) in blocks {
                if a != b {
                    return Some((id.clone(), one.part, index));
                }
            }
            if one.body.len() != other.len() {
                return Some((id.clone(), one.part, one.body.len().min(other.len()) / 16));
            }
        }
        earlier.push(&one.body);
    }
    None
}

#[test]
fn the_search_finds_what_it_is_for() {
    let v3 = |id: &str| map(&[("x-amz-i", id)]);
    let v2 = |id: &str| map(&[("x-amz-iv", id), ("x-amz-key-v2", "k")]);
    let formats: [&dyn Fn(&str) -> Fields; 2] = [&v3, &v2];
    for fields in formats {
        let sent = |id: &str, part: u32, body: &[u8]| Sent {
            metadata: fields(id),
            part,
            body: Bytes::copy_from_slice(body),
        };
        let (mut a, b) = (plain(100), plain(100));
        assert_eq!(reused(&[sent("1", 1, &a), sent("1", 1, &b)]), None);
        a[40] ^= 1;
        assert_eq!(
            reused(&[sent("1", 1, &a), sent("1", 2, &b), sent("2", 1, &b)]),
            None
        );
        let found = reused(&[sent("1", 1, &a), sent("2", 1, &a), sent("1", 1, &b)]);
        let (id, part, block) = found.unwrap();
        assert!(id.starts_with('1') && (part, block) == (1, 2), "{id}");
        assert!(reused(&[sent("1", 1, &b), sent("1", 1, &b[..64])]).is_some());
    }
}

/// However slow the machine is.
const LIMIT: Duration = Duration::from_mins(5);

/// Ends an upload, when what a killed life was writing is written.
async fn end(s3: &EncryptedS3, record: &Path) {
    let begun = std::time::Instant::now();
    loop {
        match s3.abort_resumable(record).await {
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                assert!(begun.elapsed() < LIMIT, "the record stays locked");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ended => return ended.unwrap(),
        }
    }
}

/// A small generator: what matters is that a seed tells the same story again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// An uploader is killed at random, its source is changed at random between its lives, and it goes
/// on each time. What is stored at last is the source as it is at last, and nothing that was ever
/// on the wire gives two plaintexts under one counter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_resumed_uploads_never_use_a_counter_twice() {
    for policy in [
        CommitmentPolicy::RequireEncryptRequireDecrypt,
        CommitmentPolicy::ForbidEncryptAllowDecrypt,
    ] {
        uploads_are_killed_and_resumed(policy).await;
    }
}

async fn uploads_are_killed_and_resumed(policy: CommitmentPolicy) {
    let folder = tempfile::tempdir().unwrap();
    let (source, record) = (folder.path().join("source"), folder.path().join("record"));
    let (mut changes_refused, mut parts_kept) = (0, 0);
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let store = Faulty::new();
        let mut content = plain(2 * PART + dice.below(4 * PART));
        std::fs::write(&source, &content).unwrap();
        let _ = std::fs::remove_file(&record);
        let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1))
            .part_bytes(u64::try_from(PART).unwrap())
            .concurrency(1 + dice.below(3))
            .commitment_policy(policy)
            .build()
            .unwrap();
        let mut life = 0;
        let begun = std::time::Instant::now();
        loop {
            assert!(
                begun.elapsed() < LIMIT,
                "seed {seed} does not come to an end"
            );
            let mut left = if life < 6 { dice.below(12) } else { usize::MAX };
            let after = dice.below(2) == 0;
            store.rule(move |_| {
                if left == 0 {
                    return if after {
                        Fault::KilledAfter
                    } else {
                        Fault::KilledBefore
                    };
                }
                left -= 1;
                Fault::Nothing
            });
            // Of a life with several calls under way, some may have been killed twice.
            let _ = futures_util::FutureExt::now_or_never(store.killed.notified());
            let body = Plaintext::from_path(&source).unwrap();
            let body = if dice.below(3) == 0 {
                Plaintext::from_reader(std::io::Cursor::new(content.clone()))
            } else {
                body
            };
            let put = s3.put_object("b", "k").body(body).resumable(&record);
            let ended = tokio::select! {
                ended = put.send() => Some(ended),
                () = store.killed.notified() => None,
            };
            life += 1;
            match ended {
                None => {}
                Some(Ok(done)) => {
                    parts_kept += done.resumed_parts;
                    break;
                }
                Some(Err(Error::SourceChanged { .. })) => {
                    changes_refused += 1;
                    store.rule(|_| Fault::Nothing);
                    end(&s3, &record).await;
                    continue;
                }
                // What the dead process was writing when it was killed is still being written:
                // of a process that is really dead, nothing is left.
                Some(Err(Error::Io(error))) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                Some(Err(error)) => panic!("seed {seed}: {error:?}"),
            }
            if dice.below(3) == 0 {
                match dice.below(3) {
                    0 => {
                        let at = dice.below(content.len().max(1));
                        if let Some(byte) = content.get_mut(at) {
                            *byte ^= 0x10;
                        }
                    }
                    1 => content.truncate(content.len().saturating_sub(dice.below(PART))),
                    _ => content.extend_from_slice(&plain(dice.below(2 * PART))),
                }
                std::fs::write(&source, &content).unwrap();
            }
        }
        store.rule(|_| Fault::Nothing);
        // At most an empty one, which a killed life was about to make.
        let left = std::fs::metadata(&record).map_or(0, |facts| facts.len());
        assert_eq!(left, 0, "seed {seed}");
        let read = s3.get_object("b", "k").send().await.unwrap();
        assert!(read.body.collect().await.unwrap() == content, "seed {seed}");
        let sent = store.sent.lock().unwrap();
        assert_eq!(reused(&sent), None, "{policy:?}, seed {seed}");
        // The search knows what it looks at by the fields of the format that was written.
        let is_v2 = policy == CommitmentPolicy::ForbidEncryptAllowDecrypt;
        let marker = if is_v2 { "x-amz-key-v2" } else { "x-amz-i" };
        assert!(sent.iter().all(|one| one.metadata.contains_key(marker)));
    }
    // The stories would prove nothing if they never came to the point.
    assert!(
        changes_refused > 0 && parts_kept > 0,
        "{changes_refused} {parts_kept}"
    );
}
