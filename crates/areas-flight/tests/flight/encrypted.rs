//! TLS: what goes over is encrypted, and where one side does not agree, nothing goes at all.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use crate::harness::{Held, Machine, Ran, SOON, bytes_of, check, skipped, within};
use crate::proxy::Proxy;

/// A certificate for 127.0.0.1, signed by itself, and its key.
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

fn openssl(arguments: &[&str]) -> Result<(), String> {
    let output =
        Command::new("openssl").args(arguments).output().map_err(|error| format!("openssl: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

impl Certificate {
    /// `None`, and that is said, where openssl is not here.
    fn new(machine: &Machine, name: &str, days: &str, test: &str) -> Option<Self> {
        if let Err(error) = Command::new("openssl").arg("version").output() {
            skipped(&format!("encrypted::{test}"), &format!("openssl: {error}"));
            return None;
        }
        let [cert, key, request, extensions] =
            ["cert", "key", "csr", "ext"].map(|what| machine.file(&format!("{name}.{what}")));
        let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
        std::fs::write(&extensions, "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
            .unwrap();
        let new = "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=areas";
        let (key_path, request_path) = (path(&key), path(&request));
        let new: Vec<&str> = new.split(' ').chain(["-keyout", &key_path, "-out", &request_path]).collect();
        openssl(&new).unwrap();
        let (cert_path, extensions) = (path(&cert), path(&extensions));
        let sign = ["x509", "-req", "-in", &request_path, "-signkey", &key_path, "-days", days];
        openssl(&[&sign[..], &["-extfile", &extensions, "-out", &cert_path]].concat()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Some(Certificate { cert, key })
    }

    fn of_server(&self) -> [&str; 4] {
        ["--tls-cert", self.cert.to_str().unwrap(), "--tls-key", self.key.to_str().unwrap()]
    }

    fn ca(&self) -> &str {
        self.cert.to_str().unwrap()
    }
}

fn fetch(here: &Machine, there: &Machine, location: &str, more: &[&str]) -> Ran {
    let token = there.token();
    let ran = here.run(
        [&["fetch", location, "--token-file", token.to_str().unwrap(), "--timeout", "3"], more].concat(),
    );
    here.assert_empty();
    ran
}

#[test]
fn it_comes_encrypted_and_goes_on_after_a_failure() {
    let (there, here) = (Machine::new(), Machine::new());
    let test = "it_comes_encrypted_and_goes_on_after_a_failure";
    let Some(certificate) = Certificate::new(&there, "a", "9", test) else { return };
    let bytes = bytes_of((20 << 20) + 123);
    let _held = there.put("a", &bytes);
    let (server, port) = there.serve(&[&["a"][..], &certificate.of_server()].concat());
    assert!(server.ready.contains(r#""tls":true"#), "{}", server.ready);
    let proxy = Proxy::new(port, 9 << 20);
    let token = there.token();
    let location = format!("grpc+tls://127.0.0.1:{}/a", proxy.port);
    let arguments =
        ["fetch", &location, "--token-file", token.to_str().unwrap(), "--tls-ca", certificate.ca()];
    let mut fetching = Held::started(&mut here.areas(arguments));
    proxy.wait_until_stopped();
    here.assert_empty();
    proxy.cut();
    proxy.let_pass(u64::MAX);
    assert!(within(SOON, || here.run(["show", "a"]).code == Some(0)), "{:?}", fetching.errors());
    assert!(here.bytes("a") == bytes);
    // Without a scheme the certificates are enough to say so.
    let at = format!("127.0.0.1:{port}");
    let list =
        ["ls", "--at", &at, "--token-file", token.to_str().unwrap(), "--tls-ca", certificate.ca(), "--quiet"];
    assert_eq!(here.run(list).output, b"a\n");
}

#[test]
fn whoever_is_not_believed_gets_nothing() {
    let (there, here) = (Machine::new(), Machine::new());
    let test = "whoever_is_not_believed_gets_nothing";
    let Some(certificate) = Certificate::new(&there, "a", "9", test) else { return };
    let other = Certificate::new(&there, "other", "9", test).unwrap();
    let expired = Certificate::new(&there, "expired", "-1", test).unwrap();
    let _held = there.put("a", &bytes_of(4096));
    let (_server, port) = there.serve(&[&["a"][..], &certificate.of_server()].concat());
    let location = format!("grpc+tls://127.0.0.1:{port}/a");
    check(&fetch(&here, &there, &location, &["--tls-ca", other.ca()]), 1, &["certificate", "--tls-ca F"]);
    // Nor by those that the machine believes.
    check(&fetch(&here, &there, &location, &[]), 1, &["certificate", "--tls-ca F"]);
    let by_name = format!("localhost:{port}/a");
    check(
        &fetch(&here, &there, &by_name, &["--tls-ca", certificate.ca()]),
        1,
        &["not valid for name", "call the server by"],
    );
    let (_server, port) = there.serve(&[&["a"][..], &expired.of_server()].concat());
    let location = format!("grpc+tls://127.0.0.1:{port}/a");
    check(&fetch(&here, &there, &location, &["--tls-ca", expired.ca()]), 1, &["Expired", "clock"]);
}

#[test]
fn peers_that_encrypt_and_peers_that_do_not_report_each_other() {
    let (there, here) = (Machine::new(), Machine::new());
    let test = "peers_that_encrypt_and_peers_that_do_not_report_each_other";
    let Some(certificate) = Certificate::new(&there, "a", "9", test) else { return };
    let _held = there.put("a", &bytes_of(4096));
    let (_plain, plain) = there.serve(&["a"]);
    let (_encrypted, encrypted) = there.serve(&[&["a"][..], &certificate.of_server()].concat());
    let ca = ["--tls-ca", certificate.ca()];
    check(
        &fetch(&here, &there, &format!("127.0.0.1:{encrypted}/a"), &[]),
        1,
        // What it answers may be lost, as it closes the connection behind it.
        &["the server encrypts", "grpc+tls://"],
    );
    check(&fetch(&here, &there, &format!("127.0.0.1:{plain}/a"), &ca), 1, &["the server does not encrypt"]);
    check(
        &fetch(&here, &there, &format!("grpc://127.0.0.1:{plain}/a"), &ca),
        2,
        &["grpc:// is not encrypted", "grpc+tls://"],
    );
}

/// What a client says to a server that is not the one, or does not encrypt: nothing that shows the
/// token.
#[test]
fn the_token_never_goes_in_plain_where_it_was_to_be_encrypted() {
    let (there, here) = (Machine::new(), Machine::new());
    let test = "the_token_never_goes_in_plain_where_it_was_to_be_encrypted";
    let Some(certificate) = Certificate::new(&there, "a", "9", test) else { return };
    let _held = there.put("a", &bytes_of(4096));
    let _makes_the_token = there.serve(&["a"]);
    let token = std::fs::read_to_string(there.token()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut said) = (stream.unwrap(), vec![0; 4096]);
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            let mut all = Vec::new();
            while let Ok(got) = stream.read(&mut said)
                && got > 0
            {
                all.extend_from_slice(&said[..got]);
            }
            let _ = sender.send(all);
        }
    });
    for (location, more) in [
        (format!("127.0.0.1:{port}/a"), vec!["--tls-ca", certificate.ca()]),
        (format!("tls://127.0.0.1:{port}/a"), vec![]),
    ] {
        let ran = fetch(&here, &there, &location, &more);
        assert!(matches!(ran.code, Some(1 | 4)), "{ran:?}");
        let said = receiver.recv_timeout(SOON).unwrap();
        // A handshake of TLS, and nothing else.
        assert_eq!(said.first(), Some(&0x16), "{said:?}");
        assert!(!String::from_utf8_lossy(&said).contains(token.trim()));
    }
}

#[test]
fn keys_and_certificates_that_will_not_do() {
    let there = Machine::new();
    let test = "keys_and_certificates_that_will_not_do";
    let Some(certificate) = Certificate::new(&there, "a", "9", test) else { return };
    let other = Certificate::new(&there, "other", "9", test).unwrap();
    let _held = there.put("a", &bytes_of(4096));
    let serve = |cert: &str, key: &str| there.run(["serve", "a", "--tls-cert", cert, "--tls-key", key]);
    let (cert, key) = (certificate.ca(), certificate.key.to_str().unwrap());
    check(&there.run(["serve", "a", "--tls-cert", cert]), 2, &["--tls-key"]);
    check(&there.run(["serve", "a", "--tls-key", key]), 2, &["--tls-cert"]);
    check(&serve(cert, "/nonexistent/key"), 1, &["no such file"]);
    check(&serve("/nonexistent/cert", key), 1, &["no such file"]);
    check(&serve(key, key), 2, &["BEGIN CERTIFICATE", "openssl"]);
    check(&serve(cert, cert), 1, &["its mode is"]);
    check(&serve(cert, other.key.to_str().unwrap()), 2, &["the key is to be that of"]);
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o640)).unwrap();
    check(&serve(cert, key), 1, &["its mode is 0640", "chmod 600"]);
}

/// A server that takes the connection and says nothing is waited for as long as was said.
#[test]
fn a_server_that_does_not_agree_on_keys() {
    let here = Machine::new();
    let test = "a_server_that_does_not_agree_on_keys";
    let Some(certificate) = Certificate::new(&here, "any", "1", test) else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("127.0.0.1:{}/a", silent.local_addr().unwrap().port());
    let token = here.file("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let how = ["--token-file", token.to_str().unwrap(), "--tls-ca", certificate.ca(), "--timeout", "1"];
    let ran = here.run([&["fetch", &location], &how[..]].concat());
    check(&ran, 4, &["nothing came for 1 s"]);
}
