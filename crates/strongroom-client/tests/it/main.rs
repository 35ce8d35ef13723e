// SPDX-License-Identifier: Apache-2.0
//! The client's library from outside.

mod content;
mod envelope;
mod negative;
mod recorded;
mod world;
