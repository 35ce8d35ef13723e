// SPDX-License-Identifier: Apache-2.0
use crate::rig::{Rig, mode, text, value};

#[test]
fn first_start_makes_private_files_and_says_what_to_do() {
    let rig = Rig::new();
    let server = rig.start();
    let data = rig.data();
    assert_eq!(mode(&data), 0o700);
    for name in [
        "root.key",
        "keyring",
        "root-credential.sealed",
        "tls/ca-key.sealed",
    ] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    for name in ["run.json", "control.sock"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    let key = rig.credential();
    server.stop();
    assert!(!data.join("run.json").exists());
    assert!(!data.join("control.sock").exists());
    // Who finds the run file can connect; the words come a moment later.
    let said = rig.stdout();
    for part in [
        "eval \"$(",
        " env",
        "tls/ca.pem",
        "root.key",
        "Back up",
        "--passphrase-file",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    assert!(!said.contains(&key.id) && !said.contains(key.secret.expose_secret()));
}

#[test]
fn restart_keeps_credential_ca_and_says_nothing_of_backups() {
    let rig = Rig::new();
    let server = rig.start();
    let before = (
        rig.credential(),
        std::fs::read(rig.data().join("tls/ca.pem")).unwrap(),
    );
    server.stop();
    let server = rig.start();
    let after = (
        rig.credential(),
        std::fs::read(rig.data().join("tls/ca.pem")).unwrap(),
    );
    assert_eq!(before.0.id, after.0.id);
    assert_eq!(
        before.0.secret.expose_secret(),
        after.0.secret.expose_secret()
    );
    assert_eq!(before.1, after.1);
    server.stop();
    let said = rig.stdout();
    assert!(
        said.contains("opened the store") && !said.contains("Back up"),
        "{said}"
    );
}

#[test]
fn env_names_the_running_server_and_works_without_one() {
    let rig = Rig::new();
    let server = rig.start();
    let lines = rig.env_lines(&[]);
    assert_eq!(
        value(&lines, "AWS_ENDPOINT_URL"),
        format!("https://{}", server.address("https"))
    );
    assert_eq!(value(&lines, "AWS_REGION"), "us-east-1");
    assert_eq!(value(&lines, "AWS_DEFAULT_REGION"), "us-east-1");
    let ca = value(&lines, "AWS_CA_BUNDLE");
    assert!(ca.starts_with('/') && std::path::Path::new(&ca).is_file());
    let over_http = rig.env_lines(&["--http"]);
    assert_eq!(
        value(&over_http, "AWS_ENDPOINT_URL"),
        format!("http://{}", server.address("http"))
    );
    assert!(!over_http.iter().any(|(name, _)| name == "AWS_CA_BUNDLE"));
    server.stop();

    let without = rig.env_lines(&[]);
    assert_eq!(
        value(&without, "AWS_ENDPOINT_URL"),
        "https://127.0.0.1:9443"
    );
    assert_eq!(
        value(&without, "AWS_SECRET_ACCESS_KEY"),
        value(&lines, "AWS_SECRET_ACCESS_KEY")
    );
}

#[test]
fn root_credential_of_the_environment_wins_and_is_not_stored() {
    let secret = "planted-secret-of-the-environment";
    let rig = Rig::new()
        .var("STRONGROOM_ROOT_ACCESS_KEY_ID", "OPERATOR")
        .var("STRONGROOM_ROOT_SECRET_ACCESS_KEY", secret);
    let server = rig.start();
    let key = rig.credential();
    assert_eq!(key.id, "OPERATOR");
    assert_eq!(server.request(&key, "GET", "/", b"").status, 200);
    assert!(!rig.data().join("root-credential.sealed").exists());
    server.stop();
}

#[test]
fn root_key_elsewhere_leaves_none_beside_the_data() {
    let rig = Rig::new();
    let key = rig.beside("usb.key");
    let rig = rig.flag("--root-key-file", key.to_str().unwrap());
    rig.start().stop();
    assert_eq!(mode(&key), 0o600);
    assert!(!rig.data().join("root.key").exists());
    rig.start().stop();
}

#[test]
fn passphrase_seals_the_store_and_env_asks_the_server() {
    let rig = Rig::new();
    let phrase = rig.beside("phrase");
    std::fs::write(&phrase, "a long enough passphrase\n").unwrap();
    std::fs::set_permissions(&phrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let rig = rig.flag("--passphrase-file", phrase.to_str().unwrap());
    let server = rig.start();
    assert!(!rig.data().join("root.key").exists());
    // `env` is not given the passphrase here: the server has it open.
    let key = rig.credential();
    assert_eq!(server.request(&key, "GET", "/", b"").status, 200);
    server.stop();
    let without = rig.run(&["env"]);
    assert!(!without.status.success());
    assert!(
        text(&without.stderr).contains("--passphrase-file"),
        "{}",
        text(&without.stderr)
    );
}

#[test]
fn long_data_path_still_has_a_control_socket() {
    let rig = Rig::new();
    let long = rig.beside(&"d".repeat(120));
    let rig = rig.var("STRONGROOM_DATA", long.to_str().unwrap());
    let mut child = rig.serve_command().spawn().unwrap();
    let began = std::time::Instant::now();
    while !long.join("run.json").exists() {
        assert!(began.elapsed() < crate::rig::DEADLINE);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let users = rig.run(&["user", "list"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(users.status.success(), "{}", text(&users.stderr));
}
