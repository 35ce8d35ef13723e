// SPDX-License-Identifier: Apache-2.0
//! Memory for secrets.
//!
//! ```text
//!  SecretBytes --> arena of slots --> regions of 64 KiB: memfd_secret, else locked pages
//!                        `-- none to be had: the heap
//!  everything else --> WipingAllocator: the heap, overwritten when freed
//! ```
//!
//! A page of `memfd_secret` is taken out of the kernel's own map: it is never swapped, never part
//! of a core file or a hibernation image, and cannot be read through `/proc/PID/mem`, by a
//! debugger or by another process, not even by root without loading code into the kernel.

mod arena;
mod region;
mod secret;
mod slots;
mod wiping;

pub use arena::{Status, status};
pub use region::Protection;
pub use secret::SecretBytes;
pub use wiping::WipingAllocator;
