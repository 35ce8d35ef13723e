// SPDX-License-Identifier: Apache-2.0
//! A root key behind another key service that speaks AWS KMS: Encrypt and Decrypt over HTTPS,
//! signed with Signature Version 4.
//!
//! ```text
//!   parameters   none
//!   wrapped      CiphertextBlob of Encrypt(FK), with the encryption context
//!                { "strongroom:keyring-wrap": SHA-256 of the wrap's AAD, in hexadecimal digits }
//! ```
//!
//! One connection for each operation, HTTP/1.1, TLS 1.2 or 1.3. No retries: a start that cannot
//! reach its key service says so and ends; a rotation is tried again within the hour.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use strongroom_kms::root::{FileKey, RootError, RootProvider, WrapKind};
use strongroom_store::drive::small_file;
use strongroom_store::env::{Clock as _, SystemClock};
use strongroom_wire::SecretAccessKey;
use strongroom_wire::sigv4::{PayloadMode, SigningInput, sign_request};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::source::KmsSource;
use crate::error::Error;

/// A KMS key at an endpoint, and the access key that may use it.
pub(super) struct KmsEndpoint {
    source: KmsSource,
    host: String,
    port: u16,
    credentials: Credentials,
    tls: Arc<rustls::ClientConfig>,
}

struct Credentials {
    access_key_id: String,
    secret: SecretAccessKey,
    session_token: Option<Zeroizing<String>>,
}

impl KmsEndpoint {
    pub(super) fn new(source: &KmsSource) -> Result<Self, Error> {
        let (host, port) = address(&source.endpoint)?;
        let ca = source.ca.as_deref().unwrap_or(Path::new(SYSTEM_CA));
        Ok(Self {
            source: source.clone(),
            host,
            port,
            credentials: Credentials::read(&source.credentials_file)?,
            tls: Arc::new(tls_config(ca)?),
        })
    }

    /// The ARN of the key, as the service gives it for whatever name the key has here: something
    /// random is encrypted as the keyring's key will be. On a thread that may block.
    pub(super) fn key_arn(&self) -> Result<String, RootError> {
        let mut something = Zeroizing::new([0; 32]);
        let mut aad = [0; 32];
        for random in [&mut *something, &mut aad] {
            aws_lc_rs::rand::fill(random).map_err(|_| RootError::System("randomness"))?;
        }
        let something = FileKey::from_bytes(something.as_slice())
            .ok_or(RootError::System("a key of 32 bytes"))?;
        let answer = self.encrypt(&aad, &something)?;
        let arn = answer.get("KeyId").and_then(Value::as_str);
        arn.map(str::to_owned)
            .ok_or_else(|| self.failed("an answer that does not name its key"))
    }

    fn encrypt(&self, aad: &[u8], key: &FileKey) -> Result<Value, RootError> {
        let request = json!({
            "KeyId": self.source.key_id,
            "Plaintext": BASE64.encode(key.expose_secret()),
            "EncryptionContext": context(aad),
        });
        self.ask("Encrypt", &request)
    }

    /// Asks for an operation, on a thread that may block.
    fn ask(&self, operation: &'static str, request: &Value) -> Result<Value, RootError> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| self.failed("there is no network here"))?;
        runtime.block_on(async {
            tokio::time::timeout(TIMEOUT, self.exchange(operation, request))
                .await
                .map_err(|_| self.failed("no answer in time"))?
        })
    }

