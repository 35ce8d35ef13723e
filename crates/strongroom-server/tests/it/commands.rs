// SPDX-License-Identifier: Apache-2.0
//! Commands, each with a running server (over the control socket) and without.

use std::path::{Path, PathBuf};

use strongroom_wire::SecretAccessKey;

use crate::rig::{Credential, Rig, Server, text};

fn run_ok(rig: &Rig, args: &[&str]) -> String {
    let output = rig.run(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn add_user(rig: &Rig, name: &str) -> Credential {
    let said = run_ok(rig, &["user", "add", name]);
    let after = |prefix: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(prefix));
        line.unwrap_or_else(|| panic!("no {prefix} in {said}"))
            .to_owned()
    };
    Credential {
        id: after("AWS_ACCESS_KEY_ID="),
        secret: SecretAccessKey::new(after("AWS_SECRET_ACCESS_KEY=")),
    }
}

#[test]
fn users_come_and_go_while_the_server_runs() {
    let rig = Rig::new();
    let server = rig.start();
    let alice = add_user(&rig, "alice");
    assert_eq!(server.request(&alice, "PUT", "/bucket", b"").status, 200);
    let listed = run_ok(&rig, &["user", "list"]);
    assert!(listed.contains("alice") && listed.contains(&alice.id));
    assert!(!listed.contains(alice.secret.expose_secret()));
    assert!(!rig.run(&["user", "add", "alice"]).status.success());
    assert!(!rig.run(&["user", "add", "not a name"]).status.success());
    assert!(!rig.run(&["user", "remove", "bob"]).status.success());
    run_ok(&rig, &["user", "remove", "alice"]);
    assert_eq!(server.request(&alice, "GET", "/bucket", b"").status, 403);
    server.stop();
}

#[test]
fn users_added_without_a_server_are_known_to_the_next() {
    let rig = Rig::new();
    rig.start().stop();
    let alice = add_user(&rig, "alice");
    let server = rig.start();
    assert_eq!(server.request(&alice, "GET", "/", b"").status, 200);
    server.stop();
    run_ok(&rig, &["user", "remove", "alice"]);
    let server = rig.start();
    assert_eq!(server.request(&alice, "GET", "/", b"").status, 403);
    server.stop();
}

#[test]
fn acts_of_the_operator_are_in_the_audit_log() {
    let rig = Rig::new();
    let server = rig.start();
    add_user(&rig, "alice");
    server.stop();
    let log = all_bytes(&rig.data().join("drive/audit"));
    for event in ["StartServer", "CreateUser", "StopServer"] {
        assert!(text(&log).contains(event), "no {event}");
    }
}

/// Commands were recorded after they had acted, as successes, and not with what was asked: a crash in
/// between left an act without a line.
#[test]
fn sec_commands_are_recorded_before_they_act_and_with_what_became_of_them() {
    let rig = Rig::new();
    let server = rig.start();
    fill(&rig, &server);
    let mut outcomes = Vec::new();
    let mut run = |args: &[&str], name: &'static str, is_done: bool| {
        let done = rig.run(args).status.success();
        assert_eq!(done, is_done, "{args:?}");
        outcomes.push((name, is_done));
    };
    let backup = rig.beside("backup");
    let backup = backup.to_str().unwrap();
    run(
        &["inspect", "object", "s3://bucket/large"],
        "InspectObject",
        true,
    );
    run(
        &["inspect", "object", "s3://bucket/none"],
        "InspectObject",
        false,
    );
    run(&["drive", "drain", "7"], "DrainDrive", false);
    run(&["drive", "drain", "7", "--cancel"], "KeepDrive", false);
    run(&["drive", "remove", "7"], "RemoveDrive", false);
    run(
        &["backup", "metadata", backup, "--quiet"],
        "BackupMetadata",
        true,
    );
    run(
        &["backup", "metadata", backup, "--quiet"],
        "BackupMetadata",
        false,
    );
    run(&["root", "rotate", "--domain"], "RotateKeyring", true);
    run(&["rewrap"], "RewrapKeys", true);
    run(&["kms", "impact", "alias/none"], "KmsKeyImpact", false);
    run(&["verify", "--quiet"], "VerifyStore", true);
    server.stop();
    let log = all_bytes(&rig.data().join("drive/audit"));
    let lines: Vec<serde_json::Value> = text(&log)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut lines = lines.iter().filter(|line| {
        let mut name = line["eventName"].as_str().unwrap();
        if name == "BeginCommand" {
            name = line["requestParameters"]["command"].as_str().unwrap();
        }
        outcomes.iter().any(|(known, _)| *known == name)
    });
    for (name, is_done) in &outcomes {
        let (begun, ended) = (lines.next().unwrap(), lines.next().unwrap());
        assert_eq!(begun["eventName"], "BeginCommand", "{name}");
        assert_eq!(begun["requestParameters"]["command"], *name);
        assert_eq!(ended["eventName"], *name);
        assert_eq!(begun["requestID"], ended["requestID"], "{name}");
        assert_eq!(ended["errorCode"].is_null(), *is_done, "{name}");
        let asked = ended["requestParameters"].as_object();
        for (of, value) in asked.into_iter().flatten() {
            assert_eq!(&begun["requestParameters"][of], value, "{name}");
        }
    }
    assert!(lines.next().is_none());
    let said = text(&log);
    for asked in [
        "\"key\":\"none\"",
        "\"drive\":7",
        "\"domain\":true",
        "\"keyId\":\"alias/none\"",
    ] {
        assert!(said.contains(asked), "{asked}");
    }
    assert!(said.contains(&format!("\"file\":\"{backup}\"")));
}

