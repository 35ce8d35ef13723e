// SPDX-License-Identifier: Apache-2.0
//! Start and stop: one straight line, and the same line backwards.
//!
//! ```text
//! data directory held -> keyring unsealed -> drive -> store (replays its log) -> audit
//!   (verifies its chain) -> iam -> kms -> objects -> api -> listeners
//! ```
//! No step is retried and none is skipped: whatever fails leaves the listeners closed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use strongroom_api::{Api, ApiServices};
use strongroom_audit::{Audit, AuditFiles, AuditOptions, RequestFacts, UserIdentity};
use strongroom_iam::{Caller, Iam, IamOptions};
use strongroom_kms::Kms;
use strongroom_kms::root::{Keyring, Rotation};
use strongroom_object::{Objects, ObjectsOptions};
use strongroom_store::drive::{Drive, LocalDrive, small_file};
use strongroom_store::env::{Clock, SystemClock};
use strongroom_store::{GivenDrive, LocalOpener, Store, StoreDrives, StoreOptions};
use strongroom_wire::sigv4::{
    PayloadMode, RequestToVerify, SigningInput, parse_auth, sign_request,
};

use crate::command::absolute_place;
use crate::config::{Answers, Place};
use crate::control::deed::Deed;
use crate::credential::RootAccessKey;
use crate::data_dir::{DataDir, Held};
use crate::error::Error;
use crate::lifecycle::Gate;
use crate::root_key::Keeper;
use crate::sealed_file::{self, Content};
use crate::tls::local_ca::{self, CaKey, LocalCa};
use crate::told::Told;

/// Everything below the listeners, open.
pub(crate) struct Rooms {
    pub(crate) root: RootAccessKey,
    pub(crate) data: DataDir,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Arc<Keyring>,
    /// The file of the keyring.
    pub(crate) keeper: Keeper,
    /// Where the store and the audit log lie.
    pub(crate) drive: Arc<dyn Drive>,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) iam: Iam,
    pub(crate) kms: Kms,
    pub(crate) objects: Objects,
    pub(crate) region: String,
    pub(crate) account_id: String,
    /// True if this start made the store.
    pub(crate) is_new: bool,
    /// How many keys wait for the clock, as the log was told.
    told_waiting: AtomicU64,
    /// What could not be carried out in the key service, as the log was told.
    told_failed: Mutex<Told>,
    /// Of the worker of lifecycle rules.
    pub(crate) lifecycle: Gate,
    /// Last: given back only when all of the above is gone.
    _held: Held,
}

impl Rooms {
    /// Opens the store, making it when there is none.
    pub(crate) async fn open(place: &Place, answers: Answers) -> Result<Self, Error> {
        place.data.create()?;
        let held = place.data.hold()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (keeper, is_new) = Keeper::open_or_create(place, clock.now_ms()).await?;
        Self::unlocked(place, answers, held, clock, keeper, is_new).await
    }

    /// Opens a store that is there already.
    pub(crate) async fn open_existing(place: &Place) -> Result<Self, Error> {
        let held = place.data.hold()?;
        let keeper = Keeper::open(place).await?;
        let clock = Arc::new(SystemClock);
        // Commands answer no requests of S3.
        Self::unlocked(place, Answers::default(), held, clock, keeper, false).await
    }

    async fn unlocked(
        place: &Place,
        answers: Answers,
        held: Held,
        clock: Arc<dyn Clock>,
        keeper: Keeper,
        is_new: bool,
    ) -> Result<Self, Error> {
        let keyring = Arc::clone(keeper.keyring());
        let root = match &place.root_credential {
            Some(key) => key.duplicate(),
            None => RootAccessKey::read_or_generate(&keyring, &place.data)?,
        };
        let store = open_store(place, &keyring).await?;
        let drive = store.home();
        let audit_options = AuditOptions {
            account_id: place.account_id.clone(),
            region: place.region.clone(),
        };
        let audit = Audit::open(Arc::clone(&drive), Arc::clone(&clock), audit_options)
            .await
            .map_err(Error::room("cannot open the audit log"))?;
        let for_iam = root
            .to_iam()
            .map_err(Error::room("cannot use the root credential"))?;
        let iam_options = IamOptions::new(&place.account_id, &place.region);
        let iam = Iam::open(&store, Arc::clone(&clock), iam_options, for_iam)
            .await
            .map_err(Error::room("cannot open the users"))?;
        let kms = Kms::open(
            &store,
            Arc::clone(&keyring),
            Arc::clone(&clock),
            place.region.clone(),
            place.account_id.clone(),
        )
        .await
        .map_err(Error::room("cannot open the key service"))?;
        kms.know_users_of(&iam);
        let options = ObjectsOptions {
            region: place.region.clone(),
            account_id: place.account_id.clone(),
            compat: answers.compat,
            day_ms: answers.day_ms,
            restore_delays: answers.restore_delays,
        };
        let objects = Objects::open(&store, &kms, Arc::clone(&clock), options)
            .await
            .map_err(Error::room("cannot open the buckets"))?;
        Ok(Self {
            root,
            data: place.data.clone(),
            clock,
            keyring,
            keeper,
            drive,
            store,
            audit,
            iam,
            kms,
            objects,
            region: place.region.clone(),
            account_id: place.account_id.clone(),
            is_new,
            told_waiting: AtomicU64::new(0),
            told_failed: Mutex::default(),
            lifecycle: Gate::default(),
            _held: held,
        })
    }

