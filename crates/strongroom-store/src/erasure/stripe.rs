// SPDX-License-Identifier: Apache-2.0
//! Which unit of a blob lies in which shard, and back.
//!
//! A blob's units are cut into *stripes*. A stripe has one *cell* in each data shard, filled one
//! after the other, and one in each parity shard. Units at the same place of their cells make a
//! *row*; the parity units of a row are computed from its data units.
//!
//! ```text
//!   2+1, cells of 2 units, a blob of 7 units:
//!
//!              stripe 0    stripe 1: 3 units left, so cells of 2
//!   shard 0 |  u0  u1  |  u4  u5  |
//!   shard 1 |  u2  u3  |  u6      |      its second unit counts as zeros
//!   shard 2 |  p   p   |  p   p   |      parity
//!              row 0,1    row 2,3
//! ```
//!
//! A run of units within a cell is contiguous in the shard's file and in the blob, so it moves
//! between both without a copy, and a small range touches one shard. The last stripe is narrower
//! (its cells are as short as they can be), so a short blob is spread over all shards, too.
//!
//! Unit `j` of every shard belongs to row `j`: what is needed to rebuild a unit has the same number
//! in the other shards. Only the last unit of a shard can be short, so each shard's file follows
//! [`UnitLayout`] with the shard's own number of bytes ([`StripeLayout::shard_bytes`]).

use crate::layout::{Redundancy, ShardIndex, StripeIndex, UnitLayout, manifest_bytes_max};

/// How a blob is spread over its shards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StripeLayout {
    unit: UnitLayout,
    redundancy: Redundancy,
    cell_units: u8,
}

/// Where a unit of a blob lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitPlace {
    /// The data shard.
    pub shard: ShardIndex,
    /// The number of the unit within the shard: its row.
    pub row: u64,
}

/// One stripe of a blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stripe {
    /// Which one.
    pub index: StripeIndex,
    /// The first of the blob's units in it.
    pub first_unit: u64,
    /// How many of the blob's units it has.
    pub units: u32,
    /// Its first row: the number, within every shard, of the first unit of its cells.
    pub first_row: u64,
    /// How many rows it has: the units of its fullest cell, and of each parity cell.
    pub rows: u32,
}

/// Units of a blob that follow each other in one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The data shard.
    pub shard: ShardIndex,
    /// The number of the first unit within the shard.
    pub first_row: u64,
    /// The number of the first unit within the blob.
    pub first_unit: u64,
    /// How many.
    pub units: u32,
}

impl StripeLayout {
    /// A layout with cells of `cell_units` units; `None` for empty cells.
    pub const fn new(unit: UnitLayout, redundancy: Redundancy, cell_units: u8) -> Option<Self> {
        if cell_units == 0 {
            return None;
        }
        Some(Self {
            unit,
            redundancy,
            cell_units,
        })
    }

    /// The layout of new blobs: stripes of about [`STRIPE_UNITS`] units.
    #[must_use]
    pub const fn for_new_blobs(unit: UnitLayout, redundancy: Redundancy) -> Self {
        let cell_units = match STRIPE_UNITS.checked_div(redundancy.data()) {
            Some(0) | None => 1,
            Some(units) => units,
        };
        Self {
            unit,
            redundancy,
            cell_units,
        }
    }

    /// The layout of a blob that has one shard.
    #[must_use]
    pub const fn single(unit: UnitLayout) -> Self {
        Self::for_new_blobs(unit, Redundancy::SINGLE)
    }

    /// The unit length.
    pub const fn unit(self) -> UnitLayout {
        self.unit
    }

    /// The number of shards.
    pub const fn redundancy(self) -> Redundancy {
        self.redundancy
    }

    /// Units of a full cell.
    pub const fn cell_units(self) -> u8 {
        self.cell_units
    }

    /// The blob's units in a full stripe: what a writer should hand over at once.
    pub fn stripe_units(self) -> u32 {
        u32::from(self.redundancy.data()).saturating_mul(u32::from(self.cell_units))
    }