#[test]
fn inspect_shows_how_and_no_secret() {
    let rig = Rig::new();
    let server = rig.start();
    fill(&rig, &server);
    let check = |when: &str| {
        let shown = run_ok(&rig, &["inspect", "object", "s3://bucket/large"]);
        let facts: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert!(facts.is_object(), "{when}");
        assert!(shown.contains("segments"), "{when}: {shown}");
        assert!(
            !rig.run(&["inspect", "object", "s3://bucket/none"])
                .status
                .success()
        );
        assert_eq!(
            rig.run(&["inspect", "object", "bucket/none"]).status.code(),
            Some(2)
        );
    };
    check("with a server");
    server.stop();
    check("without");
}

#[test]
fn verify_finds_a_flipped_bit_and_names_the_object() {
    let rig = Rig::new();
    let server = rig.start();
    fill(&rig, &server);
    let live = run_ok(&rig, &["verify"]);
    server.stop();
    let still = run_ok(&rig, &["verify", "--quiet"]);
    for said in [live, still] {
        assert!(said.contains(" 0 damaged"), "{said}");
        assert!(
            said.contains("read: 2 objects (3145733 bytes) and 0 parts"),
            "{said}"
        );
        assert!(
            said.contains("compared: 1 blobs") && said.contains("0 without one"),
            "{said}"
        );
        assert!(
            said.contains("rows of the tables") && said.contains("audit records"),
            "{said}"
        );
    }

    let shard = largest_file(&rig.data().join("drive"));
    let mut bytes = std::fs::read(&shard).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    let check = || {
        let output = rig.run(&["verify"]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        assert!(
            said.contains("DAMAGED") && said.contains("bucket/large"),
            "{said}"
        );
        assert!(!said.contains("small"), "{said}");
    };
    check();
    let server = rig.start();
    check();
    server.stop();
}

#[test]
fn verify_reads_the_audit_log_and_the_log_of_the_tables() {
    let rig = Rig::new();
    let server = rig.start();
    fill(&rig, &server);
    let drive = rig.data().join("drive");
    let newest = |folder: &str, word: &str| {
        let mut found = files(&drive.join(folder));
        found.retain(|path| text(path.file_name().unwrap().as_encoded_bytes()).starts_with(word));
        found.sort();
        found.pop().unwrap()
    };
    for path in [newest("audit", "events-"), newest("log", "journal-")] {
        use std::os::unix::fs::FileExt as _;
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 150).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 150).unwrap();
        let output = rig.run(&["verify"]);
        file.write_all_at(&byte, 150).unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let name = text(path.file_name().unwrap().as_encoded_bytes());
        let damaged: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("DAMAGED"))
            .collect();
        assert!(damaged.len() == 1 && damaged[0].contains(&name), "{said}");
    }
    assert!(run_ok(&rig, &["verify"]).contains(" 0 damaged"));
    server.stop();
}

#[test]
fn help_teaches_by_example() {
    let rig = Rig::new();
    for args in [
        &["--help"][..],
        &["serve", "--help"],
        &["env", "--help"],
        &["verify", "--help"],
    ] {
        let help = run_ok(&rig, args);
        assert!(
            help.contains("strongroom env") || help.contains("Examples:"),
            "{help}"
        );
    }
    assert!(run_ok(&rig, &["serve", "--help"]).contains("--root-key-file"));
    assert_eq!(rig.run(&[]).status.code(), Some(2));
}

fn fill(rig: &Rig, server: &Server) {
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    assert_eq!(
        server
            .request(&key, "PUT", "/bucket/small", b"small")
            .status,
        200
    );
    assert_eq!(
        server
            .request(&key, "PUT", "/bucket/large", &vec![9; 3 << 20])
            .status,
        200
    );
}

fn files(dir: &Path) -> Vec<PathBuf> {
    strongroom_testkit::files_below(dir).unwrap()
}

fn largest_file(dir: &Path) -> PathBuf {
    let blobs = files(dir)
        .into_iter()
        .filter(|p| p.to_string_lossy().contains("blob"));
    blobs
        .max_by_key(|p| std::fs::metadata(p).unwrap().len())
        .unwrap()
}

fn all_bytes(dir: &Path) -> Vec<u8> {
    files(dir)
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect()
}