    async fn exchange(&self, operation: &'static str, request: &Value) -> Result<Value, RootError> {
        let failed = |e: &dyn fmt::Display| self.failed(&e.to_string());
        let body = Zeroizing::new(serde_json::to_vec(request).map_err(|e| failed(&e))?);
        let request = self.signed(operation, &body)?;
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|e| failed(&e))?;
        let name = ServerName::try_from(self.host.clone()).map_err(|e| failed(&e))?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .map_err(|e| failed(&e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| failed(&e))?;
        let connection = tokio::spawn(connection);
        let answered = async {
            let answer = sender.send_request(request).await.map_err(|e| failed(&e))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
            let body = body.await.map_err(|e| failed(&e))?.to_bytes();
            let body = Zeroizing::new(body.to_vec());
            Ok((status, body))
        };
        let answered: Result<_, RootError> = answered.await;
        connection.abort();
        let (status, body) = answered?;
        let parsed = serde_json::from_slice::<Value>(&body);
        if status == http::StatusCode::OK {
            // The parser's message is not shown: it could quote a secret.
            return parsed.map_err(|_| self.failed("an answer that is not JSON"));
        }
        let kind = parsed
            .ok()
            .and_then(|error| Some(error.get("__type")?.as_str()?.to_owned()))
            .unwrap_or_default();
        let kind = kind.rsplit('#').next().unwrap_or_default();
        match kind {
            "InvalidCiphertextException" | "IncorrectKeyException" => {
                Err(RootError::WrongSecret(WrapKind::Kms))
            }
            kind => {
                let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect();
                Err(self.failed(&format!("{operation} is refused: {status} {kind}")))
            }
        }
    }

