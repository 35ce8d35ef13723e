// SPDX-License-Identifier: Apache-2.0
//! Sealing with an MD5 beside it, in this process: bodies out of memory, no network, no other process
//! that wants the processors.

use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strongroom_format::{BodyContext, ObjectDataId, ObjectKey, PartUid, Sealer};
use strongroom_object::pipeline::SegmentSealer;
use strongroom_object::pipeline::write::{NewBlob, seal_body};
use strongroom_object::{
    Body, BodyError, BodyLength, BodySource, ChecksumAlgorithm, WantedDigests,
};
use strongroom_store::drive::LocalDrive;
use strongroom_store::layout::BlobPolicy;
use strongroom_store::{BlobId, Store, StoreOptions};
use strongroom_testkit::TestSealer;

use crate::Outcome;

/// Bytes a second of one body after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Streams {
    pub(crate) without_md5: f64,
    pub(crate) with_md5: f64,
    /// Of an MD5 in a thread of its own, of other bytes, while bodies without one are sealed. Less
    /// than alone where more threads want to run than there are processors.
    pub(crate) md5_beside: f64,
}

/// Bodies of `bytes` bytes for `time` each: without MD5, with MD5, and with one in a thread of its
/// own, in turns.
pub(crate) async fn streams(folder: &Path, bytes: u64, time: Duration) -> Outcome<Streams> {
    std::fs::create_dir_all(folder)?;
    let drive = Arc::new(LocalDrive::open(folder)?);
    let store = Store::open(drive, Arc::new(TestSealer::new(1)), StoreOptions::default()).await?;
    let mut sums = [(0_u64, 0.0); 3];
    let [without_md5, with_md5, md5_beside] = &mut sums;
    for _ in 0..TURNS {
        add(
            without_md5,
            bodies(&store, bytes, false, time / TURNS).await?,
        );
        add(with_md5, bodies(&store, bytes, true, time / TURNS).await?);
        let digest = Md5Beside::start();
        let (_, seconds) = bodies(&store, bytes, false, time / TURNS).await?;
        add(md5_beside, (digest.stop()?, seconds));
    }
    let [without_md5, with_md5, md5_beside] =
        sums.map(|(bytes, seconds)| crate::modes::float(bytes) / seconds);
    Ok(Streams {
        without_md5,
        with_md5,
        md5_beside,
    })
}

fn add(sum: &mut (u64, f64), (bytes, seconds): (u64, f64)) {
    sum.0 += bytes;
    sum.1 += seconds;
}

/// One body at least: bytes, and the seconds that they took.
async fn bodies(store: &Store, bytes: u64, md5: bool, time: Duration) -> Outcome<(u64, f64)> {
    let start = Instant::now();
    let mut sum = 0;
    loop {
        one(store, bytes, md5).await?;
        sum += bytes;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok((sum, elapsed.as_secs_f64()));
        }
    }
}

/// An MD5 that goes on in a thread until it is stopped.
struct Md5Beside {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Md5Beside {
    fn start() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || {
            let batch = vec![0x5A_u8; BATCH_BYTES];
            let mut md5 = strongroom_md5::Md5::new();
            let mut bytes = 0;
            while !seen.load(Ordering::Relaxed) {
                md5.update(black_box(&batch));
                bytes += u64::try_from(batch.len()).unwrap_or(0);
            }
            black_box(md5.finish());
            bytes
        });
        Self { stopped, thread }
    }

    /// Bytes that it took.
    fn stop(self) -> Outcome<u64> {
        self.stopped.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| "the thread of an MD5 panicked".into())
    }
}

/// One body, durable; nobody adopts it, so it goes again.
async fn one(store: &Store, bytes: u64, md5: bool) -> Outcome<()> {
    let mut uid = [0; 16];
    aws_lc_rs::rand::fill(&mut uid)?;
    let mut iv = [0; 32];
    aws_lc_rs::rand::fill(&mut iv)?;
    let context = BodyContext {
        odi: ObjectDataId(uid),
        part_no: 0,
        part_uid: PartUid(uid),
    };
    let payload_key = ObjectKey::generate(iv).payload_key(&context.odi, 0, &context.part_uid);
    let sealer = SegmentSealer::One(Box::new(Sealer::new(&payload_key, &context, iv)));
    let mut body: Body = Box::pin(Memory {
        left: bytes,
        piece: Bytes::from(vec![0x5A; PIECE_BYTES]),
    });
    let wanted = WantedDigests {
        md5,
        checksum: Some(ChecksumAlgorithm::Crc64Nvme),
        crc64: false,
    };
    let blob = NewBlob {
        id: BlobId(uid),
        policy: BlobPolicy::Standard,
    };
    let length = BodyLength::Exactly(bytes);
    let taken = seal_body(store.blobs(), blob, &sealer, &mut body, length, wanted).await?;
    if taken.digests.md5.is_some() != md5 {
        return Err("the pipeline computes another digest than it was asked for".into());
    }
    drop(taken.body.store(Vec::new()).await?);
    Ok(())
}

/// A body in pieces as TLS hands them over.
struct Memory {
    left: u64,
    piece: Bytes,
}

impl BodySource for Memory {
    fn poll_data(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let len = usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        if len == 0 {
            return Poll::Ready(None);
        }
        self.left -= u64::try_from(len).unwrap_or(self.left);
        Poll::Ready(Some(Ok(self.piece.slice(..len))))
    }

    fn trailing_checksum(&self) -> Option<(ChecksumAlgorithm, Vec<u8>)> {
        None
    }
}

const TURNS: u32 = 4;
const PIECE_BYTES: usize = 16 << 10;
/// What the server hands to a digest at a time.
const BATCH_BYTES: usize = 128 << 10;