    /// The protocol adapters over these rooms.
    pub(crate) fn api(&self, domains: Vec<String>) -> Api {
        Api::new(ApiServices {
            objects: self.objects.clone(),
            kms: self.kms.clone(),
            iam: self.iam.clone(),
            audit: self.audit.clone(),
            clock: Arc::clone(&self.clock),
            region: self.region.clone(),
            account_id: self.account_id.clone(),
            domains,
        })
    }

    /// The local CA, made at its first use.
    pub(crate) fn local_ca(&self, place: &Place) -> Result<LocalCa, Error> {
        let key_path = place.data.ca_key();
        let (key, is_new) = match sealed_file::read(&self.keyring, &key_path, Content::CaKey)? {
            Some(der) => (CaKey::from_pkcs8(der), false),
            None => (CaKey::generate()?, true),
        };
        let path = place.data.ca_certificate();
        let stored = small_file::read(&path).map_err(Error::file("read", &path))?;
        let is_there = stored.is_some();
        if is_new {
            sealed_file::write(
                &self.keyring,
                &key_path,
                Content::CaKey,
                key.expose_secret(),
            )?;
        }
        if is_new || !is_there {
            let pem = key.certificate_pem(self.clock.now_ms())?;
            small_file::write_public_durably(&path, pem.as_bytes())
                .map_err(Error::file("write", &path))?;
        } else if let Some(trouble) = local_ca::trouble(stored.as_deref(), self.clock.now_ms()) {
            let path = path.display();
            tracing::error!(
                "the certificate of the local CA {trouble}: take `{path}` away, start the server again, which \
                 makes another one, and give that to the clients"
            );
        }
        LocalCa::new(&key)
    }

