// SPDX-License-Identifier: Apache-2.0
//! A conductor on a simulated or a local drive, and short words for what tests do with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use strongroom_audit::{Audit, AuditOptions, Receipt, RequestFacts, TlsFacts, UserIdentity};
use strongroom_format::ExternalKey;
use strongroom_iam::Caller;
use strongroom_kms::Kms;
use strongroom_kms::root::{self, Keyring, RootKey, RootSecret};
use strongroom_object::{
    BodyError, BodyLength, BodySource, ChecksumAlgorithm, ChecksumRequest, Compat, CustomerKey,
    DefaultAlgorithm, DeleteObject, EncryptionRequest, Error, GetObject, GetObjectOutput, Objects,
    ObjectsOptions, Properties, PutBucketEncryption, PutObject, PutObjectOutput, ReadConditions,
    Scope, WriteConditions,
};
use strongroom_store::blob::{BlobOptions, Patience};
use strongroom_store::drive::{Drive, DriveSet};
use strongroom_store::env::Clock;
use strongroom_store::layout::Redundancy;
use strongroom_store::{AtRest, Store, StoreOptions};
use strongroom_testkit::{SimClock, SimDrive};

pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const NOW_MS: u64 = 1_790_000_000_000;

pub(crate) struct House {
    pub(crate) objects: Objects,
    pub(crate) kms: Kms,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) caller: Caller,
    pub(crate) drive: Arc<dyn Drive>,
    pub(crate) clock: Arc<SimClock>,
}

pub(crate) async fn house() -> House {
    house_on(Arc::new(SimDrive::new(1))).await
}

pub(crate) async fn house_on(drive: Arc<dyn Drive>) -> House {
    house_sealed_by(drive, |at_rest| at_rest).await
}

/// A house whose store is given another sealer than the key service's own.
pub(crate) async fn house_sealed_by(
    drive: Arc<dyn Drive>,
    instead: impl FnOnce(Arc<dyn AtRest>) -> Arc<dyn AtRest>,
) -> House {
    let keyring = new_keyring();
    let at_rest = instead(keyring.at_rest());
    house_of(drive, keyring, at_rest).await.unwrap()
}

pub(crate) fn new_keyring() -> Arc<Keyring> {
    let secret = RootSecret::Key(RootKey::from_bytes(&[9; 32]).unwrap());
    let (keyring, _) = root::create(&secret, NOW_MS).unwrap();
    Arc::new(keyring)
}

/// A house whose keys outlive it: another can be opened on what its drive holds.
pub(crate) async fn house_of(
    drive: Arc<dyn Drive>,
    keyring: Arc<Keyring>,
    at_rest: Arc<dyn AtRest>,
) -> Result<House, strongroom_store::Error> {
    let store = Store::open(Arc::clone(&drive), at_rest, StoreOptions::default()).await?;
    Ok(house_in(store, drive, keyring).await)
}

/// A house whose bodies are spread over a set of drives; the rest lies on `drive`, the first one.
pub(crate) async fn house_over(
    set: DriveSet,
    drive: Arc<dyn Drive>,
    redundancy: Redundancy,
) -> House {
    house_over_with(set, drive, redundancy, new_keyring()).await
}

/// The same with keys that outlive it.
pub(crate) async fn house_over_with(
    set: DriveSet,
    drive: Arc<dyn Drive>,
    redundancy: Redundancy,
    keyring: Arc<Keyring>,
) -> House {
    // No drive of these tests is slow, however slow the machine is.
    let long = Duration::from_mins(5);
    let patience = Patience {
        write: long,
        quorum: long,
        read: long,
        avoid: Duration::ZERO,
        care: long,
    };
    let options = StoreOptions {
        redundancy,
        blobs: BlobOptions {
            patience,
            ..BlobOptions::default()
        },
        ..StoreOptions::default()
    };
    let store = Store::open_over(set, keyring.at_rest(), options).await;
    house_in(store.unwrap(), drive, keyring).await
}

async fn house_in(store: Store, drive: Arc<dyn Drive>, keyring: Arc<Keyring>) -> House {
    let sim_clock = Arc::new(SimClock::new(NOW_MS));
    let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&sim_clock);
    let options = AuditOptions {
        account_id: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let audit = Audit::open(Arc::clone(&drive), Arc::clone(&clock), options)
        .await
        .unwrap();
    let kms = Kms::open(
        &store,
        keyring,
        Arc::clone(&clock),
        REGION.to_owned(),
        ACCOUNT.to_owned(),
    )
    .await
    .unwrap();
    let options = ObjectsOptions {
        region: REGION.to_owned(),
        account_id: ACCOUNT.to_owned(),
        compat: Compat::default(),
        day_ms: strongroom_object::DAY_MS,
        restore_delays: strongroom_object::RestoreDelays::default(),
    };
    let objects = Objects::open(&store, &kms, clock, options).await.unwrap();
    House {
        objects,
        kms,
        store,
        audit,
        caller: caller(true),
        drive,
        clock: sim_clock,
    }
}

pub(crate) fn caller(secure: bool) -> Caller {
    let facts = RequestFacts {
        request_id: "R".to_owned(),
        source_ip: "127.0.0.1".to_owned(),
        user_agent: "test".to_owned(),
        host: "localhost".to_owned(),
        tls: secure.then(|| TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
        }),
        identity: UserIdentity::Root {
            account_id: ACCOUNT.to_owned(),
            access_key_id: "AKIATESTTESTTESTTEST".to_owned(),
        },
    };
    let arn = format!("arn:aws:iam::{ACCOUNT}:root");
    strongroom_iam::dangerous_caller_for_tests(facts, &arn, ACCOUNT, "AKIATESTTESTTESTTEST")
}

