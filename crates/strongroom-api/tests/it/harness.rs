// SPDX-License-Identifier: Apache-2.0
//! A whole server without a socket, and a client that signs.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use md5::{Digest as _, Md5};
use strongroom_api::{Api, ApiServices, ConnectionFacts, TlsFacts};
use strongroom_audit::{Audit, AuditOptions};
use strongroom_iam::{Iam, IamOptions, RootCredential};
use strongroom_kms::Kms;
use strongroom_kms::root::{self, RootKey, RootSecret};
use strongroom_object::{Compat, Objects, ObjectsOptions};
use strongroom_store::drive::{Drive, LocalDrive};
use strongroom_store::env::Clock;
use strongroom_store::{Store, StoreOptions};
use strongroom_testkit::{SimClock, contents_below};
use strongroom_wire::sigv4::{PayloadMode, SigningInput, presign, sign_request};
use strongroom_wire::{ChunkMode, SecretAccessKey, chunked};

pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "us-east-1";
pub const ACCESS_KEY_ID: &str = "AKIATESTTESTTESTTEST";
pub const SECRET: &str = "a-test-secret-of-forty-characters-length";
pub const NOW_MS: u64 = 1_790_000_000_000;

pub struct House {
    pub iam: Iam,
    pub api: Api,
    pub audit: Audit,
    pub clock: Arc<SimClock>,
    pub folder: tempfile::TempDir,
}

pub async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let drive: Arc<dyn Drive> = Arc::new(LocalDrive::open(folder.path()).unwrap());
    let sim = Arc::new(SimClock::new(NOW_MS));
    let clock: Arc<dyn Clock> = Arc::clone(&sim) as Arc<dyn Clock>;
    let secret = RootSecret::Key(RootKey::from_bytes(&[9; 32]).unwrap());
    let (keyring, _) = root::create(&secret, NOW_MS).unwrap();
    let store = Store::open(
        Arc::clone(&drive),
        keyring.at_rest(),
        StoreOptions::default(),
    )
    .await
    .unwrap();
    let (account_id, region) = (ACCOUNT.to_owned(), REGION.to_owned());
    let options = AuditOptions {
        account_id: account_id.clone(),
        region: region.clone(),
    };
    let audit = Audit::open(drive, Arc::clone(&clock), options)
        .await
        .unwrap();
    let credential = RootCredential::new(
        ACCESS_KEY_ID.to_owned(),
        SecretAccessKey::new(SECRET.to_owned()),
    );
    let iam = Iam::open(
        &store,
        Arc::clone(&clock),
        IamOptions::new(ACCOUNT, REGION),
        credential.unwrap(),
    )
    .await
    .unwrap();
    let kms = Kms::open(
        &store,
        Arc::new(keyring),
        Arc::clone(&clock),
        region.clone(),
        account_id.clone(),
    )
    .await
    .unwrap();
    kms.know_users_of(&iam);
    let options = ObjectsOptions {
        region: region.clone(),
        account_id: account_id.clone(),
        compat: Compat::default(),
        day_ms: strongroom_object::DAY_MS,
        restore_delays: strongroom_object::RestoreDelays::default(),
    };
    let objects = Objects::open(&store, &kms, Arc::clone(&clock), options)
        .await
        .unwrap();
    let api = Api::new(ApiServices {
        objects,
        kms,
        iam: iam.clone(),
        audit: audit.clone(),
        clock,
        region,
        account_id,
        domains: vec!["Localhost".to_owned()],
    });
    House {
        api,
        iam,
        audit,
        clock: sim,
        folder,
    }
}

