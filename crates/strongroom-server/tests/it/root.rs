// SPDX-License-Identifier: Apache-2.0
//! `strongroom root`: epochs, other providers, shares; with a running server and without.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::rig::{Rig, Server};

const PHRASE: &str = "correct horse battery staple";

fn private(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Runs a command that has to succeed.
#[track_caller]
fn ok(rig: &Rig, args: &[&str]) -> String {
    let done = rig.run(args);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{args:?}: {text}{errors}");
    text
}

/// Runs a command that has to fail, and gives its words.
#[track_caller]
fn refused(rig: &Rig, args: &[&str]) -> String {
    let done = rig.run(args);
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success(), "{args:?}: {text}");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

fn shares(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with("SRSHARE-"));
    lines.map(str::to_owned).collect()
}

#[test]
fn epochs_are_shown_and_rotated_with_a_server_and_without() {
    let rig = Rig::new();
    let server = rig.start();
    let shown = ok(&rig, &["root", "show"]);
    assert!(shown.contains("unsealed by: root key"), "{shown}");
    assert_eq!(shown.matches("in use:   epoch 1,").count(), 2, "{shown}");
    let rotated = ok(&rig, &["root", "rotate", "--domain"]);
    assert!(rotated.contains("domain keys:\n  in use:   epoch 2,"));
    assert!(rotated.contains("SSE-S3 root:\n  in use:   epoch 1,"));
    drop(server);
    let rotated = ok(&rig, &["root", "rotate"]);
    assert!(rotated.contains("domain keys:\n  in use:   epoch 3,"));
    assert!(rotated.contains("SSE-S3 root:\n  in use:   epoch 2,"));
    assert!(rotated.contains("kept:     epoch 1,"));
    // Private files of older epochs still open.
    let before = credential(&rig);
    let _server = rig.start();
    assert_eq!(before, credential(&rig));
}

#[test]
fn sec_an_older_keyring_put_back_under_a_running_server_is_not_written_to() {
    let rig = Rig::new();
    let keyring = rig.data().join("keyring");
    let _server = rig.start();
    let older = fs::read(&keyring).unwrap();
    ok(&rig, &["root", "rotate"]);
    let newer = fs::read(&keyring).unwrap();
    let (phrase, key) = (rig.beside("phrase"), rig.beside("new.key"));
    let phrase = private(&phrase, PHRASE);
    let key = key.display().to_string();
    fs::write(&keyring, &older).unwrap();
    for args in [
        &["root", "rotate"][..],
        &["root", "rekey", "--to-passphrase-file", &phrase],
        &["root", "rekey", "--to-root-key-file", &key],
        &["root", "escrow"],
    ] {
        let said = refused(&rig, args);
        assert!(said.contains("lacks an epoch"), "{args:?}: {said}");
        assert_eq!(fs::read(&keyring).unwrap(), older, "{args:?}");
    }
    fs::write(&keyring, &newer).unwrap();
    ok(&rig, &["root", "rotate"]);
}

fn credential(rig: &Rig) -> String {
    let text = ok(rig, &["env", "--https-address", "127.0.0.1:1"]);
    let line = text.lines().find(|l| l.contains("AWS_SECRET_ACCESS_KEY"));
    line.unwrap().to_owned()
}

#[test]
fn provider_changes_under_a_running_server_and_for_the_next_start() {
    let mut rig = Rig::new();
    let phrase = private(&rig.beside("phrase"), PHRASE);
    let server = rig.start();
    let before = credential(&rig);
    let said = ok(&rig, &["root", "rekey", "--to-passphrase-file", &phrase]);
    assert!(said.contains("--passphrase-file"), "{said}");
    // The running server rotates with the new provider.
    let shown = ok(&rig, &["root", "rotate"]);
    assert!(shown.contains("unsealed by: passphrase"), "{shown}");
    assert_eq!(shown.matches("\n  passphrase, Argon2id").count(), 1);
    assert!(!shown.contains("root key in a file"), "{shown}");
    drop(server);
    let said = refused(&rig, &["root", "show"]);
    assert!(said.contains("--passphrase-file"), "{said}");
    rig.env
        .push(("STRONGROOM_PASSPHRASE_FILE".to_owned(), phrase));
    let _server: Server = rig.start();
    assert_eq!(before, credential(&rig));
}

#[test]
fn shares_restore_what_a_lost_root_key_sealed() {
    let mut rig = Rig::new();
    let server = rig.start();
    let before = credential(&rig);
    let text = ok(
        &rig,
        &["root", "escrow", "--shares", "5", "--threshold", "3"],
    );
    let shares = shares(&text);
    assert_eq!(shares.len(), 5);
    drop(server);
    fs::remove_file(rig.data().join("root.key")).unwrap();
    let said = refused(&rig, &["env", "--https-address", "127.0.0.1:1"]);
    assert!(said.contains("is missing"), "{said}");
    let two = private(&rig.beside("two"), &shares[1..3].join("\n"));
    let third = private(&rig.beside("third"), &shares[4]);
    let new = rig.beside("new.key").display().to_string();
    let mut args = vec![
        "root",
        "recover",
        "--to-root-key-file",
        &new,
        "--share-file",
        &two,
    ];
    let said = refused(&rig, &args);
    assert!(said.contains("2 of the 3 shares"), "{said}");
    args.extend(["--share-file", &third]);
    let said = ok(&rig, &args);
    assert!(said.contains("--root-key-file"), "{said}");
    rig.env
        .push(("STRONGROOM_ROOT_KEY_FILE".to_owned(), new.clone()));
    let _server = rig.start();
    assert_eq!(before, credential(&rig));
}

