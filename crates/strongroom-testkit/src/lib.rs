// SPDX-License-Identifier: Apache-2.0
//! Doubles for tests that are as good as the real thing.
//!
//! - [`SimDrive`]: a drive in memory that loses, tears, refuses and rots by a seeded plan, and
//!   crashes at any operation. [`conformance::check`] holds it and the real drive to one contract.
//! - [`linear`]: whether a history of concurrent requests is one that a single copy could give.
//! - [`SimClock`]: time that stands still until it is moved.
//! - [`SimRng`]: random numbers that come again with the same seed.
//! - [`TestSealer`]: a sealer for rows with a fixed key.
//! - [`assert_secret_type!`]: the type of a secret can neither be copied nor shown.
//! - [`contents_below`]: every file of a folder in which others still work.
//! - [`local_drive`]: a local drive opened again in the process that closed it.
//! - [`poll_once`]: one step of a future, by hand.
//!
//! A dev-dependency of any crate; never part of the program.

pub mod conformance;
mod files;
pub mod linear;
mod local_drive;
mod poll_once;
pub mod secret_type;
mod sim_clock;
mod sim_drive;
mod sim_image;
mod sim_rng;
mod test_sealer;

pub use files::{contents_below, files_below};
pub use local_drive::local_drive;
pub use poll_once::poll_once;
pub use sim_clock::SimClock;
pub use sim_drive::{Fault, FaultPlan, SimDrive, SimPower};
pub use sim_rng::SimRng;
pub use test_sealer::{TestSealer, UnsealedUnits};