impl House {
    /// A request by the root user over TLS.
    pub fn call(&self, method: &str, target: &str) -> Call<'_> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Call {
            house: self,
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: vec![("host".to_owned(), "localhost:9443".to_owned())],
            unsigned: Vec::new(),
            body: Bytes::new(),
            payload: None,
            trailers: Vec::new(),
            chunk_bytes: 65_536,
            length: true,
            secure: true,
            service: "s3",
            region: REGION,
            access_key_id: ACCESS_KEY_ID,
            secret: SECRET,
            auth: Auth::Header,
        }
    }

    pub async fn bucket(&self, name: &str) {
        self.call("PUT", &format!("/{name}"))
            .send()
            .await
            .expect(StatusCode::OK);
    }

    /// A bucket that takes customer keys, which new ones do not.
    pub async fn sse_c_bucket(&self, name: &str) {
        self.bucket(name).await;
        let document = "<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes>\
             <EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes></Rule>\
             </ServerSideEncryptionConfiguration>";
        self.call("PUT", &format!("/{name}?encryption="))
            .header("content-md5", &STANDARD.encode(Md5::digest(document)))
            .body(document)
            .send()
            .await
            .expect(StatusCode::OK);
    }

    /// The events recorded so far.
    pub async fn events(&self) -> Vec<serde_json::Value> {
        self.audit.flush().await.unwrap();
        let mut lines = Vec::new();
        for (_, bytes) in contents_below(self.folder.path()).unwrap() {
            for line in bytes.split(|b| *b == b'\n') {
                if let Ok(event) = serde_json::from_slice::<serde_json::Value>(line)
                    && event.get("eventVersion").is_some()
                {
                    lines.push(event);
                }
            }
        }
        lines.sort_by_key(|event| event["strongroom"]["seq"].as_u64());
        lines
    }
}

/// Files of bodies, logs and keys; the index has its own, which come and go.
pub fn files_of_content(house: &House) -> usize {
    let files = strongroom_testkit::files_below(house.folder.path()).unwrap();
    let of_index = |path: &std::path::PathBuf| path.iter().any(|part| part == "index");
    files.iter().filter(|path| !of_index(path)).count()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    Header,
    Presigned(u32),
    None,
}

#[derive(Clone)]
pub struct Call<'a> {
    pub house: &'a House,
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub unsigned: Vec<(String, String)>,
    pub body: Bytes,
    pub payload: Option<PayloadMode>,
    pub trailers: Vec<(String, String)>,
    /// Of an aws-chunked body.
    pub chunk_bytes: usize,
    pub length: bool,
    pub secure: bool,
    pub service: &'static str,
    pub region: &'static str,
    pub access_key_id: &'static str,
    pub secret: &'static str,
    pub auth: Auth,
}

