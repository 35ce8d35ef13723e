// SPDX-License-Identifier: Apache-2.0
//! The key service without a network: what one use of a key costs, with its authorization and its
//! durable audit record.
//!
//! Many requests are in flight at once, as in a server, and each waits until its record is
//! durable. What counts is processor time of the whole process, the audit thread included, so that
//! neighbours on the machine change the figure little: uses for each second of one core.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_audit::{Audit, AuditOptions, RequestFacts, TlsFacts, UserIdentity};
use strongroom_format::EncryptionContext;
use strongroom_iam::{Caller, Iam, IamOptions, RootCredential};
use strongroom_kms::root::{self, RootKey, RootSecret};
use strongroom_kms::{
    CiphertextBlob, CreateKeyInput, DataKeySpec, DecryptInput, GenerateDataKeyInput, Kms,
};
use strongroom_store::drive::{Drive, LocalDrive};
use strongroom_store::env::{Clock, SystemClock};
use strongroom_store::{Store, StoreOptions};
use strongroom_wire::SecretAccessKey;
use strongroom_wire::sigv4::{
    PayloadMode, RequestToVerify, SigningInput, parse_auth, sign_request,
};

use crate::Outcome;
use crate::load::Done;
use crate::process;

/// A key service over a folder, and a caller.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    kms: Kms,
    audit: Audit,
    caller: Arc<Caller>,
    key_arn: Arc<str>,
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    GenerateDataKey,
    Decrypt,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::GenerateDataKey => "GenerateDataKey",
            Operation::Decrypt => "Decrypt",
        }
    }
}

/// What came of it, and the processor seconds it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) done: Done,
    pub(crate) cpu_seconds: f64,
}

impl Rooms {
    pub(crate) async fn open(folder: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let secret = RootSecret::Key(RootKey::generate()?);
        let (keyring, _) = root::create(&secret, clock.now_ms())?;
        let keyring = Arc::new(keyring);
        let drive: Arc<dyn Drive> = Arc::new(LocalDrive::open(folder)?);
        let sealer = keyring.at_rest();
        let store = Store::open(Arc::clone(&drive), sealer, StoreOptions::default()).await?;
        let options = AuditOptions {
            account_id: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
        };
        let audit = Audit::open(drive, Arc::clone(&clock), options).await?;
        let caller = caller(&store, &clock).await?;
        let (region, account) = (REGION.to_owned(), ACCOUNT.to_owned());
        let kms = Kms::open(&store, keyring, clock, region, account).await?;
        let receipt = audit.begin(caller.facts().clone());
        let made = kms.create_key(&caller, &receipt, CreateKeyInput::default());
        let made = made.await?;
        receipt.finish_recorded();
        Ok(Self {
            kms,
            audit,
            caller: Arc::new(caller),
            key_arn: made.arn.into(),
        })
    }

    /// Uses the key over and over, `at_once` requests at a time.
    pub(crate) async fn run(
        &self,
        operation: Operation,
        at_once: usize,
        time: Duration,
    ) -> Outcome<Used> {
        let cpu = process::own_cpu_seconds()?;
        let start = Instant::now();
        let end = start + time;
        let mut tasks = Vec::new();
        for _ in 0..at_once {
            let rooms = self.clone();
            tasks.push(tokio::spawn(async move {
                match operation {
                    Operation::GenerateDataKey => rooms.generate(end).await,
                    Operation::Decrypt => rooms.decrypt(end).await,
                }
            }));
        }
        let mut done = Done::default();
        for task in tasks {
            done.requests += task.await??;
        }
        done.seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = process::own_cpu_seconds()? - cpu;
        Ok(Used { done, cpu_seconds })
    }

    async fn generate(&self, end: Instant) -> Outcome<u64> {
        let context = context()?;
        let mut count = 0;
        while Instant::now() < end {
            let made = self.data_key(&context).await?;
            if made.0.len() != 32 || made.1.0.is_empty() {
                return Err("a data key of another length".into());
            }
            count += 1;
        }
        Ok(count)
    }

