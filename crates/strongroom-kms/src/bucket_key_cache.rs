// SPDX-License-Identifier: Apache-2.0
//! Bucket keys that are held for a while, a bounded number of them, and whose turn it is to get one
//! that is not.
//!
//! An entry here permits nothing: who takes it decides everything again
//! (`Kms::held_bucket_key`).

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use strongroom_format::sha384;
use strongroom_memory::SecretBytes;
use strongroom_store::table::ChangeCount;

use crate::authorize::Told;
use crate::key_id::KeyUid;
use crate::rows::{KeyRow, MaterialRow};

/// Whose, and what for: as a request says it, nothing of it kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AskedFor<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) access_key_id: &'a str,
    pub(crate) key: KeyUid,
    pub(crate) bucket_uid: &'a [u8; 16],
    /// The encryption context.
    pub(crate) context: Said<'a>,
    /// To read: the ciphertext that was decrypted. `None` is for writing; who may write need not be
    /// one who may read, so the two never meet.
    pub(crate) blob: Option<Said<'a>>,
}

impl<'a> AskedFor<'a> {
    /// As a map of [`HeldFor`] is asked.
    fn as_key(&self) -> &(dyn AsAsked + 'a) {
        self
    }
}

/// Bytes that a request gave, or a digest in the place of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Said<'a> {
    Whole(&'a [u8]),
    Digest([u8; 48]),
}

impl<'a> Said<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Said<'a> {
        if bytes.len() <= SAID_BYTES_MAX {
            Said::Whole(bytes)
        } else {
            Said::Digest(sha384(bytes))
        }
    }
}

/// [`AskedFor`], kept.
#[derive(Clone, Debug)]
struct HeldFor {
    user_id: Box<str>,
    access_key_id: Box<str>,
    key: KeyUid,
    bucket_uid: [u8; 16],
    context: Kept,
    blob: Option<Kept>,
}

#[derive(Clone, Debug)]
enum Kept {
    Whole(Box<[u8]>),
    Digest([u8; 48]),
}

impl HeldFor {
    fn of(asked: &AskedFor<'_>) -> HeldFor {
        HeldFor {
            user_id: asked.user_id.into(),
            access_key_id: asked.access_key_id.into(),
            key: asked.key,
            bucket_uid: *asked.bucket_uid,
            context: Kept::of(asked.context),
            blob: asked.blob.map(Kept::of),
        }
    }
}

impl Kept {
    fn of(said: Said<'_>) -> Kept {
        match said {
            Said::Whole(bytes) => Kept::Whole(bytes.into()),
            Said::Digest(digest) => Kept::Digest(digest),
        }
    }

    fn said(&self) -> Said<'_> {
        match self {
            Kept::Whole(bytes) => Said::Whole(bytes),
            Kept::Digest(digest) => Said::Digest(*digest),
        }
    }
}

/// What is kept and what is asked are compared as what was asked, all of it: so a look copies
/// nothing.
trait AsAsked {
    fn as_asked(&self) -> AskedFor<'_>;
}

impl AsAsked for AskedFor<'_> {
    fn as_asked(&self) -> AskedFor<'_> {
        *self
    }
}

impl AsAsked for HeldFor {
    fn as_asked(&self) -> AskedFor<'_> {
        AskedFor {
            user_id: &self.user_id,
            access_key_id: &self.access_key_id,
            key: self.key,
            bucket_uid: &self.bucket_uid,
            context: self.context.said(),
            blob: self.blob.as_ref().map(Kept::said),
        }
    }
}

impl<'a> Borrow<dyn AsAsked + 'a> for HeldFor {
    fn borrow(&self) -> &(dyn AsAsked + 'a) {
        self
    }
}

impl PartialEq for dyn AsAsked + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.as_asked() == other.as_asked()
    }
}

impl Eq for dyn AsAsked + '_ {}

/// Of what tells entries apart, and not of all that is compared: a ciphertext ends with its tag, so
/// what it was made for need not be hashed beside it.
impl Hash for dyn AsAsked + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let asked = self.as_asked();
        state.write(asked.access_key_id.as_bytes());
        match asked.blob {
            Some(Said::Whole(blob)) => {
                let tag = blob.last_chunk().copied().unwrap_or_default();
                state.write_u64(u64::from_le_bytes(tag));
            }
            Some(digest) => digest.hash(state),
            None => {
                asked.key.hash(state);
                asked.context.hash(state);
                asked.bucket_uid.hash(state);
            }
        }
    }
}

impl PartialEq for HeldFor {
    fn eq(&self, other: &Self) -> bool {
        self.as_asked() == other.as_asked()
    }
}

impl Eq for HeldFor {}

impl Hash for HeldFor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let asked: &dyn AsAsked = self;
        asked.hash(state);
    }
}