impl Call<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A header that the signature does not cover.
    pub fn unsigned(mut self, name: &str, value: &str) -> Self {
        self.unsigned.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.headers[0].1);
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn payload(mut self, payload: PayloadMode) -> Self {
        self.payload = Some(payload);
        self
    }

    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.header("x-amz-trailer", name)
    }

    pub fn plain_http(mut self) -> Self {
        self.secure = false;
        self
    }

    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    pub fn customer_key(self, key: &[u8]) -> Self {
        self.header("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .header(
                "x-amz-server-side-encryption-customer-key",
                &STANDARD.encode(key),
            )
            .header(
                "x-amz-server-side-encryption-customer-key-md5",
                &STANDARD.encode(Md5::digest(key)),
            )
    }

    pub fn copy_source_key(self, key: &[u8]) -> Self {
        let name = |end| format!("x-amz-copy-source-server-side-encryption-customer-{end}");
        self.header(&name("algorithm"), "AES256")
            .header(&name("key"), &STANDARD.encode(key))
            .header(&name("key-md5"), &STANDARD.encode(Md5::digest(key)))
    }

    /// The signed head and the framed body.
    pub fn build(mut self) -> (Request<()>, Bytes) {
        let payload = self.payload.unwrap_or_else(|| {
            if matches!(self.auth, Auth::Presigned(_)) {
                return PayloadMode::Unsigned;
            }
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.body);
            PayloadMode::Sha256(digest.as_ref().try_into().unwrap())
        });
        let chunked = payload.chunk_mode();
        if chunked.is_some() {
            self.headers.push((
                "x-amz-decoded-content-length".to_owned(),
                self.body.len().to_string(),
            ));
        }
        let secret = SecretAccessKey::new(self.secret.to_owned());
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_bytes()))
            .collect();
        let input = SigningInput {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            access_key_id: self.access_key_id,
            secret: &secret,
            session_token: None,
            region: self.region,
            service: self.service,
            payload,
            now_ms: self.house.clock.now_ms(),
        };
        let (query, added, signer) = match self.auth {
            Auth::Header => {
                let signed = sign_request(&input).unwrap();
                (self.query.clone(), signed.headers, signed.chunk_signer)
            }
            Auth::Presigned(seconds) => (presign(&input, seconds).unwrap(), Vec::new(), None),
            Auth::None => (self.query.clone(), Vec::new(), None),
        };
        let wire = match chunked {
            None => self.body.clone(),
            Some(mode) => {
                let trailers: Vec<(&str, &str)> = self
                    .trailers
                    .iter()
                    .map(|(n, v)| (n.as_str(), v.as_str()))
                    .collect();
                let signer = signer.filter(|_| mode != ChunkMode::UnsignedTrailer);
                chunked::encode_body(mode, signer, &self.body, self.chunk_bytes, &trailers)
                    .unwrap()
                    .into()
            }
        };
        let target = if query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{query}", self.path)
        };
        let mut request = Request::builder().method(self.method.as_str()).uri(target);
        let unsigned = self.unsigned.iter().map(|(n, v)| (n.clone(), v.clone()));
        for (name, value) in self.headers.iter().cloned().chain(added).chain(unsigned) {
            request = request.header(
                HeaderName::try_from(name).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        if self.length {
            request = request.header("content-length", wire.len());
        }
        (request.body(()).unwrap(), wire)
    }

    pub async fn send(self) -> Reply {
        let (house, secure) = (self.house, self.secure);
        let (request, wire) = self.build();
        send(house, request.map(|()| Full::new(wire)), secure).await
    }

    /// Sends with another body than the signed one.
    pub async fn send_wire<F>(self, change: F) -> Reply
    where
        F: FnOnce(Vec<u8>) -> Vec<u8>,
    {
        let (house, secure) = (self.house, self.secure);
        let (request, wire) = self.build();
        let wire = Bytes::from(change(wire.to_vec()));
        send(house, request.map(|()| Full::new(wire)), secure).await
    }

    /// Sends with a body that fails the test when it is looked at.
    pub async fn send_unread(self, declared: u64) -> Reply {
        let (house, secure) = (self.house, self.secure);
        let (mut request, _) = self.build();
        request
            .headers_mut()
            .insert("content-length", declared.into());
        request
            .headers_mut()
            .insert("expect", HeaderValue::from_static("100-continue"));
        send(house, request.map(|()| Untouchable), secure).await
    }
}

pub async fn send<B>(house: &House, request: Request<B>, secure: bool) -> Reply
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let conn = ConnectionFacts {
        peer: "192.0.2.1:1234".parse().unwrap(),
        tls: secure.then(|| TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
        }),
    };
    let response = Box::pin(house.api.handle(request, conn)).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// A body that must not be read.
pub struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        panic!("the body was polled before the request was refused");
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    #[track_caller]
    pub fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// An error document with this code; every answer names its request.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status.as_u16(), self.element("Code").as_deref()),
            (status, Some(code)),
            "{}",
            self.text()
        );
        assert_eq!(
            self.element("RequestId").as_deref(),
            Some(self.header("x-amz-request-id"))
        );
        self
    }

    #[track_caller]
    pub fn says(self, message: &str) -> Self {
        assert_eq!(self.element("Message").as_deref(), Some(message));
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.to_str().unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The text of the first element of that name.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.replace("&quot;", "\"").replace("&amp;", "&"))
    }
}
