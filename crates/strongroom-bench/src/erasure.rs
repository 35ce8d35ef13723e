// SPDX-License-Identifier: Apache-2.0
//! What the erasure code and the checksums of units cost, on one core: rows of product units, more
//! of them than caches hold.

use std::hint::black_box;
use std::time::{Duration, Instant};

use strongroom_store::blob::UnitSums;
use strongroom_store::erasure::{Codec, Combination};
use strongroom_store::layout::{BlobId, Redundancy, ShardIndex, UnitLayout};

use crate::Outcome;
use crate::report::Ratio;

/// Gigabytes of data units a second.
pub(crate) fn rows() -> Outcome<Vec<Ratio>> {
    let mut ratios = Vec::new();
    for (data, parity) in [(4, 2), (8, 4)] {
        Code::new(Redundancy::new(data, parity)?)?.measure(&mut ratios)?;
    }
    ratios.push(checksums()?);
    Ok(ratios)
}

/// Computes units from a row's units.
type Work<'a> = dyn FnMut(&[&[u8]], &mut [Vec<u8>]) + 'a;

/// Some rows of one code, whole.
struct Code {
    codec: Codec,
    rows: Vec<Vec<Vec<u8>>>,
}

impl Code {
    fn new(redundancy: Redundancy) -> Outcome<Self> {
        let codec = Codec::new(redundancy);
        let unit_bytes = usize::try_from(UnitLayout::PRODUCT.unit_bytes())?;
        let mut seed = 0;
        let mut rows = Vec::new();
        for _ in 0..ROWS {
            let mut row: Vec<Vec<u8>> = (0..redundancy.data())
                .map(|_| bytes(&mut seed, unit_bytes))
                .collect();
            let mut parity = vec![vec![0; unit_bytes]; usize::from(redundancy.parity())];
            let units: Vec<&[u8]> = row.iter().map(Vec::as_slice).collect();
            let mut out: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
            codec.encode(&units, &mut out)?;
            row.append(&mut parity);
            rows.push(row);
        }
        Ok(Self { codec, rows })
    }

    fn measure(&self, ratios: &mut Vec<Ratio>) -> Outcome<()> {
        let redundancy = self.codec.redundancy();
        let data = usize::from(redundancy.data());
        let mut out = vec![
            vec![0; usize::try_from(UnitLayout::PRODUCT.unit_bytes())?];
            usize::from(redundancy.parity())
        ];
        let mut row = |what: &str, target, work: &mut Work<'_>| {
            let rate = gigabytes_per_second(self.data_bytes(data), || {
                for row in &self.rows {
                    let units: Vec<&[u8]> = row.iter().map(Vec::as_slice).collect();
                    work(&units, &mut out);
                }
                black_box(&mut out);
            });
            ratios.push(Ratio {
                what: format!("erasure code {redundancy}: {what}, GB/s of a core"),
                value: rate,
                target,
                at_least: true,
            });
        };
        row("encode", None, &mut |units, out| {
            let mut parity: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
            let (units, _) = units.split_at(data);
            let encoded = self.codec.encode(units, &mut parity);
            assert!(encoded.is_ok(), "the row has as many units as the code");
        });
        for (what, lost, parity) in [
            ("one lost, by the first parity", 1, 0),
            ("one lost, by the second parity", 1, 1),
            ("two lost", 2, 0),
        ] {
            let plan = self.plan(lost, parity)?;
            row(what, Some(4.0), &mut |units, out| {
                let sources: Vec<&[u8]> = plan
                    .sources
                    .iter()
                    .filter_map(|shard| units.get(usize::from(shard.0)).copied())
                    .collect();
                for (combination, out) in plan.combinations.iter().zip(out) {
                    combination.apply(&sources, out);
                }
            });
        }
        Ok(())
    }

    /// The first `lost` data shards, rebuilt from the others and parity from `parity` on.
    fn plan(&self, lost: u8, parity: u8) -> Outcome<Plan> {
        let redundancy = self.codec.redundancy();
        let first_parity = redundancy.data().saturating_add(parity);
        let sources: Vec<ShardIndex> = (lost..redundancy.data())
            .chain(first_parity..redundancy.shards())
            .take(usize::from(redundancy.data()))
            .map(ShardIndex)
            .collect();
        let combinations = (0..lost)
            .map(|lost| self.codec.rebuild(ShardIndex(lost), &sources))
            .collect::<Result<_, _>>()?;
        Ok(Plan {
            sources,
            combinations,
        })
    }

    fn data_bytes(&self, data: usize) -> usize {
        let row = |row: &Vec<Vec<u8>>| row.iter().take(data).map(Vec::len).sum::<usize>();
        self.rows.iter().map(row).sum()
    }
}

struct Plan {
    sources: Vec<ShardIndex>,
    combinations: Vec<Combination>,
}

/// What scrub does with every unit of every shard.
fn checksums() -> Outcome<Ratio> {
    let layout = UnitLayout::PRODUCT;
    let sums = UnitSums::new(BlobId([7; 16]), ShardIndex(3));
    let mut slots = bytes(&mut 1, usize::try_from(layout.slot_bytes())? * ROWS * 4);
    sums.write(layout, 0, &mut slots);
    sums.check(layout, 0, &slots)?;
    let rate = gigabytes_per_second(slots.len(), || {
        let whole = sums.check(layout, 0, black_box(&slots)).is_ok();
        assert!(whole, "nothing changed since they were written");
    });
    Ok(Ratio {
        what: "checksums of units compared, GB/s of a core".to_owned(),
        value: rate,
        target: Some(1.0),
        at_least: true,
    })
}

/// The most of several rounds: neighbours only ever make it less.
pub(crate) fn gigabytes_per_second(bytes: usize, mut work: impl FnMut()) -> f64 {
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work();
        least = least.min(start.elapsed());
    }
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    f64::from(bytes) / least.as_secs_f64() / 1e9
}

/// Bytes that do not compress and come again.
pub(crate) fn bytes(seed: &mut u32, count: usize) -> Vec<u8> {
    let next = || {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [.., high] = seed.to_le_bytes();
        high
    };
    std::iter::repeat_with(next).take(count).collect()
}

const ROWS: usize = 64;
const ROUNDS: u32 = 30;
