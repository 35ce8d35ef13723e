// SPDX-License-Identifier: Apache-2.0
use std::io::{Read as _, Write as _};

use rustix::process::Signal;

use crate::rig::{Rig, connect, read_response, text, tls_client, tls_client_of};

#[test]
fn local_certificate_covers_the_names_clients_use() {
    let rig = Rig::new().flag("--domain", "s3.example.org");
    let server = rig.start();
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "s3.example.org",
        "b.s3.example.org",
    ] {
        let mut stream = server.https(name);
        write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        assert_eq!(read_response(&mut stream).status, 403, "{name}");
        assert_eq!(
            stream.conn.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
    }
    let mut stream = server.https("example.org");
    assert!(stream.write_all(b"GET / HTTP/1.1\r\n\r\n").is_err());
    server.stop();
}

#[test]
fn both_versions_are_served_and_named_in_the_audit_log() {
    let rig = Rig::new();
    let server = rig.start();
    let ca = rig.data().join("tls/ca.pem");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = tls_client_of(server.address("https"), &ca, "localhost", &[version]);
        write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        assert_eq!(read_response(&mut stream).status, 403);
        assert_eq!(stream.conn.alpn_protocol(), None);
    }
    server.stop();
    let audit = std::fs::read_dir(rig.data().join("drive/audit")).unwrap();
    let audit: String = audit
        .map(|e| text(&std::fs::read(e.unwrap().path()).unwrap()))
        .collect();
    for name in ["TLSv1.2", "ECDHE-ECDSA-AES", "TLSv1.3", "TLS_AES_"] {
        assert!(audit.contains(name), "no {name} in: {audit}");
    }
}

/// A ClientHello of TLS 1.1 (no extensions), and one of TLS 1.2 that offers CBC suites only.
#[test]
fn old_tls_is_refused() {
    let rig = Rig::new();
    let server = rig.start();
    for version in [[3, 2], [3, 3]] {
        let mut hello = vec![version[0], version[1]];
        hello.extend([7; 32]);
        hello.push(0);
        hello.extend([0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
        let mut record = vec![22, 3, 1, 0, u8::try_from(hello.len() + 4).unwrap(), 1, 0, 0];
        record.push(u8::try_from(hello.len()).unwrap());
        record.extend(&hello);
        let mut stream = connect(server.address("https"));
        stream.write_all(&record).unwrap();
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        assert!(
            answer.first().is_none_or(|kind| *kind == 21),
            "not an alert: {answer:?}"
        );
    }
    still_serves(&server);
    server.stop();
}

#[test]
fn plain_http_on_the_tls_port_and_noise_do_no_harm() {
    let rig = Rig::new();
    let server = rig.start();
    for noise in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        &[0xff; 100],
        &[22, 3, 1, 0xff, 0xff],
    ] {
        let mut stream = connect(server.address("https"));
        stream.write_all(noise).unwrap();
        // The server may have hung up by then.
        let _cut = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"));
    }
    still_serves(&server);
    server.stop();
}

#[test]
fn own_certificate_is_reloaded_and_a_bad_one_is_not() {
    let rig = Rig::new();
    let (cert, key) = (rig.beside("own.pem"), rig.beside("own.key"));
    write_own(&cert, &key, "one.example.org");
    let rig = rig
        .flag("--tls-cert", cert.to_str().unwrap())
        .flag("--tls-key", key.to_str().unwrap());
    let server = rig.start();
    assert!(server.run["ca"].is_null());
    assert!(serves_name(&server, &cert, "one.example.org"));

    write_own(&cert, &key, "two.example.org");
    server.signal(Signal::HUP);
    rig.wait_for_log("certificate read again");
    assert!(serves_name(&server, &cert, "two.example.org"));
    let two = std::fs::read(&cert).unwrap();

    std::fs::write(&cert, "no certificate").unwrap();
    server.signal(Signal::HUP);
    rig.wait_for_log("the old one stays in use");
    std::fs::write(&cert, two).unwrap();
    assert!(serves_name(&server, &cert, "two.example.org"));
    server.stop();
}

#[test]
fn key_of_another_certificate_does_not_start() {
    let rig = Rig::new();
    let (cert, key) = (rig.beside("own.pem"), rig.beside("own.key"));
    write_own(&cert, &key, "one.example.org");
    write_own(&rig.beside("other.pem"), &key, "one.example.org");
    let rig = rig
        .flag("--tls-cert", cert.to_str().unwrap())
        .flag("--tls-key", key.to_str().unwrap());
    let output = rig.serve_failing();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("do not belong together"),
        "{}",
        text(&output.stderr)
    );
}

/// A key that all users of the machine could read was used without a word.
#[test]
fn sec_key_that_others_can_read_does_not_start() {
    let rig = Rig::new();
    let (cert, key) = (rig.beside("own.pem"), rig.beside("own.key"));
    write_own(&cert, &key, "one.example.org");
    let rig = rig
        .flag("--tls-cert", cert.to_str().unwrap())
        .flag("--tls-key", key.to_str().unwrap());
    for mode in [0o644, 0o640] {
        set_mode(&key, mode);
        let output = rig.serve_failing();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains("readable by others"), "{said}");
    }
    set_mode(&key, 0o600);
    let server = rig.start();
    assert!(serves_name(&server, &cert, "one.example.org"));
    // Nor is it read again.
    set_mode(&key, 0o644);
    server.signal(Signal::HUP);
    rig.wait_for_log("the old one stays in use");
    server.stop();
}

#[test]
fn certificate_that_is_not_valid_is_told_and_takes_no_good_ones_place() {
    let rig = Rig::new();
    let (cert, key) = (rig.beside("own.pem"), rig.beside("own.key"));
    write_own_until(&cert, &key, "one.example.org", 2020);
    let rig = rig
        .flag("--tls-cert", cert.to_str().unwrap())
        .flag("--tls-key", key.to_str().unwrap());
    let server = rig.start();
    rig.wait_for_log("has expired on 2020-01-01");
    write_own(&cert, &key, "two.example.org");
    server.signal(Signal::HUP);
    rig.wait_for_log("certificate read again");
    let two = rig.beside("two.pem");
    std::fs::copy(&cert, &two).unwrap();
    write_own_until(&cert, &key, "three.example.org", 2021);
    server.signal(Signal::HUP);
    rig.wait_for_log("the old one stays in use");
    assert!(serves_name(&server, &two, "two.example.org"));
    server.stop();
}

fn write_own(cert: &std::path::Path, key: &std::path::Path, name: &str) {
    write_own_until(cert, key, name, 4096);
}

fn write_own_until(cert: &std::path::Path, key: &std::path::Path, name: &str, year: i32) {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&signing_key).unwrap();
    std::fs::write(cert, made.pem()).unwrap();
    std::fs::write(key, signing_key.serialize_pem()).unwrap();
    set_mode(key, 0o600);
}

fn set_mode(file: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn serves_name(server: &crate::rig::Server, ca: &std::path::Path, name: &str) -> bool {
    let mut stream = tls_client(server.address("https"), ca, name);
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .is_ok()
        && read_response(&mut stream).status == 403
}

fn still_serves(server: &crate::rig::Server) {
    let mut stream = server.https("localhost");
    write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert_eq!(read_response(&mut stream).status, 403);
}
