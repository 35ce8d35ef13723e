// SPDX-License-Identifier: Apache-2.0
//! What one core and one drive of this machine can do at best.

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::digest;
use serde::Serialize;

use crate::Outcome;

/// A limit, in bytes a second of one core or drive.
#[derive(Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) bytes_per_second: f64,
}

/// The limit of the drive for large files.
pub(crate) const DRIVE: &str = "file write + fsync, 64 MiB";

const SEGMENT: usize = 65_536;

/// Measure all of them, `time` each.
pub(crate) fn measure(time: Duration, drive: &Path) -> Outcome<Vec<Limit>> {
    let source = vec![7_u8; 1 << 20];
    let mut target = vec![0_u8; 1 << 20];
    let memcpy = rate(time, 1 << 20, || {
        target.copy_from_slice(black_box(&source));
        black_box(&mut target);
        Ok(())
    })?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, &[1; 32]).map_err(|_| "no key")?;
    let mut segment = vec![0_u8; SEGMENT];
    let aes = rate(time, SEGMENT, || {
        key.seal_in_place_separate_tag(Aad::from([0_u8; 9]), &mut segment)
            .map(|_| ())
            .map_err(|_| "sealing failed".into())
    })?;
    let md5 = rate(time, SEGMENT, || {
        black_box(strongroom_md5::digest(&segment));
        Ok(())
    })?;
    let sha256 = rate(time, SEGMENT, || {
        black_box(digest::digest(&digest::SHA256, &segment));
        Ok(())
    })?;
    let path = drive.join(format!("bench-limit-{}", std::process::id()));
    let mut file = std::fs::File::create(&path)?;
    let large = vec![3_u8; 64 << 20];
    let write = rate(time, large.len(), || {
        file.write_all(&large)?;
        file.sync_data()?;
        Ok(())
    });
    let small = rate(time, 4096, || {
        file.write_all(large.get(..4096).unwrap_or_default())?;
        file.sync_data()?;
        Ok(())
    });
    std::fs::remove_file(&path)?;
    Ok(vec![
        Limit {
            name: "memcpy, 1 MiB",
            bytes_per_second: memcpy,
        },
        Limit {
            name: "AES-256-GCM, 64 KiB segments",
            bytes_per_second: aes,
        },
        Limit {
            name: "MD5",
            bytes_per_second: md5,
        },
        Limit {
            name: "SHA-256",
            bytes_per_second: sha256,
        },
        Limit {
            name: DRIVE,
            bytes_per_second: write?,
        },
        Limit {
            name: "file write + fsync, 4 KiB",
            bytes_per_second: small?,
        },
    ])
}

fn rate(time: Duration, bytes: usize, mut once: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    once()?;
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < time {
        once()?;
        count += 1;
    }
    let bytes = u32::try_from(bytes).map_err(|_| "too many bytes")?;
    Ok(f64::from(count) * f64::from(bytes) / start.elapsed().as_secs_f64())
}
