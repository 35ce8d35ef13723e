// SPDX-License-Identifier: Apache-2.0
//! Shred keys in the vault: every byte counts, nothing is left behind, and what was destroyed
//! never comes back, whenever the power fails.

use std::ops::Bound;
use std::sync::Arc;

use strongroom_audit::{Audit, AuditOptions};
use strongroom_format::EncryptionContext;
use strongroom_kms::root::{RootKey, RootSecret};
use strongroom_kms::{
    CiphertextBlob, CreateKeyInput, DecryptInput, Error, GenerateDataKeyInput, Keyring, Kms,
    RotateKeyOnDemandInput, ScheduleKeyDeletionInput, root,
};
use strongroom_store::drive::Folder;
use strongroom_store::{Batch, Store, StoreOptions, TableId, Vault, Write};
use strongroom_testkit::{Fault, FaultPlan, SimClock, SimDrive};

use crate::world::{ACCOUNT, DAY_MS, NOON_MS, REGION, caller_of, context, new_world};

const MATERIALS: TableId = TableId(2);

#[tokio::test]
async fn every_byte_of_a_vault_file_counts() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let blob = world.encrypt(&key.arn, b"x", &context).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    let uid: [u8; 16] = hex::decode(key.key_id.replace('-', ""))
        .unwrap()
        .try_into()
        .unwrap();
    let path = world.files_with(&Vault::mark(&uid)).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len(), 37 + 4 + 12 + 32 + 16);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        // The material that was unwrapped a moment ago is let go.
        world.clock.advance_ms(5_000);
        let error = world.decrypt(&blob, &context, None).await.unwrap_err();
        assert_eq!(error.code(), "KMSInternalException", "byte {at}");
    }
    for changed in [
        &whole[..whole.len() - 1],
        &whole[..37],
        &[],
        &[&whole[..], b"x"].concat(),
    ] {
        std::fs::write(&path, changed).unwrap();
        world.clock.advance_ms(5_000);
        assert!(world.decrypt(&blob, &context, None).await.is_err());
    }
    std::fs::remove_file(&path).unwrap();
    world.clock.advance_ms(5_000);
    assert!(world.decrypt(&blob, &context, None).await.is_err());
    std::fs::write(&path, &whole).unwrap();
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
}

#[tokio::test]
async fn lease_ends_after_five_seconds_or_when_the_clock_goes_back() {
    let world = new_world().await;
    let key = world.key().await;
    let context = context(&[]);
    let blob = world.encrypt(&key.arn, b"x", &context).await.unwrap();
    let blob = blob.ciphertext_blob.0;
    let uid: [u8; 16] = hex::decode(key.key_id.replace('-', ""))
        .unwrap()
        .try_into()
        .unwrap();
    let path = world.files_with(&Vault::mark(&uid)).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    world.clock.advance_ms(4_999);
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
    world.clock.advance_ms(1);
    assert!(world.decrypt(&blob, &context, None).await.is_err());
    std::fs::write(&path, &whole).unwrap();
    assert!(world.decrypt(&blob, &context, None).await.is_ok());
    std::fs::remove_file(&path).unwrap();
    world.clock.set_ms(NOON_MS - 1);
    assert!(world.decrypt(&blob, &context, None).await.is_err());
}

#[tokio::test]
async fn what_no_material_refers_to_is_swept_at_the_start() {
    let world = new_world().await;
    let key = world.key().await;
    let vault = world.store.vault().clone();
    vault
        .put([7; 16], [1; 16], b"of a key that was never committed")
        .await
        .unwrap();
    vault.put([7; 16], [2; 16], b"").await.unwrap();
    assert_eq!(vault.list().unwrap().len(), 3);
    drop(vault);
    let world = world.restarted().await;
    assert_eq!(world.store.vault().list().unwrap().len(), 1);
    assert!(world.encrypt(&key.arn, b"x", &context(&[])).await.is_ok());
}

struct Sim {
    kms: Kms,
    audit: Audit,
    store: Store,
}

