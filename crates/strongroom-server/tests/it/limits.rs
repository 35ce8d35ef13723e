// SPDX-License-Identifier: Apache-2.0
//! Clients that are too big, too slow or too many.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::rig::{DEADLINE, LONG_MS, Rig, connect, is_ended, read_response, signed_head, text};

#[test]
fn huge_head_and_too_many_headers_are_refused() {
    let rig = Rig::new();
    let server = rig.start();
    let mut stream = server.http();
    write!(stream, "GET / HTTP/1.1\r\nhost: x\r\nx-big: ").unwrap();
    // The server may hang up before all of it is sent.
    let _cut = stream.write_all(&vec![b'a'; 300 * 1024]);
    let mut answer = [0; 12];
    if stream.read_exact(&mut answer).is_ok() {
        assert_eq!(&answer, b"HTTP/1.1 431");
    }
    let mut stream = server.http();
    let many = "x-h: 1\r\n".repeat(200);
    // At once: who writes to a server that has hung up may lose its answer.
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream).status, 431);
    let mut stream = server.http();
    stream.write_all(b"not http at all\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut stream).status, 400);
    assert_eq!(
        server.request(&rig.credential(), "GET", "/", b"").status,
        200
    );
    server.stop();
}

#[test]
fn slow_head_and_idle_connection_are_ended() {
    let rig = Rig::new().flag("--header-timeout-ms", "300");
    let server = rig.start();
    let began = Instant::now();
    let mut silent = server.http();
    let mut slow = server.http();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: ")
        .unwrap();
    assert!(is_ended(&mut silent));
    assert!(is_ended(&mut slow));
    assert!(began.elapsed() < DEADLINE);
    // Drip-feeding does not help: the whole head has one deadline.
    let began = Instant::now();
    let mut dripping = server.http();
    while dripping.write_all(b"x").is_ok() && began.elapsed() < DEADLINE {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < DEADLINE);
    server.stop();
}

#[test]
fn silent_tls_client_is_ended() {
    let rig = Rig::new().flag("--handshake-timeout-ms", "300");
    let server = rig.start();
    let mut silent = connect(server.address("https"));
    assert!(is_ended(&mut silent));
    server.stop();
}

#[test]
fn upload_that_stands_still_is_ended_and_leaves_nothing() {
    let rig = Rig::new().flag("--stall-timeout-ms", "300");
    let server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let mut stream = server.http();
    let head = signed_head(&key, server.address("http"), "PUT", "/bucket/k", 1000, &[]);
    // At once: the time for the rest runs as soon as the head is there.
    let first = [head.as_bytes(), b"some of it"].concat();
    stream.write_all(&first).unwrap();
    let began = Instant::now();
    assert!(is_ended(&mut stream));
    assert!(began.elapsed() < DEADLINE);
    assert_eq!(server.request(&key, "GET", "/bucket/k", b"").status, 404);
    server.stop();
}

#[test]
fn download_that_nobody_reads_is_ended() {
    let rig = Rig::new();
    let server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let body = vec![7; 32 << 20];
    assert_eq!(server.request(&key, "PUT", "/bucket/k", &body).status, 200);
    server.stop();
    // Only now is time short: nobody stands still but who is meant to.
    let rig = rig.flag("--stall-timeout-ms", "300");
    let server = rig.start();
    let mut stream = server.http();
    let head = signed_head(&key, server.address("http"), "GET", "/bucket/k", 0, &[]);
    stream.write_all(head.as_bytes()).unwrap();
    let began = Instant::now();
    while !text(&server.get_admin("/metrics").body)
        .contains("strongroom_stalled_connections_total 1")
    {
        assert!(began.elapsed() < DEADLINE, "still open");
        std::thread::sleep(Duration::from_millis(50));
    }
    server.stop();
}

#[test]
fn connections_above_the_limit_wait_their_turn() {
    let rig = Rig::new()
        .flag("--max-connections", "2")
        .flag("--header-timeout-ms", "1000");
    let server = rig.start();
    let key = rig.credential();
    let idle = [server.http(), server.http()];
    // Served as soon as the idle ones have had their time. Whoever takes as long as they do to send
    // its request is ended like them, and comes again.
    let began = Instant::now();
    loop {
        let mut stream = server.http();
        let head = signed_head(&key, server.address("http"), "GET", "/", 0, &[]);
        let mut answer = Vec::new();
        if stream.write_all(head.as_bytes()).is_ok() {
            let _ended = stream.read_to_end(&mut answer);
        }
        if answer.starts_with(b"HTTP/1.1 200") {
            break;
        }
        assert!(began.elapsed() < DEADLINE, "{}", text(&answer));
    }
    drop(idle);
    server.stop();
}

/// The first half of 200 uploads of 1 GiB each, all at once, in a server that may use 512 MiB.
#[test]
fn memory_is_bounded_by_connections_not_by_bytes() {
    const UPLOADS: usize = 200;
    const GIB: usize = 1 << 30;
    // Each of them waits for all others to send.
    let rig = Rig::new().flag("--stall-timeout-ms", LONG_MS);
    let server = rig.start();
    let key = rig.credential();
    assert_eq!(server.request(&key, "PUT", "/bucket", b"").status, 200);
    let address = server.address("http");
    let piece = vec![5; 256 * 1024];
    let mut uploads: Vec<_> = (0..UPLOADS)
        .map(|n| {
            let mut stream = server.http();
            let path = format!("/bucket/upload-{n}");
            let head = signed_head(&key, address, "PUT", &path, GIB, &[]);
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..8 {
        for stream in &mut uploads {
            stream.write_all(&piece).unwrap();
        }
    }
    // What was sent may still be in the kernel's buffers: half of it must arrive.
    let began = Instant::now();
    while bytes_in(&rig.data().join("drive")) < 200 << 20 {
        assert!(began.elapsed() < DEADLINE, "the uploads are not served");
        std::thread::sleep(Duration::from_millis(50));
    }
    let peak_kib = server.peak_memory_kib();
    assert!(peak_kib < 512 * 1024, "peak of {peak_kib} KiB");
    drop(uploads);
    assert_eq!(
        server.request(&key, "GET", "/bucket/upload-0", b"").status,
        404
    );
    server.stop();
}

/// A file that is gone when it is asked for counts nothing.
fn bytes_in(dir: &std::path::Path) -> u64 {
    let files = strongroom_testkit::files_below(dir).unwrap();
    let lens = files.iter().filter_map(|path| path.metadata().ok());
    lens.map(|found| found.len()).sum()
}
