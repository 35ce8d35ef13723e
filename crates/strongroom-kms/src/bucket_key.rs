// SPDX-License-Identifier: Apache-2.0
//! Bucket keys: one data key for many objects of a bucket, so that most requests of S3 need no use
//! of the KMS key (`docs/adr/0024-bucket-keys.md`).
//!
//! ```text
//! held, and would the KMS key serve this request now?  -> the EK of the object, no event
//! not held                                             -> GenerateDataKey or Decrypt, its event
//!                                                         on the drive, then held
//! would not serve it                                   -> the same, which refuses and records it
//! ```
//!
//! A bucket key never leaves this file: callers get the external key of one object.

use std::sync::Arc;

use serde_json::json;
use strongroom_audit::Receipt;
use strongroom_format::{
    BUCKET_KEY_SALT_BYTES, BucketKeyRef, EncryptionContext, ExternalKey, kms_blob_parse,
};
use strongroom_iam::Caller;
use strongroom_memory::SecretBytes;

use crate::authorize::{Ask, KmsAction, Via};
use crate::bucket_key_cache::{AskedFor, Held, Said, Seen};
use crate::data_key::{DataKey, DataKeySpec, Decrypted};
use crate::encryption::SYMMETRIC_DEFAULT;
use crate::error::Error;
use crate::event::{Event, asked};
use crate::key_id::KeyUid;
use crate::material;
use crate::model::{CiphertextBlob, Plaintext};
use crate::patience::Patience;
use crate::rows::{MaterialRow, is_same};
use crate::s3::{AWS_S3_ALIAS, S3DataKey, SYMMETRIC};
use crate::service::{Found, Kms};
use crate::use_key::Use;

impl Kms {
    /// The key of a new object, from the caller's bucket key under `key` or `alias/aws/s3`.
    /// `context` names the bucket, not the object.
    pub async fn bucket_key_for_s3(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        key: Option<&str>,
        bucket_uid: &[u8; 16],
        context: &EncryptionContext,
    ) -> Result<S3DataKey, Error> {
        let wish = Use {
            caller,
            action: KmsAction::GenerateDataKey,
            context: Some(context),
            grant_tokens: &[],
            dry_run: false,
            conditions: &*SYMMETRIC,
        };
        let wanted = Wanted {
            wish,
            what: What::New {
                key_id: key.unwrap_or(AWS_S3_ALIAS),
            },
            bucket_uid,
            context,
            said: context.canonical_bytes(),
        };
        let held = self.bucket_key(&wanted, receipt).await?;
        let mut salt = [0; BUCKET_KEY_SALT_BYTES];
        material::fill(&mut salt)?;
        let reference = BucketKeyRef::new(salt, &held.blob)
            .map_err(|_| Error::Internal("the reference to a bucket key"))?;
        Ok(S3DataKey {
            plaintext: held.external_key(&reference, bucket_uid)?,
            blob: reference.to_bytes(),
            key_arn: held.key_arn.clone(),
            key_material_id: held.key_material_id.clone(),
        })
    }

    /// The key of a stored object that [`Kms::bucket_key_for_s3`] made.
    pub async fn open_bucket_key_for_s3(
        &self,
        caller: &Caller,
        receipt: &Receipt,
        ek_ref: &[u8],
        bucket_uid: &[u8; 16],
        context: &EncryptionContext,
    ) -> Result<ExternalKey, Error> {
        let reference = BucketKeyRef::parse(ek_ref).map_err(|_| Error::InvalidCiphertext)?;
        let wish = Use {
            caller,
            action: KmsAction::Decrypt,
            context: Some(context),
            grant_tokens: &[],
            dry_run: false,
            conditions: &*SYMMETRIC,
        };
        let wanted = Wanted {
            wish,
            what: What::Stored {
                blob: reference.blob(),
            },
            bucket_uid,
            context,
            said: context.canonical_bytes(),
        };
        let held = self.bucket_key(&wanted, receipt).await?;
        held.external_key(&reference, bucket_uid)
    }

    /// A bucket key that is held, or else a new use of the KMS key. Of several requests that need
    /// the same one, one gets it.
    async fn bucket_key(&self, wanted: &Wanted<'_>, receipt: &Receipt) -> Result<Arc<Held>, Error> {
        match self.held_bucket_key(wanted) {
            Standing::Good(held) => Ok(held),
            // What a request may wait for once need not lie in every request's own memory.
            other => Box::pin(self.new_bucket_key(wanted, receipt, other)).await,
        }
    }