async fn start(drive: &SimDrive, keyring: &Arc<Keyring>, now_ms: u64) -> Option<Sim> {
    let clock = Arc::new(SimClock::new(now_ms));
    let shared = Arc::new(drive.clone());
    let store = Store::open(shared.clone(), keyring.at_rest(), StoreOptions::default());
    let store = store.await.ok()?;
    let options = AuditOptions {
        account_id: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let audit = Audit::open(shared, clock.clone(), options).await.ok()?;
    let (region, account) = (REGION.to_owned(), ACCOUNT.to_owned());
    let kms = Kms::open(&store, Arc::clone(keyring), clock, region, account);
    let kms = kms.await.ok()?;
    Some(Sim { kms, audit, store })
}

impl Sim {
    async fn due(&self) -> bool {
        let receipt = self.audit.begin(caller_of(ACCOUNT).facts().clone());
        let report = self.kms.run_due(&receipt).await;
        receipt.finish_recorded();
        report.is_ok_and(|report| report.failed.is_empty())
    }

    async fn decrypt(&self, blob: &[u8]) -> Result<Vec<u8>, Error> {
        let caller = caller_of(ACCOUNT);
        let receipt = self.audit.begin(caller.facts().clone());
        let input = DecryptInput {
            ciphertext_blob: CiphertextBlob(blob.to_vec()),
            context: EncryptionContext::new(),
            key_id: None,
            algorithm: None,
            grant_tokens: Vec::new(),
            dry_run: false,
            ignore_ciphertext: false,
        };
        let opened = self.kms.decrypt(&caller, &receipt, input).await;
        receipt.finish_recorded();
        opened.map(|opened| opened.plaintext.expose_secret().to_vec())
    }

    async fn close(self) {
        let _closed = self.audit.close().await;
        let _closed = self.store.close().await;
    }
}

/// A key and one blob; then the power fails at each step of destroying the key. Before the
/// tombstone everything is as it was; after it nothing opens the blob, and the next start ends
/// what was begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_power_loss_at_each_step_of_destroying_a_key() {
    let secret = RootSecret::Key(RootKey::generate().unwrap());
    let keyring = Arc::new(root::create(&secret, NOON_MS).unwrap().0);
    let due_ms = NOON_MS + 8 * DAY_MS;
    let mut reached_the_end = false;
    for step in 0..60 {
        let drive = SimDrive::new(step);
        let sim = start(&drive, &keyring, NOON_MS).await.unwrap();
        let caller = caller_of(ACCOUNT);
        let receipt = sim.audit.begin(caller.facts().clone());
        let key = sim
            .kms
            .create_key(&caller, &receipt, CreateKeyInput::default());
        let key = key.await.unwrap();
        let input = GenerateDataKeyInput {
            key_id: key.key_id.clone(),
            spec: strongroom_kms::DataKeySpec::Aes256,
            context: EncryptionContext::new(),
            grant_tokens: Vec::new(),
            dry_run: false,
        };
        let blob = sim
            .kms
            .generate_data_key(&caller, &receipt, input)
            .await
            .unwrap();
        let blob = blob.ciphertext_blob.0;
        let input = ScheduleKeyDeletionInput {
            key_id: key.key_id.clone(),
            pending_window_in_days: Some(7),
        };
        let scheduled = sim.kms.schedule_key_deletion(&caller, &receipt, input);
        scheduled.await.unwrap();
        receipt.finish_recorded();
        sim.close().await;

        let drive = drive.crash();
        let sim = start(&drive, &keyring, due_ms).await.unwrap();
        sim.kms.confirm_clock().await.unwrap();
        drive.set_plan(
            FaultPlan::new([Fault::CrashAt(step)])
                .within(|folder| matches!(folder, Folder::Vault | Folder::Log | Folder::Audit)),
        );
        let done = sim.due().await;
        drop(sim);

        let drive = drive.crash();
        let sim = start(&drive, &keyring, due_ms).await.unwrap();
        // Whatever the tables say, its time has come.
        assert!(sim.decrypt(&blob).await.is_err(), "step {step}");
        assert!(sim.due().await, "step {step}");
        assert!(sim.decrypt(&blob).await.is_err(), "step {step}");
        let uid: [u8; 16] = hex::decode(key.key_id.replace('-', ""))
            .unwrap()
            .try_into()
            .unwrap();
        let mark = Vault::mark(&uid);
        for path in drive.files() {
            let content = drive.contents(&path).unwrap();
            let found = content.windows(mark.len()).any(|window| window == mark);
            assert!(!found, "step {step}: {path}");
        }
        let events: usize = drive
            .files()
            .iter()
            .filter(|path| path.folder() == Folder::Audit)
            .map(|path| {
                let text = String::from_utf8_lossy(&drive.contents(path).unwrap()).into_owned();
                text.matches("\"DeleteKey\"").count()
            })
            .sum();
        assert!((1..=2).contains(&events), "step {step}: {events} events");
        sim.close().await;
        if done {
            reached_the_end = true;
            break;
        }
    }
    assert!(reached_the_end, "more steps than were tried");
}

