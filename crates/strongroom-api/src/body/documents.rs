// SPDX-License-Identifier: Apache-2.0
//! Memory for documents: requests that are read whole before they are understood, and answers that
//! are not sent yet. All connections share one amount of it.
//!
//! ```text
//!   up to SMALL_BYTES_MAX     free: as many as there are connections
//!   longer, a request         waits for room before it is read; 503 after ROOM_TIME_MAX
//!   longer, an answer         has room, or is 503 instead
//! ```
//!
//! Requests and answers have room of their own each: who may ask for nothing can send long requests,
//! and must not keep others from their answers. So has the key service, whose documents are read
//! before it is known who sent them.
//!
//! Without this a client that stops in the middle of a list of ten thousand parts, or does not read
//! a page of long names, holds megabytes for each of its connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{S3Code, S3Error};

/// The room that is left. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    /// One permit for each KiB.
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
}

/// Room for one document; given back when it is dropped. Small documents need none.
#[derive(Debug)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

/// A document and its room.
struct Kept {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Documents {
    /// Room for all documents of S3: 64 MiB of requests, and of answers.
    pub(crate) fn of_s3() -> Self {
        Self::of(S3_KIB)
    }

    /// Room for all requests of the key service: 16 MiB. Its answers ask for none.
    pub(crate) fn of_kms() -> Self {
        Self::of(KMS_KIB)
    }

    fn of(kib: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(kib)),
            answers: Arc::new(Semaphore::new(kib)),
        }
    }

    /// Room for a request of so many bytes, as soon as there is some; 503 SlowDown if there is none
    /// for [`ROOM_TIME_MAX`].
    pub(crate) async fn for_request(&self, bytes: usize) -> Result<Room, S3Error> {
        if bytes <= SMALL_BYTES_MAX {
            return Ok(Room::none());
        }
        let wanted = Arc::clone(&self.requests).acquire_many_owned(kib(bytes));
        match tokio::time::timeout(ROOM_TIME_MAX, wanted).await {
            Ok(Ok(permit)) => Ok(Room(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(no_room("request")),
        }
    }

    /// The document of an answer, with room for as long as anybody has a byte of it; 503 SlowDown
    /// without any.
    pub(crate) fn for_answer(&self, document: Bytes) -> Result<Bytes, S3Error> {
        if document.len() <= SMALL_BYTES_MAX {
            return Ok(document);
        }
        let permit = Arc::clone(&self.answers).try_acquire_many_owned(kib(document.len()));
        let permit = permit.map_err(|_| no_room("answer"))?;
        Ok(Room(Some(permit)).keep(document))
    }
}

impl Room {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The document, whose last byte gives the room back.
    pub(crate) fn keep(self, bytes: Bytes) -> Bytes {
        match self.0 {
            Some(room) => Bytes::from_owner(Kept { bytes, _room: room }),
            None => bytes,
        }
    }
}

fn no_room(of: &'static str) -> S3Error {
    metrics::counter!("strongroom_documents_refused_total", "of" => of).increment(1);
    S3Error::from_code(S3Code::SlowDown)
}

/// No single document is longer than all the room there is, so each gets it some time.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024).min(S3_KIB)).unwrap_or(u32::MAX)
}

/// What every connection may have at any time: all requests but long lists, and most answers.
pub(crate) const SMALL_BYTES_MAX: usize = 64 * 1024;
const KMS_KIB: usize = 16 * 1024;
const S3_KIB: usize = 64 * 1024;
const ROOM_TIME_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn long_documents_share_one_amount_and_small_ones_need_none() {
        let documents = Documents::of_s3();
        let mut held = Vec::new();
        for _ in 0..16 {
            held.push(documents.for_request(4 << 20).await.unwrap());
        }
        let refused = documents.for_request(SMALL_BYTES_MAX + 1).await;
        assert_eq!(refused.unwrap_err().code, S3Code::SlowDown);
        // Answers have room of their own.
        let answer = || documents.for_answer(Bytes::from(vec![0; 32 << 20]));
        let answers = [answer().unwrap(), answer().unwrap()];
        let refused = documents.for_answer(Bytes::from(vec![0; SMALL_BYTES_MAX + 1]));
        assert_eq!(refused.unwrap_err().code, S3Code::SlowDown);
        drop(answers);
        assert!(
            documents
                .for_request(SMALL_BYTES_MAX)
                .await
                .unwrap()
                .is_none()
        );
        let small = Bytes::from(vec![0; SMALL_BYTES_MAX]);
        assert_eq!(documents.for_answer(small).unwrap().len(), SMALL_BYTES_MAX);

        // Who waits gets what is given back.
        let waiting = tokio::spawn({
            let documents = documents.clone();
            async move { documents.for_request(1 << 20).await }
        });
        tokio::task::yield_now().await;
        held.pop();
        assert!(!waiting.await.unwrap().unwrap().is_none());
        held.clear();
        assert_eq!(documents.requests.available_permits(), S3_KIB);
        assert_eq!(documents.answers.available_permits(), S3_KIB);
    }

    #[test]
    fn room_is_given_back_with_the_last_byte() {
        let documents = Documents::of_s3();
        let mut answer = documents.for_answer(Bytes::from(vec![7; 1 << 20])).unwrap();
        assert_eq!(documents.answers.available_permits(), S3_KIB - 1024);
        let piece = answer.split_to(10);
        drop(answer);
        assert_eq!(documents.answers.available_permits(), S3_KIB - 1024);
        assert_eq!(piece, vec![7; 10]);
        drop(piece);
        assert_eq!(documents.answers.available_permits(), S3_KIB);
    }

    #[test]
    fn the_longest_document_fits() {
        let documents = Documents::of_s3();
        let long = Bytes::from(vec![0; (S3_KIB + 1) * 1024]);
        assert!(documents.for_answer(long).is_ok());
    }
}