    async fn new_bucket_key(
        &self,
        wanted: &Wanted<'_>,
        receipt: &Receipt,
        standing: Standing,
    ) -> Result<Arc<Held>, Error> {
        let turn = match standing {
            Standing::Good(held) => return Ok(held),
            Standing::Missing(key) => Some(self.bucket_keys().turn(&wanted.asked_for(key))),
            Standing::Refused => None,
        };
        let patience = Patience::new();
        let _turn = match &turn {
            Some(turn) => {
                let turn = patience.wait(async { Ok(turn.lock().await) }).await?;
                if let Standing::Good(held) = self.held_bucket_key(wanted) {
                    return Ok(held);
                }
                Some(turn)
            }
            None => None,
        };
        let since = self.bucket_keys().remembered();
        let held = match wanted.what {
            What::New { key_id } => {
                let made = self.make_bucket_key(wanted, receipt, key_id, &patience);
                Arc::new(made.await?)
            }
            What::Stored { blob } => {
                let blob = CiphertextBlob(blob.to_vec());
                let opened = self.decrypt_bucket_key(wanted, receipt, &blob, &patience);
                Arc::new(opened.await?)
            }
        };
        let asked_for = wanted.asked_for(held.key);
        self.bucket_keys()
            .put(&asked_for, &held, self.now_ms(), since);
        Ok(held)
    }

    /// Whether a bucket key is held for this request and may serve it: everything that a use of
    /// the KMS key would decide is decided again, without an event. Whatever goes wrong here goes
    /// wrong on the audited path, too, which says so.
    fn held_bucket_key(&self, wanted: &Wanted<'_>) -> Standing {
        let Ok((key, alias)) = self.named(wanted.what) else {
            return Standing::Refused;
        };
        // After the alias, so that the key is looked at as it is when that names it, and before any
        // row of the key is read.
        let counts = self.counts_of_keys();
        let now_ms = self.now_ms();
        let asked_for = wanted.asked_for(key);
        let held = self.bucket_keys().get(&asked_for, now_ms);
        let seen = held.as_ref().and_then(|held| held.seen_at(counts));
        // Rows that did not change since they were looked at say the same; only time is looked at
        // and the caller asked about.
        if let Some(Seen { row, told, .. }) = seen.filter(|seen| seen.row.is_as_stored(now_ms)) {
            let alias = alias.as_deref();
            let decided = self.decide_about(&wanted.wish, row, told, alias, Via::S3);
            // A key's row tells the earliest end of its material, too; it is asked for once more all
            // the same.
            return match (decided, held) {
                (Ok(_), Some(held)) if held.stored.is_there(now_ms) => Standing::Good(held),
                (decided, _) => {
                    self.bucket_keys().drop_one(&asked_for);
                    match decided {
                        Ok(_) => Standing::Missing(key),
                        Err(_) => Standing::Refused,
                    }
                }
            };
        }
        let Ok(Some(found)) = self.key(key) else {
            return Standing::Refused;
        };
        let found = Found { alias, ..found };
        if self.decide(&wanted.wish, &found, Via::S3).is_err() {
            self.bucket_keys().drop_one(&asked_for);
            return Standing::Refused;
        }
        let Some(held) = held else {
            return Standing::Missing(key);
        };
        let stored = self.material(key, held.version);
        let stored = stored.ok().flatten();
        let same = held.seq == found.seq
            && stored
                .is_some_and(|stored| is_same(&stored, &held.stored) && stored.is_there(now_ms));
        if !same {
            self.bucket_keys().drop_one(&asked_for);
            return Standing::Missing(key);
        }
        let small = found.row.text_bytes() <= SEEN_TEXT_BYTES_MAX;
        let Some(counts) = counts.filter(|_| small) else {
            return Standing::Good(held);
        };
        // It serves, so it is the row as it is stored: what comes with time takes from a key only.
        let seen = Seen {
            counts,
            row: found.row,
            told: found.told,
        };
        let now = Arc::new(held.seen_again(seen));
        self.bucket_keys().see_again(&asked_for, &held, &now);
        Standing::Good(now)
    }

    /// The key that is meant, and the alias that it is named by.
    fn named(&self, what: What<'_>) -> Result<(KeyUid, Option<String>), Error> {
        match what {
            What::New { key_id } => self.uid_of(key_id),
            What::Stored { blob } => {
                let header = kms_blob_parse(blob).map_err(|_| Error::InvalidCiphertext)?;
                Ok((KeyUid(header.key_uid), None))
            }
        }
    }

    /// GenerateDataKey, recorded on the drive before anybody can use the outcome.
    async fn make_bucket_key(
        &self,
        wanted: &Wanted<'_>,
        receipt: &Receipt,
        key_id: &str,
        patience: &Patience,
    ) -> Result<Held, Error> {
        let (wish, context) = (&wanted.wish, wanted.context);
        let parameters = json!({ "keyId": asked(key_id) });
        let mut event = Event::new(receipt, "GenerateDataKey", true, parameters)
            .via_s3(self.place())
            .for_many_requests();
        DataKeySpec::Aes256.tell(&mut event);
        event.context(context);
        let ask = Ask::new(wish.caller, Via::S3, wish.action).context(context);
        let found = patience.wait(self.find_or_make(&ask, receipt, key_id));
        let result = match found.await {
            Err(error) => Err(error),
            Ok(found) => {
                event.parameter("keyId", found.told.arn.clone().into());
                let version = found.row.current_version;
                let reached = self
                    .reach(patience, wish, &found, version, &mut event)
                    .await;
                // What was decided before the vault was waited for may not hold any more.
                let again = match reached {
                    Ok(()) => {
                        patience
                            .wait(self.find_or_make(&ask, receipt, key_id))
                            .await
                    }
                    Err(error) => Err(error),
                };
                again.and_then(|found| {
                    event.parameter("keyId", found.told.arn.clone().into());
                    let stored = self.stored_material(&found, found.row.current_version);
                    let made =
                        self.make_data_key(wish, &found, DataKeySpec::Aes256, context, &mut event)?;
                    Ok((made, stored?, found))
                })
            }
        };
        let (made, stored, found) = patience.wait(event.close(result)).await?;
        let DataKey {
            plaintext,
            encrypted,
        } = made;
        Ok(Held {
            secret: secret(&plaintext)?,
            blob: encrypted.blob.0.into(),
            key: found.row.uid(),
            key_arn: encrypted.key_arn,
            key_material_id: encrypted.key_material_id,
            seq: found.seq,
            version: found.row.current_version,
            stored,
            seen: None,
        })
    }