    fn signed(
        &self,
        operation: &'static str,
        body: &[u8],
    ) -> Result<http::Request<Full<Bytes>>, RootError> {
        let failed = |e: &dyn fmt::Display| self.failed(&e.to_string());
        let host = if self.port == 443 {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let target = format!("TrentService.{operation}");
        let headers: [(&str, &[u8]); 3] = [
            ("content-type", b"application/x-amz-json-1.1"),
            ("host", host.as_bytes()),
            ("x-amz-target", target.as_bytes()),
        ];
        let sum: [u8; 32] = digest(&SHA256, body)
            .as_ref()
            .try_into()
            .map_err(|_| RootError::System("a digest"))?;
        let signed = sign_request(&SigningInput {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            access_key_id: &self.credentials.access_key_id,
            secret: &self.credentials.secret,
            session_token: self
                .credentials
                .session_token
                .as_deref()
                .map(String::as_str),
            region: &self.source.region,
            service: "kms",
            payload: PayloadMode::Sha256(sum),
            now_ms: SystemClock.now_ms(),
        })
        .map_err(|e| failed(&e))?;
        let mut request = http::Request::post("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .map_err(|e| failed(&e))
    }

    fn failed(&self, why: &str) -> RootError {
        RootError::Provider(format!(
            "the key service at {} cannot be used: {why}",
            self.source.endpoint
        ))
    }
}

impl fmt::Debug for KmsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsEndpoint")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl RootProvider for KmsEndpoint {
    fn kind(&self) -> WrapKind {
        WrapKind::Kms
    }

    fn parameters(&self) -> Result<Vec<u8>, RootError> {
        Ok(Vec::new())
    }

    fn wrap(&self, parameters: &[u8], aad: &[u8], key: &FileKey) -> Result<Vec<u8>, RootError> {
        need_none(parameters)?;
        let answer = self.encrypt(aad, key)?;
        field(&answer, "CiphertextBlob")
            .map(|blob| blob.to_vec())
            .ok_or_else(|| self.failed("an answer without a ciphertext"))
    }

    fn unwrap(&self, parameters: &[u8], aad: &[u8], wrapped: &[u8]) -> Result<FileKey, RootError> {
        need_none(parameters)?;
        let answer = self.ask(
            "Decrypt",
            &json!({
                "KeyId": self.source.key_id,
                "CiphertextBlob": BASE64.encode(wrapped),
                "EncryptionContext": context(aad),
            }),
        )?;
        let plain = field(&answer, "Plaintext");
        plain
            .and_then(|plain| FileKey::from_bytes(&plain))
            .ok_or_else(|| self.failed("an answer without a key"))
    }
}

fn context(aad: &[u8]) -> Value {
    let sum = digest(&SHA256, aad);
    json!({ "strongroom:keyring-wrap": hex::encode(sum.as_ref()) })
}

fn field(answer: &Value, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = answer.get(name)?.as_str()?;
    BASE64.decode(text).ok().map(Zeroizing::new)
}

fn need_none(parameters: &[u8]) -> Result<(), RootError> {
    if parameters.is_empty() {
        Ok(())
    } else {
        Err(RootError::Corrupted("parameters of a KMS key"))
    }
}

/// Host and port of `https://HOST[:PORT]`.
fn address(endpoint: &str) -> Result<(String, u16), Error> {
    let wrong = |why: &str| Error::Config(format!("`{endpoint}` is no key service: {why}"));
    let uri: http::Uri = endpoint
        .parse()
        .map_err(|_| wrong("write https://HOST or https://HOST:PORT"))?;
    if uri.scheme_str() != Some("https") {
        return Err(wrong("it has to begin with https://"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("it has nothing behind the host"));
    }
    let host = uri.host().ok_or_else(|| wrong("it has no host"))?;
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(wrong("it names a user"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), uri.port_u16().unwrap_or(443)))
}

fn tls_config(ca: &Path) -> Result<rustls::ClientConfig, Error> {
    let shown = ca.display();
    let pem = small_file::read(ca)
        .map_err(Error::file("read the CA certificates", ca))?
        .ok_or_else(|| {
            Error::Config(format!(
                "there are no CA certificates in `{shown}`: give a file by --root-kms-ca"
            ))
        })?;
    let mut roots = rustls::RootCertStore::empty();
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let parsed = parsed
        .map_err(|e| Error::Config(format!("`{shown}` is not a file of certificates: {e:?}")))?;
    let (added, _ignored) = roots.add_parsable_certificates(parsed);
    if added == 0 {
        return Err(Error::Config(format!("`{shown}` has no CA certificate")));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(format!("cannot speak TLS to the key service: {e}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

impl Credentials {
    /// Reads lines of `name = value`: of the AWS tools' file, of `strongroom user add`, or exports
    /// of a shell.
    fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Root(format!("credentials file `{}` {why}", path.display()));
        let bytes = small_file::read_private(path)
            .map_err(Error::file("read the credentials file", path))?
            .map(Zeroizing::new)
            .ok_or_else(|| wrong("does not exist"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not UTF-8"))?;
        let find = |wanted: &str| {
            text.lines().find_map(|line| {
                let line = line.trim();
                let (name, value) = line
                    .strip_prefix("export ")
                    .unwrap_or(line)
                    .split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case(wanted)
                    .then(|| value.trim().trim_matches(['"', '\'']))
            })
        };
        let need =
            |name: &str| find(name).ok_or_else(|| wrong(&format!("has no line `{name} = ..`")));
        Ok(Self {
            access_key_id: need("aws_access_key_id")?.to_owned(),
            secret: SecretAccessKey::new(need("aws_secret_access_key")?.to_owned()),
            session_token: find("aws_session_token").map(|t| Zeroizing::new(t.to_owned())),
        })
    }
}

const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        assert_eq!(
            address("https://kms.example.org").unwrap(),
            ("kms.example.org".to_owned(), 443)
        );
        assert_eq!(
            address("https://[::1]:9443/").unwrap(),
            ("::1".to_owned(), 9443)
        );
        for wrong in [
            "kms.example.org",
            "http://kms.example.org",
            "https://kms.example.org/path",
            "https://kms.example.org/?x",
            "https://user@kms.example.org",
            "https://",
            "",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_of_several_tools() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let read = |text: &str| {
            small_file::write_private_durably(&path, text.as_bytes()).unwrap();
            Credentials::read(&path)
        };
        for text in [
            "[default]\naws_access_key_id = AKIA1\naws_secret_access_key=s/e=cret\n",
            "export AWS_ACCESS_KEY_ID=AKIA1\nexport AWS_SECRET_ACCESS_KEY='s/e=cret'\n",
            "AWS_ACCESS_KEY_ID=AKIA1\nAWS_SECRET_ACCESS_KEY=s/e=cret",
        ] {
            let found = read(text).unwrap();
            assert_eq!(found.access_key_id, "AKIA1");
            assert_eq!(found.secret.expose_secret(), "s/e=cret");
        }
        assert!(read("aws_access_key_id = AKIA1").is_err());
        assert!(read("").is_err());
        let token = read("aws_access_key_id=a\naws_secret_access_key=b\naws_session_token = t");
        assert_eq!(token.unwrap().session_token.unwrap().as_str(), "t");
    }
}