#[test]
fn sec_wrong_shares_and_tampered_files_restore_nothing() {
    let rig = Rig::new();
    let other = Rig::new();
    let server = rig.start();
    let own = shares(&ok(&rig, &["root", "escrow"]));
    let other_server = other.start();
    let others = shares(&ok(&other, &["root", "escrow"]));
    drop((server, other_server));
    let keyring = rig.data().join("keyring");
    let before = fs::read(&keyring).unwrap();
    let new = rig.beside("new.key").display().to_string();
    let recover = |lines: &[&str]| {
        let file = private(&rig.beside("shares"), &lines.join("\n"));
        let args = ["root", "recover", "--to-root-key-file", &new];
        refused(&rig, &[&args[..], &["--share-file", &file]].concat())
    };
    assert!(recover(&[&own[0], &others[1]]).contains("another set"));
    assert!(recover(&[&others[0], &others[1]]).contains("another set"));
    assert!(recover(&[&own[0], &own[0]]).contains("given twice"));
    assert!(recover(&[&own[0]]).contains("1 of the 2"));
    let mistyped = own[1].replacen(|c: char| c.is_ascii_digit(), "Z", 1);
    assert!(recover(&[&own[0], &mistyped]).contains("not a share"));
    assert_eq!(fs::read(&keyring).unwrap(), before);
    for at in [5, 30, before.len() / 2, before.len() - 1] {
        let mut changed = before.clone();
        changed[at] ^= 1;
        fs::write(&keyring, &changed).unwrap();
        assert!(recover(&[&own[0], &own[1]]).contains("damaged"));
        assert!(refused(&rig, &["root", "show"]).contains("damaged"));
        assert_eq!(fs::read(&keyring).unwrap(), changed);
    }
    fs::write(&keyring, &before).unwrap();
    assert!(ok(&rig, &["root", "show"]).contains("2 of 3 shares"));
}

#[test]
fn sec_rekey_to_something_unusable_changes_nothing() {
    let rig = Rig::new();
    drop(rig.start());
    let keyring = rig.data().join("keyring");
    let before = fs::read(&keyring).unwrap();
    let short = private(&rig.beside("short"), "short");
    let missing = rig.beside("missing").display().to_string();
    let pin = private(&rig.beside("pin"), "1234");
    let credentials = private(
        &rig.beside("credentials"),
        "aws_access_key_id=A\naws_secret_access_key=B\n",
    );
    let cases: &[&[&str]] = &[
        &[],
        &["--to-passphrase-file", &short],
        &["--to-passphrase-file", &missing],
        &["--to-pkcs11-module", &missing],
        &[
            "--to-pkcs11-module",
            &missing,
            "--to-pkcs11-token-label",
            "t",
            "--to-pkcs11-key-label",
            "k",
            "--to-pkcs11-pin-file",
            &pin,
        ],
        &[
            "--to-root-kms-endpoint",
            "http://127.0.0.1:1",
            "--to-root-kms-key-id",
            "k",
            "--to-root-kms-credentials-file",
            &credentials,
        ],
        &[
            "--to-root-kms-endpoint",
            "https://127.0.0.1:1",
            "--to-root-kms-key-id",
            "k",
            "--to-root-kms-credentials-file",
            &credentials,
        ],
        &["--to-passphrase-file", &pin, "--to-root-key-file", &missing],
    ];
    for case in cases {
        refused(&rig, &[&["root", "rekey"], *case].concat());
        assert_eq!(fs::read(&keyring).unwrap(), before, "{case:?}");
    }
    assert!(!Path::new(&missing).exists());
    ok(&rig, &["root", "show"]);
}

#[test]
fn rekey_goes_on_where_it_was_killed() {
    let mut rig = Rig::new();
    drop(rig.start());
    let phrase = private(&rig.beside("phrase"), PHRASE);
    let key = rig.beside("other.key").display().to_string();
    let before = credential(&rig);
    let mut to_phrase = true;
    for round in 0..12_u64 {
        let to: [&str; 2] = if to_phrase {
            ["--to-passphrase-file", &phrase]
        } else {
            ["--to-root-key-file", &key]
        };
        let mut child = rig
            .command(&[&["root", "rekey"], &to[..]].concat())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 * (round % 12) + round));
        let _gone = child.kill();
        child.wait().unwrap();
        // Either of the two opens it; and the same again ends it.
        let old_env = rig.env.clone();
        let new_env = vec![if to_phrase {
            ("STRONGROOM_PASSPHRASE_FILE".to_owned(), phrase.clone())
        } else {
            ("STRONGROOM_ROOT_KEY_FILE".to_owned(), key.clone())
        }];
        let old_opens = rig.run(&["root", "show"]).status.success();
        if old_opens {
            ok(&rig, &[&["root", "rekey"], &to[..]].concat());
        }
        rig.env = new_env;
        assert_eq!(credential(&rig), before, "round {round}");
        rig.env = old_env.clone();
        assert!(!rig.run(&["root", "show"]).status.success());
        rig.env = vec![if to_phrase {
            ("STRONGROOM_PASSPHRASE_FILE".to_owned(), phrase.clone())
        } else {
            ("STRONGROOM_ROOT_KEY_FILE".to_owned(), key.clone())
        }];
        to_phrase = !to_phrase;
    }
}