/// A bucket key, and what it was made of.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) secret: Arc<SecretBytes>,
    /// The bucket key, encrypted by the KMS key.
    pub(crate) blob: Arc<[u8]>,
    pub(crate) key: KeyUid,
    pub(crate) key_arn: String,
    pub(crate) key_material_id: String,
    /// Commit that wrote the KMS key's row.
    pub(crate) seq: u64,
    /// Version of the material, and its row.
    pub(crate) version: u32,
    pub(crate) stored: Arc<MaterialRow>,
    /// Of a use for which the rows were looked at.
    pub(crate) seen: Option<Seen>,
}

/// The KMS key, when it was found to be that of a bucket key, and the material's row to be
/// [`Held::stored`]. It is so as long as the tables' counts are these
/// (`docs/adr/0045-opened-kms-rows-under-a-count-of-changes.md`); what changes with time is not in
/// it.
#[derive(Clone)]
pub(crate) struct Seen {
    /// Asked before the rows were read.
    pub(crate) counts: Counts,
    pub(crate) row: Arc<KeyRow>,
    pub(crate) told: Arc<Told>,
}

/// Counts of changes of the tables of keys and of their material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) keys: ChangeCount,
    pub(crate) materials: ChangeCount,
}

impl Held {
    /// What is known of the KMS key while the tables have these counts.
    pub(crate) fn seen_at(&self, counts: Option<Counts>) -> Option<&Seen> {
        let counts = counts?;
        self.seen.as_ref().filter(|seen| seen.counts == counts)
    }

    /// The same bucket key, whose KMS key was looked at once more.
    pub(crate) fn seen_again(&self, seen: Seen) -> Held {
        Held {
            secret: Arc::clone(&self.secret),
            blob: Arc::clone(&self.blob),
            key: self.key,
            key_arn: self.key_arn.clone(),
            key_material_id: self.key_material_id.clone(),
            seq: self.seq,
            version: self.version,
            stored: Arc::clone(&self.stored),
            seen: Some(seen),
        }
    }
}

/// No policy, tags or description.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(crate) struct BucketKeyCache {
    shelf: Mutex<Shelf>,
    turns: Mutex<HashMap<HeldFor, Weak<Turn>>>,
}

/// Held while one request gets a bucket key that others wait for.
pub(crate) type Turn = tokio::sync::Mutex<()>;

#[derive(Debug, Default)]
struct Shelf {
    entries: HashMap<HeldFor, Entry>,
    /// Counts uses.
    now: u64,
    /// Counts what was let go of by [`BucketKeyCache::forget`].
    forgotten: u64,
}

/// What had been forgotten when a use of a KMS key began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered(u64);

#[derive(Debug)]
struct Entry {
    held: Arc<Held>,
    since: Instant,
    since_ms: u64,
    used: u64,
}

impl Entry {
    /// By two clocks: one that cannot be set, and one that runs on while the machine sleeps. A
    /// clock that was set back ends it, too.
    fn lives(&self, now_ms: u64) -> bool {
        self.since.elapsed() < LIFETIME
            && now_ms
                .checked_sub(self.since_ms)
                .is_some_and(|age_ms| u128::from(age_ms) < LIFETIME.as_millis())
    }
}

impl BucketKeyCache {
    pub(crate) fn get(&self, asked: &AskedFor<'_>, now_ms: u64) -> Option<Arc<Held>> {
        let mut all = self.shelf();
        all.now = all.now.saturating_add(1);
        let now = all.now;
        let entry = all.entries.get_mut(asked.as_key())?;
        if !entry.lives(now_ms) {
            all.entries.remove(asked.as_key());
            return None;
        }
        entry.used = now;
        Some(Arc::clone(&entry.held))
    }

    /// To be asked before the use of a KMS key that makes what is put.
    pub(crate) fn remembered(&self) -> Remembered {
        Remembered(self.shelf().forgotten)
    }

