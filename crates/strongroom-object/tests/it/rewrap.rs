// SPDX-License-Identifier: Apache-2.0
//! Object keys under old SSE-S3 roots are brought forward; bodies stay as they are.

use std::ops::Bound;
use std::sync::Arc;

use strongroom_audit::{Audit, AuditOptions};
use strongroom_kms::root::{self, Keyring, KeyringFile, RootKey, Rotation};
use strongroom_kms::{CreateKeyInput, DisableKeyInput, EnableKeyInput, Kms};
use strongroom_object::{Compat, EncryptionRequest, Objects, ObjectsOptions, Scope};
use strongroom_store::drive::Drive;
use strongroom_store::env::Clock;
use strongroom_store::{Store, StoreOptions, TableId};
use strongroom_testkit::{SimClock, SimDrive};

use crate::harness::{ACCOUNT, House, REGION, caller, customer, dsse_under, kms, pattern};
use crate::multipart::{complete, completed, create, part};

struct Rig {
    house: House,
    keyring: Arc<Keyring>,
    file: Vec<u8>,
}

fn root_key() -> RootKey {
    RootKey::from_bytes(&[9; 32]).unwrap()
}

async fn rig() -> Rig {
    let drive: Arc<dyn Drive> = Arc::new(SimDrive::new(1));
    let sim_clock = Arc::new(SimClock::new(1_790_000_000_000));
    let clock: Arc<dyn Clock> = Arc::<SimClock>::clone(&sim_clock);
    let (keyring, file) = root::create(&root_key(), clock.now_ms()).unwrap();
    let keyring = Arc::new(keyring);
    let options = StoreOptions::default();
    let store = Store::open(Arc::clone(&drive), keyring.at_rest(), options);
    let store = store.await.unwrap();
    let audit_options = AuditOptions {
        account_id: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let audit = Audit::open(Arc::clone(&drive), Arc::clone(&clock), audit_options)
        .await
        .unwrap();
    let kms = Kms::open(
        &store,
        Arc::clone(&keyring),
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
    let house = House {
        objects,
        kms,
        store,
        audit,
        caller: caller(true),
        drive,
        clock: sim_clock,
    };
    Rig {
        house,
        keyring,
        file,
    }
}

impl Rig {
    fn rotate(&mut self) {
        let file = KeyringFile::parse(&self.file).unwrap();
        let mut open = file.open(&root_key()).unwrap();
        let rotation = Rotation {
            domain: false,
            sse_s3: true,
        };
        open.rotate(rotation, 1_790_000_000_000).unwrap();
        self.file = open.seal().unwrap();
        self.keyring.install(&open).unwrap();
    }

    async fn rewrap(&self) -> (u64, u64, u64) {
        let tell = |done: u64, total: u64| assert!(done <= total);
        let report = self.house.objects.rewrap_object_keys(&tell).await.unwrap();
        (report.seen, report.rewrapped, report.damaged)
    }

    /// The rows of a table, as they are stored.
    fn rows(&self, table: u16) -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = Bound::Unbounded;
        let tables = self.house.store.tables();
        let rows = tables
            .scan(TableId(table), all, all, 10_000, false)
            .unwrap();
        rows.into_iter()
            .map(|(key, row)| (key, row.value))
            .collect()
    }
}

const VERSIONS: u16 = 21;
const UPLOADS: u16 = 22;
const BODIES: u16 = 24;
const CATALOGUE: u16 = 30;
const MIB5: usize = 5 << 20;

#[tokio::test]
async fn sse_s3_objects_and_open_uploads_come_forward_and_bodies_stay() {
    let mut rig = rig().await;
    rig.house.sse_c_bucket("bucket").await;
    let small = pattern(100);
    let large = pattern(200_000);
    let put = |name, bytes, encryption| rig.house.put("bucket", name, bytes, encryption);
    put("small", &small, EncryptionRequest::S3).await.unwrap();
    put(
        "large",
        &large,
        EncryptionRequest::Default { bucket_key: None },
    )
    .await
    .unwrap();
    put("kms", &small, kms()).await.unwrap();
    let customer_key = EncryptionRequest::Customer(customer(7));
    put("customer", &small, customer_key).await.unwrap();
    // A completed upload, and an open one with a part.
    let id = create(&rig.house, EncryptionRequest::S3).await;
    let one = part(&rig.house, &id, 1, &pattern(MIB5), None)
        .await
        .unwrap();
    let two = part(&rig.house, &id, 2, &small, None).await.unwrap();
    let parts = vec![completed(1, &one), completed(2, &two)];
    complete(&rig.house, &id, parts, None).await.unwrap();
    let open = create(&rig.house, EncryptionRequest::S3).await;
    let first = part(&rig.house, &open, 1, &pattern(MIB5), None)
        .await
        .unwrap();

    assert_eq!(rig.rewrap().await, (6, 0, 0));
    for _ in 0..5 {
        rig.rotate();
    }
    let before = (rig.rows(VERSIONS), rig.rows(UPLOADS));
    let bodies = (rig.rows(BODIES), rig.rows(CATALOGUE));
    assert_eq!(rig.rewrap().await, (6, 4, 0));
    let after = (rig.rows(VERSIONS), rig.rows(UPLOADS));
    let keys = |rows: &[(Vec<u8>, Vec<u8>)]| -> Vec<Vec<u8>> {
        rows.iter().map(|(key, _)| key.clone()).collect()
    };
    assert_eq!(keys(&before.0), keys(&after.0));
    let changed = before.0.iter().zip(&after.0).filter(|(b, a)| b != a);
    assert_eq!(changed.count(), 3);
    assert_ne!(before.1, after.1);
    assert_eq!((rig.rows(BODIES), rig.rows(CATALOGUE)), bodies);

    let get = |name, customer_key| rig.house.get("bucket", name, customer_key);
    assert_eq!(get("small", None).await.unwrap(), small);
    assert_eq!(get("large", None).await.unwrap(), large);
    assert_eq!(get("kms", None).await.unwrap(), small);
    assert_eq!(get("customer", Some(customer(7))).await.unwrap(), small);
    let both = [pattern(MIB5), small.clone()].concat();
    assert_eq!(get("k", None).await.unwrap(), both);
    // The open upload goes on: a part of before, a part of after.
    let second = part(&rig.house, &open, 2, &large, None).await.unwrap();
    let parts = vec![completed(1, &first), completed(2, &second)];
    complete(&rig.house, &open, parts, None).await.unwrap();
    let both = [pattern(MIB5), large].concat();
    assert_eq!(get("k", None).await.unwrap(), both);

    assert_eq!(rig.rewrap().await, (5, 0, 0), "nothing is left to do");
}

#[tokio::test]
async fn part_on_its_way_while_the_upload_comes_forward_is_not_lost() {
    let mut rig = rig().await;
    rig.house.bucket("bucket").await;
    let id = create(&rig.house, EncryptionRequest::S3).await;
    let bytes = pattern(MIB5);
    for round in 1..=5_u16 {
        rig.rotate();
        let rig = &rig;
        let upload = part(&rig.house, &id, round, &bytes, None);
        let (part, rewrapped) = tokio::join!(upload, rig.rewrap());
        part.unwrap();
        assert_eq!(rewrapped, (1, 1, 0));
    }
}

#[tokio::test]
async fn writers_meanwhile_win() {
    let mut rig = rig().await;
    rig.house.bucket("bucket").await;
    for name in ["a", "b", "c", "d"] {
        let put = rig.house.put("bucket", name, b"old", EncryptionRequest::S3);
        put.await.unwrap();
    }
    for _ in 0..10 {
        rig.rotate();
        let rig = &rig;
        let write = async {
            for name in ["a", "b", "c", "d"] {
                let put = rig.house.put("bucket", name, b"new", EncryptionRequest::S3);
                put.await.unwrap();
            }
        };
        let ((), report) = tokio::join!(write, rig.rewrap());
        assert_eq!(report.2, 0);
        for name in ["a", "b", "c", "d"] {
            assert_eq!(rig.house.get("bucket", name, None).await.unwrap(), b"new");
        }
    }
}

#[tokio::test]
async fn damaged_row_is_counted_and_left() {
    let mut rig = rig().await;
    rig.house.bucket("bucket").await;
    for name in ["a", "b"] {
        let put = rig.house.put("bucket", name, b"x", EncryptionRequest::S3);
        put.await.unwrap();
    }
    let rows = rig.rows(VERSIONS);
    // The row of `b` under the name of `a`: its binding does not hold there.
    let write = strongroom_store::Write::Put {
        table: TableId(VERSIONS),
        key: rows[0].0.clone(),
        value: rows[1].1.clone(),
    };
    let batch = strongroom_store::Batch {
        preconditions: Vec::new(),
        writes: vec![write],
    };
    rig.house.store.tables().commit(batch).await.unwrap();
    rig.rotate();
    assert_eq!(rig.rewrap().await, (2, 1, 1));
    assert_eq!(rig.rows(VERSIONS)[0].1, rows[1].1);
    assert_eq!(rig.house.get("bucket", "b", None).await.unwrap(), b"x");
    assert!(rig.house.get("bucket", "a", None).await.is_err());
}

/// Two layers: the outer record comes forward by itself, and nobody asks the key service for the
/// inner one, whose key may be disabled.
#[tokio::test]
async fn outer_layers_come_forward_without_the_key_service() {
    let mut rig = rig().await;
    let house = &rig.house;
    house.bucket("bucket").await;
    let key = {
        let (request, input) = (house.request(), CreateKeyInput::default());
        let Scope { caller, receipt } = request.scope();
        house.kms.create_key(caller, receipt, input).await.unwrap()
    };
    let request = || dsse_under(Some(key.arn.clone()));
    for (name, size) in [("small", 10), ("large", 200_000)] {
        let bytes = pattern(size);
        house.put("bucket", name, &bytes, request()).await.unwrap();
    }
    let upload = create(house, request()).await;
    let one = pattern(MIB5);
    let first = part(house, &upload, 1, &one, None).await.unwrap();
    let before = (rig.rows(VERSIONS), rig.rows(BODIES), rig.rows(CATALOGUE));
    rig.rotate();
    let key_id = key.arn.clone();
    {
        let request = rig.house.request();
        let Scope { caller, receipt } = request.scope();
        let input = DisableKeyInput { key_id };
        let disabled = rig.house.kms.disable_key(caller, receipt, input);
        disabled.await.unwrap();
    }
    assert!(rig.house.get("bucket", "small", None).await.is_err());
    assert_eq!(rig.rewrap().await, (3, 3, 0));
    assert_eq!(rig.rewrap().await, (3, 0, 0));
    {
        let request = rig.house.request();
        let Scope { caller, receipt } = request.scope();
        let key_id = key.arn.clone();
        let enabled = rig
            .house
            .kms
            .enable_key(caller, receipt, EnableKeyInput { key_id });
        enabled.await.unwrap();
    }
    let after = (rig.rows(VERSIONS), rig.rows(BODIES), rig.rows(CATALOGUE));
    assert_ne!(before.0, after.0);
    assert_eq!((before.1, before.2), (after.1, after.2));
    let house = &rig.house;
    for (name, size) in [("small", 10), ("large", 200_000)] {
        let got = house.get("bucket", name, None).await.unwrap();
        assert_eq!(got, pattern(size));
    }
    let second = part(house, &upload, 2, b"end", None).await.unwrap();
    let parts = vec![completed(1, &first), completed(2, &second)];
    complete(house, &upload, parts, None).await.unwrap();
    let got = house.get("bucket", "k", None).await.unwrap();
    assert_eq!(got, [one, b"end".to_vec()].concat());
}