/// One version is wrapped again, the next is damaged: the rewrap of the key is given up. What it made
/// holds the secret of the key under another name, and must go even if the vault refuses it at first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a_rewrap_that_is_given_up_leaves_no_second_secret() {
    let mut refused_at_first = 0;
    for step in 0..16 {
        let secret = RootSecret::Key(RootKey::generate().unwrap());
        let (keyring, file) = root::create(&secret, NOON_MS).unwrap();
        let keyring = Arc::new(keyring);
        let drive = SimDrive::new(step);
        let sim = start(&drive, &keyring, NOON_MS).await.unwrap();
        let caller = caller_of(ACCOUNT);
        let receipt = sim.audit.begin(caller.facts().clone());
        let input = CreateKeyInput::default();
        let key = sim.kms.create_key(&caller, &receipt, input).await.unwrap();
        let input = RotateKeyOnDemandInput {
            key_id: key.key_id.clone(),
        };
        let rotated = sim.kms.rotate_key_on_demand(&caller, &receipt, input);
        rotated.await.unwrap();
        receipt.finish_recorded();
        let all = Bound::Unbounded;
        let rows = sim.store.tables().scan(MATERIALS, all, all, 10, false);
        let (row_key, row) = rows.unwrap().remove(1);
        let mut value = row.value;
        let is_wrapped = |head: &[u8]| head[0] == 0x58 && (48..100).contains(&head[1]);
        let at = value.windows(2).position(is_wrapped).unwrap();
        value[at + 20] ^= 1;
        let batch = Batch {
            preconditions: Vec::new(),
            writes: vec![Write::Put {
                table: MATERIALS,
                key: row_key,
                value,
            }],
        };
        sim.store.tables().commit(batch).await.unwrap();
        let mut open = root::KeyringFile::parse(&file)
            .unwrap()
            .open(&secret)
            .unwrap();
        let rotation = root::Rotation {
            domain: true,
            sse_s3: true,
        };
        open.rotate(rotation, NOON_MS).unwrap();
        keyring.install(&open).unwrap();

        let before = sim.store.vault().list().unwrap().len();
        let faults = FaultPlan::new([Fault::FailAt(step)]);
        drive.set_plan(faults.within(|folder| folder == Folder::Vault));
        let rewrapped = sim.kms.rewrap(&|_, _| ()).await;
        assert!(
            rewrapped.map_or(0, |report| report.rewrapped) == 0,
            "step {step}"
        );
        drive.set_plan(FaultPlan::default());
        let vault = sim.store.vault();
        if vault.put([9; 16], [9; 16], b"probe").await.is_err() {
            // It was a flush: the drive is out of service.
            continue;
        }
        vault.destroy([9; 16]).await.unwrap();
        refused_at_first += usize::from(vault.list().unwrap().len() > before);
        sim.due().await;
        assert_eq!(vault.list().unwrap().len(), before, "step {step}");
        sim.close().await;
    }
    assert!(refused_at_first > 0, "no step met the removal");
}