    async fn decrypt(&self, end: Instant) -> Outcome<u64> {
        let context = context()?;
        let (plain, blob) = self.data_key(&context).await?;
        let mut count = 0;
        while Instant::now() < end {
            let receipt = self.audit.begin(self.caller.facts().clone());
            let input = DecryptInput {
                ciphertext_blob: blob.clone(),
                context: context.clone(),
                key_id: None,
                algorithm: None,
                ignore_ciphertext: false,
                grant_tokens: Vec::new(),
                dry_run: false,
            };
            let opened = self.kms.decrypt(&self.caller, &receipt, input).await?;
            receipt.finish_recorded();
            if opened.plaintext.expose_secret() != plain {
                return Err("another plaintext".into());
            }
            count += 1;
        }
        Ok(count)
    }

    async fn data_key(&self, context: &EncryptionContext) -> Outcome<(Vec<u8>, CiphertextBlob)> {
        let receipt = self.audit.begin(self.caller.facts().clone());
        let input = GenerateDataKeyInput {
            key_id: self.key_arn.to_string(),
            spec: DataKeySpec::Aes256,
            context: context.clone(),
            grant_tokens: Vec::new(),
            dry_run: false,
        };
        let made = self.kms.generate_data_key(&self.caller, &receipt, input);
        let made = made.await?;
        receipt.finish_recorded();
        Ok((
            made.plaintext.expose_secret().to_vec(),
            made.ciphertext_blob,
        ))
    }
}

/// The pair that S3 gives, which is what most data keys are made with.
fn context() -> Outcome<EncryptionContext> {
    let mut context = EncryptionContext::new();
    context
        .insert(
            "aws:s3:arn",
            "arn:aws:s3:::bench/a/name/of/usual/length.parquet",
        )
        .map_err(|error| format!("{error:?}"))?;
    Ok(context)
}

/// The root user, made as any caller is: by a signed request.
async fn caller(store: &Store, clock: &Arc<dyn Clock>) -> Outcome<Caller> {
    let secret = || SecretAccessKey::new("bench-".repeat(7));
    let access_key_id = "AKIABENCHBENCHBENCH2";
    let credential = RootCredential::new(access_key_id.to_owned(), secret())?;
    let options = IamOptions::new(ACCOUNT, REGION);
    let iam = Iam::open(store, Arc::clone(clock), options, credential).await?;
    let now_ms = clock.now_ms();
    let mut headers: Vec<(&str, &[u8])> = vec![("host", b"localhost")];
    let signed = sign_request(&SigningInput {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        access_key_id,
        secret: &secret(),
        session_token: None,
        region: REGION,
        service: "kms",
        payload: PayloadMode::Sha256([0; 32]),
        now_ms,
    })
    .map_err(|error| format!("{error:?}"))?;
    let added = signed.headers.iter();
    headers.extend(added.map(|(name, value)| (name.as_str(), value.as_bytes())));
    let request = RequestToVerify {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        secure: true,
        body_sha256: Some([0; 32]),
    };
    let auth = parse_auth(&request).map_err(|error| format!("{error:?}"))?;
    let authenticated = iam.authenticate(&auth, &request, facts(), now_ms);
    Ok(authenticated.map_err(|error| format!("{error:?}"))?.caller)
}

/// As an SDK on another machine would look.
fn facts() -> RequestFacts {
    RequestFacts {
        request_id: "7d1bf5ac-8a4e-4f0e-9d3c-3b1d60e0a000".to_owned(),
        source_ip: "203.0.113.9".to_owned(),
        user_agent: "Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1 os/linux lang/python#3.13".to_owned(),
        host: "kms.example.org".to_owned(),
        tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher_suite: "TLS_AES_256_GCM_SHA384".to_owned(),
        }),
        identity: UserIdentity::Unknown {
            access_key_id: None,
        },
    }
}

const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";
