// SPDX-License-Identifier: Apache-2.0
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::rig::{DEADLINE, LONG_MS, Rig, is_ended, read_response};

#[test]
fn sigterm_lets_an_upload_finish() {
    let rig = Rig::new()
        .flag("--stop-timeout-ms", LONG_MS)
        .flag("--stall-timeout-ms", LONG_MS);
    let mut server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let body: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let http = server.address("http");
    let mut idle = server.http();
    let mut stream = server.begin_put(&key, "/bucket/k", body.len());
    stream.write_all(&body[..500_000]).unwrap();
    server.signal(Signal::TERM);
    assert!(is_ended(&mut idle), "idle connections are closed");
    let began = Instant::now();
    while TcpStream::connect(http).is_ok() {
        assert!(began.elapsed() < DEADLINE, "somebody new is let in");
        std::thread::sleep(Duration::from_millis(10));
    }
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
    let _unfinished = server.begin_put(&key, "/bucket/k", 1000);
    server.signal(Signal::INT);
    assert!(server.wait().success());
}

#[test]
fn second_signal_stops_at_once() {
    // A request in flight would be given far longer than the server is waited for here.
    let rig = Rig::new()
        .flag("--stop-timeout-ms", LONG_MS)
        .flag("--stall-timeout-ms", LONG_MS);
    let mut server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let _unfinished = server.begin_put(&key, "/bucket/k", 1000);
    server.signal(Signal::TERM);
    // Two signals at once are one.
    rig.wait_for_log("requests in flight may finish");
    server.signal(Signal::TERM);
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
