// SPDX-License-Identifier: Apache-2.0
//! Re-wrapping, and what else changes key material, at the same time: in every order in which two
//! operations can take turns, and not in the few that a race would happen to show.
//!
//! An operation is polled by hand. While it is, the drive makes no change, so that it gets exactly to
//! the next thing that it has to wait for; then the drive goes on until that is done, and the other
//! operation is not polled before. So a schedule says which of the two takes each step, and the same
//! schedule is the same run. All schedules are gone through, depth first. (An answer that needs no
//! change of the drive may come at once or a moment later, so a run may be a step shorter than the
//! one before; no schedule is left out for that.)

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use strongroom_store::Error;
use strongroom_store::drive::{Access, Drive, DriveFile, DrivePath, Folder, HealthState};
use strongroom_testkit::SimDrive;

use strongroom_kms::{
    CreateAliasInput, DeleteImportedKeyMaterialInput, ImportKeyMaterialInput,
    RotateKeyOnDemandInput, ScheduleKeyDeletionInput,
};

use crate::import::{external, forever, parameters, wrap};
use crate::world::{DAY_MS, World, call, context, new_world_on};

/// Which of two operations takes the next step, for as long as both have one to take.
#[derive(Debug, Default)]
struct Schedule {
    choices: Vec<bool>,
    at: usize,
}

impl Schedule {
    fn choose(&mut self) -> bool {
        if self.at == self.choices.len() {
            self.choices.push(false);
        }
        self.at += 1;
        self.choices[self.at - 1]
    }

    /// The next schedule; `false` when that was the last.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some(last) = self.choices.pop() {
            if !last {
                self.choices.push(true);
                return true;
            }
        }
        false
    }
}

/// A drive that makes no change while it is told to wait.
#[derive(Debug)]
struct Gated {
    drive: SimDrive,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn DriveFile>,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    /// The thread that keeps it closed. What that one does itself does not wait.
    closed_by: Mutex<Option<ThreadId>>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut closed_by = self.closed_by.lock().unwrap();
        while closed_by.is_some_and(|thread| thread != thread::current().id()) {
            closed_by = self.opened.wait(closed_by).unwrap();
        }
    }

    fn close(&self) {
        *self.closed_by.lock().unwrap() = Some(thread::current().id());
    }

    fn open(&self) {
        *self.closed_by.lock().unwrap() = None;
        self.opened.notify_all();
    }
}

impl Gated {
    fn file(&self, file: Arc<dyn DriveFile>) -> Arc<dyn DriveFile> {
        let gate = Arc::clone(&self.gate);
        Arc::new(GatedFile { file, gate })
    }
}

impl Drive for Gated {
    fn label(&self) -> String {
        self.drive.label()
    }

    fn health(&self) -> HealthState {
        self.drive.health()
    }

    fn create(&self, path: &DrivePath) -> Result<Arc<dyn DriveFile>, Error> {
        self.gate.pass();
        self.drive.create(path).map(|file| self.file(file))
    }

    fn open(&self, path: &DrivePath, access: Access) -> Result<Option<Arc<dyn DriveFile>>, Error> {
        let opened = self.drive.open(path, access)?;
        Ok(opened.map(|file| self.file(file)))
    }

    fn rename(&self, from: &DrivePath, to: &DrivePath) -> Result<(), Error> {
        self.gate.pass();
        self.drive.rename(from, to)
    }

    fn remove(&self, path: &DrivePath) -> Result<bool, Error> {
        self.gate.pass();
        self.drive.remove(path)
    }

    fn list(&self, folder: Folder) -> Result<Vec<DrivePath>, Error> {
        self.drive.list(folder)
    }

    fn sync_folder(&self, folder: Folder) -> Result<(), Error> {
        self.gate.pass();
        self.drive.sync_folder(folder)
    }

    fn read_small(&self, path: &DrivePath) -> Result<Option<Vec<u8>>, Error> {
        self.drive.read_small(path)
    }

    fn replace(&self, path: &DrivePath, bytes: &[u8]) -> Result<(), Error> {
        self.gate.pass();
        self.drive.replace(path, bytes)
    }

    fn index_dir(&self) -> Option<PathBuf> {
        self.drive.index_dir()
    }
}

