// SPDX-License-Identifier: Apache-2.0
//! Secrets are planted and then looked for in everything the server writes in clear.

use std::io::Write as _;

use strongroom_testkit::contents_below;

use crate::rig::{Rig, read_response, signed_head, text};

#[test]
fn planted_secrets_are_nowhere_in_clear() {
    let rig = Rig::new()
        .flag("--log", "trace")
        .flag("--log-format", "json");
    let server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let planted = "planted-plaintext-0123456789-planted";
    let customer_key = "cGxhbnRlZC1jdXN0b21lci1rZXktMDEyMzQ1Njc4OTA=";
    assert_eq!(
        server
            .request(&key, "PUT", "/bucket/k", planted.as_bytes())
            .status,
        200
    );
    // Refused over plain HTTP, and still not to be written down.
    let mut stream = server.http();
    let extra = [
        ("x-amz-meta-note", "planted-user-metadata"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", customer_key),
        (
            "x-amz-server-side-encryption-customer-key-md5",
            "AAAAAAAAAAAAAAAAAAAAAA==",
        ),
    ];
    let head = signed_head(&key, server.address("http"), "PUT", "/bucket/c", 0, &extra);
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream).status, 400);
    let metrics = text(&server.get_admin("/metrics").body);
    server.stop();

    let root_key = text(&std::fs::read(rig.data().join("root.key")).unwrap());
    let mut written = vec![("metrics".to_owned(), metrics.into_bytes())];
    for (path, bytes) in contents_below(rig.beside("").as_path()).unwrap() {
        if !path.ends_with("root.key") {
            written.push((path.display().to_string(), bytes));
        }
    }
    let secrets = [
        planted,
        customer_key,
        "planted-customer-key",
        "planted-user-metadata",
        key.secret.expose_secret(),
        root_key.trim(),
    ];
    for (place, bytes) in &written {
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "`{secret}` is in {place}");
        }
        if !place.ends_with("root.key") {
            let raw = hex::decode(root_key.trim()).unwrap();
            assert!(
                !bytes.windows(raw.len()).any(|w| w == raw),
                "root key is in {place}"
            );
        }
    }
    for line in rig.stderr().lines() {
        let _json: serde_json::Value = serde_json::from_str(line).unwrap();
    }
}
