// SPDX-License-Identifier: Apache-2.0
//! The vault: what is put is there, what is destroyed never comes back.

use std::sync::Arc;

use strongroom_store::drive::{Drive, DrivePath, Folder, LocalDrive, small_file};
use strongroom_store::{Error, Vault, VaultEntry};
use strongroom_testkit::{Fault, FaultPlan, SimDrive};

use crate::stage;

const OWNER: [u8; 16] = [0xA5; 16];
const ID: [u8; 16] = [0x17; 16];
const SECRET: &[u8] = b"sealed by somebody else";

async fn vault(drive: &SimDrive) -> Vault {
    let store = stage::open(Arc::new(drive.clone())).await.unwrap();
    let vault = store.vault().clone();
    store.close().await.unwrap();
    vault
}

fn of_vault(folder: Folder) -> bool {
    folder == Folder::Vault
}

fn holds(drive: &SimDrive, bytes: &[u8]) -> bool {
    drive.files().iter().any(|path| {
        let content = drive.contents(path).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_there_for_its_owner_only() {
    let drive = SimDrive::new(1);
    let vault = vault(&drive).await;
    assert_eq!(vault.get(OWNER, ID).unwrap(), None);
    vault.put(OWNER, ID, SECRET).await.unwrap();
    assert_eq!(vault.get(OWNER, ID).unwrap().unwrap(), SECRET);
    let entry = VaultEntry {
        id: ID,
        owner: Some(OWNER),
    };
    assert_eq!(vault.list().unwrap(), [entry]);
    assert!(matches!(
        vault.get([1; 16], ID),
        Err(Error::Corrupted { .. })
    ));
    assert_eq!(vault.get(OWNER, [0; 16]).unwrap(), None);
    vault.put(OWNER, ID, b"again").await.unwrap_err();
    vault.put(OWNER, [2; 16], &[0; 1025]).await.unwrap_err();
    assert_eq!(vault.get(OWNER, ID).unwrap().unwrap(), SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_head_is_told() {
    let drive = SimDrive::new(1);
    let vault = vault(&drive).await;
    vault.put(OWNER, ID, SECRET).await.unwrap();
    let path = DrivePath::vault(ID);
    for at in 0..37 {
        drive.rot(&path, at, 0x20);
        assert!(vault.get(OWNER, ID).is_err(), "byte {at}");
        assert_ne!(vault.list().unwrap()[0].owner, Some(OWNER));
        drive.rot(&path, at, 0x20);
    }
    drive.plant(&path, &Vault::mark(&OWNER));
    assert!(vault.get(OWNER, ID).is_err());
    assert_eq!(vault.list().unwrap()[0].owner, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_others_are_left_alone() {
    let drive = SimDrive::new(1);
    let vault = vault(&drive).await;
    for name in ["notes.txt", "1717", &"G".repeat(32), &"AB".repeat(16)] {
        drive.plant(&DrivePath::listed(Folder::Vault, name.to_owned()), b"x");
    }
    assert_eq!(vault.list().unwrap(), []);
    assert_eq!(drive.list(Folder::Vault).unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn destroyed_secret_is_on_the_drive_nowhere() {
    let drive = SimDrive::new(1);
    let vault = vault(&drive).await;
    vault.put(OWNER, ID, SECRET).await.unwrap();
    assert!(holds(&drive, SECRET));
    assert!(vault.destroy(ID).await.unwrap());
    assert!(!vault.destroy(ID).await.unwrap());
    assert_eq!(vault.get(OWNER, ID).unwrap(), None);
    for seed in 0..20 {
        let after = SimDrive::new(seed);
        let vault = self::vault(&after).await;
        vault.put(OWNER, ID, SECRET).await.unwrap();
        vault.destroy(ID).await.unwrap();
        let after = after.crash();
        assert!(!holds(&after, SECRET) && !holds(&after, &Vault::mark(&OWNER)));
    }
}

/// Power loss at each step of putting and destroying: what was answered holds, and destroying
/// once more after the start leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn sec_power_loss_at_each_step_of_the_vault() {
    for step in 0..12 {
        for seed in 0..8 {
            let drive = SimDrive::new(seed);
            let vault = vault(&drive).await;
            drive.set_plan(FaultPlan::new([Fault::CrashAt(step)]).within(of_vault));
            let put = vault.put(OWNER, ID, SECRET).await.is_ok();
            let destroyed = put && vault.destroy(ID).await.is_ok();
            let drive = drive.crash();
            let vault = self::vault(&drive).await;
            let found = vault.get(OWNER, ID);
            if destroyed {
                assert_eq!(found.unwrap(), None, "step {step} seed {seed}");
                assert!(!holds(&drive, SECRET));
            }
            for entry in vault.list().unwrap() {
                vault.destroy(entry.id).await.unwrap();
            }
            let drive = drive.crash();
            assert!(!holds(&drive, SECRET), "step {step} seed {seed}");
            assert_eq!(self::vault(&drive).await.list().unwrap(), []);
        }
    }
}

/// Of several writers that found the folder missing, one that came between the making of the
/// folder and the look whether it is there was told that its file cannot be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn first_secrets_at_the_same_time_make_one_folder() {
    for _ in 0..20 {
        let dir = tempfile::TempDir::new().unwrap();
        let drive = Arc::new(LocalDrive::open(dir.path()).unwrap());
        let threads: Vec<_> = (0..8_u8)
            .map(|number| {
                let drive = Arc::clone(&drive);
                std::thread::spawn(move || drive.create(&DrivePath::vault([number; 16])).map(drop))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    }
}

#[test]
fn files_that_hold_some_bytes_are_found_wherever_they_are() {
    let dir = tempfile::TempDir::new().unwrap();
    let mark = Vault::mark(&OWNER);
    let deep = dir.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    // Over the border of what is read at once, at the very end, and not at all.
    let border = [vec![0; (1 << 20) - 3], mark.clone(), vec![0; 9]].concat();
    std::fs::write(deep.join("border"), border).unwrap();
    std::fs::write(dir.path().join("end"), [b"x", mark.as_slice()].concat()).unwrap();
    std::fs::write(dir.path().join("cut"), &mark[..mark.len() - 1]).unwrap();
    std::fs::write(dir.path().join("empty"), b"").unwrap();
    std::fs::write(dir.path().join("other"), Vault::mark(&ID)).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
    let mut read = 0;
    let found = small_file::files_holding(dir.path(), &mark, &mut |bytes| read += bytes).unwrap();
    assert_eq!(found, [deep.join("border"), dir.path().join("end")]);
    assert!(read > 1 << 20);
    assert!(small_file::files_holding(&deep.join("none"), &mark, &mut |_| ()).is_err());
}