impl DriveFile for GatedFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.gate.pass();
        self.file.write_at(offset, bytes)
    }

    fn truncate(&self, len: u64) -> Result<(), Error> {
        self.gate.pass();
        self.file.truncate(len)
    }

    fn sync(&self) -> Result<(), Error> {
        self.gate.pass();
        self.file.sync()
    }

    fn len(&self) -> Result<u64, Error> {
        self.file.len()
    }
}

struct Signal {
    thread: Thread,
    ready: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.ready.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

type Operation<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Polls once and waits until there is more to do. True when it is done.
fn step(gate: &Gate, operation: &mut Operation<'_>) -> bool {
    let signal = Arc::new(Signal {
        thread: thread::current(),
        ready: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&signal));
    gate.close();
    let polled = operation.as_mut().poll(&mut Context::from_waker(&waker));
    gate.open();
    match polled {
        Poll::Ready(()) => true,
        Poll::Pending => {
            let until = Instant::now() + Duration::from_mins(1);
            while !signal.ready.load(Ordering::SeqCst) {
                assert!(Instant::now() < until, "it waits for the other operation");
                thread::park_timeout(Duration::from_secs(1));
            }
            false
        }
    }
}

/// Lets both take turns as the schedule says, to the end.
fn interleave(
    schedule: &mut Schedule,
    gate: &Gate,
    mut first: Operation<'_>,
    mut second: Operation<'_>,
) {
    let (mut first_done, mut second_done) = (false, false);
    while !(first_done && second_done) {
        let second_is_next = match (first_done, second_done) {
            (false, false) => schedule.choose(),
            (first_done, _) => first_done,
        };
        if second_is_next {
            second_done = step(gate, &mut second);
        } else {
            first_done = step(gate, &mut first);
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// Runs `round` under every schedule; returns how many there were.
fn every_order(mut round: impl FnMut(&mut Schedule, &Arc<Gate>)) -> u32 {
    let runtime = runtime();
    let _inside = runtime.enter();
    let (mut schedule, gate) = (Schedule::default(), Arc::new(Gate::default()));
    let mut rounds = 0;
    loop {
        round(&mut schedule, &gate);
        rounds += 1;
        assert!(rounds < ROUNDS_MAX);
        if !schedule.advance() {
            return rounds;
        }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(future)
}

async fn world_behind(gate: &Arc<Gate>) -> World {
    let (drive, gate) = (SimDrive::new(1), Arc::clone(gate));
    new_world_on(Arc::new(Gated { drive, gate })).await
}

async fn rewrap(world: &World) {
    let report = world.kms.rewrap(&|_, _| ()).await.unwrap();
    assert_eq!(report.damaged, 0);
}

/// What must hold whoever came first: nothing lost, nothing left over, and one more run brings
/// forward what is still behind.
async fn hold(world: &World, blobs: &[Vec<u8>], destroyed: &[Vec<u8>]) {
    for round in 0..2 {
        for blob in blobs {
            let opened = world.decrypt(blob, &context(&[]), None).await.unwrap();
            assert_eq!(opened.plaintext.expose_secret(), b"x");
        }
        for blob in destroyed {
            assert!(world.decrypt(blob, &context(&[]), None).await.is_err());
        }
        let vault = world.kms.verify_vault().await.unwrap();
        assert!(vault.damaged.is_empty(), "{:?}", vault.damaged);
        assert!(vault.unreferred.is_empty(), "{:?}", vault.unreferred);
        if round == 0 {
            rewrap(world).await;
        }
    }
    let again = world.kms.rewrap(&|_, _| ()).await.unwrap();
    assert_eq!((again.rewrapped, again.damaged), (0, 0));
}

async fn sealed(world: &World, key_id: &str) -> Vec<u8> {
    let sealed = world.encrypt(key_id, b"x", &context(&[])).await.unwrap();
    sealed.ciphertext_blob.0
}

async fn rotate_on_demand(world: &World, key_id: &str) {
    let key_id = key_id.to_owned();
    call!(
        world,
        rotate_key_on_demand,
        RotateKeyOnDemandInput { key_id }
    )
    .unwrap();
}

#[test]
fn sec_a_rotation_on_demand_and_a_rewrap_in_every_order() {
    let rounds = every_order(|schedule, gate| {
        let mut world = wait(world_behind(gate));
        let key_id = wait(world.key()).key_id;
        let old = wait(sealed(&world, &key_id));
        world.rotate();
        let both = (rewrap(&world), rotate_on_demand(&world, &key_id));
        interleave(schedule, gate, Box::pin(both.0), Box::pin(both.1));
        let new = wait(sealed(&world, &key_id));
        wait(hold(&world, &[old, new], &[]));
    });
    assert!(rounds >= ROUNDS_MIN, "only {rounds} orders");
}

/// The scheduled one, which works through the list of what is due.
#[test]
fn sec_an_automatic_rotation_and_a_rewrap_in_every_order() {
    let rounds = every_order(|schedule, gate| {
        let mut world = wait(world_behind(gate));
        let key_id = wait(world.key()).key_id;
        let old = wait(sealed(&world, &key_id));
        let input = strongroom_kms::EnableKeyRotationInput {
            key_id: key_id.clone(),
            rotation_period_in_days: Some(90),
        };
        wait(async { call!(world, enable_key_rotation, input) }).unwrap();
        world.rotate();
        world.clock.advance_ms(90 * DAY_MS);
        let due = async {
            assert_eq!(world.run_due().await.rotated, 1);
        };
        interleave(schedule, gate, Box::pin(rewrap(&world)), Box::pin(due));
        let new = wait(sealed(&world, &key_id));
        wait(hold(&world, &[old, new], &[]));
    });
    assert!(rounds >= ROUNDS_MIN, "only {rounds} orders");
}

/// Two versions of imported material, one of them deleted: the other, which may share a shred key
/// with it, must survive, and what was deleted must be gone until it is imported again.
#[test]
fn sec_a_deletion_of_imported_material_and_a_rewrap_in_every_order() {
    for gone in [0, 1] {
        // Wrapping keys for imports are slow to make: one world for all rounds.
        let mut shared = None;
        let rounds = every_order(|schedule, gate| {
            let made: &mut Imported = shared.get_or_insert_with(|| wait(Imported::with_two(gate)));
            made.world.rotate();
            let Imported { world, blobs, .. } = &*made;
            let delete = made.delete(gone);
            interleave(schedule, gate, Box::pin(rewrap(world)), Box::pin(delete));
            // The key waits for its material, so nothing of it opens; the vault says the rest.
            wait(hold(world, &[], &blobs[gone..=gone]));
            wait(made.import(gone, None));
            wait(hold(world, blobs, &[]));
        });
        assert!(rounds >= ROUNDS_MIN, "only {rounds} orders");
    }
}

#[test]
fn sec_a_deletion_of_imported_material_and_another_in_every_order() {
    let mut shared = None;
    let rounds = every_order(|schedule, gate| {
        let made: &mut Imported = shared.get_or_insert_with(|| wait(Imported::with_two(gate)));
        made.world.rotate();
        // Both versions under one shred key.
        wait(rewrap(&made.world));
        interleave(
            schedule,
            gate,
            Box::pin(made.delete(0)),
            Box::pin(made.delete(1)),
        );
        wait(hold(&made.world, &[], &made.blobs));
        assert!(made.world.store.vault().list().unwrap().is_empty());
        wait(made.import(0, None));
        wait(made.import(1, None));
        wait(hold(&made.world, &made.blobs, &[]));
    });
    assert!(rounds >= ROUNDS_MIN, "only {rounds} orders");
}

/// New imported material becomes current.
#[test]
fn sec_a_rotation_of_imported_material_and_a_rewrap_in_every_order() {
    let rounds = every_order(|schedule, gate| {
        let mut made = wait(Imported::with_one(gate));
        wait(made.import(1, Some("NEW_KEY_MATERIAL")));
        made.world.rotate();
        let both = (
            rewrap(&made.world),
            rotate_on_demand(&made.world, &made.key_id),
        );
        interleave(schedule, gate, Box::pin(both.0), Box::pin(both.1));
        made.blobs.push(wait(sealed(&made.world, &made.key_id)));
        wait(hold(&made.world, &made.blobs, &[]));
    });
    assert!(rounds >= ROUNDS_MIN, "only {rounds} orders");
}

/// Takes so many steps of an operation; `None` when it is done.
fn begun<'a>(gate: &Gate, mut operation: Operation<'a>, steps: u32) -> Option<Operation<'a>> {
    let is_done = (0..steps).any(|_| step(gate, &mut operation));
    (!is_done).then_some(operation)
}

/// An alias of a key that is destroyed at the same time: whichever began first, and however far it
/// was, the name does not stay behind for a key that is gone, where nobody could give it away again.
#[test]
fn sec_an_alias_made_while_its_key_is_destroyed_does_not_stay_behind() {
    let runtime = runtime();
    let _inside = runtime.enter();
    let gate = Arc::new(Gate::default());
    let alias = |target: &str| CreateAliasInput {
        alias_name: "alias/late".to_owned(),
        target_key_id: target.to_owned(),
    };
    for alias_is_first in [true, false] {
        for steps in 0..ROUNDS_MAX {
            let world = wait(world_behind(&gate));
            let (key, other) = (wait(world.key()).key_id, wait(world.key()).key_id);
            let is_due = async {
                let input = ScheduleKeyDeletionInput {
                    key_id: key.clone(),
                    pending_window_in_days: Some(7),
                };
                call!(world, schedule_key_deletion, input).unwrap();
                world.clock.advance_ms(7 * DAY_MS);
            };
            // It may be refused: the key is to be destroyed, or is gone.
            let create = Box::pin(async {
                let _may_be_refused = call!(world, create_alias, alias(&key));
            });
            let destroy = Box::pin(async {
                world.run_due().await;
            });
            let (first, second): (Option<Operation<'_>>, Operation<'_>) = if alias_is_first {
                let first = begun(&gate, create, steps);
                wait(is_due);
                (first, destroy)
            } else {
                wait(is_due);
                (begun(&gate, destroy, steps), create)
            };
            let was_done = first.is_none();
            let rest = async {
                if let Some(first) = first {
                    first.await;
                }
            };
            wait(async { tokio::join!(rest, second) });
            // A change that came in between is no failure: the next look destroys the key.
            wait(world.run_due());
            assert!(wait(world.describe(&key)).is_err(), "step {steps}");
            wait(async { call!(world, create_alias, alias(&other)) }).unwrap();
            let shown = wait(world.describe("alias/late")).unwrap();
            assert_eq!(shown.key_id, other, "step {steps}");
            if was_done {
                assert!(steps > 1);
                break;
            }
        }
    }
}

/// A key with imported material, and what imports it once more.
struct Imported {
    world: World,
    key_id: String,
    input: [ImportKeyMaterialInput; 2],
    ids: Vec<String>,
    /// Something under each material.
    blobs: Vec<Vec<u8>>,
}

impl Imported {
    /// With the first of two materials.
    async fn with_one(gate: &Arc<Gate>) -> Imported {
        let world = world_behind(gate).await;
        let key = external(&world, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT").await;
        let (key_id, algorithm) = (key.key_id, "RSAES_OAEP_SHA_256");
        // A token is good for more than one import, and making another one takes long.
        let got = parameters(&world, &key_id, algorithm, "RSA_2048")
            .await
            .unwrap();
        let input = [0x51, 0xA2].map(|byte| {
            let wrapped = wrap(&got.public_key, algorithm, &[byte; 32]);
            forever(&key_id, &got.import_token, wrapped)
        });
        let (ids, blobs) = (Vec::new(), Vec::new());
        let mut made = Imported {
            world,
            key_id,
            input,
            ids,
            blobs,
        };
        let id = made.import(0, None).await;
        made.ids.push(id);
        made.blobs.push(sealed(&made.world, &made.key_id).await);
        made
    }

    async fn with_two(gate: &Arc<Gate>) -> Imported {
        let mut made = Imported::with_one(gate).await;
        let id = made.import(1, Some("NEW_KEY_MATERIAL")).await;
        made.ids.push(id);
        rotate_on_demand(&made.world, &made.key_id).await;
        made.blobs.push(sealed(&made.world, &made.key_id).await);
        made
    }

    async fn import(&self, number: usize, import_type: Option<&str>) -> String {
        let world = &self.world;
        let mut input = self.input[number].clone();
        input.import_type = import_type.map(str::to_owned);
        let done = call!(world, import_key_material, input).unwrap();
        done.key_material_id
    }

    async fn delete(&self, number: usize) {
        let world = &self.world;
        let input = DeleteImportedKeyMaterialInput {
            key_id: self.key_id.clone(),
            key_material_id: Some(self.ids[number].clone()),
        };
        call!(world, delete_imported_key_material, input).unwrap();
    }
}

const ROUNDS_MIN: u32 = 20;
const ROUNDS_MAX: u32 = 5_000;
