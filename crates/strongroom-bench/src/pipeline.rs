// SPDX-License-Identifier: Apache-2.0
//! Sealing with an MD5 beside it, in this process: bodies out of memory, no network, no other process
//! that wants the processors.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
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
}

/// Bodies of `bytes` bytes for `time` each, with and without MD5 in turns.
pub(crate) async fn streams(folder: &Path, bytes: u64, time: Duration) -> Outcome<Streams> {
    std::fs::create_dir_all(folder)?;
    let drive = Arc::new(LocalDrive::open(folder)?);
    let store = Store::open(drive, Arc::new(TestSealer::new(1)), StoreOptions::default()).await?;
    let mut sums = [(0_u64, 0.0); 2];
    for _ in 0..TURNS {
        for (md5, sum) in [false, true].into_iter().zip(&mut sums) {
            let start = Instant::now();
            // One body at least.
            loop {
                one(&store, bytes, md5).await?;
                sum.0 += bytes;
                if start.elapsed() >= time / TURNS {
                    break;
                }
            }
            sum.1 += start.elapsed().as_secs_f64();
        }
    }
    let [without_md5, with_md5] = sums.map(|(bytes, seconds)| crate::modes::float(bytes) / seconds);
    Ok(Streams {
        without_md5,
        with_md5,
    })
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
