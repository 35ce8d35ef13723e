// SPDX-License-Identifier: Apache-2.0
//! The arena as its users see it.

mod secrets;
