// SPDX-License-Identifier: Apache-2.0
//! One function per fuzz target; the targets in `fuzz/` only call these.