    /// The person at the command line, as a caller. Who reaches the control socket or the files
    /// can have the root credential; the caller is made as any other, by a signed request.
    pub(crate) fn operator(&self) -> Result<Caller, Error> {
        let now_ms = self.clock.now_ms();
        let headers: [(&str, &[u8]); 1] = [("host", b"localhost")];
        let signed = sign_request(&SigningInput {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            access_key_id: &self.root.access_key_id,
            secret: &self.root.secret_access_key,
            session_token: None,
            region: &self.region,
            service: "s3",
            payload: PayloadMode::Unsigned,
            now_ms,
        })
        .map_err(Error::room("cannot act as root"))?;
        let mut headers = headers.to_vec();
        headers.extend(
            signed
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        let request = RequestToVerify {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            secure: true,
            body_sha256: None,
        };
        let auth = parse_auth(&request).map_err(Error::room("cannot act as root"))?;
        let facts = own_facts()?;
        self.iam
            .authenticate(&auth, &request, facts, now_ms)
            .map(|authenticated| authenticated.caller)
            .map_err(Error::room("cannot act as root"))
    }

    /// Records an event of the server's own life, durably.
    pub(crate) async fn record(&self, name: &'static str) -> Result<(), Error> {
        self.record_done(name, Value::Null, Value::Null).await
    }

    /// The same for what was done while the store was not open, and could not be announced.
    pub(crate) async fn record_done(
        &self,
        name: &'static str,
        asked: Value,
        came_of_it: Value,
    ) -> Result<(), Error> {
        let receipt = self.audit.begin(own_facts()?);
        Deed::act(name, asked).end(receipt, &Ok(came_of_it)).await
    }

    /// Records that the server is there. Tables that came from a backup or from manifests are said
    /// to at every start, as long as the restore is not over: the command that made them may have
    /// been killed before it could say so.
    pub(crate) async fn record_start(&self) -> Result<(), Error> {
        let is_restored = self.store.is_restored();
        let is_restored = is_restored.map_err(Error::room("cannot open the store"))?;
        let came_of_it = if is_restored {
            json!({ "tablesAreRestored": true })
        } else {
            Value::Null
        };
        self.record_done("StartServer", Value::Null, came_of_it)
            .await
    }

    /// Begins new epochs of the keyring by the server's own decision.
    pub(crate) async fn rotate_keyring(&self, rotation: Rotation) -> Result<(), Error> {
        let receipt = self.audit.begin(own_facts()?);
        let asked = json!({ "domain": rotation.domain, "sseS3": rotation.sse_s3 });
        let deed = Deed::act("RotateKeyring", asked);
        deed.announce(&receipt).await?;
        let rotated = self.keeper.rotate(rotation, self.clock.now_ms()).await;
        deed.end(receipt, &rotated).await?;
        rotated
    }

    /// Carries out what is due in the key service: keys to destroy, material that expired,
    /// rotations.
    pub(crate) async fn run_due(&self) -> Result<(), Error> {
        let receipt = self.audit.begin(own_facts()?);
        let done = self.kms.run_due(&receipt).await;
        receipt.finish_recorded();
        let report = done.map_err(Error::room("cannot carry out what is due"))?;
        let failed = report.failed.iter();
        let failed = failed.map(|(key, error)| (key.clone(), error.to_string()));
        let news = {
            // Every change is whole before anything can panic.
            let mut told = self
                .told_failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            told.news(self.clock.now_ms(), failed)
        };
        for (key, error) in news {
            tracing::error!(%key, %error, "what is due for a key could not be carried out; it is tried again");
        }
        if report.waiting != self.told_waiting.swap(report.waiting, Ordering::Relaxed)
            && report.waiting > 0
        {
            tracing::warn!(
                keys = report.waiting,
                "the clock is ahead of the time this server has seen pass: what is due is not destroyed \
                 yet; if the clock is right, `strongroom kms confirm-clock`"
            );
        }
        let (destroyed, expired, rotated) = (report.destroyed, report.expired, report.rotated);
        if destroyed.max(expired).max(rotated) > 0 {
            tracing::info!(destroyed, expired, rotated, "KMS keys");
        }
        Ok(())
    }

    /// Closes from the top down. The audit log closes after everything that writes to it.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        if let Err(error) = self.kms.flush_last_uses().await {
            tracing::warn!(%error, "the last uses of keys are not written down");
        }
        let audit = self
            .audit
            .close()
            .await
            .map_err(Error::room("cannot close the audit log"));
        let store = self
            .store
            .close()
            .await
            .map_err(Error::room("cannot close the store"));
        audit.and(store)
    }
}

/// Opens the store on its drives: those that were named, those that it knows, or the one in the
/// data directory.
async fn open_store(place: &Place, keyring: &Keyring) -> Result<Store, Error> {
    let options = StoreOptions {
        audit: Some(Arc::new(AuditFiles)),
        ..StoreOptions::default()
    };
    Store::open_set(store_drives(place)?, keyring.at_rest(), options)
        .await
        .map_err(|error| {
            let mut message = error.to_string();
            if message.contains("does not open") {
                message.push_str(
                    "; if `keyring` was put back from a copy, it may be older than the tables: take the \
                     newest copy, from after the last `strongroom root rotate`",
                );
            }
            Error::room("cannot open the store")(message)
        })
}

/// Where the drives are looked for.
pub(crate) fn store_drives(place: &Place) -> Result<StoreDrives, Error> {
    let witness = LocalDrive::open(&place.data.witness())
        .map_err(Error::room("cannot open the data directory"))?;
    Ok(StoreDrives {
        given: place.drives.clone(),
        otherwise: Some(GivenDrive {
            facility: "main".to_owned(),
            place: absolute_place(&place.data.drive())?,
        }),
        wish: place.wish,
        witness: Some(Arc::new(witness)),
        opener: Arc::new(LocalOpener),
    })
}

/// The facts of an act that came over no connection.
fn own_facts() -> Result<RequestFacts, Error> {
    Ok(RequestFacts {
        request_id: random_id()?,
        source_ip: "strongroom.internal".to_owned(),
        user_agent: concat!("strongroom/", env!("CARGO_PKG_VERSION")).to_owned(),
        host: String::new(),
        tls: None,
        identity: UserIdentity::AwsService {
            invoked_by: "strongroom.internal".to_owned(),
        },
    })
}

fn random_id() -> Result<String, Error> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| Error::Root("the system gives no random bytes".to_owned()))?;
    Ok(hex::encode_upper(random))
}
