// SPDX-License-Identifier: Apache-2.0
//! The edge: every request comes in here, and every answer goes out here.
//!
//! Before a handler runs, the request was limited, addressed, authenticated and given a receipt;
//! after it ran, the receipt is finished, and only then is there an answer.

mod address;
mod authenticate;
mod finish;
mod form;
mod hoist;
mod kms;
mod limits;
mod s3;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body as HttpBody;
use strongroom_audit::{Audit, RequestFacts, TlsFacts, UserIdentity};
use strongroom_iam::Iam;
use strongroom_kms::Kms;
use strongroom_object::Objects;
use strongroom_store::env::Clock;

use crate::body::{Documents, Frames, STALL_TIMEOUT};
use crate::response::ResponseBody;
pub(crate) use address::Address;
pub use address::fuzz_address;
pub(crate) use kms::KmsRequest;

/// The rooms below, and what this server is called.
pub struct ApiServices {
    /// Objects and buckets.
    pub objects: Objects,
    /// The key service.
    pub kms: Kms,
    /// Principals.
    pub iam: Iam,
    /// The audit log.
    pub audit: Audit,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// AWS region name of the deployment.
    pub region: String,
    /// Twelve-digit account id.
    pub account_id: String,
    /// Domains under which `bucket.domain` addresses a bucket.
    pub domains: Vec<String>,
}

impl fmt::Debug for ApiServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServices")
            .field("region", &self.region)
            .field("account_id", &self.account_id)
            .field("domains", &self.domains)
            .finish_non_exhaustive()
    }
}

/// What the listener knows of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionFacts {
    /// The peer.
    pub peer: SocketAddr,
    /// The TLS session; `None` over plain HTTP.
    pub tls: Option<TlsFacts>,
}

/// All protocol adapters on one endpoint. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    services: Arc<ApiServices>,
    stall_timeout: Duration,
    documents: Documents,
    kms_documents: Documents,
}

impl Api {
    /// The adapters over these services.
    pub fn new(mut services: ApiServices) -> Self {
        for domain in &mut services.domains {
            domain.make_ascii_lowercase();
        }
        Self {
            services: Arc::new(services),
            stall_timeout: STALL_TIMEOUT,
            documents: Documents::of_s3(),
            kms_documents: Documents::of_kms(),
        }
    }

    /// The same with another limit on how long the body of a request may stand still.
    #[must_use]
    pub fn with_stall_timeout(self, stall_timeout: Duration) -> Self {
        Self {
            stall_timeout,
            ..self
        }
    }

    /// Answers one request.
    pub async fn handle<B>(&self, req: Request<B>, conn: ConnectionFacts) -> Response<ResponseBody>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = req.into_parts();
        let waits_for_continue = parts.headers.contains_key(header::EXPECT);
        let no_content = body.is_end_stream();
        let speaks_kms = authenticate::speaks_kms(&parts);
        let documents = if speaks_kms {
            &self.kms_documents
        } else {
            &self.documents
        };
        let frames = Frames::new(
            body,
            waits_for_continue,
            self.stall_timeout,
            documents.clone(),
        );
        let Some(exchange) = Exchange::begin(&parts, &conn, speaks_kms) else {
            return finish::no_randomness();
        };
        let mut response = if speaks_kms {
            kms::answer(&self.services, exchange, parts, frames).await
        } else {
            s3::answer(&self.services, exchange, parts, frames).await
        };
        // A final answer in the place of `100 Continue` is allowed (RFC 9110, section 10.1.1), but
        // botocore then reads the next answer on the same connection wrongly (boto/botocore
        // issue 3755): a part's ETag gets lost, or the client hangs. So the connection ends here.
        if waits_for_continue && (no_content || !response.status().is_success()) {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// One request and its answer: what both protocols know before they read anything.
pub(crate) struct Exchange {
    /// Facts with an unknown identity.
    pub(crate) facts: RequestFacts,
    /// `x-amz-id-2`.
    pub(crate) host_id: String,
    /// When it began.
    pub(crate) started: Instant,
    /// Whether it came over TLS.
    pub(crate) secure: bool,
}

impl Exchange {
    fn begin(parts: &Parts, conn: &ConnectionFacts, uuid: bool) -> Option<Self> {
        let mut random = [0; 40];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let (id, host) = random.split_at(16);
        let request_id = if uuid {
            uuid_text(id)
        } else {
            hex::encode_upper(id.get(..8).unwrap_or(id))
        };
        let text = |name| {
            let value = parts
                .headers
                .get(name)
                .map(|value: &HeaderValue| value.as_bytes());
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        };
        Some(Self {
            facts: RequestFacts {
                request_id,
                source_ip: conn.peer.ip().to_canonical().to_string(),
                user_agent: text(header::USER_AGENT),
                host: text(header::HOST),
                tls: conn.tls.clone(),
                identity: UserIdentity::Unknown {
                    access_key_id: None,
                },
            },
            host_id: base64::Engine::encode(&base64::engine::general_purpose::STANDARD, host),
            started: Instant::now(),
            secure: conn.tls.is_some(),
        })
    }
}

/// RFC 9562 version 4.
fn uuid_text(random: &[u8]) -> String {
    let mut id = [0_u8; 16];
    for (to, from) in id.iter_mut().zip(random) {
        *to = *from;
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let text = hex::encode(id);
    let mut out = String::with_capacity(36);
    for (at, digit) in text.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}
