//! Encryption: the server's certificate and key, and whom a client believes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use areas::{Error, ErrorKind, Result};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::failure::io_error;
use crate::token::read_secret;

/// All certificates together are at most as large.
const MAX: u64 = 16 << 20;

/// To agree on keys with a client takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a server needs. The key's file is as secret as the token's.
pub(crate) fn of_server(cert: &Path, key: &Path) -> Result<ServerTlsConfig> {
    let certificate = read(cert, "a certificate")?;
    let secret = read_secret(key, "a key", MAX)?.ok_or_else(|| missing(key, "a key"))?;
    has(&certificate, cert, "CERTIFICATE")?;
    has(&secret, key, "PRIVATE KEY")?;
    Ok(ServerTlsConfig::new().identity(Identity::from_pem(certificate, secret)).timeout(HANDSHAKE))
}

/// What a client needs: certificates in a file, or else those that the machine believes. To agree
/// on keys may take so long: longer than the client waits, so that it is the client that says what
/// it waited for.
pub(crate) fn of_client(ca: Option<&Path>, handshake: Duration) -> Result<ClientTlsConfig> {
    let config = ClientTlsConfig::new().timeout(handshake);
    let Some(path) = ca else { return Ok(config.with_native_roots()) };
    let certificates = read(path, "certificates")?;
    has(&certificates, path, "CERTIFICATE")?;
    Ok(config.ca_certificate(Certificate::from_pem(certificates)))
}

/// A file that is not secret.
fn read(path: &Path, what: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX).read_to_end(&mut bytes));
    read.map_err(|error| io_error(format!("read {what} from {path:?}"), error))?;
    Ok(bytes)
}

fn missing(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Io, format!("read {what} from {path:?}")).with_facts("no such file or directory")
}

/// In PEM, each thing says what it is: `-----BEGIN CERTIFICATE-----`.
fn has(bytes: &[u8], path: &Path, what: &str) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    let is_one =
        |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{what}-----"));
    match text.lines().any(is_one) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::InvalidInput, format!("read {path:?} as PEM"))
            .with_facts(format!("it has no line `-----BEGIN {what}-----`"))
            .with_remedy("`openssl x509 -in F -out F.pem` and `openssl pkey -in F -out F.pem` write PEM")),
    }
}