    /// Holds a key; when there are too many, the one that was not used for longest goes. One whose
    /// use began before something was forgotten is not held: its KMS key may have been meant, and
    /// whoever forgot it believes that nothing of it is in memory.
    pub(crate) fn put(
        &self,
        asked: &AskedFor<'_>,
        held: &Arc<Held>,
        now_ms: u64,
        since: Remembered,
    ) {
        let mut all = self.shelf();
        if all.forgotten != since.0 {
            return;
        }
        if all.entries.len() >= ENTRIES_MAX {
            all.entries.retain(|_, entry| entry.lives(now_ms));
        }
        if all.entries.len() >= ENTRIES_MAX {
            let oldest = all.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(held_for, _)| held_for.clone()) {
                all.entries.remove(&oldest);
            }
        }
        all.now = all.now.saturating_add(1);
        let entry = Entry {
            held: Arc::clone(held),
            since: Instant::now(),
            since_ms: now_ms,
            used: all.now,
        };
        all.entries.insert(HeldFor::of(asked), entry);
    }

    /// Puts what was seen of one in its place, if that is still there: neither longer nor for
    /// anybody else.
    pub(crate) fn see_again(&self, asked: &AskedFor<'_>, held: &Arc<Held>, now: &Arc<Held>) {
        let mut all = self.shelf();
        if let Some(entry) = all.entries.get_mut(asked.as_key())
            && Arc::ptr_eq(&entry.held, held)
        {
            entry.held = Arc::clone(now);
        }
    }

    pub(crate) fn drop_one(&self, asked: &AskedFor<'_>) {
        self.shelf().entries.remove(asked.as_key());
    }

    /// Lets go of all that come from a KMS key.
    pub(crate) fn forget(&self, key: KeyUid) {
        let mut all = self.shelf();
        all.forgotten = all.forgotten.saturating_add(1);
        all.entries.retain(|of, _| of.key != key);
    }

    /// Lets go of everything that has lived long enough.
    pub(crate) fn expire(&self, now_ms: u64) {
        self.shelf().entries.retain(|_, entry| entry.lives(now_ms));
    }

    /// The lock that lets one request at a time get the same key.
    pub(crate) fn turn(&self, asked: &AskedFor<'_>) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(asked.as_key()).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn::default());
        turns.insert(HeldFor::of(asked), Arc::downgrade(&turn));
        turn
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Every change of the map is whole before anything can panic.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LIFETIME: Duration = Duration::from_mins(5);
const ENTRIES_MAX: usize = 1_024;
/// Contexts and ciphertexts of S3 are shorter, mostly; to compare them costs less than a digest.
const SAID_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn held_for(number: usize) -> AskedFor<'static> {
        // Only tests leak.
        asked_for(number.to_string().leak())
    }

    fn asked_for(user_id: &str) -> AskedFor<'_> {
        AskedFor {
            user_id,
            access_key_id: "A",
            key: KeyUid([1; 16]),
            bucket_uid: &[2; 16],
            context: Said::of(&[3; 48]),
            blob: None,
        }
    }

    fn held() -> Arc<Held> {
        Arc::new(Held {
            secret: Arc::new(SecretBytes::copy_of(&[0xA7; 32])),
            blob: Arc::from([1_u8].as_slice()),
            key: KeyUid([1; 16]),
            key_arn: String::new(),
            key_material_id: String::new(),
            seq: 1,
            version: 1,
            stored: stored(),
            seen: None,
        })
    }

    fn stored() -> Arc<MaterialRow> {
        Arc::new(MaterialRow {
            wrap_epoch: 1,
            wrapped: vec![1],
            material_id: [0; 32],
            created_ms: 0,
            shred_id: [0; 16],
            rotated_ms: None,
            rotation: None,
            valid_to_ms: None,
            description: None,
        })
    }

    #[test]
    fn least_recently_used_goes_first() {
        let cache = BucketKeyCache::default();
        for number in 0..ENTRIES_MAX {
            cache.put(&held_for(number), &held(), 5, cache.remembered());
        }
        assert!(cache.get(&held_for(0), 5).is_some());
        cache.put(&held_for(ENTRIES_MAX), &held(), 5, cache.remembered());
        assert_eq!(cache.shelf().entries.len(), ENTRIES_MAX);
        assert!(cache.get(&held_for(0), 5).is_some());
        assert!(cache.get(&held_for(1), 5).is_none());
        assert!(cache.get(&held_for(2), 5).is_some());
    }

    #[test]
    fn ends_after_five_minutes_and_when_the_clock_goes_back() {
        let cache = BucketKeyCache::default();
        for (at, there) in [
            (1_000, true),
            (300_999, true),
            (301_000, false),
            (999, false),
        ] {
            cache.put(&held_for(0), &held(), 1_000, cache.remembered());
            assert_eq!(cache.get(&held_for(0), at).is_some(), there, "{at}");
        }
        cache.put(&held_for(0), &held(), 1_000, cache.remembered());
        cache.expire(301_000);
        assert!(cache.shelf().entries.is_empty());
    }

    /// A use that began before the key was disabled ends after it: its bucket key stayed for five
    /// minutes, useless but there.
    #[test]
    fn what_was_made_before_something_was_forgotten_is_not_held() {
        let cache = BucketKeyCache::default();
        for forgotten in [KeyUid([1; 16]), KeyUid([9; 16])] {
            let since = cache.remembered();
            cache.forget(forgotten);
            cache.put(&held_for(0), &held(), 5, since);
            assert!(cache.get(&held_for(0), 5).is_none());
            assert!(cache.shelf().entries.is_empty());
        }
        let since = cache.remembered();
        cache.put(&held_for(0), &held(), 5, since);
        assert!(cache.get(&held_for(0), 5).is_some());
        cache.forget(KeyUid([9; 16]));
        assert!(cache.get(&held_for(0), 5).is_some(), "of another key");
        cache.forget(KeyUid([1; 16]));
        assert!(cache.get(&held_for(0), 5).is_none());
        cache.put(&held_for(0), &held(), 5, since);
        assert!(cache.shelf().entries.is_empty());
    }

    #[test]
    fn what_is_seen_again_lives_no_longer_and_comes_back_for_nobody() {
        let cache = BucketKeyCache::default();
        let (first, again) = (held(), held());
        cache.put(&held_for(0), &first, 1_000, cache.remembered());
        cache.see_again(&held_for(0), &first, &again);
        let now = cache.get(&held_for(0), 300_999).unwrap();
        assert!(Arc::ptr_eq(&now, &again));
        // Another request was quicker.
        cache.see_again(&held_for(0), &first, &held());
        let now = cache.get(&held_for(0), 300_999).unwrap();
        assert!(Arc::ptr_eq(&now, &again));
        assert!(cache.get(&held_for(0), 301_000).is_none());
        cache.see_again(&held_for(0), &again, &held());
        assert!(cache.shelf().entries.is_empty());
        cache.put(&held_for(0), &first, 1_000, cache.remembered());
        cache.forget(KeyUid([1; 16]));
        cache.see_again(&held_for(0), &first, &again);
        assert!(cache.shelf().entries.is_empty());
    }

    #[test]
    fn turns_of_nobody_are_not_kept() {
        let cache = BucketKeyCache::default();
        let first = cache.turn(&held_for(0));
        assert!(Arc::ptr_eq(&first, &cache.turn(&held_for(0))));
        drop(first);
        for number in 1..100 {
            let _turn = cache.turn(&held_for(number));
        }
        assert!(cache.turns.lock().unwrap().len() <= 2);
    }

    /// A digest that stands for many bytes is not those 48 bytes themselves.
    #[test]
    fn what_was_said_is_told_from_every_other() {
        let long = vec![7_u8; SAID_BYTES_MAX + 1];
        let digest = sha384(&long);
        assert_eq!(Said::of(&long), Said::Digest(digest));
        assert_ne!(Said::of(&long), Said::of(&digest));
        assert_ne!(Said::of(&long), Said::of(&vec![7; long.len() + 1]));
        assert_ne!(Said::of(&[7; 2]), Said::of(&[7; 3]));
        assert_eq!(Said::of(&[7; SAID_BYTES_MAX]), Said::of(&long[1..]));
        let one = asked_for("u");
        let said = |context, blob: Option<&'static [u8]>| AskedFor {
            context: Said::of(context),
            blob: blob.map(Said::of),
            ..one
        };
        let some = [
            one,
            AskedFor {
                user_id: "v",
                ..one
            },
            AskedFor {
                access_key_id: "B",
                ..one
            },
            AskedFor {
                user_id: "uA",
                access_key_id: "",
                ..one
            },
            AskedFor {
                key: KeyUid([9; 16]),
                ..one
            },
            AskedFor {
                bucket_uid: &[9; 16],
                ..one
            },
            said(b"a", None),
            said(b"a", Some(b"")),
            said(b"a", Some(b"b")),
            said(b"b", Some(b"a")),
            said(b"", Some(b"ab")),
            // What is hashed of these is the same.
            AskedFor {
                user_id: "v",
                ..said(b"a", Some(b"b"))
            },
            AskedFor {
                key: KeyUid([9; 16]),
                ..said(b"a", Some(b"b"))
            },
            AskedFor {
                bucket_uid: &[9; 16],
                ..said(b"a", Some(b"b"))
            },
            said(b"b", Some(b"b")),
            said(b"a", Some(long.leak())),
        ];
        let cache = BucketKeyCache::default();
        for (at, one) in some.iter().enumerate() {
            assert_eq!(HeldFor::of(one).as_asked(), *one);
            assert!(some.iter().skip(at + 1).all(|other| other != one));
            assert!(cache.get(one, 5).is_none(), "of another");
            cache.put(one, &held(), 5, cache.remembered());
            assert!(cache.get(one, 5).is_some());
        }
        for (left, one) in some.iter().enumerate().rev() {
            cache.drop_one(one);
            assert_eq!(cache.shelf().entries.len(), left);
        }
    }

    #[test]
    fn nothing_prints() {
        assert!(!format!("{:?}", held()).contains("167"));
    }
}