    /// Stripes of a blob.
    pub fn stripe_count(self, sealed_bytes: u64) -> u64 {
        let units = self.unit.unit_count(sealed_bytes);
        units.div_ceil(u64::from(self.stripe_units()))
    }

    /// One stripe of a blob; `None` behind its end.
    pub fn stripe(self, sealed_bytes: u64, index: StripeIndex) -> Option<Stripe> {
        let full = u64::from(self.stripe_units());
        let first_unit = index.0.checked_mul(full)?;
        let left = self
            .unit
            .unit_count(sealed_bytes)
            .checked_sub(first_unit)
            .filter(|left| *left > 0)?;
        let units = u32::try_from(left.min(full)).ok()?;
        Some(Stripe {
            index,
            first_unit,
            units,
            first_row: index.0.checked_mul(u64::from(self.cell_units))?,
            rows: units.div_ceil(u32::from(self.redundancy.data())),
        })
    }

    /// The stripe that a unit of the blob lies in; `None` behind its end.
    pub fn stripe_of_unit(self, sealed_bytes: u64, unit: u64) -> Option<Stripe> {
        if unit >= self.unit.unit_count(sealed_bytes) {
            return None;
        }
        let index = unit.checked_div(u64::from(self.stripe_units()))?;
        self.stripe(sealed_bytes, StripeIndex(index))
    }

    /// The stripe that has a row; `None` behind the last.
    pub fn stripe_of_row(self, sealed_bytes: u64, row: u64) -> Option<Stripe> {
        let index = row.checked_div(u64::from(self.cell_units))?;
        let stripe = self.stripe(sealed_bytes, StripeIndex(index))?;
        let within = row.checked_sub(stripe.first_row)?;
        (within < u64::from(stripe.rows)).then_some(stripe)
    }

    /// Rows of a blob: units of its fullest shard.
    pub fn row_count(self, sealed_bytes: u64) -> u64 {
        let last = self.stripe_count(sealed_bytes).checked_sub(1);
        last.and_then(|last| self.stripe(sealed_bytes, StripeIndex(last)))
            .and_then(|stripe| stripe.first_row.checked_add(u64::from(stripe.rows)))
            .unwrap_or(0)
    }

    /// Where a unit of the blob lies; `None` behind its end.
    pub fn place_of(self, sealed_bytes: u64, unit: u64) -> Option<UnitPlace> {
        let stripe = self.stripe_of_unit(sealed_bytes, unit)?;
        let within = unit.checked_sub(stripe.first_unit)?;
        let rows = u64::from(stripe.rows);
        Some(UnitPlace {
            shard: ShardIndex(u8::try_from(within.checked_div(rows)?).ok()?),
            row: stripe.first_row.checked_add(within.checked_rem(rows)?)?,
        })
    }

    /// The blob's unit at a place: inverse of [`Self::place_of`]. `None` for parity, and where no
    /// unit is.
    pub fn unit_at(self, sealed_bytes: u64, place: UnitPlace) -> Option<u64> {
        if !self.redundancy.is_data(place.shard) {
            return None;
        }
        let stripe = self.stripe_of_row(sealed_bytes, place.row)?;
        let within = u64::from(place.shard.0)
            .checked_mul(u64::from(stripe.rows))?
            .checked_add(place.row.checked_sub(stripe.first_row)?)?;
        if within >= u64::from(stripe.units) {
            return None;
        }
        stripe.first_unit.checked_add(within)
    }

    /// Units that a shard has; `None` for a shard that the code has not.
    pub fn shard_units(self, sealed_bytes: u64, shard: ShardIndex) -> Option<u64> {
        if !self.redundancy.has(shard) {
            return None;
        }
        let Some(last) = self.stripe_count(sealed_bytes).checked_sub(1) else {
            return Some(0);
        };
        let last = self.stripe(sealed_bytes, StripeIndex(last))?;
        let in_last = if self.redundancy.is_data(shard) {
            let before = u32::from(shard.0).checked_mul(last.rows)?;
            last.units.saturating_sub(before).min(last.rows)
        } else {
            last.rows
        };
        last.first_row.checked_add(u64::from(in_last))
    }

