// SPDX-License-Identifier: Apache-2.0
use std::io::Write as _;

use crate::rig::{Rig, connect, read_response, text};

#[test]
fn health_and_metrics() {
    let rig = Rig::new();
    let server = rig.start();
    assert_eq!(server.get_admin("/health/live").status, 200);
    assert_eq!(server.get_admin("/health/ready").status, 200);
    assert_eq!(server.get_admin("/").status, 404);
    assert_eq!(
        server.request(&rig.credential(), "GET", "/", b"").status,
        200
    );
    let metrics = text(&server.get_admin("/metrics").body);
    for name in [
        "strongroom_ready 1",
        "strongroom_connections_total",
        "strongroom_request_seconds_bucket",
    ] {
        assert!(metrics.contains(name), "`{name}` is not in: {metrics}");
    }
    let mut stream = connect(server.address("admin"));
    write!(
        stream,
        "PUT /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    )
    .unwrap();
    assert_eq!(read_response(&mut stream).status, 405);
    server.stop();
}

#[test]
fn s3_is_not_on_the_admin_listener_and_health_not_on_the_others() {
    let rig = Rig::new();
    let server = rig.start();
    assert_eq!(server.get_admin("/bucket/key").status, 404);
    let mut stream = server.http();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut stream).status, 403);
    server.stop();
}

#[test]
fn listeners_can_be_switched_off() {
    let rig = Rig::new().flag("--https", "none").flag("--admin", "none");
    let server = rig.start();
    assert!(server.run["https"].is_null() && server.run["admin"].is_null());
    assert!(!rig.data().join("tls/ca.pem").exists());
    assert_eq!(
        server.request(&rig.credential(), "GET", "/", b"").status,
        200
    );
    server.stop();
}