/// One request: its caller and its receipt.
pub(crate) struct Request<'a> {
    caller: &'a Caller,
    receipt: Receipt,
}

impl Request<'_> {
    pub(crate) fn scope(&self) -> Scope<'_> {
        Scope {
            caller: self.caller,
            receipt: &self.receipt,
        }
    }
}

impl House {
    /// Waits until all files that nobody needs are gone: what was released, and what the last process
    /// left, which is looked for while this one serves.
    pub(crate) async fn tidied(&self) {
        self.store.orphans_collected().await;
        self.store.blobs().reclaimed().await.unwrap();
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            caller: &self.caller,
            receipt: self.audit.begin(self.caller.facts().clone()),
        }
    }

    pub(crate) async fn bucket(&self, name: &str) {
        self.objects
            .create_bucket(self.request().scope(), name)
            .await
            .unwrap();
    }

    /// A bucket that takes customer keys, which new ones do not.
    pub(crate) async fn sse_c_bucket(&self, name: &str) {
        self.bucket(name).await;
        let rule = PutBucketEncryption {
            bucket: name.to_owned(),
            algorithm: Some(DefaultAlgorithm::S3),
            kms_key_id: None,
            bucket_key: false,
            block_customer_keys: Some(false),
        };
        self.objects
            .put_bucket_encryption(self.request().scope(), rule)
            .await
            .unwrap();
    }

    pub(crate) async fn put(
        &self,
        bucket: &str,
        object_key: &str,
        bytes: &[u8],
        encryption: EncryptionRequest,
    ) -> Result<PutObjectOutput, Error> {
        let input = put_input(bucket, object_key, bytes, encryption);
        self.objects.put_object(self.request().scope(), input).await
    }

    pub(crate) async fn get_output(
        &self,
        bucket: &str,
        object_key: &str,
        customer_key: Option<CustomerKey>,
    ) -> Result<GetObjectOutput, Error> {
        let input = get_input(bucket, object_key, customer_key);
        self.objects.get_object(self.request().scope(), input).await
    }

    pub(crate) async fn get(
        &self,
        bucket: &str,
        object_key: &str,
        customer_key: Option<CustomerKey>,
    ) -> Result<Vec<u8>, Error> {
        collect(self.get_output(bucket, object_key, customer_key).await?).await
    }
}

pub(crate) async fn collect(mut output: GetObjectOutput) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(piece) = output.body.next().await {
        all.extend_from_slice(&piece?);
    }
    assert_eq!(
        all.len() as u64,
        output.served.len,
        "the body has the announced length"
    );
    Ok(all)
}

pub(crate) fn put_input(
    bucket: &str,
    object_key: &str,
    bytes: &[u8],
    encryption: EncryptionRequest,
) -> PutObject {
    PutObject {
        bucket: bucket.to_owned(),
        object_key: object_key.to_owned(),
        properties: Properties::default(),
        encryption,
        storage_class: strongroom_object::StorageClass::default(),
        conditions: WriteConditions::default(),
        content_length: BodyLength::Exactly(bytes.len() as u64),
        checksum: ChecksumRequest::default(),
        body: body(bytes),
    }
}

pub(crate) fn get_input(
    bucket: &str,
    object_key: &str,
    customer_key: Option<CustomerKey>,
) -> GetObject {
    GetObject {
        bucket: bucket.to_owned(),
        object_key: object_key.to_owned(),
        version_id: None,
        range: None,
        range_text: String::new(),
        part_number: None,
        conditions: ReadConditions::default(),
        customer_key,
        checksum_mode: true,
    }
}

pub(crate) fn delete_input(bucket: &str, object_key: &str) -> DeleteObject {
    DeleteObject {
        bucket: bucket.to_owned(),
        object_key: object_key.to_owned(),
        version_id: None,
        conditions: WriteConditions::default(),
    }
}

pub(crate) fn customer(byte: u8) -> CustomerKey {
    CustomerKey {
        secret: ExternalKey::from_bytes([byte; 32]),
        md5_base64: format!("md5-{byte}"),
    }
}

pub(crate) fn kms() -> EncryptionRequest {
    EncryptionRequest::Kms {
        key_id: None,
        context: strongroom_format::EncryptionContext::new(),
        bucket_key: None,
    }
}

pub(crate) fn dsse() -> EncryptionRequest {
    dsse_under(None)
}

pub(crate) fn dsse_under(key_id: Option<String>) -> EncryptionRequest {
    EncryptionRequest::Dsse {
        key_id,
        context: strongroom_format::EncryptionContext::new(),
    }
}

/// Recognisable bytes of any length.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    b"Strongroom-Plaintext-Marker/"
        .iter()
        .copied()
        .cycle()
        .take(len)
        .collect()
}

/// A body in pieces of an awkward size.
pub(crate) fn body(bytes: &[u8]) -> Pin<Box<dyn BodySource>> {
    let pieces = bytes
        .chunks(40_009)
        .map(Bytes::copy_from_slice)
        .map(Ok)
        .collect();
    Box::pin(Pieces { pieces })
}

/// A body that fails after some bytes.
pub(crate) fn broken_body(bytes: &[u8]) -> Pin<Box<dyn BodySource>> {
    let mut pieces: Vec<_> = bytes
        .chunks(40_009)
        .map(Bytes::copy_from_slice)
        .map(Ok)
        .collect();
    pieces.push(Err(BodyError("the client went away".into())));
    Box::pin(Pieces {
        pieces: pieces.into(),
    })
}

struct Pieces {
    pieces: std::collections::VecDeque<Result<Bytes, BodyError>>,
}

impl BodySource for Pieces {
    fn poll_data(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(self.pieces.pop_front())
    }

    fn trailing_checksum(&self) -> Option<(ChecksumAlgorithm, Vec<u8>)> {
        None
    }
}
