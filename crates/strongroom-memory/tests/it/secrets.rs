// SPDX-License-Identifier: Apache-2.0
//! What becomes of secrets.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;

use strongroom_memory::{Protection, SecretBytes, status};

/// The arena is one for the process, and these tests count what is in it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Made here and never written down whole, so that the only copies are those under test.
fn marker(len: usize, salt: u8) -> Vec<u8> {
    let byte = |at: usize| u8::try_from(at % 251).unwrap() ^ salt ^ 0x5A;
    (0..len).map(byte).collect()
}

#[test]
fn secrets_hold_what_was_put_in() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    for len in [0, 1, 31, 32, 33, 48, 64, 2_400, 65_536, 65_537, 1 << 20] {
        let secret = SecretBytes::copy_of(&marker(len, 1));
        let other = SecretBytes::copy_of(&marker(len, 2));
        assert_eq!(secret.expose_secret(), marker(len, 1));
        assert_eq!(other.expose_secret(), marker(len, 2));
        assert_eq!(format!("{secret:?}"), "SecretBytes(..)");
    }
}

#[test]
fn a_failed_fill_gives_no_secret() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let before = status().used_bytes;
    let made = SecretBytes::filled(32, |place| {
        assert_eq!(place, [0; 32]);
        place.fill(7);
        Err("no randomness")
    });
    assert_eq!(made.unwrap_err(), "no randomness");
    assert_eq!(status().used_bytes, before);
    let next: Result<_, ()> = SecretBytes::filled(32, |place| {
        assert_eq!(place, [0; 32], "a slot that was used before is clean");
        Ok(())
    });
    drop(next);
}

#[test]
fn slots_come_back() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let before = status();
    let many: Vec<_> = (0..5_000)
        .map(|at| SecretBytes::copy_of(&marker(at % 100, 3)))
        .collect();
    assert!(status().used_bytes > before.used_bytes);
    for (at, secret) in many.iter().enumerate() {
        assert_eq!(secret.expose_secret(), marker(at % 100, 3));
    }
    drop(many);
    assert_eq!(status().used_bytes, before.used_bytes);
}

#[test]
fn threads_never_share_a_slot() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for turn in 0..2_000 {
                    let secret = SecretBytes::copy_of(&marker(1 + turn % 200, thread));
                    std::thread::yield_now();
                    assert_eq!(secret.expose_secret(), marker(1 + turn % 200, thread));
                }
            });
        }
    });
}

/// More than an ordinary process may lock: the rest lies on the heap, and nothing fails.
#[test]
fn more_than_the_kernel_gives_is_kept_all_the_same() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let many: Vec<_> = (0..200)
        .map(|_| SecretBytes::copy_of(&marker(60_000, 9)))
        .collect();
    assert!(
        many.iter()
            .all(|secret| secret.expose_secret() == marker(60_000, 9))
    );
}

/// Locked memory is scarce: asking for more of it in vain would leave none for later keys.
#[test]
fn sec_what_no_region_can_hold_takes_no_region() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let before = status().bytes;
    for _ in 0..3 {
        let secret = SecretBytes::copy_of(&marker(REGION_BYTES + 1, 6));
        assert_eq!(secret.expose_secret(), marker(REGION_BYTES + 1, 6));
    }
    assert_eq!(status().bytes, before);
}

/// Reads this process's memory as a debugger would.
fn read_from_outside(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let memory = File::open("/proc/self/mem")?;
    let mut seen = vec![0; bytes.len()];
    let address = u64::try_from(bytes.as_ptr().addr()).unwrap();
    memory.read_exact_at(&mut seen, address)?;
    Ok(seen)
}

#[test]
fn secret_memory_cannot_be_read_from_outside() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let secret = SecretBytes::copy_of(&marker(48, 4));
    let copy = secret.expose_secret().to_vec();
    assert_eq!(read_from_outside(&copy).unwrap(), marker(48, 4));
    // Other kinds of memory keep less; what they keep, the other tests hold them to.
    if status().protection == Protection::Secret {
        assert!(read_from_outside(secret.expose_secret()).is_err());
    }
}

#[test]
fn dropped_secrets_leave_zeros() {
    let _alone = ONE_AT_A_TIME.lock().unwrap();
    let before = status().used_bytes;
    for len in [32, 48, 2_400] {
        drop(SecretBytes::copy_of(&marker(len, 5)));
    }
    // All slots of a region in a row: whatever was left in any of them would show.
    let all: Result<_, ()> = SecretBytes::filled(REGION_BYTES, |place| {
        assert!(place.iter().all(|byte| *byte == 0));
        Ok(())
    });
    drop(all);
    assert_eq!(status().used_bytes, before);
}

const REGION_BYTES: usize = 64 << 10;
