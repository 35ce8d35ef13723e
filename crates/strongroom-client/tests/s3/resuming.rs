// SPDX-License-Identifier: Apache-2.0
//! Going on with an upload, and when not to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_client::keyring::{KmsKeyring, MasterKeyring, MultiKeyring};
use strongroom_client::s3::PutObjectOutput;
use strongroom_client::transport::{Attributes, TransportErrorKind};
use strongroom_client::{EncryptedS3, Error, Plaintext, Storage};

use crate::faulty::{Call, Fault, Faulty, plain};
use crate::keys::{AnyService, aes, keyring, map};
use crate::writing::{PART, small_parts};

struct Interrupted {
    folder: tempfile::TempDir,
    store: Arc<Faulty>,
    s3: EncryptedS3,
    content: Vec<u8>,
}

impl Interrupted {
    /// An upload of five parts of which part 4 did not come to pass.
    async fn new() -> Self {
        let store = Faulty::new();
        let this = Self {
            folder: tempfile::tempdir().unwrap(),
            s3: small_parts(&store),
            store,
            content: plain(4 * PART + 1000),
        };
        this.write(&this.content);
        this.store.rule(|call| match call {
            Call::Part(4) => Fault::Refused(TransportErrorKind::AccessDenied),
            _ => Fault::Nothing,
        });
        assert!(matches!(this.put().await, Err(Error::Transport(_))));
        this.store.rule(|_| Fault::Nothing);
        assert_eq!(this.store.store_uploads().await, 1);
        this
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    fn write(&self, content: &[u8]) {
        std::fs::write(self.source(), content).unwrap();
    }

    async fn put(&self) -> Result<PutObjectOutput, Error> {
        put(&self.s3, "k", &self.source(), &self.record()).await
    }

    fn parts_sent(&self) -> usize {
        self.store.count(|call| matches!(call, Call::Part(_)))
    }

    async fn stored(&self) -> Vec<u8> {
        let object = self.s3.get_object("b", "k").send().await.unwrap();
        object.body.collect().await.unwrap()
    }
}

async fn put(
    s3: &EncryptedS3,
    key: &str,
    source: &Path,
    record: &Path,
) -> Result<PutObjectOutput, Error> {
    let body = Plaintext::from_path(source).unwrap();
    s3.put_object("b", key)
        .body(body)
        .resumable(record)
        .send()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_missing_is_sent() {
    let upload = Interrupted::new().await;
    let before = upload.parts_sent();
    let done = upload.put().await.unwrap();
    assert_eq!(done.parts, 5);
    assert_eq!(
        usize::try_from(done.resumed_parts).unwrap() + upload.parts_sent() - before,
        5
    );
    assert!(done.resumed_parts >= 1);
    assert!(upload.stored().await == upload.content);
    assert!(!upload.record().exists());
    // There is nothing left to go on with: the same call is a new upload.
    assert_eq!(upload.put().await.unwrap().resumed_parts, 0);
}

/// The one thing that must not happen: a part with other bytes under the same counters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_with_other_bytes_is_not_sent() {
    let upload = Interrupted::new().await;
    let good = upload.content.clone();
    let mut flipped = good.clone();
    flipped[10] ^= 1;
    let mut flipped_in_the_failed_part = good.clone();
    flipped_in_the_failed_part[3 * PART + 10] ^= 1;
    for (story, content) in [
        ("a bit of a stored part", flipped),
        (
            "a bit of a part of which nobody knows whether it came",
            flipped_in_the_failed_part,
        ),
        ("cut in a part", good[..PART + 10].to_vec()),
        ("cut behind a part", good[..2 * PART].to_vec()),
        ("another one", plain(77)),
        ("empty", Vec::new()),
    ] {
        upload.write(&content);
        let before = upload.store.sent.lock().unwrap().len();
        let refused = upload.put().await;
        assert!(
            matches!(refused, Err(Error::SourceChanged { .. })),
            "{story}: {refused:?}"
        );
        let sent = upload.store.sent.lock().unwrap();
        for one in &sent[before..] {
            // Parts that did not change may be sent; they are what they were.
            let at = usize::try_from(one.part - 1).unwrap() * PART;
            assert!(
                content.get(at..at + PART) == good.get(at..at + PART),
                "{story}: {}",
                one.part
            );
        }
    }
    // The right one is still taken.
    upload.write(&good);
    upload.put().await.unwrap();
    assert!(upload.stored().await == good);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_with_the_upload_of_a_file() {
    let upload = Interrupted::new().await;
    let stream = |content: &[u8]| Plaintext::from_reader(std::io::Cursor::new(content.to_vec()));
    let mut other = upload.content.clone();
    other[3 * PART + 1] ^= 1;
    let put = |body: Plaintext| {
        upload
            .s3
            .put_object("b", "k")
            .body(body)
            .resumable(upload.record())
    };
    let refused = put(stream(&other)).send().await;
    assert!(
        matches!(refused, Err(Error::SourceChanged { part: Some(4) })),
        "{refused:?}"
    );
    let done = put(stream(&upload.content)).send().await.unwrap();
    assert!(done.resumed_parts > 0);
    assert!(upload.stored().await == upload.content);
}

/// Whoever can write the record must not be able to have a part sent twice, or the data key used
/// for something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_was_changed_is_not_used() {
    let upload = Interrupted::new().await;
    let good = std::fs::read_to_string(upload.record()).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    assert!(lines.len() > 3);
    let part = lines
        .iter()
        .position(|line| line.contains("{\"part\":{\"number\":1,"))
        .unwrap();
    let without = |index: usize| {
        let mut kept = lines.clone();
        kept.remove(index);
        kept.join("\n") + "\n"
    };
    let mut other_print = lines[part].to_owned();
    let print = other_print.find("\"print\":\"").unwrap() + 9;
    let other = if &other_print[print..=print] == "A" {
        "B"
    } else {
        "A"
    };
    other_print.replace_range(print..=print, other);
    for (story, text) in [
        (
            "another fingerprint",
            good.replace(lines[part], &other_print),
        ),
        ("a part that was sent is missing", without(part)),
        ("a line twice", format!("{good}{}\n", lines[part])),
        (
            "another beginning",
            good.replace("\"part_bytes\":65536", "\"part_bytes\":131072"),
        ),
        ("no beginning", without(0)),
        ("begun twice", format!("{good}{}\n", lines[0])),
        ("no lines", "what is this\n".to_owned()),
        (
            "another upload",
            good.replacen("\"upload_id\":\"", "\"upload_id\":\"x", 1),
        ),
    ] {
        std::fs::write(upload.record(), text).unwrap();
        let before = upload.store.sent.lock().unwrap().len();
        let refused = upload.put().await;
        let is_new = story == "another upload";
        assert!(
            is_new || matches!(refused, Err(Error::State(_))),
            "{story}: {refused:?}"
        );
        if is_new {
            // The store does not know it: a new upload, with a new data key.
            assert_eq!(refused.unwrap().resumed_parts, 0);
        } else {
            assert_eq!(upload.store.sent.lock().unwrap().len(), before, "{story}");
        }
    }
    // A line that was being written when the process ended is as if it were not.
    let upload = Interrupted::new().await;
    let good = std::fs::read_to_string(upload.record()).unwrap();
    std::fs::write(upload.record(), format!("{good}{{\"line\":{{\"part\"")).unwrap();
    assert!(upload.put().await.unwrap().resumed_parts > 0);
    assert!(upload.stored().await == upload.content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_call_does_not_go_on_with_it() {
    let upload = Interrupted::new().await;
    let (source, record) = (upload.source(), upload.record());
    let other_key = put(&upload.s3, "other", &source, &record).await;
    assert!(matches!(other_key, Err(Error::State(_))));
    let with_metadata = upload
        .s3
        .put_object("b", "k")
        .metadata("a", "b")
        .resumable(&record);
    let body = Plaintext::from_path(&source).unwrap();
    assert!(matches!(
        with_metadata.body(body).send().await,
        Err(Error::State(_))
    ));
    let stranger = EncryptedS3::new(Arc::clone(&upload.store), keyring(2));
    let refused = put(&stranger, "k", &source, &record).await;
    assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
    let old = EncryptedS3::builder(Arc::clone(&upload.store), keyring(1));
    let old = old.commitment_policy(strongroom_client::CommitmentPolicy::ForbidEncryptAllowDecrypt);
    let refused = put(&old.build().unwrap(), "k", &source, &record).await;
    assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
    // Nothing of all this spoils it.
    assert!(upload.put().await.unwrap().resumed_parts > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_the_store_does_not_know_any_more() {
    // Ended by somebody: begun anew, with another data key.
    let upload = Interrupted::new().await;
    let id = |upload: &Interrupted| upload.store.stored("k").1.metadata["x-amz-i"].clone();
    use strongroom_client::transport::{Address, Transport as _};
    let listed = upload
        .store
        .store
        .list_multipart_uploads("b", "")
        .await
        .unwrap();
    let at = Address::new("b", "k");
    upload
        .store
        .store
        .abort_multipart_upload(&at, &listed[0].upload_id)
        .await
        .unwrap();
    let done = upload.put().await.unwrap();
    assert_eq!((done.parts, done.resumed_parts), (5, 0));
    assert!(upload.stored().await == upload.content);
    // Completed, and the process was killed before it knew.
    let upload = Interrupted::new().await;
    upload.store.rule(|call| match call {
        Call::Complete => Fault::KilledAfter,
        _ => Fault::Nothing,
    });
    tokio::select! {
        ended = upload.put() => panic!("{ended:?}"),
        () = upload.store.killed.notified() => {}
    }
    upload.store.rule(|_| Fault::Nothing);
    let first = id(&upload);
    // What is there is the source as it was then: it must not be taken for the source as it is.
    let mut changed = upload.content.clone();
    changed[5] ^= 1;
    upload.write(&changed);
    let begun = Instant::now();
    let done = loop {
        match upload.put().await {
            // The future that was dropped is still being taken apart.
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                assert!(begun.elapsed() < Duration::from_mins(1));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ended => break ended.unwrap(),
        }
    };
    assert_eq!(done.resumed_parts, 0);
    assert_ne!(id(&upload), first);
    assert!(upload.stored().await == changed);
    assert!(!upload.record().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_an_upload() {
    let upload = Interrupted::new().await;
    upload.s3.abort_resumable(upload.record()).await.unwrap();
    assert_eq!(upload.store.store_uploads().await, 0);
    assert!(!upload.record().exists());
    // A record of one process is not another's.
    let upload = Interrupted::new().await;
    let file = std::fs::File::open(upload.record()).unwrap();
    file.lock().unwrap();
    assert!(matches!(upload.put().await, Err(Error::Io(_))));
    assert!(matches!(
        upload.s3.abort_resumable(upload.record()).await,
        Err(Error::Io(_))
    ));
    file.unlock().unwrap();
    assert!(upload.put().await.is_ok());
    // What needs no parts needs no record.
    let (source, record) = (upload.source(), upload.record());
    upload.write(b"short");
    put(&upload.s3, "short", &source, &record).await.unwrap();
    assert!(!record.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_record() {
    let upload = Interrupted::new().await;
    let text = std::fs::read_to_string(upload.record()).unwrap();
    // Nothing but the known fields: the wrapped key, fingerprints of ciphertext, names and numbers.
    for line in text.lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let (kind, fields) = json["line"].as_object().unwrap().iter().next().unwrap();
        let mut names: Vec<_> = fields
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        let known: &[&str] = match kind.as_str() {
            "begun" => &[
                "attributes",
                "bucket",
                "envelope",
                "key",
                "part_bytes",
                // The name of the wrapping key, as the envelope has it, or as the key service knows it.
                "under",
                "upload_id",
            ],
            "part" => &["bytes", "number", "print"],
            _ => &["e_tag", "number"],
        };
        assert_eq!(names, known);
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(upload.record())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
}

/// Whoever knows an RSA public key can make a whole record, codes and all, under a data key that he
/// knows, and leave it where the next upload looks for its own. So a record must have been out of
/// everybody else's reach.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_others_could_have_written_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let upload = Interrupted::new().await;
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(upload.record(), mode).unwrap();
    };
    let made = std::fs::metadata(upload.record()).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    let before = upload.parts_sent();
    for open in [0o666, 0o620, 0o602, 0o640, 0o604] {
        mode(open);
        let refused = upload.put().await;
        assert!(
            matches!(refused, Err(Error::Io(_))),
            "{open:o}: {refused:?}"
        );
    }
    assert_eq!(upload.parts_sent(), before);
    mode(0o600);
    upload.put().await.unwrap();
}

/// Story: the name of another file was given for that of the record, once by mistake and once by a
/// link that somebody else had put there. It had no line feed, so it was taken for a line that was
/// never finished, and was cut to nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_record_is_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let upload = Interrupted::new().await;
    let other = upload.folder.path().join("other");
    for content in [
        &b"a key without a line feed"[..],
        b"a file\nwith lines\n",
        b"{\"line\":{\"part\":{}}}",
        b"\0",
        b"\n",
    ] {
        std::fs::write(&other, content).unwrap();
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
        let refused = put(&upload.s3, "k", &upload.source(), &other).await;
        assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
        let refused = upload.s3.abort_resumable(&other).await;
        assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
        assert_eq!(std::fs::read(&other).unwrap(), content);
    }
    // The source itself, too.
    let refused = put(&upload.s3, "k", &upload.source(), &upload.source()).await;
    assert!(refused.is_err());
    assert!(std::fs::read(upload.source()).unwrap() == upload.content);
    let link = upload.folder.path().join("link");
    std::os::unix::fs::symlink(upload.record(), &link).unwrap();
    let refused = put(&upload.s3, "k", &upload.source(), &link).await;
    assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
    upload.put().await.unwrap();
}

/// Story: a record that could not be read could not be ended either, and the upload never went on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_can_be_ended() {
    for (cut, uploads_left) in [("{\"part\":", 0), ("\"bucket\":", 1)] {
        let upload = Interrupted::new().await;
        let good = std::fs::read_to_string(upload.record()).unwrap();
        std::fs::write(upload.record(), good.replace(cut, "?")).unwrap();
        let refused = upload.put().await;
        assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
        upload.s3.abort_resumable(upload.record()).await.unwrap();
        assert!(!upload.record().exists());
        // Which upload it was, the first line says.
        assert_eq!(upload.store.store_uploads().await, uploads_left);
        assert_eq!(upload.put().await.unwrap().resumed_parts, 0);
        assert!(upload.stored().await == upload.content);
    }
    // A record that was only being made.
    let upload = Interrupted::new().await;
    std::fs::write(upload.record(), "{\"line\":{\"beg").unwrap();
    upload.s3.abort_resumable(upload.record()).await.unwrap();
    assert!(!upload.record().exists());
}

/// Story: a wrapping key was rotated, the upload was gone on with under the old one, which the keyring
/// still reads with, and nobody was told. The same for where the wrapped key was to lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_under_its_own_key_and_place_only() {
    let upload = Interrupted::new().await;
    let part = u64::try_from(PART).unwrap();
    let rotated = || {
        let old = map(&[("kid", "1")]);
        let keyring = MasterKeyring::new().write_aes(map(&[("kid", "2")]), aes(2));
        keyring.unwrap().read_aes(old, aes(1)).unwrap()
    };
    let multi = MultiKeyring::new(KmsKeyring::new(AnyService::default(), "new")).read(keyring(1));
    let store = || Arc::clone(&upload.store);
    for (what, other) in [
        ("master", EncryptedS3::builder(store(), rotated())),
        ("kms", EncryptedS3::builder(store(), multi)),
        (
            "place",
            EncryptedS3::builder(store(), keyring(1)).storage(Storage::InstructionFile),
        ),
    ] {
        let other = other.part_bytes(part).build().unwrap();
        let refused = put(&other, "k", &upload.source(), &upload.record()).await;
        assert!(
            matches!(refused, Err(Error::State(_))),
            "{what}: {refused:?}"
        );
    }
    // With more keys to read with it is the same one.
    let more = keyring(1).read_aes(map(&[("kid", "2")]), aes(2)).unwrap();
    let same = EncryptedS3::builder(store(), more).part_bytes(part);
    let same = same.build().unwrap();
    let done = put(&same, "k", &upload.source(), &upload.record()).await;
    assert!(done.unwrap().resumed_parts >= 1);
    assert!(upload.stored().await == upload.content);
}

/// Two keys of one service are told apart by their names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_under_its_own_key_of_a_service() {
    let (store, service) = (Faulty::new(), AnyService::default());
    let folder = tempfile::tempdir().unwrap();
    let (source, record) = (folder.path().join("source"), folder.path().join("record"));
    std::fs::write(&source, plain(4 * PART)).unwrap();
    let kms = |key: &str| KmsKeyring::new(service.clone(), key);
    let client = |keyring: MultiKeyring| {
        let s3 = EncryptedS3::builder(Arc::clone(&store), keyring);
        s3.part_bytes(u64::try_from(PART).unwrap()).build().unwrap()
    };
    store.rule(|call| match call {
        Call::Part(2) => Fault::Refused(TransportErrorKind::AccessDenied),
        _ => Fault::Nothing,
    });
    let old = client(MultiKeyring::new(kms("old")));
    assert!(put(&old, "k", &source, &record).await.is_err());
    store.rule(|_| Fault::Nothing);
    let new = client(MultiKeyring::new(kms("new")).read(kms("old")));
    let refused = put(&new, "k", &source, &record).await;
    assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
    put(&old, "k", &source, &record).await.unwrap();
}

/// Story: the key service refused, and the empty file that was left looked like an interrupted upload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_begun_leaves_no_record() {
    let store = Faulty::new();
    let folder = tempfile::tempdir().unwrap();
    let (source, record) = (folder.path().join("source"), folder.path().join("record"));
    std::fs::write(&source, plain(4 * PART)).unwrap();
    let part = u64::try_from(PART).unwrap();
    let reads = MasterKeyring::new().read_aes(map(&[]), aes(1)).unwrap();
    let reads = EncryptedS3::builder(Arc::clone(&store), reads).part_bytes(part);
    let refused = put(&reads.build().unwrap(), "k", &source, &record).await;
    assert!(matches!(refused, Err(Error::Config(_))), "{refused:?}");
    assert!(!record.exists());
    store.rule(|call| match call {
        Call::Create => Fault::Refused(TransportErrorKind::AccessDenied),
        _ => Fault::Nothing,
    });
    assert!(
        put(&small_parts(&store), "k", &source, &record)
            .await
            .is_err()
    );
    assert!(!record.exists());
}

/// Story: an upload was begun where nothing was, somebody stored an object there, and the upload that
/// could not be completed over it was gone on with for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_cannot_be_completed_is_begun_anew() {
    let store = Faulty::new();
    let folder = tempfile::tempdir().unwrap();
    let (source, record) = (folder.path().join("source"), folder.path().join("record"));
    let content = plain(4 * PART);
    std::fs::write(&source, &content).unwrap();
    let s3 = EncryptedS3::builder(Arc::clone(&store), keyring(1))
        .part_bytes(u64::try_from(PART).unwrap())
        .storage(Storage::InstructionFile)
        .build()
        .unwrap();
    let writer = Arc::clone(&store);
    store.rule(move |call| {
        if *call == Call::Complete {
            let attributes = Attributes::default();
            let put = writer.place("k", "theirs", &attributes);
            futures_util::FutureExt::now_or_never(put).unwrap();
        }
        Fault::Nothing
    });
    let refused = put(&s3, "k", &source, &record).await;
    assert!(matches!(refused, Err(Error::Changed)), "{refused:?}");
    assert_eq!(store.stored("k").0, "theirs");
    assert!(!record.exists());
    assert_eq!(store.store_uploads().await, 0);
    store.rule(|_| Fault::Nothing);
    put(&s3, "k", &source, &record).await.unwrap();
    let object = s3.get_object("b", "k").send().await.unwrap();
    assert!(object.body.collect().await.unwrap() == content);
}
