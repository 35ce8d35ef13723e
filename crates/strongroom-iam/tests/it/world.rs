// SPDX-License-Identifier: Apache-2.0
//! A server's lower floors on one drive, and clients that sign.

use std::path::Path;
use std::sync::Arc;

use strongroom_audit::{Audit, AuditOptions, Receipt, RequestFacts, UserIdentity};
use strongroom_iam::{AuthError, Authenticated, Iam, IamOptions, RootCredential};
use strongroom_store::drive::Drive;
use strongroom_store::{Store, StoreOptions};
use strongroom_testkit::{SimClock, TestSealer};
use strongroom_wire::sigv4::{PayloadMode, SigningInput, presign, sign_request};
use strongroom_wire::{RequestToVerify, SecretAccessKey, parse_auth};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ROOT_ID: &str = "ROOTACCESSKEYIDOFTEST";
pub(crate) const ROOT_SECRET: &str = "root-secret-of-the-tests-0123456789";
/// 2026-11-21T10:00:00Z
pub(crate) const NOW_MS: u64 = 1_795_255_200_000;

pub(crate) struct World {
    pub(crate) iam: Iam,
    pub(crate) audit: Audit,
    pub(crate) store: Store,
}

pub(crate) fn root() -> RootCredential {
    RootCredential::new(
        ROOT_ID.to_owned(),
        SecretAccessKey::new(ROOT_SECRET.to_owned()),
    )
    .unwrap()
}

impl World {
    pub(crate) async fn open(dir: &Path) -> Self {
        let drive: Arc<dyn Drive> = Arc::new(strongroom_testkit::local_drive(dir).unwrap());
        Self::open_on(Arc::clone(&drive), drive).await
    }

    pub(crate) async fn open_on(drive: Arc<dyn Drive>, for_audit: Arc<dyn Drive>) -> Self {
        let clock = Arc::new(SimClock::new(NOW_MS));
        let sealer = Arc::new(TestSealer::new(1));
        let options = StoreOptions::default();
        let store = Store::open(drive, sealer, options).await.unwrap();
        let options = AuditOptions {
            account_id: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
        };
        let audit = Audit::open(for_audit, clock.clone(), options)
            .await
            .unwrap();
        let options = IamOptions::new(ACCOUNT, REGION);
        let iam = Iam::open(&store, clock, options, root()).await.unwrap();
        Self { iam, audit, store }
    }

    pub(crate) async fn close(self) {
        self.audit.close().await.unwrap();
        self.store.close().await.unwrap();
    }

    pub(crate) fn receipt(&self) -> Receipt {
        self.audit.begin(facts())
    }
}

pub(crate) fn facts() -> RequestFacts {
    RequestFacts {
        request_id: "REQUEST".to_owned(),
        source_ip: "127.0.0.1".to_owned(),
        user_agent: "test".to_owned(),
        host: "localhost".to_owned(),
        tls: None,
        identity: UserIdentity::Anonymous,
    }
}

/// A client with an access key.
pub(crate) struct Client<'a> {
    pub(crate) access_key_id: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) service: &'a str,
    pub(crate) payload: PayloadMode,
    pub(crate) session_token: Option<&'a str>,
    pub(crate) presigned: bool,
}

impl<'a> Client<'a> {
    pub(crate) fn new(access_key_id: &'a str, secret: &'a str) -> Self {
        Self {
            access_key_id,
            secret,
            service: "s3",
            payload: PayloadMode::Unsigned,
            session_token: None,
            presigned: false,
        }
    }

    pub(crate) fn root() -> Self {
        Self::new(ROOT_ID, ROOT_SECRET)
    }

    pub(crate) fn call(&self, iam: &Iam) -> Result<Authenticated, AuthError> {
        self.call_at(iam, NOW_MS)
    }

    /// Signs at `NOW_MS` and arrives at `now_ms`, over TLS.
    pub(crate) fn call_at(&self, iam: &Iam, now_ms: u64) -> Result<Authenticated, AuthError> {
        let secret = SecretAccessKey::new(self.secret.to_owned());
        let host: (&str, &[u8]) = ("host", b"localhost");
        let mut input = SigningInput {
            method: "GET",
            path: "/bucket/key",
            query: "",
            headers: &[host],
            access_key_id: self.access_key_id,
            secret: &secret,
            session_token: self.session_token,
            region: REGION,
            service: self.service,
            payload: self.payload,
            now_ms: NOW_MS,
        };
        let query;
        let mut headers = vec![host];
        let mut added = Vec::new();
        if self.presigned {
            query = presign(&input, 60).unwrap();
            input.query = &query;
        } else {
            added = sign_request(&input).unwrap().headers;
        }
        headers.extend(
            added
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        );
        let request = RequestToVerify {
            method: input.method,
            path: input.path,
            query: input.query,
            headers: &headers,
            secure: true,
            body_sha256: None,
        };
        let auth = parse_auth(&request).unwrap();
        iam.authenticate(&auth, &request, facts(), now_ms)
    }
}

pub(crate) fn is_unknown(outcome: &Result<Authenticated, AuthError>) -> bool {
    matches!(outcome, Err(AuthError::InvalidAccessKeyId { .. }))
}

/// All lines of the audit log on this directory.
pub(crate) fn audit_lines(dir: &Path) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    let mut folders = vec![dir.join("audit")];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
    }
    lines
}
