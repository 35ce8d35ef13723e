// SPDX-License-Identifier: Apache-2.0
//! What must not start, and what it says instead.

use crate::rig::{Rig, text};

fn fails(rig: &Rig, code: i32, says: &str) {
    let output = rig.serve_failing();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "`{says}` is not in: {said}");
}

#[test]
fn wrong_command_lines_end_with_2() {
    fails(
        &Rig::new().flag("--http", "example.org:80"),
        2,
        "`example.org:80`",
    );
    fails(&Rig::new().flag("--htp", "127.0.0.1:0"), 2, "--htp");
    fails(&Rig::new().flag("--admin", "0.0.0.0:0"), 2, "loopback");
    fails(&Rig::new().flag("--account-id", "1"), 2, "twelve digits");
    fails(&Rig::new().flag("--tls-cert", "x"), 2, "belong together");
    fails(&Rig::new().flag("--log", "a=b=c"), 2, "log filter");
    fails(&Rig::new().flag("--log", "nonsense="), 2, "log filter");
    fails(&Rig::new().flag("--log", "infoo"), 2, "log filter");
    fails(
        &Rig::new().flag("--http", "none").flag("--https", "none"),
        2,
        "nothing could reach",
    );
}

#[test]
fn wrong_configuration_files_end_with_2() {
    let rig = Rig::new();
    let path = rig.beside("config.toml");
    let rig = rig.flag("--config", path.to_str().unwrap());
    fails(&rig, 2, "does not exist");
    for (content, says) in [
        ("htttp = '127.0.0.1:0'", "htttp"),
        ("region = 7", "region"),
        ("region = ", "config.toml"),
        ("max-connections = 0", "max-connections"),
    ] {
        std::fs::write(&path, content).unwrap();
        fails(&rig, 2, says);
    }
}

#[test]
fn configuration_file_is_used_and_flags_win() {
    let rig = Rig::new();
    let path = rig.beside("config.toml");
    std::fs::write(&path, "region = 'eu-test-1'\nhttp = '192.0.2.1:1'\n").unwrap();
    let rig = rig.flag("--config", path.to_str().unwrap());
    let server = rig.start();
    assert_eq!(server.run["region"], "eu-test-1");
    server.stop();
}

#[test]
fn half_a_root_credential_is_refused() {
    fails(
        &Rig::new().var("STRONGROOM_ROOT_ACCESS_KEY_ID", "OPERATOR"),
        2,
        "belong together",
    );
}

#[test]
fn wrong_secret_in_the_environment_is_not_shown() {
    let rig = Rig::new()
        .var("STRONGROOM_ROOT_ACCESS_KEY_ID", "OPERATOR")
        .var("STRONGROOM_ROOT_SECRET_ACCESS_KEY", "with space planted");
    let said = text(&rig.serve_failing().stderr);
    assert!(said.contains("STRONGROOM_ROOT_SECRET_ACCESS_KEY") && !said.contains("planted"));
}

#[test]
fn second_server_on_the_same_data_is_refused() {
    let rig = Rig::new();
    let server = rig.start();
    fails(&rig, 1, "another process is using");
    assert_eq!(server.get_admin("/health/ready").status, 200);
    server.stop();
}

#[test]
fn taken_port_is_named_and_leaves_no_store() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let rig = Rig::new().flag("--http", &address);
    fails(&rig, 1, &address);
    assert!(!rig.data().exists());
}

#[test]
fn lost_root_key_is_not_replaced() {
    let rig = Rig::new();
    rig.start().stop();
    let path = rig.data().join("root.key");
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    fails(&rig, 1, "root.key` is missing");
    assert!(!path.exists());
    std::fs::write(&path, b"not a key").unwrap();
    fails(&rig, 1, "readable by others");
    chmod_private(&path);
    fails(&rig, 1, "not a root key");
    std::fs::write(&path, "00".repeat(32)).unwrap();
    fails(&rig, 1, "belongs to another store");
    std::fs::write(&path, kept).unwrap();
    rig.start().stop();
}

#[test]
fn lost_or_damaged_keyring_is_not_replaced() {
    let rig = Rig::new();
    rig.start().stop();
    let path = rig.data().join("keyring");
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    fails(&rig, 1, "restore the keyring");
    let mut damaged = kept.clone();
    damaged[90] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    chmod_private(&path);
    fails(&rig, 1, "damaged");
    std::fs::write(&path, kept).unwrap();
    rig.start().stop();
}

#[test]
fn damaged_credential_is_not_replaced() {
    let rig = Rig::new();
    rig.start().stop();
    let path = rig.data().join("root-credential.sealed");
    let mut sealed = std::fs::read(&path).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    std::fs::write(&path, sealed).unwrap();
    fails(&rig, 1, "root-credential.sealed` does not open");
}

#[test]
fn commands_without_a_store_say_so() {
    let rig = Rig::new();
    for args in [
        &["user", "list"][..],
        &["verify"],
        &["env"],
        &["inspect", "object", "s3://b/k"],
    ] {
        let output = rig.run(args);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("there is no store"),
            "{}",
            text(&output.stderr)
        );
        assert!(!rig.data().exists());
    }
}

fn chmod_private(path: &std::path::Path) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
