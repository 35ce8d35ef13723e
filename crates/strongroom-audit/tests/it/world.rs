// SPDX-License-Identifier: Apache-2.0
//! A log on a simulated drive, and what can be read back from it.

use std::sync::Arc;

use serde_json::Value;
use strongroom_audit::{
    Audit, AuditOptions, Category, Durability, Error, EventDetail, EventId, EventSource,
    RequestFacts, TlsFacts, UserIdentity,
};
use strongroom_store::drive::{DrivePath, Folder};
use strongroom_testkit::{SimClock, SimDrive};

/// 2026-11-21T10:01:02Z
pub(crate) const NOON_MS: u64 = 1_795_255_262_000;

pub(crate) struct World {
    pub(crate) drive: SimDrive,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) audit: Audit,
}

pub(crate) async fn open(drive: &SimDrive) -> Result<World, Error> {
    let clock = Arc::new(SimClock::new(NOON_MS));
    let options = AuditOptions {
        account_id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
    };
    let audit = Audit::open(Arc::new(drive.clone()), clock.clone(), options).await?;
    Ok(World {
        drive: drive.clone(),
        clock,
        audit,
    })
}

pub(crate) async fn new_world() -> World {
    open(&SimDrive::new(1)).await.unwrap()
}

pub(crate) fn facts() -> RequestFacts {
    RequestFacts {
        request_id: "0A1B2C".to_owned(),
        source_ip: "203.0.113.9".to_owned(),
        user_agent: "[aws-cli/2]".to_owned(),
        host: "b.s3.us-east-1.amazonaws.com".to_owned(),
        tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher_suite: "TLS_AES_128_GCM_SHA256".to_owned(),
        }),
        identity: UserIdentity::Root {
            account_id: "111122223333".to_owned(),
            access_key_id: "AKIAEXAMPLE".to_owned(),
        },
    }
}

pub(crate) fn put_object(object_key: &str) -> EventDetail {
    let mut detail = EventDetail::new(EventSource::S3, "PutObject", Category::Data, false);
    detail.request_parameters = serde_json::json!({ "bucketName": "b", "key": object_key });
    detail
}

impl World {
    pub(crate) async fn put(&self, object_key: &str) -> Result<EventId, Error> {
        let receipt = self.audit.begin(facts());
        receipt
            .finish(put_object(object_key), Durability::Durable)
            .await
    }

    pub(crate) async fn get(&self, object_key: &str) -> Result<EventId, Error> {
        let receipt = self.audit.begin(facts());
        let mut detail = put_object(object_key);
        detail.event_name = "GetObject";
        detail.read_only = true;
        receipt.finish(detail, Durability::Buffered).await
    }

    pub(crate) async fn only_record(&self) -> Value {
        self.audit.flush().await.unwrap();
        let lines = lines(&self.drive);
        assert_eq!(lines.len(), 1);
        serde_json::from_slice(&lines[0]).unwrap()
    }
}

/// The files of the log, oldest first.
pub(crate) fn files(drive: &SimDrive) -> Vec<DrivePath> {
    let mut files: Vec<DrivePath> = drive
        .files()
        .into_iter()
        .filter(|path| path.folder() == Folder::Audit)
        .collect();
    files.sort();
    files
}

/// The lines of all files, oldest first, without newlines; every file ends with one.
pub(crate) fn lines(drive: &SimDrive) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for path in files(drive) {
        let bytes = drive.contents(&path).unwrap();
        let Some(bytes) = bytes.strip_suffix(b"\n") else {
            assert!(bytes.is_empty(), "{path} does not end with a newline");
            continue;
        };
        lines.extend(bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    }
    lines
}

/// The object keys of the recorded S3 events, in order.
pub(crate) fn object_keys(drive: &SimDrive) -> Vec<String> {
    let lines = lines(drive);
    let records = lines
        .iter()
        .map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let keys = records.map(|record| record["requestParameters"]["key"].clone());
    keys.filter_map(|key| key.as_str().map(str::to_owned))
        .collect()
}
