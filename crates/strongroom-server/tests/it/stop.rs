// SPDX-License-Identifier: Apache-2.0
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::rig::{Rig, is_ended, read_response, signed_head};

#[test]
fn sigterm_lets_an_upload_finish() {
    let rig = Rig::new();
    let mut server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let http = server.address("http");
    let mut idle = server.http();
    let mut stream = server.http();
    let head = signed_head(&key, http, "PUT", "/bucket/k", body.len(), &[]);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[..500_000]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal(Signal::TERM);
    assert!(is_ended(&mut idle), "idle connections are closed");
    std::thread::sleep(Duration::from_millis(100));
    assert!(TcpStream::connect(http).is_err(), "nobody new is let in");
    stream.write_all(&body[500_000..]).unwrap();
    assert_eq!(read_response(&mut stream).status, 200);
    drop(stream);
    assert!(server.wait().success());

    let server = rig.start();
    let got = server.request(&key, "GET", "/bucket/k", b"");
    assert_eq!(got.status, 200);
    assert!(got.body == body);
    server.stop();
}

#[test]
fn sigterm_does_not_wait_for_ever() {
    let rig = Rig::new().flag("--stop-timeout-ms", "300");
    let mut server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let mut stream = server.http();
    let head = signed_head(&key, server.address("http"), "PUT", "/bucket/k", 1000, &[]);
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal(Signal::INT);
    assert!(server.wait().success());
}

#[test]
fn second_signal_stops_at_once() {
    let rig = Rig::new();
    let mut server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let mut stream = server.http();
    let head = signed_head(&key, server.address("http"), "PUT", "/bucket/k", 1000, &[]);
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(200));
    server.signal(Signal::TERM);
    // Far less than the 30 seconds that a request in flight would be given.
    assert!(server.wait().success());
}

#[test]
fn killed_server_starts_again() {
    let rig = Rig::new();
    let mut server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    assert_eq!(
        server.request(&key, "PUT", "/bucket/k", b"kept").status,
        200
    );
    server.signal(Signal::KILL);
    server.wait();
    // Left behind: run.json and the socket. Neither may fool anybody.
    assert!(rig.run(&["user", "list"]).status.success());
    let server = rig.start();
    assert_eq!(server.request(&key, "GET", "/bucket/k", b"").body, b"kept");
    server.stop();
}