    /// Length of a shard's unit in a row; `None` where it has none. Such a unit counts as zeros.
    pub fn unit_len(self, sealed_bytes: u64, shard: ShardIndex, row: u64) -> Option<u32> {
        if !self.redundancy.has(shard) {
            return None;
        }
        // A parity unit is as long as the longest data unit of its row: the first shard's.
        let like = if self.redundancy.is_data(shard) {
            shard
        } else {
            ShardIndex(0)
        };
        let unit = self.unit_at(sealed_bytes, UnitPlace { shard: like, row })?;
        self.unit.unit_len(sealed_bytes, unit)
    }

    /// Bytes of all units of a shard; `None` for a shard that the code has not.
    pub fn shard_bytes(self, sealed_bytes: u64, shard: ShardIndex) -> Option<u64> {
        let units = self.shard_units(sealed_bytes, shard)?;
        let Some(full) = units.checked_sub(1) else {
            return Some(0);
        };
        // Only a shard's last unit can be short.
        full.checked_mul(u64::from(self.unit.unit_bytes()))?
            .checked_add(u64::from(self.unit_len(sealed_bytes, shard, full)?))
    }

    /// Length of a shard's file, with a manifest of `manifest_bytes`. `None` for a shard that the
    /// code has not, and for lengths that no file has.
    pub fn shard_file_bytes(
        self,
        sealed_bytes: u64,
        shard: ShardIndex,
        manifest_bytes: u32,
    ) -> Option<u64> {
        if manifest_bytes > manifest_bytes_max(sealed_bytes) {
            return None;
        }
        self.unit
            .file_bytes(self.shard_bytes(sealed_bytes, shard)?)?
            .checked_add(u64::from(manifest_bytes))
    }

    /// The other shards of a row that have a unit there, with its length. Any
    /// [`Redundancy::data`] of the row's units rebuild the one of `shard`, where those that are
    /// not there at all ([`Self::unit_len`] is `None`) are known to be zeros and need no reading.
    pub fn sources(
        self,
        sealed_bytes: u64,
        shard: ShardIndex,
        row: u64,
    ) -> impl Iterator<Item = (ShardIndex, u32)> + Clone {
        self.redundancy
            .each_shard()
            .filter(move |other| *other != shard)
            .filter_map(move |other| {
                let len = self.unit_len(sealed_bytes, other, row)?;
                Some((other, len))
            })
    }

    /// A range of the blob's units as runs, in the order of the blob: each is one read of one
    /// file. `None` when the range reaches beyond the blob.
    pub fn runs(
        self,
        sealed_bytes: u64,
        first_unit: u64,
        units: u32,
    ) -> Option<impl Iterator<Item = Run> + Clone> {
        let end = first_unit
            .checked_add(u64::from(units))
            .filter(|end| *end <= self.unit.unit_count(sealed_bytes))?;
        let mut next = first_unit;
        Some(std::iter::from_fn(move || {
            let run = self.run_at(sealed_bytes, next, end)?;
            next = next.checked_add(u64::from(run.units))?;
            Some(run)
        }))
    }

    /// The longest run from `unit` on that ends before `end`.
    fn run_at(self, sealed_bytes: u64, unit: u64, end: u64) -> Option<Run> {
        let left = end.checked_sub(unit).filter(|left| *left > 0)?;
        let place = self.place_of(sealed_bytes, unit)?;
        let units = if self.redundancy.data() == 1 {
            left
        } else {
            let stripe = self.stripe_of_row(sealed_bytes, place.row)?;
            let behind = stripe.first_row.checked_add(u64::from(stripe.rows))?;
            left.min(behind.checked_sub(place.row)?)
        };
        Some(Run {
            shard: place.shard,
            first_row: place.row,
            first_unit: unit,
            units: u32::try_from(units).ok()?,
        })
    }
}

/// Units that a stripe of a new blob has, where the data shards divide them: as many as the object
/// pipeline hands over at once.
pub const STRIPE_UNITS: u8 = 8;