    /// Decrypt, recorded on the drive before anybody can use the outcome.
    async fn decrypt_bucket_key(
        &self,
        wanted: &Wanted<'_>,
        receipt: &Receipt,
        blob: &CiphertextBlob,
        patience: &Patience,
    ) -> Result<Held, Error> {
        let parameters = json!({ "encryptionAlgorithm": SYMMETRIC_DEFAULT });
        let mut event = Event::new(receipt, "Decrypt", true, parameters)
            .via_s3(self.place())
            .for_many_requests();
        event.context(wanted.context);
        let reached = self
            .reach_for(patience, &wanted.wish, blob, &mut event)
            .await;
        let result = reached
            .and_then(|()| self.open_bucket_key(&wanted.wish, blob, wanted.context, &mut event));
        patience.wait(event.close(result)).await
    }

    fn open_bucket_key(
        &self,
        wish: &Use<'_>,
        blob: &CiphertextBlob,
        context: &EncryptionContext,
        event: &mut Event<'_>,
    ) -> Result<Held, Error> {
        let found = self.key_of_blob(&blob.0, None)?;
        let header = kms_blob_parse(&blob.0).map_err(|_| Error::InvalidCiphertext)?;
        let stored = self.stored_material(&found, header.version);
        let Decrypted {
            plaintext,
            key_arn,
            key_material_id,
        } = self.open_data_key(wish, blob, context, event)?;
        Ok(Held {
            secret: secret(&plaintext)?,
            blob: blob.0.as_slice().into(),
            key: found.row.uid(),
            key_arn,
            key_material_id,
            seq: found.seq,
            version: header.version,
            stored: stored?,
            seen: None,
        })
    }

    fn stored_material(&self, found: &Found, version: u32) -> Result<Arc<MaterialRow>, Error> {
        let stored = self.material(found.row.uid(), version)?;
        stored.ok_or(Error::InvalidCiphertext)
    }
}

impl Held {
    fn external_key(
        &self,
        reference: &BucketKeyRef<'_>,
        bucket_uid: &[u8; 16],
    ) -> Result<ExternalKey, Error> {
        let bytes = self.secret.expose_secret().try_into();
        let bytes: &[u8; 32] = bytes.map_err(|_| Error::Internal("a bucket key's length"))?;
        Ok(reference.external_key(bytes, bucket_uid))
    }
}

/// A request for a bucket key.
struct Wanted<'a> {
    wish: Use<'a>,
    what: What<'a>,
    bucket_uid: &'a [u8; 16],
    context: &'a EncryptionContext,
    /// Its canonical bytes.
    said: Vec<u8>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    /// One to write under.
    New { key_id: &'a str },
    /// The one in the reference of a stored object.
    Stored { blob: &'a [u8] },
}

impl Wanted<'_> {
    fn asked_for(&self, key: KeyUid) -> AskedFor<'_> {
        let caller = self.wish.caller;
        AskedFor {
            user_id: caller.user_id(),
            access_key_id: caller.access_key_id(),
            key,
            bucket_uid: self.bucket_uid,
            context: Said::of(&self.said),
            blob: match self.what {
                What::New { .. } => None,
                What::Stored { blob } => Some(Said::of(blob)),
            },
        }
    }
}

/// What there is for a request.
enum Standing {
    Good(Arc<Held>),
    /// Nothing under this key.
    Missing(KeyUid),
    /// The KMS key would not serve it.
    Refused,
}

fn secret(plaintext: &Plaintext) -> Result<Arc<SecretBytes>, Error> {
    let bytes = plaintext.expose_secret();
    if bytes.len() != BUCKET_KEY_BYTES {
        return Err(Error::InvalidCiphertext);
    }
    Ok(Arc::new(SecretBytes::copy_of(bytes)))
}

const BUCKET_KEY_BYTES: usize = 32;
/// Each bucket key that is held may keep a row of its own in memory, with the policy in it: larger ones
/// are looked up among the opened rows, which have a bound together.
const SEEN_TEXT_BYTES_MAX: usize = 8 << 10;
