// SPDX-License-Identifier: Apache-2.0
//! The arena as its users see it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod secrets;
